use protocol::crypto::signature::SigningKey;
use protocol::directory::InMemoryDirectory;
use protocol::id::GROUP_ID_LEN;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::*;

struct Side {
    id: MemberId,
    prekeys: PrekeySecrets,
    channel: TwoParty,
}

struct Pair {
    sides: [Side; 2],
    directory: InMemoryDirectory,
    rng: ChaCha20Rng,
}

impl Pair {
    fn new(seed: u64) -> Self {
        let (mut rng, directory) = (ChaCha20Rng::seed_from_u64(seed), InMemoryDirectory::default());
        let sides = [0, 1].map(|_| {
            let identity = SigningKey::random(&mut rng);
            let (prekeys, publication) = PrekeySecrets::generate(&identity, 1, &mut rng);
            let id = MemberId(*identity.verification_key().as_bytes());
            directory.publish(id, publication.bundle, publication.one_time);
            Side { id, prekeys, channel: TwoParty::default() }
        });
        Self { sides, directory, rng }
    }

    fn names(&self, from: usize, number: u32) -> Names {
        let (sender, recipient) = (self.sides[from].id, self.sides[1 - from].id);
        Names { group: GroupId([1; GROUP_ID_LEN]), sender, sender_key: sender.0, recipient, number }
    }

    /// A slot in the message `number` of one side to the other.
    fn send(&mut self, from: usize, number: u32) -> Vec<u8> {
        let names = self.names(from, number);
        let mut slot = Vec::new();
        let Side { prekeys, channel, .. } = &mut self.sides[from];
        let secret = Secret::new([7; SECRET_LEN]);
        channel.send(&secret, &names.binding(), prekeys, &self.directory, &mut self.rng, &mut slot);
        slot
    }

    /// Whether a slot opens at a side under these names.
    fn opens(&mut self, to: usize, slot: &[u8], names: &Names) -> bool {
        let slot = Slot::decode(&mut Reader::new(slot)).unwrap();
        let Side { prekeys, channel, .. } = &mut self.sides[to];
        channel.receive(&slot, &names.binding(), prekeys, &self.directory).is_some()
    }

    /// Exports both sides, and restores them.
    fn restart(&mut self) {
        for Side { channel, .. } in &mut self.sides {
            let mut state = Vec::new();
            channel.encode(&mut state);
            *channel = TwoParty::decode(&mut Reader::new(&state)).unwrap();
        }
    }

    fn transfer(&mut self, from: usize, number: u32) {
        let (slot, names) = (self.send(from, number), self.names(from, number));
        assert!(self.opens(1 - from, &slot, &names));
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
    fn binding(&self) -> Binding<'_> {
        let Self { group, sender, sender_key, recipient, number } = self;
        Binding { group, sender, sender_key, recipient, number: *number, rules: Rules::Corrected }
    }
}

#[test]
fn a_ciphertext_is_bound_to_group_sender_key_recipient_and_number() {
    // The first one is encrypted to prekeys, the second one to a key of the channel, the third one to a fresh key.
    for before in 0..3 {
        let mut pair = Pair::new(1);
        (1..=before).for_each(|number| pair.transfer(0, number));
        if before == 2 {
            let fresh = pair.sides[1].channel.renew(&mut pair.rng).unwrap();
            pair.sides[0].channel.renewed(&fresh);
            pair.restart();
        }
        let (slot, names) = (pair.send(0, 5), pair.names(0, 5));
        let (group, id) = (GroupId([2; GROUP_ID_LEN]), pair.sides[1].id);
        assert!(!pair.opens(1, &slot, &Names { group, ..names }));
        assert!(!pair.opens(1, &slot, &Names { sender: id, ..names }));
        assert!(!pair.opens(1, &slot, &Names { sender_key: id.0, ..names }));
        assert!(!pair.opens(1, &slot, &Names { recipient: names.sender, ..names }));
        assert!(!pair.opens(1, &slot, &Names { number: 6, ..names }));
        assert!(pair.opens(1, &slot, &names));
        assert!(!pair.opens(1, &slot, &names), "once only");
    }
}

#[test]
fn use_of_a_key_deletes_it_and_its_acknowledgement_deletes_older_ones() {
    let mut pair = Pair::new(2);
    (1..=3).for_each(|number| pair.transfer(0, number));
    assert_eq!(pair.sides[0].channel.kept(), 3);
    // The other side may still answer the second: only the first key is out of use.
    pair.sides[0].channel.acknowledged(2);
    assert_eq!(pair.sides[0].channel.kept(), 2);
    pair.transfer(1, 1);
    assert_eq!(pair.sides[0].channel.kept(), 0);
}

#[test]
fn a_fresh_key_replaces_lost_ones_for_one_ciphertext() {
    let mut pair = Pair::new(3);
    (1..=2).for_each(|number| pair.transfer(0, number));
    pair.sides[1].channel.lose_all();
    let (slot, names) = (pair.send(0, 3), pair.names(0, 3));
    assert!(!pair.opens(1, &slot, &names));
    let fresh = pair.sides[1].channel.renew(&mut pair.rng).unwrap();
    pair.sides[0].channel.renewed(&fresh);
    let (slot, names) = (pair.send(0, 4), pair.names(0, 4));
    assert!(pair.opens(1, &slot, &names));
    assert!(!pair.opens(1, &slot, &names), "once only");
    assert_eq!(pair.sides[1].channel.kept(), 0);
    pair.transfer(0, 5);
    pair.transfer(1, 1);
}

#[test]
fn a_peer_that_uses_no_key_is_given_fresh_ones_without_end() {
    let mut pair = Pair::new(4);
    pair.transfer(0, 1);
    for _ in 0..MAX_KEPT_KEYS + 2 {
        let fresh = pair.sides[1].channel.renew(&mut pair.rng).unwrap();
        pair.sides[0].channel.renewed(&fresh);
        assert!(pair.sides[1].channel.kept() <= MAX_KEPT_KEYS);
    }
    pair.transfer(0, 2);
    assert_eq!(pair.sides[1].channel.kept(), 0);
    pair.transfer(1, 1);
}
