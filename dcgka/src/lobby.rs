//! What a user outside the group does with messages: they wait until the user has been invited and can join.

use std::collections::BTreeMap;

use protocol::causal_order::CausalOrder;
use protocol::error::Error;
use protocol::id::{GROUP_ID_LEN, GroupId, MemberId};
use protocol::member::Incoming;
use protocol::wire::codec::{Reader, put_len, put_prefixed, put_varint};
use protocol::wire::envelope::Envelope;

use crate::agreement::state::{Env, Group};
use crate::agreement::welcome::{Invitation, NotJoined};
use crate::limits::{MAX_INVITATIONS, MAX_LOBBIES};
use crate::messages::{ADD, CREATE, Create, WELCOME};
use crate::rules::Rules;

/// The messages of each group that has sent any.
#[derive(Clone, Default)]
pub(crate) struct Lobbies(BTreeMap<GroupId, Lobby>);

/// The messages of one group, and the invitations to it whose adds are still missing.
#[derive(Clone)]
struct Lobby {
    waiting: CausalOrder,
    invitations: Vec<Invitation>,
}

impl Lobby {
    fn new(rules: Rules) -> Self {
        Self { waiting: rules.order(), invitations: Vec::new() }
    }

    /// The one inviter to this group. `None` if there is none, or if there are several.
    fn inviter(&self) -> Option<MemberId> {
        let first = self.invitations.first()?.inviter;
        self.invitations.iter().all(|it| it.inviter == first).then_some(first)
    }
}

/// The user that occurs most often, and that is `preferred` if several do.
fn most_frequent(users: impl Iterator<Item = MemberId>, preferred: MemberId) -> MemberId {
    let mut counts = BTreeMap::from([(preferred, 0_usize)]);
    users.for_each(|user| *counts.entry(user).or_default() += 1);
    let most = counts.into_iter().max_by_key(|(user, count)| (*count, *user == preferred));
    most.map_or(preferred, |(user, _)| user)
}

impl Lobbies {
    /// Receives a message. Returns the group if the user joins by it, with all messages of the group that have waited.
    pub(crate) fn receive(&mut self, message: &Incoming<'_>, env: &mut Env<'_, '_>) -> Result<Option<Group>, Error> {
        let envelope = Envelope::decode(message.bytes)?;
        let joined = match envelope.kind {
            // By its group and number it is the group's first message. Any other of this kind waits like the rest:
            // members refuse it, and the user must do so once it is one.
            CREATE if Group::is_created_by(&message.group, &message.author, &envelope) => {
                self.receive_create(message, &envelope, env)?
            }
            WELCOME => self.receive_welcome(message, &envelope, env)?,
            ADD => self.receive_add(message, &envelope, env)?,
            _ => {
                self.wait(message, &envelope, env.user.rules)?;
                None
            }
        };
        let Some(mut group) = joined else { return Ok(None) };
        if let Some(lobby) = self.0.remove(&message.group) {
            group.order.adopt(lobby.waiting, &message.group);
        }
        Ok(Some(group))
    }

    /// The CREATE of its group: it makes the user a founder if it names it.
    fn receive_create(
        &mut self,
        message: &Incoming<'_>,
        envelope: &Envelope<'_>,
        env: &Env<'_, '_>,
    ) -> Result<Option<Group>, Error> {
        let create = Create::decode(envelope.body, env.user.rules)?;
        if !create.others.contains(&env.user.id) {
            self.wait(message, envelope, env.user.rules)?;
            return Ok(None);
        }
        env.confirm(&message.author)?;
        let mut group = Group::invited(message.group, message.author, &create, env.user)?;
        group.order.receive_decoded(&message.author, &message.group, envelope, None)?;
        Ok(Some(group))
    }

