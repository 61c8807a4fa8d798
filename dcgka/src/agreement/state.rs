//! What a member knows of its group, and the steps that all control messages share.

use std::collections::{BTreeMap, VecDeque};

use protocol::causal_order::CausalOrder;
use protocol::crypto::hash::Digest;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SigningKey, VERIFICATION_KEY_LEN, VerificationKey};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Event, Outgoing, Recipients, Rule};
use protocol::membership::{KnownUser, MemberIndex, MemberSet, Membership};
use protocol::wire::envelope::{Draft, Kind, Subject};
use protocol::x3dh::PrekeySecrets;

use super::sender::Sender;
use crate::limits::LAST_NUMBER;
use crate::messages;
use crate::rules::Rules;
use crate::two_party::lean::Ephemeral;
use crate::two_party::{Binding, Header, Sealing, Slot, TwoParty};

/// The user's own long-term secrets, and the rules that it follows.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) id: MemberId,
    pub(crate) identity: SigningKey,
    pub(crate) prekeys: PrekeySecrets,
    pub(crate) rules: Rules,
    /// Whether this is a stolen state ([`Group::stolen`]).
    pub(crate) stolen: bool,
}

/// What a call works with: the user's secrets, what the caller supplies, and what the call results in.
pub(crate) struct Env<'a, 'c> {
    pub(crate) user: &'a mut User,
    pub(crate) context: &'a mut Context<'c>,
    pub(crate) outgoing: Vec<Outgoing>,
    pub(crate) events: Vec<Event>,
}

impl<'a, 'c> Env<'a, 'c> {
    pub(crate) fn new(user: &'a mut User, context: &'a mut Context<'c>) -> Self {
        Self { user, context, outgoing: Vec::new(), events: Vec::new() }
    }

    /// Nobody joins a group unless the caller confirms the inviter.
    pub(crate) fn confirm(&self, inviter: &MemberId) -> Result<(), Error> {
        if (self.context.confirm_inviter)(inviter) { Ok(()) } else { Err(Error::InviterNotConfirmed) }
    }
}

/// A control message, ordered by author.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ControlId {
    pub(crate) author: MemberIndex,
    /// Among its author's messages.
    pub(crate) number: u32,
}

/// A message of mine that is being made, as far as its ciphertexts need it.
pub(crate) struct Carrier {
    number: u32,
    /// The key that verifies the message.
    key: [u8; VERIFICATION_KEY_LEN],
    /// The keys of its header, over lean channels.
    ephemeral: Option<Ephemeral>,
    has_header: bool,
    /// The secrets shared with the keys of members, as far as they have been computed already.
    shared: BTreeMap<MemberIndex, Secret>,
}

impl Carrier {
    fn header(&self) -> Header<'_> {
        self.ephemeral.as_ref().map_or(&[], Ephemeral::header)
    }

    /// The number of the message.
    pub(crate) fn number(&self) -> u32 {
        self.number
    }

    /// Appends the header, which precedes all ciphertexts, unless the message has it already.
    pub(crate) fn put_header(&mut self, env: &mut Env<'_, '_>, out: &mut Vec<u8>) {
        if core::mem::replace(&mut self.has_header, true) {
            return;
        }
        if env.user.rules.lean_channels() {
            self.ephemeral = Some(Ephemeral::random(&mut *env.context.rng));
        }
        out.extend_from_slice(self.header());
    }
}

