//! A user in one group: the implementation of the trait [`Member`].

use baselines::lobby::{self, Lobbies};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Event, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::wire::codec::{MAX_MESSAGE_LEN, Reader};
use vodozemac::olm::OlmMessage;

use crate::account::{Bundle, Keys};
use crate::channel::Channel;
use crate::group::Group;
use crate::messages::{self, Content, Founders, Kind, Message};
use crate::user::{Env, User, Vodozemac};

#[derive(Clone)]
enum Party {
    /// In no group yet, or in one.
    Active { user: Box<User>, stage: Stage },
    /// Removed: only names are left, and no secret of the group or of the user.
    Removed { id: MemberId, group: GroupId },
}

#[derive(Clone)]
enum Stage {
    /// In no group yet. Messages wait for an invitation, separately for each group.
    Outside(Lobbies),
    Inside(Box<Group>),
}

/// First bytes of an export.
const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const REMOVED: u8 = 2;

/// A new user, with what it publishes.
pub(crate) fn new_user(variant: Vodozemac, one_time_keys: usize) -> NewUser {
    let (keys, bundle, one_time) = Keys::generate(one_time_keys);
    let id = keys.id();
    let user = Box::new(User { id, variant, keys });
    let member = Box::new(Party::Active { user, stage: Stage::Outside(Lobbies::new()) });
    NewUser { id, member, bundle, one_time }
}

/// The member that `state` is the export of.
pub(crate) fn restore(variant: Vodozemac, state: &[u8]) -> Result<Box<dyn Member>, Error> {
    Ok(Box::new(Party::decode(variant, state).map_err(|_| Error::BadExport)?))
}

/// A thief of `state`.
pub(crate) fn steal(variant: Vodozemac, state: &[u8]) -> Result<Box<dyn Member>, Error> {
    let mut thief = Party::decode(variant, state).map_err(|_| Error::BadExport)?;
    if let Party::Active { user, stage } = &mut thief {
        user.keys.stolen = true;
        if let Stage::Inside(group) = stage {
            group.steal().map_err(|_| Error::BadExport)?;
        }
    }
    Ok(Box::new(thief))
}

impl Party {
    fn present(&self) -> Option<&Group> {
        match self {
            Self::Active { stage: Stage::Inside(group), .. } => Some(group),
            _ => None,
        }
    }

    /// Performs an action of this member. If it fails, the group is unchanged.
    fn act(
        &mut self,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Group, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        let Self::Active { user, stage: Stage::Inside(group) } = self else { return Err(Error::NotInGroup) };
        if user.keys.stolen {
            return Err(Error::Unsupported);
        }
        if !group.keys.can_send() {
            return Err(Error::NumbersExhausted);
        }
        let mut env = Env::new(user, context);
        action(group, &mut env)?;
        Ok(env.outgoing)
    }

    fn found(&mut self, others: &[MemberId], mesh: bool, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Self::Active { user, stage: stage @ Stage::Outside(_) } = self else { return Err(Error::AlreadyInGroup) };
        let mut env = Env::new(user, context);
        let group = Group::create(others, mesh, &mut env)?;
        let outgoing = env.outgoing;
        *stage = Stage::Inside(Box::new(group));
        Ok(outgoing)
    }

    fn receive_inside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Self::Active { user, stage: Stage::Inside(group) } = self else { return Err(Error::Internal) };
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        let own = message.author == user.id;
        if own && !user.keys.stolen {
            return group.receive_own(&user.id, message.bytes).map(|()| Received::default());
        }
        let mut env = Env::new(user, context);
        match own {
            true => group.overhear_owner(&message.author, message.bytes, &mut env)?,
            false => group.receive(&message.author, message.bytes, &mut env)?,
        }
        let received = Received { outgoing: env.outgoing, events: env.events };
        self.leave_if_removed();
        Ok(received)
    }

    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Self::Active { user, stage: Stage::Outside(lobbies) } = self else { return Err(Error::Internal) };
        // The user has sent nothing yet.
        if message.author == user.id {
            return Err(Error::WrongAuthor);
        }
        let mut env = Env::new(user, context);
        let Some(mut group) = try_to_join(lobbies, message, &mut env)? else { return Ok(Received::default()) };
        group.parked = lobbies.remove(&message.group).unwrap_or_default().parked;
        group.follow_up(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        if let Self::Active { stage, .. } = self {
            *stage = Stage::Inside(Box::new(group));
        }
        self.leave_if_removed();
        Ok(received)
    }

    /// Erases everything at the user's removal, its account included: a message that has not arrived yet would still
    /// open with it.
    fn leave_if_removed(&mut self) {
        if let Self::Active { user, stage: Stage::Inside(group) } = self
            && !group.continues(user)
        {
            *self = Self::Removed { id: user.id, group: group.id };
        }
    }

    fn decode(variant: Vodozemac, state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        let stage = reader.byte()?;
        let party = if stage == REMOVED {
            Self::Removed { id: MemberId(reader.array()?), group: GroupId(reader.array()?) }
        } else {
            let keys = Keys::decode(&mut reader)?;
            let stage = match stage {
                OUTSIDE => Stage::Outside(lobby::decode(&mut reader)?),
                INSIDE => Stage::Inside(Box::new(Group::decode(&mut reader)?)),
                _ => return Err(Error::Malformed),
            };
            Self::Active { user: Box::new(User { id: keys.id(), variant, keys }), stage }
        };
        reader.finish()?;
        Ok(party)
    }
}

