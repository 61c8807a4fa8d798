use std::collections::BTreeSet;

use protocol::crypto::signature::{SigningKey, VERIFICATION_KEY_LEN};
use protocol::directory::InMemoryDirectory;
use protocol::id::{GROUP_ID_LEN, GroupId};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

const BOTH: [Rules; 2] = [Rules::Corrected, Rules::LeanChannels];

struct Side {
    id: MemberId,
    prekeys: PrekeySecrets,
    channel: TwoParty,
}

struct Pair {
    sides: [Side; 2],
    rules: Rules,
    directory: InMemoryDirectory,
    rng: ChaCha20Rng,
}

/// What a message carries: the header, and a slot.
type Carried = Vec<u8>;

impl Pair {
    fn new(rules: Rules, seed: u64) -> Self {
        let (mut rng, directory) = (ChaCha20Rng::seed_from_u64(seed), InMemoryDirectory::default());
        let sides = [0, 1].map(|_| {
            let identity = SigningKey::random(&mut rng);
            let (prekeys, publication) = PrekeySecrets::generate(&identity, 1, &mut rng);
            let id = MemberId(*identity.verification_key().as_bytes());
            directory.publish(id, publication.bundle, publication.one_time);
            Side { id, prekeys, channel: TwoParty::default() }
        });
        Self { sides, rules, directory, rng }
    }

    fn names(&self, from: usize, number: u32) -> Names {
        let (sender, recipient) = (self.sides[from].id, self.sides[1 - from].id);
        Names { group: GroupId([1; GROUP_ID_LEN]), sender, sender_key: sender.0, recipient, number }
    }

    /// The message `number` of one side to the other, with one secret.
    fn send(&mut self, from: usize, number: u32) -> Carried {
        let (names, rules) = (self.names(from, number), self.rules);
        let ephemeral = rules.lean_channels().then(|| Ephemeral::random(&mut self.rng));
        let header = ephemeral.as_ref().map_or(&[][..], Ephemeral::header);
        let Side { prekeys: own, channel, .. } = &mut self.sides[from];
        let (directory, rng) = (&self.directory, &mut self.rng);
        let sealing = Sealing { own, directory, rng, ephemeral: ephemeral.as_ref(), shared: None };
        let mut out = header.to_vec();
        channel.send(&Secret::new([number as u8; 32]), &names.binding(header, rules), sealing, &mut out);
        out
    }

    /// The secret in what a message carries, if it opens at a side under these names.
    fn open(&mut self, to: usize, carried: &[u8], names: &Names) -> Option<Secret> {
        let mut reader = Reader::new(carried);
        let header = decode_header(&mut reader, self.rules).unwrap();
        let slot = Slot::decode(&mut reader, header, self.rules).unwrap();
        reader.finish().unwrap();
        let Side { prekeys, channel, .. } = &mut self.sides[to];
        channel.receive(&slot, &names.binding(header, self.rules), prekeys, &self.directory)
    }

    fn opens(&mut self, to: usize, carried: &[u8], names: &Names) -> bool {
        self.open(to, carried, names).is_some()
    }

    /// Exports both sides, and restores them.
    fn restart(&mut self) {
        for Side { channel, .. } in &mut self.sides {
            let (mut state, mut again) = (Vec::new(), Vec::new());
            channel.encode(self.rules, &mut state);
            let mut reader = Reader::new(&state);
            *channel = TwoParty::decode(&mut reader, self.rules).unwrap();
            reader.finish().unwrap();
            channel.encode(self.rules, &mut again);
            assert_eq!(state, again);
        }
    }

    fn transfer(&mut self, from: usize, number: u32) {
        let (carried, names) = (self.send(from, number), self.names(from, number));
        assert!(self.open(1 - from, &carried, &names) == Some(Secret::new([number as u8; 32])));
    }

    fn renew(&mut self, side: usize, number: u32) -> FreshKey {
        let Self { sides, rules, rng, .. } = self;
        sides[side].channel.renew(number, *rules, rng).unwrap()
    }

    fn renewed(&mut self, side: usize, fresh: &FreshKey) {
        self.sides[side].channel.renewed(fresh, self.rules);
    }
}

/// What a ciphertext is bound to.
struct Names {
    group: GroupId,
    sender: MemberId,
    sender_key: [u8; VERIFICATION_KEY_LEN],
    recipient: MemberId,
    number: u32,
}

impl Names {
    fn binding<'a>(&'a self, header: Header<'a>, rules: Rules) -> Binding<'a> {
        let Self { group, sender, sender_key, recipient, number } = self;
        Binding { group, sender, sender_key, recipient, number: *number, header, rules }
    }
}

