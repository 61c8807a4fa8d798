//! What a member knows of its group, and what goes over the channels. `act` is what a member does of its own accord,
//! `receive` what it does with messages, `stolen` what a thief of its state does.

mod act;
mod receive;
mod stolen;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use baselines::parked::Parked;
use baselines::roster::Roster;
use protocol::error::Error;
use protocol::id::GroupId;
use protocol::member::{Event, Outgoing, Recipients};
use protocol::membership::{MemberIndex, MemberSet};
use protocol::wire::codec::{Reader, put_len, put_varint};

use crate::account::Bundle;
use crate::channel::Channel;
use crate::megolm::{Sessions, take_member, take_set};
use crate::messages::{Content, Kind};
use crate::user::{Env, User};

#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    pub(crate) roster: Roster,
    pub(crate) channels: BTreeMap<MemberIndex, Channel>,
    /// Members from which I have requested a turn. My update goes to each of them after its turn has arrived.
    pub(crate) awaited: MemberSet,
    pub(crate) keys: Sessions,
    pub(crate) parked: Parked,
}

impl Group {
    pub(crate) fn new(id: GroupId, roster: Roster) -> Self {
        Self {
            id,
            roster,
            channels: BTreeMap::new(),
            awaited: MemberSet::new(),
            keys: Sessions::default(),
            parked: Parked::default(),
        }
    }

    pub(crate) fn me(&self) -> MemberIndex {
        self.roster.me()
    }

    /// Whether I go on: a member that has been removed stops, but a thief of its state does not.
    pub(crate) fn continues(&self, user: &User) -> bool {
        user.keys.stolen || self.roster.is_inside()
    }

    /// Handles the loss of members: I no longer send in a session that they have, nor accept theirs.
    pub(crate) fn lose(&mut self, author: MemberIndex, lost: &MemberSet, env: &mut Env<'_, '_>) -> Result<(), Error> {
        for member in lost.iter() {
            let id = self.roster.id(member);
            env.events.push(Event::Removed { by: self.roster.id(author), user: id });
            if !env.user.keys.stolen {
                self.keys.forget(member);
                self.awaited.remove(member);
                // What waits for the member's session will never be read.
                self.parked.take(&id);
            }
        }
        if !lost.is_empty() {
            self.keys.retire();
            self.renew_session(env)?;
        }
        Ok(())
    }

    /// Begins a new Megolm session, if there are any.
    pub(crate) fn renew_session(&mut self, env: &Env<'_, '_>) -> Result<(), Error> {
        let renews = env.user.variant.has_megolm() && self.roster.is_inside() && !env.user.keys.stolen;
        if renews { self.keys.rotate() } else { Ok(()) }
    }

    /// Hands out my Megolm session where it is due. Of two members without a channel, the one with the higher index
    /// waits for the other's message.
    pub(crate) fn settle(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        if !env.user.variant.has_megolm() || !self.roster.is_inside() || env.user.keys.stolen {
            return Ok(());
        }
        self.hand_out(|group, peer| group.me() < peer || group.channels.contains_key(&peer), env)
    }

    /// Hands out my Megolm session to those members to whom it is due and who `may` have it.
    pub(crate) fn hand_out(
        &mut self,
        may: impl Fn(&Self, MemberIndex) -> bool,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        if !self.keys.has_own() {
            self.keys.rotate()?;
        }
        let due = |peer: &MemberIndex| self.lacks_my_session(*peer) && may(self, *peer);
        let due: Vec<_> = self.roster.others().into_iter().filter(due).collect();
        self.post(&due, Kind::Key, &[], env)
    }

    /// Whether my session is due to `peer`. It is not while I wait for the peer's turn: a thief of my state would get
    /// it too.
    fn lacks_my_session(&self, peer: MemberIndex) -> bool {
        !self.keys.is_held_by(peer) && !self.awaited.contains(peer) && self.roster.membership.is_member(peer)
    }

    /// Sends my update to each of these members, and then my earlier sessions in which I sent while they were withheld
    /// from it.
    pub(crate) fn post_update(&mut self, peers: &[MemberIndex], env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.post(peers, Kind::Update, &self.keys.ends(), env)?;
        let withheld = self.keys.withheld();
        if withheld.is_empty() { Ok(()) } else { self.post(peers, Kind::Key, &withheld, env) }
    }

    /// Sends a message to each of these members, with the same body, and with my session where it is due. Members that
    /// cannot be reached are left out.
    pub(crate) fn post(
        &mut self,
        peers: &[MemberIndex],
        kind: Kind,
        body: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        if env.user.keys.stolen {
            return Ok(());
        }
        let carries_none = matches!(kind, Kind::UpdateRequest | Kind::Turn);
        let due: MemberSet =
            peers.iter().copied().filter(|peer| !carries_none && self.lacks_my_session(*peer)).collect();
        // Without a session, or with one: made once for all.
        let session = if due.is_empty() { None } else { self.keys.distribution(kind == Kind::Update) };
        let contents = [None, session.as_deref()].map(|session| Content::encode(kind, session, body));
        for peer in peers {
            let hands_out = due.contains(*peer);
            match self.seal(*peer, &contents[usize::from(hands_out)], env) {
                Ok(bytes) => {
                    let to = Recipients::One(self.roster.id(*peer));
                    env.outgoing.push(Outgoing { to, kind: kind.name(), bytes });
                }
                Err(Error::NoBundle) => continue,
                Err(error) => return Err(error),
            }
            if hands_out {
                self.keys.handed_to(*peer);
            }
        }
        Ok(())
    }

    fn seal(&mut self, peer: MemberIndex, content: &[u8], env: &Env<'_, '_>) -> Result<Vec<u8>, Error> {
        let channel = match self.channels.entry(peer) {
            Entry::Occupied(channel) => channel.into_mut(),
            Entry::Vacant(place) => {
                let (recipient, directory) = (self.roster.id(peer), env.context.directory);
                let bundle = Bundle::of(&recipient, directory)?;
                place.insert(Channel::initiate(&recipient, &bundle, &env.user.keys, directory)?)
            }
        };
        channel.encrypt(&self.id, content)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.id.0);
        self.roster.encode(out);
        put_len(out, self.channels.len());
        for (peer, channel) in &self.channels {
            put_varint(out, peer.0);
            channel.encode(out);
        }
        put_len(out, self.awaited.len());
        self.awaited.iter().for_each(|member| put_varint(out, member.0));
        self.keys.encode(out);
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
        group.awaited = take_set(reader, known)?;
        group.keys = Sessions::decode(reader, known)?;
        group.parked = Parked::decode(reader)?;
        Ok(group)
    }
}