/// A group, as one of its members (*me*) knows it.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) membership: Membership,
    pub(crate) order: CausalOrder,
    pub(crate) signing: SigningKey,
    /// The number of my last message.
    pub(crate) number: u32,
    pub(crate) two_party: BTreeMap<MemberIndex, TwoParty>,
    /// By member index, for everybody ever known.
    pub(crate) senders: Vec<Sender>,
    pub(crate) pending: BTreeMap<ControlId, Pending>,
    /// What I have taken from members by tag and they have not signed yet, in the order in which they have sent it.
    pub(crate) taken: BTreeMap<MemberIndex, VecDeque<Taken>>,
    /// My view has lost a member since a seed last gave everybody in it new secrets, so I update before I send.
    pub(crate) dirty: bool,
    /// My update secret comes from the add by which I joined. Members that the adder has deceived do not know it.
    pub(crate) unconfirmed: bool,
    /// Members that have lost my ratchet and asked for it.
    pub(crate) lacking: MemberSet,
    /// Removed members whose removal some member may not know: their last messages can still be followed.
    pub(crate) leaving: MemberSet,
    /// Removed members whose removal every member knows: nothing is kept of them.
    pub(crate) retired: MemberSet,
    /// By member index, the last number that my welcome covers: messages up to it were delivered before I joined.
    pub(crate) joined_at: Vec<u32>,
    /// Whether this is a stolen state. A thief sends nothing. What its owner sends reaches it like any other message, and
    /// it processes that as the other members do. Only an attack has such a state, so no export says this.
    pub(crate) stolen: bool,
}

/// An acknowledgement that I have taken by its tag. Its author's next signed message shows whether the author has sent it.
#[derive(Clone)]
pub(crate) struct Taken {
    pub(crate) control: ControlId,
    /// What I knew of its author before.
    pub(crate) before: Sender,
}

/// A control message that some member has not acknowledged.
#[derive(Clone)]
pub(crate) struct Pending {
    /// Who gets a member secret: the recipients of its seed, or the joiner.
    pub(crate) recipients: MemberSet,
    /// The member secrets that are known and not used yet.
    pub(crate) secrets: BTreeMap<MemberIndex, Secret>,
    /// Who has not acknowledged it yet.
    pub(crate) waiting: MemberSet,
    /// For an add: the earlier pending control messages that its welcome covers. A user that joins by it does not
    /// acknowledge them.
    pub(crate) covered: Vec<ControlId>,
}

impl Group {
    /// A group of which only the membership is known yet.
    pub(super) fn empty(id: GroupId, membership: Membership, user: &User) -> Self {
        Self {
            id,
            membership,
            order: user.rules.order(),
            signing: user.identity.clone(),
            number: 0,
            two_party: BTreeMap::new(),
            senders: Vec::new(),
            pending: BTreeMap::new(),
            taken: BTreeMap::new(),
            dirty: false,
            unconfirmed: false,
            lacking: MemberSet::new(),
            leaving: MemberSet::new(),
            retired: MemberSet::new(),
            joined_at: Vec::new(),
            stolen: user.stolen,
        }
    }

    pub(crate) fn me(&self) -> MemberIndex {
        self.membership.me()
    }

    pub(crate) fn view(&self) -> &MemberSet {
        self.membership.view(self.me())
    }

    pub(crate) fn sender(&mut self, member: MemberIndex) -> Option<&mut Sender> {
        self.senders.get_mut(member.to_usize())
    }

    /// What is known of a member's ratchet.
    pub(super) fn ratchet(&self, member: MemberIndex) -> Option<Secret> {
        self.senders.get(member.to_usize()).and_then(|sender| sender.ratchet.clone())
    }

    /// The members of a view without one of them, in order of ids: the order of their ciphertexts in a message.
    pub(crate) fn recipients(&self, view: &MemberSet, without: MemberIndex) -> Vec<KnownUser> {
        self.membership.in_order_of_ids(view).filter(|user| user.index != without).collect()
    }

    /// The number of my next message. It exists, because every call begins with [`check_numbers`](Self::check_numbers).
    pub(crate) fn next_number(&self) -> Result<u32, Error> {
        self.number.checked_add(1).ok_or(Error::Internal)
    }

    /// Fails unless enough numbers are left for everything that one call can send, so that no call stops half-way.
    pub(crate) fn check_numbers(&self) -> Result<(), Error> {
        if self.number > LAST_NUMBER { Err(Error::NumbersExhausted) } else { Ok(()) }
    }

