//! All users outside a group together, with what their states held and everything that was ever sent.
//!
//! They do not run a member's code: they take messages that are not for them, follow every ratchet that they can, and
//! try each key that may fit. A wrong guess costs them nothing, since no message opens with a wrong key.

use std::collections::{BTreeMap, BTreeSet};

use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::VERIFICATION_KEY_LEN;
use protocol::id::{Handle, MemberId};
use protocol::member::Member as _;
use protocol::wire::envelope::{Envelope, Subject};

use super::Net;
use crate::agreement::sender::Sender;
use crate::agreement::state::User;
use crate::dsgm::Dsgm;
use crate::messages::{
    ACK, ADD, ADD_ACK, Add, AddAck, CREATE, Copies, Create, MESSAGE, REMOVE, Seeded, TAGGED_ACK, UPDATE, WELCOME,
};
use crate::two_party::{Binding, Slot, TwoParty};

/// A message: its author and its number.
type Name = (usize, u32);

/// A user outside, with its side of each channel.
struct Colluder {
    user: User,
    channels: BTreeMap<MemberId, TwoParty>,
}

#[derive(Default)]
struct Knowledge {
    /// Each user's ratchet and chain, as far as they are known, after each of its messages.
    senders: BTreeMap<Name, Sender>,
    /// Ratchets that were sent, as they are before the steps of the message that carries them.
    sent_ratchets: BTreeMap<Name, Secret>,
    seeds: BTreeMap<Name, Secret>,
    /// What a member steps its ratchet with when it acknowledges a control message.
    member_secrets: BTreeMap<(Name, usize), Secret>,
}

/// The places of all application messages that these states together can read.
pub(super) fn read_by(net: &Net, states: &[Dsgm]) -> BTreeSet<usize> {
    let mut known = Knowledge::default();
    let mut colluders = Vec::new();
    for state in states {
        colluders.extend(known.capture(net, state));
    }
    known.open_slots(net, &mut colluders);
    known.follow(net)
}

pub(super) fn user_of(net: &Net, id: &MemberId) -> usize {
    net.users.iter().position(|(member, ..)| member.id() == *id).unwrap()
}

fn named(net: &Net, subject: &Subject<Handle>) -> Option<Name> {
    let Subject::Acknowledged(handle, number) = subject else { return None };
    let author = net.users.iter().position(|(member, ..)| member.id().handle() == *handle)?;
    Some((author, *number))
}

impl Knowledge {
    /// A removed member that knows of its removal has nothing left.
    fn capture(&mut self, net: &Net, state: &Dsgm) -> Option<Colluder> {
        let Dsgm::Active { user, .. } = state else { return None };
        let mut channels = BTreeMap::new();
        if let Some(group) = state.present() {
            let id = |member| group.membership.id(member);
            for member in group.membership.everybody() {
                let (delivered, _) = group.order.frontier(&id(member)).unwrap();
                let sender = &group.senders[member.to_usize()];
                if sender.ratchet.is_some() {
                    self.senders.insert((user_of(net, &id(member)), delivered), sender.clone());
                }
            }
            for (control, pending) in &group.pending {
                for (member, secret) in &pending.secrets {
                    let name = (user_of(net, &id(control.author)), control.number);
                    self.member_secrets.insert((name, user_of(net, &id(*member))), secret.clone());
                }
            }
            channels = group.two_party.iter().map(|(member, channel)| (id(*member), channel.clone())).collect();
        }
        Some(Colluder { user: user.as_ref().clone(), channels })
    }