    /// A welcome: it waits unless its add is here.
    fn receive_welcome(
        &mut self,
        message: &Incoming<'_>,
        envelope: &Envelope<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<Option<Group>, Error> {
        env.confirm(&message.author)?;
        let invitation = Invitation::decode(&message.group, message.author, envelope)?;
        let joined = {
            let lobby = self.0.get(&message.group);
            if lobby.is_some_and(|lobby| lobby.invitations.iter().any(|known| known.is_same_as(&invitation))) {
                // It has been tried with every add that waits.
                return Ok(None);
            }
            let waiting = lobby.into_iter().flat_map(|it| it.waiting.unverified(&message.author, invitation.number));
            let (me, rules) = (env.user.id, env.user.rules);
            let mut adds = waiting
                .filter_map(|bytes| invitation.is_for(&message.group, &me, rules, &Envelope::decode(bytes).ok()?))
                .peekable();
            adds.peek().is_some().then(|| Group::join(message.group, &invitation, adds, env))
        };
        match joined {
            Some(Ok(group)) => Ok(Some(group)),
            Some(Err(NotJoined::Invalid(error))) => Err(error),
            Some(Err(NotJoined::Forged(_))) | None => {
                self.keep_invitation(message.group, invitation, env.user.rules).map(|()| None)
            }
        }
    }

    /// An add: it waits unless its welcome is here.
    fn receive_add(
        &mut self,
        message: &Incoming<'_>,
        envelope: &Envelope<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<Option<Group>, Error> {
        let lobby = self.0.get_mut(&message.group);
        if lobby.as_ref().is_some_and(|lobby| lobby.waiting.keeps(&message.author, envelope)) {
            // It has been tried with every invitation that is here.
            return Ok(None);
        }
        let (me, rules) = (env.user.id, env.user.rules);
        let invitations = lobby.into_iter().flat_map(|lobby| &mut lobby.invitations);
        let found = invitations
            .filter(|invitation| invitation.inviter == message.author)
            .find_map(|it| it.is_for(&message.group, &me, rules, envelope).map(|add| (it, add)));
        if let Some((invitation, add)) = found {
            match Group::join(message.group, invitation, std::iter::once(add), env) {
                Ok(group) => return Ok(Some(group)),
                Err(tried) => invitation.tried = Some(tried),
            }
        }
        // An add with an invalid welcome waits like any other: another member may invite the user to the group.
        self.wait(message, envelope, env.user.rules)?;
        Ok(None)
    }

    /// Keeps an invitation by a confirmed inviter. If there are too many groups, it replaces one without an invitation, or
    /// one to which only the inviter of most groups invites. Likewise among the invitations to one group. So no inviter
    /// keeps others out.
    fn keep_invitation(&mut self, group: GroupId, invitation: Invitation, rules: Rules) -> Result<(), Error> {
        if self.has_no_room_for(&group) {
            let most = most_frequent(self.0.values().filter_map(Lobby::inviter), invitation.inviter);
            let gives_way = |lobby: &Lobby| lobby.invitations.is_empty() || lobby.inviter() == Some(most);
            let replaced = self.0.iter().filter(|(_, lobby)| gives_way(lobby));
            let replaced = replaced.min_by_key(|(_, lobby)| lobby.invitations.len()).map(|(id, _)| *id);
            self.0.remove(&replaced.ok_or(Error::QueueFull)?);
        }
        let invitations = &mut self.0.entry(group).or_insert_with(|| Lobby::new(rules)).invitations;
        let known = |other: &Invitation| (other.inviter, other.number) == (invitation.inviter, invitation.number);
        if invitations.iter().any(known) {
            return Ok(());
        }
        if invitations.len() >= MAX_INVITATIONS {
            let most = most_frequent(invitations.iter().map(|it| it.inviter), invitation.inviter);
            let oldest = invitations.iter().position(|it| it.inviter == most);
            invitations.remove(oldest.ok_or(Error::Internal)?);
        }
        invitations.push(invitation);
        Ok(())
    }

    fn wait(&mut self, message: &Incoming<'_>, envelope: &Envelope<'_>, rules: Rules) -> Result<(), Error> {
        if self.has_no_room_for(&message.group) {
            return Err(Error::QueueFull);
        }
        let wait = |lobby: &mut Lobby| lobby.waiting.receive_decoded(&message.author, &message.group, envelope, None);
        match self.0.get_mut(&message.group) {
            Some(lobby) => wait(lobby).map(drop),
            None => {
                let mut lobby = Lobby::new(rules);
                wait(&mut lobby)?;
                self.0.insert(message.group, lobby);
                Ok(())
            }
        }
    }

    fn has_no_room_for(&self, group: &GroupId) -> bool {
        !self.0.contains_key(group) && self.0.len() >= MAX_LOBBIES
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for (id, Lobby { waiting, invitations }) in &self.0 {
            out.extend_from_slice(&id.0);
            waiting.encode(out);
            put_len(out, invitations.len());
            for Invitation { inviter, number, body, .. } in invitations {
                out.extend_from_slice(&inviter.0);
                put_varint(out, *number);
                put_prefixed(out, body);
            }
        }
    }

    pub(crate) fn decode(rules: Rules, reader: &mut Reader<'_>) -> Result<Self, Error> {
        let mut lobbies = BTreeMap::new();
        for _ in 0..reader.count(GROUP_ID_LEN)? {
            let id = GroupId(reader.array()?);
            let mut lobby = Lobby { waiting: rules.order().read(reader)?, invitations: Vec::new() };
            for _ in 0..reader.count(1)? {
                let (inviter, number) = (MemberId(reader.array()?), reader.varint()?);
                lobby.invitations.push(Invitation::new(inviter, number, reader.prefixed()?.to_vec()));
            }
            // Outside, nobody is known.
            if lobby.waiting.known() > 0 {
                return Err(Error::Malformed);
            }
            lobbies.insert(id, lobby);
        }
        Ok(Self(lobbies))
    }
}
