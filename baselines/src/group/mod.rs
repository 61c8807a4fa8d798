//! What a member knows of its group and does in it: the protocol itself, for pairwise Signal and Sender Keys alike.
//! Sender Keys add keys on top of pairwise Signal.
//!
//! This file holds the state, what goes over the channels, and which members need my sender key. `act` is what a member
//! does of its own accord, `receive` what it does with messages, `numbers` that no call runs out of numbers half-way.

mod act;
mod numbers;
mod receive;
mod stolen;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::secret::SecretBytes;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Outgoing, Recipients};
use protocol::membership::{MemberIndex, MemberSet};
use protocol::wire::codec::{Reader, put_len, put_varint};
use protocol::x3dh;

use crate::double_ratchet::ChainEnd;
use crate::messages::{self, ChannelMessage, Kind, Parts};
use crate::parked::Parked;
use crate::received::Received;
use crate::roster::Roster;
use crate::sender_key::{DISTRIBUTION_LEN, SenderKeys, put_set, take_member, take_set};
use crate::session::{Binding, Channel};
use crate::user::{Env, User};

/// Maximum number of members of a group. The author of a creation or an add checks it, and every founder checks the
/// creation.
pub const MAX_MEMBERS: usize = 1024;
/// Maximum length of the plaintext of an application message, in bytes.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 16;

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) roster: Roster,
    channels: BTreeMap<MemberIndex, Channel>,
    /// Number of my last message.
    number: u32,
    /// Members from which I have requested a turn. My update goes to each of them after its turn has arrived.
    awaited: MemberSet,
    keys: SenderKeys,
    /// The messages that I have received from each author.
    received: BTreeMap<MemberIndex, Received>,
    pub(crate) parked: Parked,
}

impl Group {
    fn new(id: GroupId, roster: Roster) -> Self {
        Self {
            id,
            roster,
            channels: BTreeMap::new(),
            number: 0,
            awaited: MemberSet::new(),
            keys: SenderKeys::default(),
            received: BTreeMap::new(),
            parked: Parked::default(),
        }
    }

    /// Handles the loss of members: I no longer send under a key that they hold, nor accept theirs.
    fn lose(&mut self, author: MemberIndex, lost: &MemberSet, env: &mut Env<'_, '_>) -> Result<(), Error> {
        for member in lost.iter() {
            env.events.push(Event::Removed { by: self.roster.id(author), user: self.roster.id(member) });
            if env.user.stolen {
                continue;
            }
            self.keys.forget(member);
            self.awaited.remove(member);
            // What waits for the member's key will never be read.
            let id = self.roster.id(member);
            self.parked.take(&id).iter().for_each(|bytes| self.record(&id, bytes));
        }
        if !lost.is_empty() {
            self.keys.retire();
            self.renew_key_if_eager(env)?;
        }
        Ok(())
    }

    fn renew_key_if_eager(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        if env.user.protocol.is_eager() && self.roster.is_inside() && !env.user.stolen {
            self.keys.rotate(&mut *env.context.rng)?;
        }
        Ok(())
    }

    /// The members to whom my key can go but has not gone.
    fn without_my_key(&self, may: impl Fn(MemberIndex) -> bool) -> Vec<MemberIndex> {
        self.roster.others().into_iter().filter(|peer| self.lacks_my_key(*peer) && may(*peer)).collect()
    }

    /// Whether my key is due to `peer`. It is not while I wait for the peer's turn: a thief of my state would get the
    /// key too.
    fn lacks_my_key(&self, peer: MemberIndex) -> bool {
        let holds = self.keys.own.as_ref().is_none_or(|key| key.holders.contains(peer));
        !holds && !self.awaited.contains(peer) && self.roster.membership.is_member(peer)
    }

    /// Whether I go on: a member that has been removed stops, but a thief of its state does not.
    pub(crate) fn continues(&self, user: &User) -> bool {
        user.stolen || self.roster.is_inside()
    }

    pub(crate) fn me(&self) -> MemberIndex {
        self.roster.me()
    }

