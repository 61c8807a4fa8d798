//! One member's part in an operation, recorded so that another process can repeat it alone.
//!
//! That process starts from the member's exported state, makes the same calls, hands it the messages that it received, in
//! the same rounds, answers as the directory did, and draws the same randomness. So the member must send the same bytes,
//! end in the same state and use the same primitives: what it knows has come to it in bytes. Everything that the operation
//! costs the member is in one function, `member_part`, so that a tool can count instructions in this function alone.

use std::collections::BTreeMap;

use protocol::crypto::count::Counted;
use protocol::crypto::hash;
use protocol::crypto::label::Label;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Incoming, Member, Outgoing, Received};
use protocol::operation::{Delivery, Operation};
use serde::{Deserialize, Serialize};

use super::meter::{Effort, Scope};
use super::randomness::Origin;
use super::script::{self, Action, Script};
use super::transcript::{Answers, Fetched, Step, Transcript};
use crate::record::by_name;
use crate::record::metric::Metric;

const LABEL: Label = b"harness-v1 replay";

type Id = [u8; protocol::id::MEMBER_ID_LEN];
type Hash = [u8; hash::DIGEST_LEN];

/// A member's part in an operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The backend's full name: `name` or `name:variant`.
    pub backend: String,
    /// The operation.
    #[serde(with = "by_name")]
    pub operation: Operation,
    /// The run's seed.
    pub seed: u64,
    /// The number of members that the group was created with.
    pub group_size: usize,
    /// The number of the iteration, from 0.
    pub iteration: u32,
    /// The member's position; the creator's is 0.
    pub participant: usize,
    /// All participants.
    ids: Vec<Id>,
    group: [u8; protocol::id::GROUP_ID_LEN],
    /// The member's exported state before the operation.
    state: Vec<u8>,
    steps: Vec<RecordedStep>,
    fetched: Vec<RecordedAnswer>,
    /// What it came to.
    pub outcome: Part,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum RecordedStep {
    /// The next of the member's actions in the script.
    Acts,
    /// The same action again.
    ActsAgain,
    /// Messages received in one round, with their authors' positions.
    Receives(Vec<(usize, Vec<u8>)>),
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct RecordedAnswer {
    user: Id,
    one_time: bool,
    bundle: Option<Vec<u8>>,
}

/// What a part came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// A hash of all messages that the member sent.
    sent: Hash,
    /// A hash of its exported state afterwards.
    state: Hash,
    /// Its primitive counts.
    counts: BTreeMap<Metric, u64>,
    /// The primitive counts of restoring it. Empty in a recording.
    restoring: BTreeMap<Metric, u64>,
    /// Its CPU time in nanoseconds.
    pub cpu_ns: u64,
}

/// Why a recording cannot be replayed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The member returned an error.
    #[error("{0}")]
    Member(#[from] Error),
    /// The member did something else than in the recording.
    #[error("{0}")]
    Differs(String),
}

/// What is known of a participant besides its transcript.
#[derive(Clone, Copy, Debug)]
pub struct Known<'a> {
    /// The backend's full name.
    pub backend: &'a str,
    /// The operation.
    pub operation: Operation,
    /// What determines the randomness.
    pub origin: Origin,
    /// All participants.
    pub ids: &'a [MemberId],
    /// The participant's position.
    pub participant: usize,
    /// Its exported state before the operation.
    pub before: &'a [u8],
    /// The group.
    pub group: GroupId,
}

impl Recording {
    /// The part of a participant with this transcript; `member` is its state afterwards.
    #[must_use]
    pub fn new(known: Known<'_>, transcript: &Transcript, member: &dyn Member, effort: Effort) -> Self {
        let Known { backend, operation, origin, ids, participant, before, group } = known;
        let position = |id: &MemberId| ids.iter().position(|other| other == id).unwrap_or(ids.len());
        let step = |step: &Step| match step {
            Step::Acts => RecordedStep::Acts,
            Step::ActsAgain => RecordedStep::ActsAgain,
            Step::Receives(messages) => RecordedStep::Receives(
                messages.iter().map(|(author, bytes)| (position(author), bytes.clone())).collect(),
            ),
        };
        let answer = |Fetched { user, one_time, bundle }: &Fetched| RecordedAnswer {
            user: user.0,
            one_time: *one_time,
            bundle: bundle.clone(),
        };
        Self {
            backend: backend.to_owned(),
            operation,
            seed: origin.seed,
            group_size: origin.group_size,
            iteration: origin.iteration,
            participant,
            ids: ids.iter().map(|id| id.0).collect(),
            group: group.0,
            state: before.to_vec(),
            steps: transcript.steps.iter().map(step).collect(),
            fetched: transcript.fetched.iter().map(answer).collect(),
            outcome: Part::new(transcript.sent.iter().map(Vec::as_slice), member, effort),
        }
    }
}