#[test]
fn a_ciphertext_is_bound_to_group_sender_key_recipient_number_and_header() {
    for rules in BOTH {
        // The first one is encrypted to prekeys, the second one to a key of the channel, the third one to a fresh key.
        for before in 0..3 {
            let mut pair = Pair::new(rules, 1);
            (1..=before).for_each(|number| pair.transfer(0, number));
            if before == 2 {
                let fresh = pair.renew(1, 1);
                pair.renewed(0, &fresh);
                pair.restart();
            }
            let (carried, names) = (pair.send(0, 5), pair.names(0, 5));
            let (group, id) = (GroupId([2; GROUP_ID_LEN]), pair.sides[1].id);
            assert!(!pair.opens(1, &carried, &Names { group, ..names }));
            assert!(!pair.opens(1, &carried, &Names { sender: id, ..names }));
            assert!(!pair.opens(1, &carried, &Names { sender_key: id.0, ..names }));
            assert!(!pair.opens(1, &carried, &Names { recipient: names.sender, ..names }));
            assert!(!pair.opens(1, &carried, &Names { number: 6, ..names }));
            let other = pair.send(0, 5)[..header_len(rules)].to_vec();
            let key_len = header_len(rules) / 2;
            for range in [0..key_len, key_len..2 * key_len].into_iter().filter(|range| !range.is_empty()) {
                let mut moved = carried.clone();
                moved[range.clone()].copy_from_slice(&other[range]);
                assert!(!pair.opens(1, &moved, &names));
            }
            assert!(pair.opens(1, &carried, &names));
            assert!(!pair.opens(1, &carried, &names), "once only");
        }
    }
}

#[test]
fn use_of_a_key_deletes_it_and_its_acknowledgement_deletes_older_ones() {
    for rules in BOTH {
        let mut pair = Pair::new(rules, 2);
        (1..=3).for_each(|number| pair.transfer(0, number));
        assert_eq!(pair.sides[0].channel.kept(), 3);
        // The other side may still answer the second: only the first key is out of use.
        pair.sides[0].channel.acknowledged(2);
        assert_eq!(pair.sides[0].channel.kept(), 2);
        pair.transfer(1, 1);
        assert_eq!(pair.sides[0].channel.kept(), 0);
    }
}

#[test]
fn a_fresh_key_replaces_lost_ones_for_one_ciphertext() {
    for rules in BOTH {
        let mut pair = Pair::new(rules, 3);
        (1..=2).for_each(|number| pair.transfer(0, number));
        pair.sides[1].channel.lose_all();
        let (carried, names) = (pair.send(0, 3), pair.names(0, 3));
        assert!(!pair.opens(1, &carried, &names));
        let fresh = pair.renew(1, 1);
        pair.renewed(0, &fresh);
        let (carried, names) = (pair.send(0, 4), pair.names(0, 4));
        assert!(pair.opens(1, &carried, &names));
        assert!(!pair.opens(1, &carried, &names), "once only");
        assert_eq!(pair.sides[1].channel.kept(), 0);
        pair.transfer(0, 5);
        pair.transfer(1, 2);
    }
}

#[test]
fn a_peer_that_uses_no_key_is_given_fresh_ones_without_end() {
    for rules in BOTH {
        let mut pair = Pair::new(rules, 4);
        pair.transfer(0, 1);
        for number in 1..=MAX_KEPT_KEYS as u32 + 2 {
            let fresh = pair.renew(1, number);
            pair.renewed(0, &fresh);
            assert!(pair.sides[1].channel.kept() <= MAX_KEPT_KEYS);
        }
        pair.transfer(0, 2);
        assert_eq!(pair.sides[1].channel.kept(), 0);
        pair.transfer(1, MAX_KEPT_KEYS as u32 + 3);
    }
}

/// Each way in which the ciphertexts of two sides can follow and cross each other, restarts included.
#[test]
fn secrets_arrive_in_both_directions_whatever_has_crossed() {
    for rules in BOTH {
        for schedule in 0..64_u32 {
            let mut pair = Pair::new(rules, 100 + u64::from(schedule));
            let mut numbers = [0; 2];
            for step in 0..6 {
                let from = (schedule >> step & 1) as usize;
                let mut next = |side: usize| {
                    numbers[side] += 1;
                    (side, numbers[side])
                };
                // Where the direction changes, both sides send before either receives.
                let crossing = step > 0 && schedule >> (step - 1) & 1 != schedule >> step & 1;
                let sent: Vec<_> = if crossing { vec![next(from), next(1 - from)] } else { vec![next(from)] };
                let carried: Vec<_> = sent.iter().map(|(side, number)| pair.send(*side, *number)).collect();
                pair.restart();
                for ((side, number), carried) in sent.iter().zip(&carried) {
                    let names = pair.names(*side, *number);
                    assert!(pair.opens(1 - side, carried, &names), "{rules:?}, schedule {schedule:b}, step {step}");
                }
            }
        }
    }
}

