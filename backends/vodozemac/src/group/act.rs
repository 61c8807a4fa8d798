//! What a member does of its own accord: create a group, add and remove members, update, send.

use baselines::roster::Roster;
use baselines::{MAX_MEMBERS, MAX_PLAINTEXT_LEN};
use protocol::crypto::hash::{DIGEST_LEN, Digest};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Outgoing, Recipients};
use protocol::membership::MemberIndex;
use protocol::wire::codec::put_prefixed;

use super::Group;
use crate::account::Bundle;
use crate::channel::Channel;
use crate::messages::{Founders, Kind};
use crate::user::Env;

impl Group {
    /// Creates a group and the channels of its creator. With `mesh` the founders open the other channels immediately.
    pub(crate) fn create(others: &[MemberId], mesh: bool, env: &mut Env<'_, '_>) -> Result<Self, Error> {
        let mut sorted = others.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.contains(&env.user.id) {
            return Err(Error::AlreadyAMember);
        }
        if others.len() >= MAX_MEMBERS {
            return Err(Error::GroupSize);
        }
        let mut nonce = [0; DIGEST_LEN];
        env.context.rng.fill_bytes(&mut nonce);
        let founders = Founders { nonce: Digest(nonce), mesh, others: others.to_vec() };
        let roster = Roster::found(env.user.id, env.user.id, others)?;
        let mut group = Self::new(founders.group_id(&env.user.id), roster);
        // All bundles are checked before the directory hands out a one-time key, which would be wasted if one is
        // missing.
        let directory = env.context.directory;
        let bundle = |peer| Ok((peer, Bundle::of(&group.roster.id(peer), directory)?));
        let bundles: Vec<_> = group.roster.others().into_iter().map(bundle).collect::<Result<_, Error>>()?;
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: "founders", bytes: founders.encode() });
        group.renew_session(env)?;
        for (peer, bundle) in &bundles {
            let channel = Channel::initiate(&group.roster.id(*peer), bundle, &env.user.keys, directory)?;
            group.channels.insert(*peer, channel);
        }
        group.post(&group.roster.others(), Kind::Create, &[], env)?;
        Ok(group)
    }

    /// Adds a user: sends the notice to the members and a welcome to the joiner.
    pub(crate) fn add(&mut self, user: &MemberId, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.roster.membership.check_add(self.me(), user).map_err(|_| Error::AlreadyAMember)?;
        if self.roster.view().len() >= MAX_MEMBERS {
            return Err(Error::GroupSize);
        }
        // A user that cannot be reached is not added.
        let directory = env.context.directory;
        let channel = Channel::initiate(user, &Bundle::of(user, directory)?, &env.user.keys, directory)?;
        let mut state = Vec::new();
        self.roster.encode_for_joiner(&mut state);
        let others = self.roster.others();
        let notice = self.roster.add(user)?.encode();
        let joiner = self.roster.membership.index(user).ok_or(Error::Internal)?;
        self.channels.insert(joiner, channel);
        self.post(&others, Kind::Add, &notice, env)?;
        let mut welcome = Vec::with_capacity(notice.len() + state.len() + 8);
        put_prefixed(&mut welcome, &notice);
        welcome.extend_from_slice(&state);
        self.post(&[joiner], Kind::Welcome, &welcome, env)
    }

    /// Removes a member. The notice goes to the removed member too.
    pub(crate) fn remove(&mut self, user: &MemberId, env: &mut Env<'_, '_>) -> Result<(), Error> {
        let recipients = self.roster.others();
        let before = self.roster.view().clone();
        let notice = self.roster.remove(user)?.encode();
        let lost = before.difference(self.roster.view());
        self.lose(self.me(), &lost, env)?;
        self.post(&recipients, Kind::Remove, &notice, env)
    }

    /// Replaces what a thief of my state could use: the ratchet keys of all channels, and my Megolm session. The others
    /// replace their sessions when they process the update.
    pub(crate) fn update(&mut self, env: &mut Env<'_, '_>) -> Result<(), Error> {
        self.renew_session(env)?;
        // On channels where I made the last ratchet key, I wait for the peer's turn: a new session sent over them now
        // would heal nothing.
        let waits = |peer: &MemberIndex| self.channels.get(peer).is_some_and(|channel| !channel.turns_next());
        let (asked, ready): (Vec<_>, Vec<_>) = self.roster.others().into_iter().partition(waits);
        self.awaited = asked.iter().copied().collect();
        self.post(&asked, Kind::UpdateRequest, &[], env)?;
        self.post_update(&ready, env)?;
        if self.awaited.is_empty() {
            self.keys.release();
        }
        Ok(())
    }

    /// Sends an application message to the group.
    pub(crate) fn send(&mut self, plaintext: &[u8], env: &mut Env<'_, '_>) -> Result<(), Error> {
        if plaintext.len() > MAX_PLAINTEXT_LEN {
            return Err(Error::PlaintextTooLong);
        }
        if !env.user.variant.has_megolm() {
            return self.post(&self.roster.others(), Kind::Message, plaintext, env);
        }
        self.hand_out(|_, _| true, env)?;
        let bytes = self.keys.encrypt(plaintext, !self.awaited.is_empty())?;
        env.outgoing.push(Outgoing { to: Recipients::Everyone, kind: Kind::Message.name(), bytes });
        Ok(())
    }
}