    /// What the ciphertexts in my message `number` are bound to, and share.
    pub(crate) fn carrier(&self, number: u32) -> Carrier {
        let key = *self.signing.verification_key().as_bytes();
        Carrier { number, key, ephemeral: None, has_header: false, shared: BTreeMap::new() }
    }

    /// Agrees with all these members at once, which takes less time than with one after the other.
    pub(crate) fn agree_with_all(&mut self, peers: &[KnownUser], carrier: &mut Carrier) {
        let Some(ephemeral) = &carrier.ephemeral else { return };
        let key = |peer: &KnownUser| Some((peer.index, self.two_party.get_mut(&peer.index)?.peer_key()?));
        let (members, keys): (Vec<_>, Vec<_>) = peers.iter().filter_map(key).unzip();
        carrier.shared = members.into_iter().zip(ephemeral.agree_with_all(&keys)).collect();
    }

    /// Encrypts a secret to a member, as part of my message, which has its header. Returns whether that was possible;
    /// otherwise the slot is empty.
    pub(crate) fn encrypt_to(
        &mut self,
        peer: KnownUser,
        secret: &Secret,
        carrier: &mut Carrier,
        env: &mut Env<'_, '_>,
        out: &mut Vec<u8>,
    ) -> bool {
        // A second ciphertext to the same member is encrypted to another key.
        let shared = carrier.shared.remove(&peer.index);
        let Carrier { number, key, ephemeral, .. } = &*carrier;
        let (sender, rules, header) = (&env.user.id, env.user.rules, carrier.header());
        let (sender_key, recipient, number) = (key, &peer.id, *number);
        let binding = Binding { group: &self.id, sender, sender_key, recipient, number, header, rules };
        let (own, rng) = (&env.user.prekeys, &mut *env.context.rng);
        let directory = env.context.directory;
        let sealing = Sealing { own, directory, rng, ephemeral: ephemeral.as_ref(), shared };
        self.two_party.entry(peer.index).or_default().send(secret, &binding, sealing, out)
    }

    /// Decrypts a slot of a member's message with this number and verification key. `None` if it does not open.
    pub(crate) fn decrypt_from(
        &mut self,
        peer: KnownUser,
        (number, key): (u32, &[u8; VERIFICATION_KEY_LEN]),
        slot: &Slot<'_>,
        env: &mut Env<'_, '_>,
    ) -> Option<Secret> {
        if self.retired.contains(peer.index) {
            return None;
        }
        let User { id: me, rules, .. } = *env.user;
        let Slot::Full { header, .. } = *slot else { return None };
        let (sender, recipient) = (&peer.id, &me);
        let binding = Binding { group: &self.id, sender, sender_key: key, recipient, number, header, rules };
        let (prekeys, directory) = (&mut env.user.prekeys, env.context.directory);
        if let Some(channel) = self.two_party.get_mut(&peer.index) {
            return channel.receive(slot, &binding, prekeys, directory);
        }
        let mut channel = TwoParty::default();
        let secret = channel.receive(slot, &binding, prekeys, directory)?;
        self.two_party.insert(peer.index, channel);
        Some(secret)
    }

