//! Whatever a malicious member or a stranger sends: nobody panics; what is refused leaves no trace; a state grows no
//! faster than its input; and the honest members continue and read each other.
//!
//! The first byte chooses one of three: an established group, a user outside all groups, the decoding of exports. The last bit
//! chooses the variant: the protocol as published with corrections, or the leanest form.

#![no_main]

use std::collections::BTreeSet;

use dcgka::Dcgka;
use fuzz::Input;
use fuzz::mallory::{Mallory, Unsigned};
use fuzz::network::Network;
use libfuzzer_sys::fuzz_target;
use protocol::crypto::hash::{DIGEST_LEN, Digest};
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend as _, Context, Incoming, Member, Outgoing};
use protocol::wire::envelope::{Envelope, Kind, Subject};

/// The number of honest founders. One more honest user is outside.
const FOUNDERS: usize = 3;
const OUTSIDER: usize = FOUNDERS;
/// The greatest number of things that happen for one input.
const MAX_ACTIONS: usize = 24;

const CREATE: Kind = Kind(1);
const ADD: Kind = Kind(2);
const WELCOME: Kind = Kind(8);

#[derive(Clone)]
struct World {
    network: Network,
    mallory: Mallory,
    /// The users that a message can name: the honest users, Mallory, a user without a bundle, and one whose id is no
    /// key.
    ids: Vec<MemberId>,
    /// Numbers under which Mallory has signed something.
    used: BTreeSet<u32>,
    /// Mallory has signed two messages under one number: a documented limit, after which honest members may disagree.
    split: bool,
    /// The number of sent messages that Mallory has received.
    heard: usize,
}

thread_local! {
    static SETTLED: [World; 2] = [Dcgka::CORRECTED, Dcgka::LEAN].map(World::settled);
}

fuzz_target!(|data: &[u8]| {
    let mut input = Input::new(data);
    // The last bit, so that the rest means the same in both variants.
    let variant = usize::from(data.last().is_some_and(|last| last & 1 == 1));
    let mut world = SETTLED.with(|worlds| worlds[variant].clone());
    match input.below(4) {
        0 => outside(&mut world, &mut input),
        1 => restore(&mut world, &mut input),
        _ => inside(&mut world, &mut input),
    }
});

/// Messages in an established group.
fn inside(world: &mut World, input: &mut Input<'_>) {
    for _ in 0..MAX_ACTIONS {
        if input.is_empty() {
            break;
        }
        match input.below(8) {
            0..4 => world.mallory_sends(input),
            4 => world.tamper(input),
            5 => world.network.catch_up(input.below(FOUNDERS + 1), world.split),
            6 => world.honest_act(input),
            _ => world.mallory_hears(),
        }
    }
    if world.split {
        world.network.settle(true);
    } else {
        world.network.check();
    }
}

impl World {
    fn settled(backend: Dcgka) -> Self {
        let mut network = Network::new(backend, FOUNDERS + 1);
        let mallory = Mallory::new(backend, &network.directory);
        let mut ids: Vec<_> = network.users.iter().map(|user| user.id).collect();
        let nobody = SigningKey::from_secret(&Secret::new([7; 32])).verification_key();
        ids.extend([mallory.id, MemberId(*nobody.as_bytes()), MemberId([0; 32])]);
        let others = [ids[1], ids[2], mallory.id];
        network.act(0, |member, context| member.create(&others, context)).expect("a group");
        network.group = network.users[0].member.group().expect("a group");
        let mut world = Self { network, mallory, ids, used: BTreeSet::new(), split: false, heard: 0 };
        while let Some(answer) = {
            world.mallory_hears();
            world.mallory.answers.pop_front()
        } {
            world.send_signed(answer, 0);
            world.network.settle(false);
        }
        world.network.settle(false);
        world.mallory_hears();
        world
    }

    fn mallory_hears(&mut self) {
        let Self { network, mallory, ids, heard, .. } = self;
        while let Some(sent) = network.sent.get(*heard) {
            *heard += 1;
            if sent.author != mallory.id && sent.to.is_none_or(|to| to == mallory.id) {
                mallory.receive(network.group, sent.author, &sent.bytes, &network.directory, ids);
            }
        }
    }

