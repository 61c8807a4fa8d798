//! A network that alters messages on their way to a few participants, and is late with messages to another.
//!
//! For each kind of message, one message to each of the first is preceded by two copies of it that are altered: in the
//! middle, and in the last byte, where a signature or tag stands. For each kind, one message to the others arrives only
//! after everything else.

use std::collections::BTreeSet;

use protocol::operation::Role;
use rand_chacha::ChaCha20Rng;
use rand_core::Rng as _;

/// What becomes of messages, by the position of the participant that they are for.
pub struct Tampering {
    altered: BTreeSet<usize>,
    late: BTreeSet<usize>,
    /// The kinds of which a participant has had its message.
    done: BTreeSet<(usize, &'static str)>,
    rng: ChaCha20Rng,
}

impl Tampering {
    /// Participants with these roles. Altered messages go to the first of each role and to the last recipient, unless none is
    /// to be altered; messages to the recipient in the middle are late. The stream says which of several messages it is.
    #[must_use]
    pub fn new(roles: &[Role], alters: bool, rng: ChaCha20Rng) -> Self {
        let with = |role| (0..roles.len()).filter(move |at| roles[*at] == role);
        let recipients: Vec<usize> = with(Role::Recipient).collect();
        let middle = recipients.get(recipients.len() / 2).filter(|_| recipients.len() > 1);
        let late: BTreeSet<usize> = middle.copied().into_iter().collect();
        let firsts = Role::ALL.into_iter().filter_map(|role| with(role).next());
        let altered = firsts.chain(recipients.last().copied()).filter(|at| alters && !late.contains(at)).collect();
        Self { altered, late, done: BTreeSet::new(), rng }
    }

    /// How many participants it concerns.
    #[must_use]
    pub fn victims(&self) -> usize {
        self.altered.len() + self.late.len()
    }

    /// Which messages of a round the participant gets altered first, given their kinds.
    pub(super) fn altered_first(&mut self, participant: usize, kinds: &[&'static str]) -> BTreeSet<usize> {
        if self.altered.contains(&participant) { self.pick(participant, kinds) } else { BTreeSet::new() }
    }

    /// Which messages of a round the participant gets after everything else, given their kinds.
    pub(super) fn held_back(&mut self, participant: usize, kinds: &[&'static str]) -> BTreeSet<usize> {
        if self.late.contains(&participant) { self.pick(participant, kinds) } else { BTreeSet::new() }
    }

    /// One message of each kind that the participant gets for the first time.
    fn pick(&mut self, participant: usize, kinds: &[&'static str]) -> BTreeSet<usize> {
        let new: BTreeSet<&'static str> =
            kinds.iter().copied().filter(|kind| self.done.insert((participant, *kind))).collect();
        let mut one_of = |kind: &'static str| {
            let places: Vec<usize> = (0..kinds.len()).filter(|at| kinds[*at] == kind).collect();
            let number = self.rng.next_u64() % places.len().max(1) as u64;
            places.get(usize::try_from(number).unwrap_or(0)).copied()
        };
        new.into_iter().filter_map(&mut one_of).collect()
    }
}

/// A message with one bit changed in the middle, and one with its last byte changed.
pub(super) fn altered(bytes: &[u8]) -> Vec<Vec<u8>> {
    let change = |at: usize, mask: u8| {
        let mut copy = bytes.to_vec();
        copy.get_mut(at).map(|byte| *byte ^= mask).map(|()| copy)
    };
    [change(bytes.len() / 2, 1), bytes.len().checked_sub(1).and_then(|last| change(last, 0x55))]
        .into_iter()
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use rand_core::SeedableRng as _;

    use super::*;

    fn tampering(roles: &[Role]) -> Tampering {
        Tampering::new(roles, true, ChaCha20Rng::seed_from_u64(1))
    }

    #[test]
    fn one_message_of_each_kind_is_altered_or_late() {
        use Role::{Joiner, Recipient, Removed, Sender};
        let mut tampering = tampering(&[Sender, Recipient, Recipient, Recipient, Recipient, Removed, Joiner]);
        assert_eq!(tampering.altered, [0, 1, 4, 5, 6].into());
        assert_eq!((tampering.late.clone(), tampering.victims()), ([3].into(), 6));
        let first = tampering.altered_first(1, &["update"]);
        assert_eq!(first, [0].into());
        let acks = tampering.altered_first(1, &["ack", "update", "ack", "ack"]);
        assert!(acks.len() == 1 && !acks.contains(&1), "{acks:?}");
        assert!(
            tampering.altered_first(1, &["ack", "update"]).is_empty() && tampering.held_back(1, &["add"]).is_empty()
        );
        assert_eq!(tampering.held_back(3, &["add", "ack"]), [0, 1].into());
        assert!(tampering.altered_first(2, &["add"]).is_empty(), "the others get what was sent");
    }

    #[test]
    fn a_single_recipient_gets_altered_messages() {
        let tampering = tampering(&[Role::Sender, Role::Recipient]);
        assert_eq!((tampering.altered, tampering.late), ([0, 1].into(), BTreeSet::new()));
    }

    #[test]
    fn without_authentication_messages_are_only_late() {
        let rng = ChaCha20Rng::seed_from_u64(1);
        let tampering = Tampering::new(&[Role::Sender, Role::Recipient, Role::Recipient], false, rng);
        assert_eq!((tampering.altered, tampering.late), (BTreeSet::new(), [2].into()));
    }

    #[test]
    fn altered_copies_differ_from_the_message_and_from_each_other() {
        assert_eq!(altered(&[]), [[0; 0]; 0]);
        for length in 1..5 {
            let message = vec![7; length];
            let copies = altered(&message);
            assert!(copies.len() == 2 && copies[0] != copies[1] && !copies.contains(&message), "{copies:?}");
        }
    }
}