impl Part {
    fn new<'a>(sent: impl Iterator<Item = &'a [u8]>, member: &dyn Member, effort: Effort) -> Self {
        Self {
            sent: digest(sent),
            state: digest([&*member.export()].into_iter()),
            counts: Metric::counted(&effort.counts, Counted::All).collect(),
            restoring: BTreeMap::new(),
            cpu_ns: effort.cpu_ns,
        }
    }

    /// What is wrong with another process's repetition of this part, in words; `None` if all is right. Times are not
    /// compared.
    #[must_use]
    pub fn contradicted_by(&self, again: &Self) -> Option<String> {
        // What these do cannot be left for a restored member to do outside the timers.
        let work = ["op.dh", "op.ristretto_mul", "op.sign", "op.verify", "op.aead_bytes"].map(Metric::Primitive);
        if let Some(metric) = work.iter().find(|metric| again.restoring.get(metric).is_some_and(|count| *count > 0)) {
            return Some(format!("restoring the member from its export uses {metric}"));
        }
        if self.sent != again.sent {
            return Some("it sends other messages".to_owned());
        }
        if self.state != again.state {
            return Some("it ends in another state".to_owned());
        }
        let of = |part: &Self, metric| part.counts.get(metric).copied().unwrap_or(0);
        let different = self.counts.keys().find(|metric| of(self, metric) != of(again, metric))?;
        Some(format!("it counts {} of {different}, not {}", of(again, different), of(self, different)))
    }
}

/// Repeats a recorded part.
///
/// # Errors
/// The member fails.
pub fn replay(recording: &Recording, backend: &dyn Backend) -> Result<Part, ReplayError> {
    let Recording { operation, seed, group_size, iteration, participant, .. } = *recording;
    let (origin, scope) = (Origin { seed, group_size, iteration }, Scope::of(backend));
    let (member, restoring) = scope.measure(|| backend.restore(&recording.state));
    let mut member = member?;
    let group = GroupId(recording.group);
    let ids: Vec<MemberId> = recording.ids.iter().copied().map(MemberId).collect();
    // After a removal there is one participant less.
    if ids.is_empty() || ids.len() + 1 < group_size.max(operation.min_group_size()) {
        return Err(Error::Malformed.into());
    }
    let Script { stages, recovery, .. } = Script::new(operation, &origin, &ids);
    let mut acts =
        stages.iter().chain(&recovery).flat_map(|stage| &stage.acts).filter(|(operator, _)| *operator == participant);
    let (mut calls, mut action) = (Vec::new(), None);
    for step in &recording.steps {
        if *step == RecordedStep::Acts {
            action = acts.next().map(|(_, action)| action);
        }
        calls.push(match step {
            RecordedStep::Acts | RecordedStep::ActsAgain => Call::Act(action.ok_or(Error::Malformed)?),
            RecordedStep::Receives(messages) => {
                let mut round = Vec::new();
                for (author, bytes) in messages {
                    round.push(Incoming { group, author: *ids.get(*author).ok_or(Error::Malformed)?, bytes });
                }
                Call::Receive(round, operation.delivery())
            }
        });
    }
    let answers = recording.fetched.iter().map(|RecordedAnswer { user, one_time, bundle }| Fetched {
        user: MemberId(*user),
        one_time: *one_time,
        bundle: bundle.clone(),
    });
    let directory = Answers::new(answers.collect());
    let mut rng = origin.member(operation, participant);
    let mut context = Context { rng: &mut rng, directory: &directory, confirm_inviter: &|_| true };
    let (sent, effort) = scope.measure(|| member_part(&mut *member, &calls, &mut context));
    let sent = sent?;
    let part = Part::new(sent.iter().map(|outgoing| outgoing.bytes.as_slice()), &*member, effort);
    Ok(Part { restoring: Metric::counted(&restoring.counts, Counted::All).collect(), ..part })
}