    /// Opens every ciphertext that one of them can open, even if it is addressed to somebody else.
    fn open_slots(&mut self, net: &Net, colluders: &mut [Colluder]) {
        let rules = net.users[0].0.rules();
        let mut keys: Vec<_> = net.users.iter().map(|(member, ..)| member.id().0).collect();
        for (author, _, bytes) in &net.sent {
            let envelope = Envelope::decode(bytes).unwrap();
            let name = (*author, envelope.number);
            let id = net.id(*author);
            let mut open = |slot: &Slot<'_>| {
                colluders.iter_mut().find_map(|colluder| colluder.open(net, (&id, &keys[*author]), name.1, slot))
            };
            let body = envelope.body;
            match envelope.kind {
                CREATE | UPDATE | REMOVE => {
                    let (slots, copies) = slots_of_seed(net, &envelope);
                    let opened = slots.iter().filter_map(&mut open).last();
                    self.seeds.extend(opened.map(|seed| (name, seed)));
                    let opened = copies.slots.iter().find_map(|(_, slot)| open(slot));
                    self.sent_ratchets.extend(opened.map(|ratchet| (name, ratchet)));
                }
                ADD | ADD_ACK => {
                    let slot = match envelope.kind {
                        ADD => Add::decode(body, rules).unwrap().slot,
                        _ => AddAck::decode(body, rules).unwrap().slot,
                    };
                    self.sent_ratchets.extend(open(&slot).map(|ratchet| (name, ratchet)));
                }
                ACK => {
                    let acknowledged = named(net, &envelope.subject).unwrap();
                    for (_, slot) in Copies::decode(body, None, rules).unwrap().slots {
                        self.member_secrets.extend(open(&slot).map(|secret| ((acknowledged, *author), secret)));
                    }
                }
                _ => {}
            }
            if let Some(key) = envelope.new_key {
                keys[*author] = key;
            }
        }
    }

    /// Steps every ratchet as its owner does. Messages were sent in an order in which they can be processed.
    fn follow(&mut self, net: &Net) -> BTreeSet<usize> {
        let mut read = BTreeSet::new();
        for user in 0..net.users.len() {
            self.senders.insert((user, 0), Sender::initial());
        }
        for (place, (author, _, bytes)) in net.sent.iter().enumerate() {
            let envelope = Envelope::decode(bytes).unwrap();
            let name = (*author, envelope.number);
            if envelope.kind == WELCOME {
                continue;
            }
            let mut sender = self.senders.get(&(*author, envelope.number - 1)).cloned().unwrap_or_default();
            if let Some(ratchet) = self.sent_ratchets.get(&name) {
                sender.ratchet = Some(ratchet.clone());
            }
            match envelope.kind {
                CREATE | UPDATE | REMOVE => {
                    if let Some(seed) = self.seeds.get(&name) {
                        let secrets = Extracted::new(label::SEED, seed.expose());
                        let of = |user| -> Secret { secrets.expand(label::MEMBER_SECRET, &net.id(user).0) };
                        sender.advance(of(*author).expose());
                        self.member_secrets.extend((0..net.users.len()).map(|user| ((name, user), of(user))));
                    }
                }
                ADD => {
                    let joiner = user_of(net, &MemberId(*envelope.body.first_chunk().unwrap()));
                    self.member_secrets.extend(sender.add_steps().map(|secret| ((name, joiner), secret)));
                }
                ADD_ACK => sender.advance(label::ADD_STEP),
                ACK | TAGGED_ACK => {
                    let acknowledged = named(net, &envelope.subject).unwrap();
                    if let Some(secret) = self.member_secrets.get(&(acknowledged, *author)) {
                        sender.advance(secret.expose());
                    }
                }
                MESSAGE => {
                    let key = sender.chain.as_mut().map(|chain| chain.next_key());
                    if key.is_some_and(|key| key.open(envelope.body, envelope.header).is_ok()) {
                        read.insert(place);
                    }
                }
                _ => {}
            }
            self.senders.entry(name).or_insert(sender);
        }
        read
    }
}

/// The ciphertexts of a seed, for any number of recipients, and those of the ratchet.
fn slots_of_seed<'a>(net: &Net, envelope: &Envelope<'a>) -> (Vec<Slot<'a>>, Copies<'a>) {
    let rules = net.users[0].0.rules();
    if envelope.kind == CREATE {
        return (Create::decode(envelope.body, rules).unwrap().slots, Copies::default());
    }
    // With fewer recipients, slots can look like copies; with more, copies do not look like slots.
    let recipients = (0..=net.users.len()).rev();
    let mut decoded = recipients.filter_map(|count| Seeded::decode(envelope.body, count, rules).ok());
    let Seeded { slots, ratchets, .. } = decoded.next().unwrap();
    (slots, ratchets)
}

impl Colluder {
    fn open(
        &mut self,
        net: &Net,
        (sender, sender_key): (&MemberId, &[u8; VERIFICATION_KEY_LEN]),
        number: u32,
        slot: &Slot<'_>,
    ) -> Option<Secret> {
        let Slot::Full { header, .. } = *slot else { return None };
        let User { id: recipient, prekeys, rules, .. } = &mut self.user;
        let (group, rules) = (&net.group, *rules);
        let binding = Binding { group, sender, sender_key, recipient, number, header, rules };
        self.channels.entry(*sender).or_default().receive(slot, &binding, prekeys, &net.directory)
    }
}
