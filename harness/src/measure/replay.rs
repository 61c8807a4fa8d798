//! One member's part in an update, recorded so that another process can repeat it alone.
//!
//! That process starts from the member's exported state, hands it the messages that it received, in the same rounds,
//! and draws the same randomness. So the member must send the same bytes, which is checked. Everything that the update
//! costs the member is in one function, `member_part`, so that a tool can count instructions in this function alone.

use protocol::crypto::hash;
use protocol::crypto::label::Label;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Incoming, Member, Outgoing};
use protocol::operation::Operation;
use serde::{Deserialize, Serialize};

use super::cell::{Bench, Cell};
use super::network::Transcript;
use super::randomness::Origin;
use super::validation::Refusal;

const LABEL: Label = b"harness-v1 replay";

/// A member's part in an update by the group's creator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The backend's full name: `name` or `name:variant`.
    pub backend: String,
    /// The run's seed.
    pub seed: u64,
    /// The number of members of the group.
    pub group_size: usize,
    /// The member's position; the creator's is 0.
    pub participant: usize,
    group: [u8; protocol::id::GROUP_ID_LEN],
    /// The member's exported state before the update.
    state: Vec<u8>,
    /// The messages that it received in each round.
    rounds: Vec<Vec<RecordedMessage>>,
    /// A hash of all messages that it sent.
    sent: [u8; hash::DIGEST_LEN],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordedMessage {
    author: [u8; protocol::id::MEMBER_ID_LEN],
    bytes: Vec<u8>,
}

impl RecordedMessage {
    fn to(&self, group: GroupId) -> Incoming<'_> {
        Incoming { group, author: MemberId(self.author), bytes: &self.bytes }
    }
}

/// Why a recording cannot be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The member returned an error.
    #[error("{0}")]
    Member(#[from] Error),
    /// The member sent other bytes than in the recording.
    #[error("the member sent other bytes than in the recording")]
    Differs,
}

/// Records the parts of these participants in one update.
///
/// # Errors
/// The update fails, or the backend does not support it.
pub fn record(
    backend: &dyn Backend,
    name: &str,
    (seed, group_size): (u64, usize),
    participants: &[usize],
) -> Result<Vec<Recording>, Refusal> {
    let origin = Origin { seed, group_size, iteration: 0 };
    let mut bench = Bench::new(backend, 1).map_err(|_| Refusal::Unsupported)?;
    let transcripts = bench.transcribe(&Cell { operation: Operation::Update, origin }, participants)?;
    let recording = |(participant, (group, state, transcript)): (&usize, (GroupId, Vec<u8>, Transcript))| {
        let message = |(author, bytes): (MemberId, Vec<u8>)| RecordedMessage { author: author.0, bytes };
        let rounds = transcript.rounds.into_iter().map(|round| round.into_iter().map(message).collect()).collect();
        let (backend, participant) = (name.to_owned(), *participant);
        let sent = digest(transcript.sent.iter().map(Vec::as_slice));
        Recording { backend, seed, group_size, participant, group: group.0, state, rounds, sent }
    };
    Ok(participants.iter().zip(transcripts).map(recording).collect())
}

/// Repeats a recorded part.
///
/// # Errors
/// The member fails, or it sends other bytes than in the recording.
pub fn replay(recording: &Recording, backend: &dyn Backend) -> Result<(), ReplayError> {
    let Recording { seed, group_size, participant, .. } = *recording;
    let origin = Origin { seed, group_size, iteration: 0 };
    let mut member = backend.restore(&recording.state)?;
    let group = GroupId(recording.group);
    let rounds: Vec<Vec<Incoming<'_>>> =
        recording.rounds.iter().map(|round| round.iter().map(|message| message.to(group)).collect()).collect();
    // All members have exchanged messages before, so nobody asks the directory for anything. It is empty.
    let directory = InMemoryDirectory::default();
    let mut rng = origin.member(Operation::Update, participant);
    let mut context = Context { rng: &mut rng, directory: &directory, confirm_inviter: &|_| true };
    let sent = member_part(&mut *member, participant == 0, &rounds, &mut context)?;
    if digest(sent.iter().map(|outgoing| outgoing.bytes.as_slice())) == recording.sent {
        Ok(())
    } else {
        Err(ReplayError::Differs)
    }
}

/// Exactly the work that is counted. [`crate::gate::instructions`] refers to this function by its name.
#[inline(never)]
fn member_part(
    member: &mut dyn Member,
    updates: bool,
    rounds: &[Vec<Incoming<'_>>],
    context: &mut Context<'_>,
) -> Result<Vec<Outgoing>, Error> {
    let mut sent = if updates { member.update(context)? } else { Vec::new() };
    for round in rounds {
        for result in member.receive(round, context) {
            sent.extend(result?.outgoing);
        }
    }
    Ok(sent)
}

fn digest<'a>(messages: impl Iterator<Item = &'a [u8]>) -> [u8; hash::DIGEST_LEN] {
    hash::hash(LABEL, &messages.collect::<Vec<_>>()).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::Registry;

    const BACKENDS: [&str; 3] = ["dcgka", "pairwise", "sender-keys:pcs"];

    fn recordings(name: &str) -> (Box<dyn Backend>, Vec<Recording>) {
        let backend = Registry::built_in().find(name).unwrap();
        let recordings = record(&*backend, name, (1, 4), &[0, 1]).unwrap();
        (backend, recordings)
    }

    #[test]
    fn a_recorded_part_can_be_repeated() {
        for name in BACKENDS {
            let (backend, recordings) = recordings(name);
            assert_eq!(recordings.len(), 2);
            for recording in recordings {
                let text = serde_json::to_string(&recording).unwrap();
                let read: Recording = serde_json::from_str(&text).unwrap();
                assert_eq!(replay(&read, &*backend), Ok(()), "{name}, participant {}", read.participant);
            }
        }
    }

    #[test]
    fn a_part_that_differs_from_its_recording_is_refused() {
        for name in BACKENDS {
            let (backend, recordings) = recordings(name);
            let [sender, recipient] = <[Recording; 2]>::try_from(recordings).unwrap();
            // With other randomness, answers do not fit or the bytes differ.
            let other = Recording { seed: 2, ..sender.clone() };
            assert!(replay(&other, &*backend).is_err(), "{name}");
            // Nothing can be restored from an empty state.
            let no_state = Recording { state: Vec::new(), ..sender };
            assert_eq!(replay(&no_state, &*backend), Err(ReplayError::Member(Error::BadExport)), "{name}");
            // One message was altered on its way.
            let mut altered = recipient;
            *altered.rounds[0][0].bytes.last_mut().unwrap() ^= 1;
            assert!(replay(&altered, &*backend).is_err(), "{name}");
        }
    }

    #[test]
    fn a_backend_without_updates_has_nothing_to_record() {
        let backend = Registry::built_in().find("sender-keys:lazy").unwrap();
        assert_eq!(record(&*backend, "sender-keys:lazy", (1, 4), &[0]), Err(Refusal::Unsupported));
    }
}