enum Call<'a> {
    Act(&'a Action),
    Receive(Vec<Incoming<'a>>, Delivery),
}

/// Exactly the work that is counted. [`crate::gate::instructions`] refers to this function by its name.
#[inline(never)]
fn member_part(member: &mut dyn Member, calls: &[Call<'_>], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
    let mut sent = Vec::new();
    for call in calls {
        match call {
            Call::Act(action) => sent.extend(action.perform(member, context)?),
            Call::Receive(round, delivery) => {
                for result in script::deliver(member, round, *delivery, context) {
                    sent.extend(result.or_else(excused)?.outgoing);
                }
            }
        }
    }
    Ok(sent)
}

/// What reaches a member after its removal, it may refuse.
fn excused(error: Error) -> Result<Received, Error> {
    if error == Error::NotInGroup { Ok(Received::default()) } else { Err(error) }
}

fn digest<'a>(messages: impl Iterator<Item = &'a [u8]>) -> Hash {
    hash::hash(LABEL, &messages.collect::<Vec<_>>()).0
}

#[cfg(test)]
#[cfg(feature = "cli")]
mod tests {
    use super::*;
    use crate::measure::cell::{Bench, Cell};
    use crate::measure::validation::Refusal;
    use crate::registry::Registry;

    const BACKENDS: [&str; 3] = ["dcgka", "pairwise", "sender-keys:pcs"];

    fn recordings(
        name: &str,
        (operation, group_size): (Operation, usize),
        participants: &[usize],
    ) -> (Box<dyn Backend>, Vec<Recording>) {
        let backend = Registry::built_in().find(name).unwrap();
        let cell = Cell { operation, origin: Origin { seed: 1, group_size, iteration: 0 } };
        let recordings = Bench::new(&*backend, 1).unwrap().transcribe(&cell, participants).unwrap();
        (backend, recordings)
    }

    #[test]
    fn a_recorded_part_can_be_repeated_in_every_operation_and_role() {
        let all = Operation::ALL.into_iter().chain(["concurrent-updates:3".parse().unwrap(), Operation::PartitionHeal]);
        let cells = all.flat_map(|operation| [2, 3, 6].map(|group_size| (operation, group_size)));
        for (operation, group_size) in cells.filter(|cell| cell.1 >= cell.0.min_group_size()) {
            for name in BACKENDS {
                if !Registry::built_in().find(name).unwrap().supports(operation, group_size) {
                    continue;
                }
                let (backend, recordings) = recordings(name, (operation, group_size), &[0, 1, 3, 5, 6, 7]);
                assert!(!recordings.is_empty(), "{name} {operation}");
                for recording in recordings {
                    let text = serde_json::to_string(&recording).unwrap();
                    let read: Recording = serde_json::from_str(&text).unwrap();
                    let again = replay(&read, &*backend).unwrap();
                    let said = recording.outcome.contradicted_by(&again);
                    let place = format!("{name} {operation} at {group_size}, participant {}", read.participant);
                    assert_eq!(said, None, "{place}");
                }
            }
        }
    }

    #[test]
    fn a_part_that_differs_from_its_recording_is_refused() {
        for name in BACKENDS {
            let (backend, recordings) = recordings(name, (Operation::Update, 6), &[0, 1]);
            let [sender, recipient] = <[Recording; 2]>::try_from(recordings).unwrap();
            let wrong = |recording: &Recording| {
                replay(recording, &*backend).map_or(true, |part| recording.outcome.contradicted_by(&part).is_some())
            };
            // With other randomness, answers do not fit or the bytes differ.
            let other = Recording { seed: 2, ..sender.clone() };
            assert!(wrong(&other), "{name}");
            // Nothing can be restored from an empty state.
            let no_state = Recording { state: Vec::new(), ..sender };
            assert_eq!(replay(&no_state, &*backend), Err(ReplayError::Member(Error::BadExport)), "{name}");
            // One message was altered on its way.
            let mut altered = recipient.clone();
            for step in &mut altered.steps {
                if let RecordedStep::Receives(messages) = step {
                    *messages[0].1.last_mut().unwrap() ^= 1;
                }
            }
            assert!(wrong(&altered), "{name}");
            assert!(!wrong(&recipient), "{name}");
        }
    }

    #[test]
    fn every_difference_is_named() {
        let metric = Metric::Primitive;
        let part = Part { counts: [(metric("op.verify"), 3)].into(), ..Part::default() };
        assert_eq!(part.contradicted_by(&Part { cpu_ns: 9, ..part.clone() }), None);
        let said = |again: Part| part.contradicted_by(&again).unwrap();
        assert_eq!(said(Part { sent: [1; 32], ..part.clone() }), "it sends other messages");
        assert_eq!(said(Part { state: [1; 32], ..part.clone() }), "it ends in another state");
        let counts = [(metric("op.verify"), 4)].into();
        assert_eq!(said(Part { counts, ..part.clone() }), "it counts 4 of op.verify, not 3");
        let restoring = [(metric("op.dh"), 1)].into();
        assert_eq!(said(Part { restoring, ..part.clone() }), "restoring the member from its export uses op.dh");
    }

    #[test]
    fn a_backend_without_updates_has_nothing_to_record() {
        let backend = Registry::built_in().find("sender-keys:lazy").unwrap();
        let cell = Cell { operation: Operation::Update, origin: Origin { seed: 1, group_size: 4, iteration: 0 } };
        let result = Bench::new(&*backend, 1).unwrap().transcribe(&cell, &[0]);
        assert_eq!(result, Err(Refusal::Unsupported));
    }
}