    /// Signs and sends my next message; a new key takes effect after it.
    pub(crate) fn broadcast(
        &mut self,
        kind: Kind,
        subject: Subject<MemberId>,
        body: &[u8],
        new_key: Option<SigningKey>,
        env: &mut Env<'_, '_>,
    ) -> Result<Digest, Error> {
        debug_assert!(!self.stolen, "a thief sends nothing");
        let number = self.next_number()?;
        let new_verification_key = new_key.as_ref().map(SigningKey::verification_key);
        let draft = Draft { kind, sender: env.user.id, number, subject, new_key: new_verification_key, body };
        let (sender, subject) = (self.handle(&env.user.id)?, subject.name().map(|id| self.handle(&id)).transpose()?);
        let (bytes, digest) = draft.sign_after(&self.id, (sender, subject), &self.order.history(), &self.signing);
        let key = self.signing.verification_key();
        self.order.sent(&env.user.id, number, digest, &key, new_verification_key);
        self.number = number;
        if let Some(new_key) = new_key {
            self.signing = new_key;
        }
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: messages::name(kind), bytes });
        Ok(digest)
    }

    pub(crate) fn handle(&self, id: &MemberId) -> Result<protocol::id::Handle, Error> {
        self.order.handle(id).ok_or(Error::Internal)
    }

    /// Makes a user known as an author and sender.
    pub(crate) fn introduce(&mut self, id: MemberId, key: VerificationKey, delivered: u32, sender: Sender) {
        self.senders.push(sender);
        self.joined_at.push(delivered);
        self.order.introduce(id, key, delivered, &self.id);
    }

    /// Whose acknowledgement of a control message is awaited: its recipients and the members of my view, except its
    /// author and me.
    pub(crate) fn waiting_for(&self, recipients: &MemberSet, author: MemberIndex) -> MemberSet {
        let mut waiting = self.view().clone();
        waiting.extend(recipients.iter().filter(|member| !self.retired.contains(*member)));
        waiting.remove(author);
        if !self.stolen {
            waiting.remove(self.me());
        }
        waiting
    }

    pub(crate) fn insert_pending(&mut self, control: ControlId, pending: Pending) {
        if !pending.waiting.is_empty() || !pending.secrets.is_empty() {
            self.pending.insert(control, pending);
        }
    }

    /// Whether I go on: a member that has been removed stops, but a thief of its state does not.
    pub(crate) fn continues(&self) -> bool {
        self.stolen || self.view().contains(self.me())
    }

    /// Reports the members that my view has lost. If there are any, I become dirty.
    pub(crate) fn view_changed(&mut self, before: &MemberSet, author: MemberIndex, env: &mut Env<'_, '_>) {
        let lost = before.difference(self.view());
        for member in lost.iter() {
            let (by, user) = (self.membership.id(author), self.membership.id(member));
            env.events.push(Event::Removed { by, user });
            self.leaving.insert(member);
        }
        if !lost.is_empty() {
            self.dirty = true;
        }
    }

    /// A seed that I took makes me clean if nobody outside my view knows it.
    pub(crate) fn took_seed(&mut self, author: MemberIndex, recipients: &MemberSet) {
        let view = self.view();
        if view.contains(author) && recipients.is_subset(view) {
            self.dirty = false;
        }
    }

    /// Forgets removed members whose removal every member knows, and control messages that nobody has to acknowledge
    /// any more. A thief forgets nobody: it opens what a removed member sends all the same.
    pub(crate) fn tidy(&mut self) {
        if !self.leaving.is_empty() && !self.stolen {
            for member in self.membership.removals_acknowledged_by_all(&self.leaving).iter() {
                self.retire(member);
            }
        }
        self.pending.retain(|_, pending| !pending.waiting.is_empty());
    }

    fn retire(&mut self, member: MemberIndex) {
        self.leaving.remove(member);
        self.retired.insert(member);
        self.lacking.remove(member);
        self.two_party.remove(&member);
        self.taken.remove(&member);
        if let Some(sender) = self.sender(member) {
            *sender = Sender::default();
        }
        for pending in self.pending.values_mut() {
            pending.secrets.remove(&member);
            pending.waiting.remove(member);
        }
    }
}

/// Why a message is processed no further.
pub(crate) enum Stop {
    /// It breaks a rule and is refused.
    Rule(Rule),
    /// A broken invariant.
    Bug(Error),
}

impl From<Rule> for Stop {
    fn from(rule: Rule) -> Self {
        Self::Rule(rule)
    }
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Bug(error)
    }
}

/// Whether I am still a member after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Continue {
    Member,
    Removed,
}
