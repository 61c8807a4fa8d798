//! What one participant did, received and fetched: enough to repeat its part alone.

use std::sync::{Mutex, PoisonError};

use protocol::directory::Directory;
use protocol::id::MemberId;

/// The part of one participant in some stages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// Its calls, in order.
    pub steps: Vec<Step>,
    /// What the directory answered, in order.
    pub fetched: Vec<Fetched>,
    /// The messages that it sent, in order.
    pub sent: Vec<Vec<u8>>,
}

/// One call of a participant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// It acts: the next of its actions in the script.
    Acts,
    /// It makes the same call again, because the sequencer has dropped what that returned.
    ActsAgain,
    /// It receives the messages of one round, with their authors.
    Receives(Vec<(MemberId, Vec<u8>)>),
}

/// One answer of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// Whose bundle was asked for.
    pub user: MemberId,
    /// Whether it was a one-time bundle.
    pub one_time: bool,
    /// The bundle; `None` if there was none.
    pub bundle: Option<Vec<u8>>,
}

/// A directory that remembers its answers.
pub(super) struct Remembering<'a> {
    inner: &'a dyn Directory,
    answers: Mutex<Vec<Fetched>>,
}

impl<'a> Remembering<'a> {
    pub(super) fn new(inner: &'a dyn Directory) -> Self {
        Self { inner, answers: Mutex::default() }
    }

    pub(super) fn into_answers(self) -> Vec<Fetched> {
        self.answers.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn remember(&self, user: &MemberId, one_time: bool, bundle: Option<Vec<u8>>) -> Option<Vec<u8>> {
        let answer = Fetched { user: *user, one_time, bundle: bundle.clone() };
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
        bundle
    }
}

impl Directory for Remembering<'_> {
    fn bundle(&self, user: &MemberId) -> Option<Vec<u8>> {
        self.remember(user, false, self.inner.bundle(user))
    }

    fn one_time(&self, user: &MemberId) -> Option<Vec<u8>> {
        self.remember(user, true, self.inner.one_time(user))
    }
}

/// A directory that gives remembered answers, in their order. To any other question it has no answer.
pub(super) struct Answers(Mutex<std::vec::IntoIter<Fetched>>);

impl Answers {
    pub(super) fn new(answers: Vec<Fetched>) -> Self {
        Self(Mutex::new(answers.into_iter()))
    }

    fn next(&self, user: &MemberId, one_time: bool) -> Option<Vec<u8>> {
        let answer = self.0.lock().unwrap_or_else(PoisonError::into_inner).next()?;
        answer.bundle.filter(|_| (answer.user, answer.one_time) == (*user, one_time))
    }
}

impl Directory for Answers {
    fn bundle(&self, user: &MemberId) -> Option<Vec<u8>> {
        self.next(user, false)
    }

    fn one_time(&self, user: &MemberId) -> Option<Vec<u8>> {
        self.next(user, true)
    }
}

#[cfg(test)]
mod tests {
    use protocol::directory::InMemoryDirectory;

    use super::*;

    #[test]
    fn remembered_answers_are_given_again_in_their_order_and_no_others() {
        let (user, other) = (MemberId([1; 32]), MemberId([2; 32]));
        let directory = InMemoryDirectory::default();
        directory.publish(user, vec![1], vec![vec![2]]);
        let remembering = Remembering::new(&directory);
        let asked = |directory: &dyn Directory| {
            [directory.one_time(&user), directory.bundle(&user), directory.one_time(&user), directory.bundle(&other)]
        };
        let answers = asked(&remembering);
        assert_eq!(answers, [Some(vec![2]), Some(vec![1]), None, None]);
        let remembered = remembering.into_answers();
        assert_eq!(asked(&Answers::new(remembered.clone())), answers);
        assert_eq!(Answers::new(remembered).bundle(&user), None);
    }
}
