//! One member's part in an update, taken down so that it can be done again by itself, in another process.
//!
//! That process starts from the member's exported state, hands it the messages that it got, in the same rounds, and draws
//! the same randomness. So it must send the same bytes, which is checked. What the update costs the member lies in one
//! function, `member_part`, so that a tool that counts instructions can be told to count there alone.

use protocol::crypto::hash;
use protocol::crypto::label::Label;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Incoming, Member, Outgoing};
use protocol::operation::Operation;
use serde::{Deserialize, Serialize};

use crate::cell::{Bench, Cell};
use crate::network::Transcript;
use crate::proof::Refusal;
use crate::randomness::Origin;

const LABEL: Label = b"harness-v1 replay";

/// A member's part in an update of the group's creator.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recording {
    /// The backend: `name` or `name:variant`.
    pub backend: String,
    /// The run's seed.
    pub seed: u64,
    /// Members of the group.
    pub group_size: usize,
    /// The member's seat; the creator has the first.
    pub seat: usize,
    group: [u8; protocol::id::GROUP_ID_LEN],
    /// Its exported state before.
    state: Vec<u8>,
    /// What it got, round after round.
    rounds: Vec<Vec<Letter>>,
    /// A hash of all that it sent.
    sent: [u8; hash::DIGEST_LEN],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Letter {
    author: [u8; protocol::id::MEMBER_ID_LEN],
    bytes: Vec<u8>,
}

impl Letter {
    fn to(&self, group: GroupId) -> Incoming<'_> {
        Incoming { group, author: MemberId(self.author), bytes: &self.bytes }
    }
}

/// Why a recording cannot be replayed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReplayError {
    /// The member says so.
    #[error("{0}")]
    Member(#[from] Error),
    /// It sent something else than when it was recorded.
    #[error("the member sends other bytes than when it was recorded")]
    Differs,
}

/// Takes down the parts of the members in these seats in one update.
///
/// # Errors
/// The update fails.
pub fn record(
    backend: &dyn Backend,
    name: &str,
    (seed, group_size): (u64, usize),
    seats: &[usize],
) -> Result<Vec<Recording>, Refusal> {
    let origin = Origin { seed, group_size, iteration: 0 };
    let mut bench = Bench::new(backend, 1).map_err(|_| Refusal::Unsupported)?;
    let transcripts = bench.transcribe(&Cell { operation: Operation::Update, origin }, seats)?;
    let recording = |(seat, (group, state, transcript)): (&usize, (GroupId, Vec<u8>, Transcript))| {
        let letter = |(author, bytes): (MemberId, Vec<u8>)| Letter { author: author.0, bytes };
        let rounds = transcript.rounds.into_iter().map(|round| round.into_iter().map(letter).collect()).collect();
        let (backend, seat) = (name.to_owned(), *seat);
        let sent = digest(transcript.sent.iter().map(Vec::as_slice));
        Recording { backend, seed, group_size, seat, group: group.0, state, rounds, sent }
    };
    Ok(seats.iter().zip(transcripts).map(recording).collect())
}

/// Does it again.
///
/// # Errors
/// It does not come out as recorded.
pub fn replay(recording: &Recording, backend: &dyn Backend) -> Result<(), ReplayError> {
    let Recording { seed, group_size, seat, .. } = *recording;
    let origin = Origin { seed, group_size, iteration: 0 };
    let mut member = backend.restore(&recording.state)?;
    let group = GroupId(recording.group);
    let rounds: Vec<Vec<Incoming<'_>>> =
        recording.rounds.iter().map(|round| round.iter().map(|letter| letter.to(group)).collect()).collect();
    // Everybody has spoken with everybody, so nobody asks the directory for anything: it is empty.
    let directory = InMemoryDirectory::default();
    let mut rng = origin.member(Operation::Update, seat);
    let mut context = Context { rng: &mut rng, directory: &directory, confirm_inviter: &|_| true };
    let sent = member_part(&mut *member, seat == 0, &rounds, &mut context)?;
    if digest(sent.iter().map(|outgoing| outgoing.bytes.as_slice())) == recording.sent {
        Ok(())
    } else {
        Err(ReplayError::Differs)
    }
}

/// What is counted, and nothing else. Its name is known to [`crate::gate::instructions`].
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
    fn a_member_does_the_same_again_from_what_was_recorded() {
        for name in BACKENDS {
            let (backend, recordings) = recordings(name);
            assert_eq!(recordings.len(), 2);
            for recording in recordings {
                let text = serde_json::to_string(&recording).unwrap();
                let read: Recording = serde_json::from_str(&text).unwrap();
                assert_eq!(replay(&read, &*backend), Ok(()), "{name}, seat {}", read.seat);
            }
        }
    }

    #[test]
    fn a_part_that_comes_out_differently_is_noticed() {
        for name in BACKENDS {
            let (backend, recordings) = recordings(name);
            let [sender, recipient] = <[Recording; 2]>::try_from(recordings).unwrap();
            // Other randomness, so that answers do not fit or other bytes come out; a state that is none; a message that
            // was altered on its way.
            let other = Recording { seed: 2, ..sender.clone() };
            assert!(replay(&other, &*backend).is_err(), "{name}");
            let no_state = Recording { state: Vec::new(), ..sender };
            assert_eq!(replay(&no_state, &*backend), Err(ReplayError::Member(Error::BadExport)), "{name}");
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
