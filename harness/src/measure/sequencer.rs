//! Puts all messages in one order, for a protocol that needs that ([`Ordering::Total`](protocol::member::Ordering)).
//!
//! The sequencer stands where no partition cuts it off. It takes what calls return in the order in which it comes, and takes a
//! [commit](COMMIT) only if its author had received all commits taken before. A call whose commit is too late is dropped
//! whole, and is made again as soon as its author knows the commits that came first. No client waits for a while before that:
//! if several collide, all but one collide again. While a client does not know what has become of its commit, it makes no
//! other call.

use protocol::member::{COMMIT, Outgoing};
use protocol::operation::Phase;

use super::script::Action;

/// A call that a participant is to make.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) operator: usize,
    pub(super) action: Action,
    /// Whether it was made before, and its commit was too late.
    pub(super) again: bool,
}

/// What a call has returned.
pub(super) struct Submission {
    pub(super) author: usize,
    /// The call, unless the messages answer others.
    pub(super) call: Option<Call>,
    pub(super) phase: Phase,
    pub(super) sent: Vec<Outgoing>,
    /// How many commits its author had received.
    known: usize,
}

impl Submission {
    fn has_commit(&self) -> bool {
        self.sent.iter().any(|message| message.kind == COMMIT)
    }
}

pub(super) struct Sequencer {
    /// The number of commits that were taken.
    taken: usize,
    /// How many of them each participant has received.
    known: Vec<usize>,
    /// What is on its way to the sequencer.
    submitted: Vec<Submission>,
    /// The calls that wait until their participants know what has become of the call before.
    waiting: Vec<Call>,
}

impl Sequencer {
    pub(super) fn new(participants: usize) -> Self {
        Self { taken: 0, known: vec![0; participants], submitted: Vec::new(), waiting: Vec::new() }
    }

    /// The call, if it can be made now. If not, it waits.
    pub(super) fn begin(&mut self, call: Call) -> Option<Call> {
        if self.is_busy(call.operator) || self.waiting.iter().any(|other| other.operator == call.operator) {
            self.waiting.push(call);
            return None;
        }
        Some(call)
    }

    fn is_busy(&self, operator: usize) -> bool {
        self.submitted.iter().any(|it| it.author == operator && it.has_commit())
    }

    pub(super) fn submit(&mut self, author: usize, call: Option<Call>, phase: Phase, sent: Vec<Outgoing>) {
        self.submitted.push(Submission { author, call, phase, sent, known: self.known[author] });
    }

    /// What is taken now, and what is dropped, in order. Only those participants reach the sequencer.
    pub(super) fn take(&mut self, reaches: impl Fn(usize) -> bool) -> Vec<Result<Submission, Submission>> {
        let (arrived, away) = std::mem::take(&mut self.submitted).into_iter().partition(|it| reaches(it.author));
        self.submitted = away;
        let arrived: Vec<Submission> = arrived;
        let mut again = Vec::new();
        let decide = |submission: Submission| {
            if !submission.has_commit() {
                return Ok(submission);
            }
            if submission.known < self.taken {
                again.extend(submission.call.clone().map(|call| Call { again: true, ..call }));
                return Err(submission);
            }
            self.taken += 1;
            Ok(submission)
        };
        let decided = arrived.into_iter().map(decide).collect();
        // In front of what their authors wanted to do after them.
        again.append(&mut self.waiting);
        self.waiting = again;
        decided
    }

    /// A participant has received everything that was taken so far.
    pub(super) fn caught_up(&mut self, participant: usize) {
        self.known[participant] = self.taken;
    }

    /// The waiting calls that can be made now, at most one of each participant.
    pub(super) fn ready(&mut self) -> Vec<Call> {
        let mut ready = Vec::<Call>::new();
        for call in std::mem::take(&mut self.waiting) {
            let now = !self.is_busy(call.operator) && !ready.iter().any(|other| other.operator == call.operator);
            if now { ready.push(call) } else { self.waiting.push(call) }
        }
        ready
    }
}

#[cfg(test)]
mod tests {
    use protocol::member::Recipients;

    use super::*;

    fn call(operator: usize) -> Call {
        Call { operator, action: Action::Update, again: false }
    }

    fn submit(sequencer: &mut Sequencer, author: usize, kind: &'static str) {
        let sent = vec![Outgoing { to: Recipients::Everyone, kind, bytes: vec![1] }];
        sequencer.submit(author, Some(call(author)), Phase::Generate, sent);
    }

    /// The authors of what is taken, and of what is dropped.
    fn take(sequencer: &mut Sequencer, reaches: impl Fn(usize) -> bool) -> (Vec<usize>, Vec<usize>) {
        let decided = sequencer.take(reaches);
        let of = |taken: bool| move |it: &&Result<Submission, Submission>| it.is_ok() == taken;
        let author = |it: &Result<Submission, Submission>| it.as_ref().unwrap_or_else(|it| it).author;
        (decided.iter().filter(of(true)).map(author).collect(), decided.iter().filter(of(false)).map(author).collect())
    }

    #[test]
    fn of_colliding_commits_the_first_is_taken_and_the_others_are_made_again_in_their_order() {
        let mut sequencer = Sequencer::new(4);
        [2, 0, 3].into_iter().for_each(|author| submit(&mut sequencer, author, COMMIT));
        submit(&mut sequencer, 1, "message");
        assert_eq!(take(&mut sequencer, |_| true), (vec![2, 1], vec![0, 3]));
        (0..4).for_each(|participant| sequencer.caught_up(participant));
        let again: Vec<_> = sequencer.ready().into_iter().map(|call| (call.operator, call.again)).collect();
        assert_eq!(again, [(0, true), (3, true)]);
        [0, 3].into_iter().for_each(|author| submit(&mut sequencer, author, COMMIT));
        assert_eq!(take(&mut sequencer, |_| true), (vec![0], vec![3]));
    }

    #[test]
    fn a_commit_from_beyond_a_partition_is_too_late_only_if_another_was_taken() {
        for late in [false, true] {
            let mut sequencer = Sequencer::new(2);
            submit(&mut sequencer, 1, COMMIT);
            // Its author's next call waits, and then follows the one that is made again.
            assert!(sequencer.begin(call(1)).is_none() && sequencer.ready().is_empty());
            if late {
                submit(&mut sequencer, 0, COMMIT);
            }
            assert_eq!(take(&mut sequencer, |author| author == 0).0.len(), usize::from(late));
            let (taken, dropped) = take(&mut sequencer, |_| true);
            assert_eq!((taken.len(), dropped.len()), (usize::from(!late), usize::from(late)));
            assert_eq!(sequencer.ready()[0].again, late);
            assert_eq!(sequencer.ready().len(), usize::from(late), "one call of each participant at a time");
        }
    }
}