/// Receives a message in no group. Returns the group, if the message invites to it. What else it may be waits.
fn try_to_join(lobbies: &mut Lobbies, message: &Incoming<'_>, env: &mut Env<'_, '_>) -> Result<Option<Group>, Error> {
    let Incoming { group, author, bytes } = *message;
    let joined = match Message::decode(bytes)? {
        Message::Founders(founders) => {
            if founders.group_id(&author) != group {
                return Err(Error::WrongGroup);
            }
            if !founders.others.contains(&env.user.id) {
                return Ok(None);
            }
            let lobby = lobby::of_invited(lobbies, &group)?;
            lobby.founders = Some((author, bytes.to_vec()));
            // Several messages may claim to be the creator's. Some may be forged, and one may be genuine.
            let mut waiting = lobby.parked.of(&author);
            return Ok(
                waiting.find_map(|bytes| join(Some(&founders), &Incoming { bytes, ..*message }, env).ok().flatten())
            );
        }
        Message::Olm(OlmMessage::PreKey(_)) => {
            let founders = lobbies.get(&group).and_then(|lobby| lobby.founders.as_ref());
            let founders = founders.filter(|(creator, _)| *creator == author);
            let founders = founders.map(|(_, founders)| Founders::decode(founders)).transpose()?;
            join(founders.as_ref(), message, env)?
        }
        Message::Olm(_) | Message::Megolm(..) => None,
    };
    if joined.is_none() {
        lobby::of(lobbies, &group)?.parked.park(&author, bytes)?;
    }
    Ok(joined)
}

/// Joins a group, if a pre-key message is the creator's to a founder, or a welcome. After an error, and if it is
/// neither, nothing has changed. `founders` is the author's founders message.
fn join(founders: Option<&Founders>, message: &Incoming<'_>, env: &mut Env<'_, '_>) -> Result<Option<Group>, Error> {
    let Incoming { group, author, bytes } = *message;
    let Message::Olm(OlmMessage::PreKey(first)) = Message::decode(bytes)? else { return Ok(None) };
    let identity = Bundle::of(&author, env.context.directory).map_err(|_| Error::NotAuthentic)?.identity;
    let (mut joined, mut waits) = (None, false);
    let Env { user, context, .. } = env;
    let (me, variant) = (user.id, user.variant);
    let check = |plaintext| {
        let bytes = messages::unbind(&group, plaintext)?;
        let content = Content::decode(&bytes)?;
        joined = match (content.kind, founders) {
            (Kind::Create, Some(founders)) => {
                Some(Group::join_founded((me, variant), (group, author), founders, &content)?)
            }
            (Kind::Welcome, _) => Some(Group::join_invited((me, variant), (group, author), &content)?),
            _ => None,
        };
        waits = joined.is_none();
        match waits {
            true => Err(Error::NotAuthentic),
            false if !(context.confirm_inviter)(&author) => Err(Error::InviterNotConfirmed),
            false => Ok(bytes),
        }
    };
    let channel = match Channel::respond(identity, &first, &mut user.keys, check) {
        Err(_) if waits => return Ok(None),
        opened => opened?.0,
    };
    let mut joined = joined.ok_or(Error::Internal)?;
    let inviter = joined.roster.membership.index(&author).ok_or(Error::Internal)?;
    joined.channels.insert(inviter, channel);
    env.events.push(Event::Joined { inviter: author });
    if founders.is_some_and(|founders| founders.mesh) {
        joined.greet_founders(env)?;
    }
    Ok(Some(joined))
}

impl Member for Party {
    fn id(&self) -> MemberId {
        match self {
            Self::Active { user, .. } => user.id,
            Self::Removed { id, .. } => *id,
        }
    }

    fn group(&self) -> Option<GroupId> {
        match self {
            Self::Active { stage: Stage::Outside(_), .. } => None,
            Self::Active { stage: Stage::Inside(group), .. } => Some(group.id),
            Self::Removed { group, .. } => Some(*group),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        let Some(group) = self.present() else { return Vec::new() };
        group.roster.membership.in_order_of_ids(group.roster.view()).map(|user| user.id).collect()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.found(others, false, context)
    }

    fn create_mesh(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        match self {
            Self::Active { user, .. } if user.variant.has_megolm() => Err(Error::Unsupported),
            _ => self.found(others, true, context),
        }
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.add(user, env))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.remove(user, env))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, Group::update)
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.send(plaintext, env))
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        if message.bytes.len() > MAX_MESSAGE_LEN {
            return Err(Error::Malformed);
        }
        match self {
            Self::Active { stage: Stage::Outside(_), .. } => self.receive_outside(message, context),
            Self::Active { stage: Stage::Inside(_), .. } => self.receive_inside(message, context),
            Self::Removed { .. } => Ok(Received::default()),
        }
    }

    /// A Megolm session that a copy of a member begins is not the member's own. So their keys cannot be compared.
    fn fingerprints(&self) -> Option<Fingerprints> {
        None
    }

    fn export(&self) -> Vec<u8> {
        let mut out = Vec::new();
        match self {
            Self::Active { user, stage: Stage::Outside(lobbies) } => {
                out.push(OUTSIDE);
                user.keys.encode(&mut out);
                lobby::encode(lobbies, &mut out);
            }
            Self::Active { user, stage: Stage::Inside(group) } => {
                out.push(INSIDE);
                user.keys.encode(&mut out);
                group.encode(&mut out);
            }
            Self::Removed { id, group } => {
                out.push(REMOVED);
                out.extend([id.0, group.0].concat());
            }
        }
        out
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