    /// Sends a properly signed message, under the next number or `later` numbers after it.
    fn send_signed(&mut self, message: Unsigned, later: u32) {
        let number = self.mallory.number.saturating_add(1).saturating_add(later);
        // With another part of the envelope, it is a message of another kind, which has a number like all others.
        let welcome = message.kind == WELCOME && message.new_key.is_none() && message.subject == Subject::None;
        let key = if welcome { &self.mallory.identity } else { &self.mallory.key };
        let bytes = self.mallory.sign(&self.network.group, number, key, &message);
        if !welcome {
            self.split |= !self.used.insert(number);
            if later == 0 {
                self.mallory.number = number;
                self.mallory.key = message.new_key.unwrap_or_else(|| self.mallory.key.clone());
            }
        }
        // A user that Mallory invites believes what the invitation says.
        if message.kind == ADD && message.body.starts_with(&self.ids[OUTSIDER].0) {
            self.network.users[OUTSIDER].misled = true;
        }
        // A message with a number must reach everybody.
        let to = message.to.filter(|_| welcome);
        self.network.sent.push(fuzz::network::Sent { author: self.mallory.id, to, bytes });
    }

    fn mallory_sends(&mut self, input: &mut Input<'_>) {
        let messages = match input.below(8) {
            0 => self.mallory_acts(|member, context| member.update(context)),
            1 => {
                let target = self.ids[input.below(self.ids.len())];
                self.mallory_acts(|member, context| member.remove(&target, context))
            }
            2 => {
                let user = self.ids[input.below(self.ids.len())];
                self.mallory_acts(|member, context| member.add(&user, context))
            }
            3 => self.mallory_acts(|member, context| member.send(b"hello", context)),
            4 | 5 => self.mallory.answers.pop_front().into_iter().collect(),
            _ => {
                let (kind, subject) = (Kind(input.byte() & 0x1f), self.subject(input));
                let length = usize::from(input.byte());
                vec![Unsigned { kind, subject, new_key: None, body: input.bytes(length).to_vec(), to: None }]
            }
        };
        for mut message in messages {
            let changes = input.byte();
            let has = |bit: u8| changes >> bit & 1 == 1;
            if has(0) {
                input.mutate(&mut message.body);
            }
            if has(1) && has(2) {
                message.kind = Kind(input.byte() & 0x1f);
            }
            if has(3) && has(4) {
                message.subject = self.subject(input);
            }
            if has(5) && has(1) {
                let seed = input.byte();
                let key = SigningKey::from_secret(&Secret::new([seed; 32]));
                message.new_key = message.new_key.is_none().then_some(key);
            }
            let later = if has(6) && has(3) { u32::from(input.byte()) } else { 0 };
            self.send_signed(message, later);
        }
    }