    /// A hash of each member's sender key that I hold, with the member's id.
    pub(crate) fn fingerprints(&self) -> Vec<(MemberId, [u8; DIGEST_LEN])> {
        let members = self.roster.membership.in_order_of_ids(self.roster.view());
        members.filter_map(|user| Some((user.id, self.keys.fingerprint(user.index, self.me())?))).collect()
    }

    /// Sends my update to each of these members, and then my earlier keys under which I sent while they were withheld
    /// from it.
    pub(crate) fn post_update(&mut self, peers: &[MemberIndex], env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.post(peers, Kind::Update, &self.keys.ends(), env)?;
        let withheld = self.keys.withheld();
        if withheld.expose().is_empty() { Ok(()) } else { self.post(peers, Kind::Key, withheld.expose(), env) }
    }

    /// Sends my next message to each of these members, with the same body, and with my key where it is due. Members
    /// without a valid bundle are left out.
    fn post(&mut self, peers: &[MemberIndex], kind: Kind, body: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        if peers.is_empty() || env.user.stolen {
            return Ok(());
        }
        let number = self.next_number()?;
        self.number = number;
        for peer in peers {
            match self.seal(*peer, kind, number, body, env) {
                Ok(bytes) => {
                    let to = Recipients::One(self.roster.id(*peer));
                    env.outgoing.push(Outgoing { to, kind: kind.name(), bytes });
                }
                Err(Error::NoBundle) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn seal(
        &mut self,
        peer: MemberIndex,
        kind: Kind,
        number: u32,
        body: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<Vec<u8>, Error> {
        let recipient = self.roster.id(peer);
        let carries_no_key = matches!(kind, Kind::UpdateRequest | Kind::Turn);
        let distributes = !carries_no_key && self.lacks_my_key(peer);
        let sender = self.roster.handle(self.me())?;
        let channel = match self.channels.entry(peer) {
            Entry::Occupied(channel) => channel.into_mut(),
            Entry::Vacant(place) => {
                let own = &env.user.prekeys;
                let bundle = x3dh::peer_bundle(&recipient, env.context.directory)?;
                place.insert(Channel::open(&recipient, &bundle, own, env.context.directory, &mut *env.context.rng)?)
            }
        };
        if kind == Kind::Update {
            channel.close();
        }
        let left = channel.left();
        let mut plaintext = SecretBytes::with_capacity(body.len() + DISTRIBUTION_LEN + ChainEnd::LEN);
        plaintext.put(body);
        if let Some(key) = self.keys.own.as_mut().filter(|_| distributes) {
            // An update carries the key to members from whom it was withheld until their turn.
            key.distribution(kind == Kind::Update).encode(&mut plaintext);
            key.holders.insert(peer);
        }
        if let Some(left) = left {
            plaintext.put(&left.encode());
        }
        let parts = Parts { prekeys: channel.is_unanswered(), distributes, ends_chain: left.is_some() };
        let header = messages::header(kind, parts, sender, number);
        let context = context(&self.id, &header);
        let binding = Binding { sender: &env.user.id, recipient: &recipient, context: &context };
        let sealed = channel.encrypt(plaintext.expose(), &binding, &mut *env.context.rng)?;
        Ok([header, sealed.prekey_header.unwrap_or_default(), sealed.message].concat())
    }

    /// Whether a message with this number has been received from a member. It has no effect then.
    fn has_received(&self, from: MemberIndex, number: u32) -> bool {
        self.received.get(&from).is_some_and(|received| received.contains(number))
    }

    /// Decrypts a channel message of a known sender, and records it as received. After an error nothing has changed.
    fn open(
        &mut self,
        from: MemberIndex,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<SecretBytes, Error> {
        let plaintext = self.decrypt(from, message, env)?;
        self.received.entry(from).or_default().insert(message.number);
        Ok(plaintext)
    }

    fn decrypt(
        &mut self,
        from: MemberIndex,
        message: &ChannelMessage<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<SecretBytes, Error> {
        let (sender, recipient) = (self.roster.id(from), env.user.id);
        let context = context(&self.id, message.header);
        let binding = Binding { sender: &sender, recipient: &recipient, context: &context };
        let (own, directory) = (&mut env.user.prekeys, env.context.directory);
        if let Some(channel) = self.channels.get_mut(&from) {
            let received = (message.prekeys.as_ref(), message.ratchet_message);
            let plaintext = channel.decrypt(received, &binding, own, directory)?;
            if message.prekeys.is_none() {
                let end = plaintext.expose().split_last_chunk::<{ ChainEnd::LEN }>().filter(|_| message.ends_chain);
                let ended = end.map(|(_, end)| ChainEnd::decode(&mut Reader::new(end))).transpose()?;
                channel.learn(ended, message.ratchet_message);
                // The peer sends on this session alone from now on.
                if message.kind == Kind::Update {
                    channel.close();
                }
            }
            return Ok(plaintext);
        }
        let header = message.prekeys.as_ref().ok_or(Error::NotAuthentic)?;
        let (channel, plaintext) = Channel::respond(header, message.ratchet_message, &binding, own, directory)?;
        self.channels.insert(from, channel);
        Ok(plaintext)
    }

    /// Takes the sender's key from the end of a plaintext, if there is one, and returns the rest.
    fn split_distribution<'a>(
        &mut self,
        from: MemberIndex,
        message: &ChannelMessage<'_>,
        plaintext: &'a [u8],
    ) -> Result<&'a [u8], Error> {
        let (body, distribution) = split(message, plaintext)?;
        let (ends, earlier, rest): (_, &[u8], _) = match (message.kind, distribution) {
            (Kind::Update, Some(_)) => (Some(body), &[], &[][..]),
            (Kind::Key, _) => (None, body, &[][..]),
            _ => (None, &[], body),
        };
        let (earlier, []) = earlier.as_chunks::<DISTRIBUTION_LEN>() else { return Err(Error::Malformed) };
        // A key of a removed member would never be used.
        if self.roster.membership.is_member(from) {
            distribution.map_or(Ok(()), |distribution| self.keys.take(from, distribution, ends))?;
            earlier.iter().try_for_each(|distribution| self.keys.take(from, distribution, None))?;
        }
        Ok(rest)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        self.roster.encode(out);
        put_len(out, self.channels.len());
        for (peer, channel) in &self.channels {
            put_varint(out, peer.0);
            channel.encode(out);
        }
        put_varint(out, self.number);
        put_set(out, &self.awaited);
        self.keys.encode(out);
        put_len(out, self.received.len());
        for (author, received) in &self.received {
            put_varint(out, author.0);
            received.encode(out);
        }
        self.parked.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let id = GroupId(reader.array()?);
        let mut group = Self::new(id, Roster::decode(reader)?);
        let known = group.roster.known();
        for _ in 0..reader.count(1)? {
            let peer = take_member(reader, known)?;
            group.channels.insert(peer, Channel::decode(reader)?);
        }
        group.number = reader.varint()?;
        group.awaited = take_set(reader, known)?;
        group.keys = SenderKeys::decode(reader, known)?;
        for _ in 0..reader.count(1)? {
            let author = take_member(reader, known)?;
            group.received.insert(author, Received::decode(reader)?);
        }
        group.parked = Parked::decode(reader)?;
        Ok(group)
    }
}

/// What every channel message is bound to: the group and the header of the message.
fn context(group: &GroupId, header: &[u8]) -> Vec<u8> {
    [&group.0[..], header].concat()
}

/// Splits a plaintext into body and distribution.
fn split<'a>(message: &ChannelMessage<'_>, plaintext: &'a [u8]) -> Result<(&'a [u8], Option<&'a [u8]>), Error> {
    let end = if message.ends_chain { ChainEnd::LEN } else { 0 };
    let plaintext = plaintext.get(..plaintext.len().saturating_sub(end)).unwrap_or_default();
    if !message.distributes {
        return Ok((plaintext, None));
    }
    let at = plaintext.len().checked_sub(DISTRIBUTION_LEN).ok_or(Error::Malformed)?;
    let (body, distribution) = plaintext.split_at(at);
    Ok((body, Some(distribution)))
}