/// The state of a side before each ciphertext opens it, and the one after it does not. So a secret that is stolen with the
/// state cannot be derived from what came before, nor after both sides have sent once.
#[test]
fn a_stolen_state_opens_nothing_before_it_and_nothing_after_both_have_sent() {
    for rules in BOTH {
        let mut pair = Pair::new(rules, 5);
        (1..=2).for_each(|number| pair.transfer(0, number));
        let (carried, names) = (pair.send(0, 3), pair.names(0, 3));
        let before = pair.sides[1].channel.clone();
        assert!(pair.opens(1, &carried, &names));
        assert!(!pair.opens(1, &carried, &names), "with the state after it");
        let stolen = pair.sides[1].channel.clone();
        let opens = |pair: &mut Pair, state: &TwoParty, carried: &[u8], names: &Names| {
            let kept = core::mem::replace(&mut pair.sides[1].channel, state.clone());
            let opened = pair.opens(1, carried, names);
            pair.sides[1].channel = kept;
            opened
        };
        assert!(opens(&mut pair, &before, &carried, &names) && !opens(&mut pair, &stolen, &carried, &names));
        // The thief follows what is sent to its victim, until the victim has sent: then the peer encrypts to a new key.
        let (carried, names) = (pair.send(0, 4), pair.names(0, 4));
        assert!(opens(&mut pair, &stolen, &carried, &names) && pair.opens(1, &carried, &names));
        pair.transfer(1, 1);
        let (carried, names) = (pair.send(0, 5), pair.names(0, 5));
        assert!(!opens(&mut pair, &stolen, &carried, &names) && pair.opens(1, &carried, &names));
    }
}

#[test]
fn a_lean_header_without_a_key_opens_nothing_and_changes_nothing() {
    let mut pair = Pair::new(Rules::LeanChannels, 6);
    (1..=2).for_each(|number| pair.transfer(0, number));
    let (carried, names) = (pair.send(0, 3), pair.names(0, 3));
    for bad in [[0; 32], [0xff; 32]] {
        let forged = [&bad[..], &carried[32..]].concat();
        assert!(!pair.opens(1, &forged, &names));
    }
    assert!(pair.opens(1, &carried, &names));
}

/// The peer announces no key: A is no element, or A + t·G is the neutral one. A ciphertext to it is an empty slot.
#[test]
fn nobody_encrypts_to_a_key_that_is_none() {
    let [t, minus_t] = {
        let mut bytes = [0; 32];
        bytes[0] = 1;
        let one = ristretto::PrivateKey::from_secret(&Secret::new(bytes)).unwrap();
        // The order of the group minus one.
        let mut order = [0; 32];
        order[..16].copy_from_slice(&0x14de_f9de_a2f7_9cd6_5812_631a_5cf5_d3ec_u128.to_le_bytes());
        order[31] = 0x10;
        [one, ristretto::PrivateKey::from_secret(&Secret::new(order)).unwrap()]
    };
    let cancels = minus_t.public_key().to_bytes();
    for (a, sends) in [([0; 32], false), ([0xff; 32], false), (cancels, false), (t.public_key().to_bytes(), true)] {
        let mut pair = Pair::new(Rules::LeanChannels, 7);
        pair.transfer(0, 1);
        let announced = Announced { a, t: t.clone() };
        pair.sides[1].channel.peer = Some(Theirs::Key(Public::Announced(announced), Origin::Own(1)));
        let empty = [&pair.send(1, 1)[header_len(Rules::LeanChannels)..]] == [&[0_u8][..]];
        assert_eq!(!empty, sends);
    }
}

#[test]
fn each_message_has_keys_of_its_own_and_each_ciphertext_in_it_another_key_of_its_sender() {
    let mut pair = Pair::new(Rules::LeanChannels, 8);
    pair.transfer(0, 1);
    let headers: Vec<Carried> =
        (2..4).map(|number| pair.send(0, number)[..header_len(Rules::LeanChannels)].to_vec()).collect();
    let keys: BTreeSet<&[u8]> = headers.iter().flat_map(|header| header.chunks(32)).collect();
    assert_eq!(keys.len(), 4);
    let ephemeral = Ephemeral::random(&mut pair.rng);
    let names = pair.names(0, 4);
    let binding = names.binding(ephemeral.header(), pair.rules);
    let mut announced = BTreeSet::new();
    for _ in 0..2 {
        let Side { prekeys: own, channel, .. } = &mut pair.sides[0];
        let (directory, rng) = (&pair.directory, &mut pair.rng);
        let sealing = Sealing { own, directory, rng, ephemeral: Some(&ephemeral), shared: None };
        assert!(channel.send(&Secret::new([7; 32]), &binding, sealing, &mut Vec::new()));
        let mut key = Vec::new();
        match channel.mine.last_key_value() {
            Some((4, Mine::Ordinary(mine))) => mine.put(&mut key),
            _ => panic!("the message announces no key"),
        }
        announced.insert(key);
    }
    assert_eq!(announced.len(), 2);
}