    fn mallory_acts(
        &mut self,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Vec<Unsigned> {
        self.mallory.act(&self.network.directory, &self.ids, action)
    }

    fn subject(&self, input: &mut Input<'_>) -> Subject<MemberId> {
        let id = self.ids[input.below(self.ids.len())];
        match input.below(3) {
            0 => Subject::None,
            1 => Subject::Acknowledged(id, u32::from(input.byte()).max(1)),
            _ => Subject::Member(id),
        }
    }

    /// One of the users gets a copy of any message, or any bytes, out of turn.
    fn tamper(&mut self, input: &mut Input<'_>) {
        let user = input.below(FOUNDERS + 1);
        let sent = self.network.sent[usize::from(input.byte()) % self.network.sent.len()].clone();
        let mut bytes = sent.bytes.clone();
        let mut author = sent.author;
        if input.below(2) == 0 {
            input.mutate(&mut bytes);
            author = self.ids[input.below(self.ids.len())];
        }
        if author == self.network.id(user) {
            return;
        }
        let result = self.network.receive(user, author, &bytes);
        if (author, &bytes) != (sent.author, &sent.bytes) {
            let (events, outgoing) = result.map(|received| (received.events, received.outgoing)).unwrap_or_default();
            assert!(events.is_empty() && outgoing.is_empty(), "a forged message has an effect: {events:?}");
        }
    }

    fn honest_act(&mut self, input: &mut Input<'_>) {
        let (user, other) = (input.below(FOUNDERS + 1), self.ids[input.below(self.ids.len())]);
        let network = &mut self.network;
        let result = match input.below(4) {
            0 => network.act(user, |member, context| member.update(context)),
            1 => network.act(user, |member, context| member.add(&other, context)),
            2 => network.act(user, |member, context| member.remove(&other, context)),
            _ => network.act(user, |member, context| member.send(b"honest", context)),
        };
        let allowed =
            [Error::AlreadyAMember, Error::NotAMember, Error::RemovesItself, Error::NotInGroup, Error::NoBundle];
        assert!(result.err().is_none_or(|error| allowed.contains(&error)), "{result:?}");
    }
}

/// Invitations and strangers' messages to a user that is in no group.
fn outside(world: &mut World, input: &mut Input<'_>) {
    let World { network, mallory, ids, .. } = world;
    let me = network.id(OUTSIDER);
    let mut member = network.users[OUTSIDER].member.duplicate();
    let mut fresh = Mallory::new(network.backend, &network.directory);
    let create = [me, ids[0], ids[1]];
    let create = fresh.act(&network.directory, ids, |member, context| member.create(&create, context));
    let add = mallory.clone().act(&network.directory, ids, |member, context| member.add(&me, context));
    let mut sent: Vec<(GroupId, Vec<u8>)> = Vec::new();
    for _ in 0..MAX_ACTIONS {
        if input.is_empty() {
            break;
        }
        let (choice, later) = (input.below(6), if input.below(4) == 0 { u32::from(input.byte()) } else { 0 });
        let number = mallory.number + 1 + later;
        let (group, key) = (network.group, &mallory.identity);
        match choice {
            0 => {
                let mut message = create[0].clone();
                input.mutate(&mut message.body);
                let Some(nonce) = message.body.first_chunk::<DIGEST_LEN>() else { continue };
                let group = GroupId::new(&mallory.id, &Digest(*nonce));
                sent.push((group, mallory.sign(&group, 1 + later, key, &Unsigned { kind: CREATE, ..message })));
            }
            1 | 2 => {
                let (mut message, mut welcome) = (add[0].clone(), add[1].clone());
                if input.below(4) == 0 {
                    input.mutate(&mut message.body);
                }
                let bytes = mallory.sign(&group, number, key, &message);
                let digest =
                    Envelope::decode(&bytes).map(|envelope| envelope.digest(&group, &mallory.id, &Subject::None));
                if let (Ok(digest), Some(hash)) = (digest, welcome.body.first_chunk_mut::<DIGEST_LEN>()) {
                    *hash = *digest.as_bytes();
                }
                let mut rest = welcome.body.split_off(DIGEST_LEN);
                input.mutate(&mut rest);
                welcome.body.extend(rest);
                let welcome = mallory.sign(&group, number, key, &welcome);
                sent.extend(if input.below(2) == 0 {
                    [(group, bytes), (group, welcome)]
                } else {
                    [(group, welcome), (group, bytes)]
                });
            }
            3 => {
                let mut bytes = network.sent[usize::from(input.byte()) % network.sent.len()].bytes.clone();
                input.mutate(&mut bytes);
                sent.push((group, bytes));
            }
            _ => {
                let length = usize::from(input.byte());
                let message = Unsigned {
                    kind: Kind(input.byte() & 0x1f),
                    subject: Subject::None,
                    new_key: None,
                    body: input.bytes(length).to_vec(),
                    to: None,
                };
                sent.push((group, mallory.sign(&group, number, key, &message)));
            }
        }
    }
    let mut bound = member.export().len();
    for (group, bytes) in &sent {
        let before = member.export();
        let mut context = Context { rng: &mut network.rng, directory: &network.directory, confirm_inviter: &|_| true };
        let result = member.receive_one(&Incoming { group: *group, author: mallory.id, bytes }, &mut context);
        bound += 2 * bytes.len() + 4096;
        match result {
            Ok(_) => assert!(member.export().len() <= bound, "the state has grown to {} bytes", member.export().len()),
            Err(error) => {
                assert_ne!(error, Error::Internal, "a bug");
                assert!(member.export() == before, "a message that was refused has changed the state");
            }
        }
    }
    let state = member.export();
    let mut member = network.backend.restore(&state).expect("an export is restored");
    assert!(member.export() == state, "a state changes when it is written and read");
    let mut context = Context { rng: &mut network.rng, directory: &network.directory, confirm_inviter: &|_| true };
    let _ = member.update(&mut context);
    let _ = member.remove(&ids[0], &mut context);
    let _ = member.add(&ids[0], &mut context);
    let _ = member.send(b"here", &mut context);
}

/// Damaged exports.
fn restore(world: &mut World, input: &mut Input<'_>) {
    let mut state = match input.below(4) {
        0 => input.bytes(usize::MAX).to_vec(),
        1 => world.network.users[OUTSIDER].member.export(),
        user => world.network.users[user - 2].member.export(),
    };
    input.mutate(&mut state);
    let backend = world.network.backend;
    if let Ok(member) = backend.restore(&state) {
        let (_, _, _) = (member.members(), member.fingerprints(), member.group());
        let again = backend.restore(&member.export());
        assert!(again.is_ok(), "what was restored and exported is restored");
    }
}
