//! A user in one group: the implementation of the trait [`Member`].

use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Incoming, Member, NewUser, Outgoing, Received};
use protocol::wire::codec::{MAX_MESSAGE_LEN, Reader};
use protocol::x3dh::PrekeySecrets;
use rand_core::CryptoRng;

use crate::group::Group;
use crate::lobby::{self, Lobbies, Lobby};
use crate::messages::{ChannelMessage, Founders, Kind};
use crate::user::{Env, Protocol, User};

/// Version of the export format.
const VERSION: u8 = 2;
const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const REMOVED: u8 = 2;

#[derive(Clone)]
pub(crate) enum Party {
    /// In no group yet, or in one.
    Active { user: Box<User>, stage: Stage },
    /// Removed: only names are left, and no secret of the group or of the user.
    Removed { id: MemberId, protocol: Protocol, group: GroupId },
}

#[derive(Clone)]
pub(crate) enum Stage {
    /// In no group yet. Messages wait for an invitation, separately for each group.
    Outside(Lobbies),
    Inside(Box<Group>),
}

/// A new user of a protocol.
pub(crate) fn new_user(protocol: Protocol, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
    let identity = SigningKey::random(rng);
    let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time_prekeys, rng);
    let id = MemberId(*identity.verification_key().as_bytes());
    let user = Box::new(User { id, protocol, identity, prekeys, stolen: false });
    let member = Box::new(Party::Active { user, stage: Stage::Outside(Lobbies::new()) });
    NewUser { id, member, bundle: publication.bundle, one_time: publication.one_time }
}

/// The member of a protocol that `state` is the export of.
pub(crate) fn restore(protocol: Protocol, state: &[u8]) -> Result<Box<dyn Member>, Error> {
    Ok(Box::new(Party::decode(protocol, state).map_err(|_| Error::BadExport)?))
}

/// A thief of `state`.
pub(crate) fn steal(protocol: Protocol, state: &[u8]) -> Result<Box<dyn Member>, Error> {
    let mut thief = Party::decode(protocol, state).map_err(|_| Error::BadExport)?;
    if let Party::Active { user, stage } = &mut thief {
        user.stolen = true;
        user.prekeys.steal();
        if let Stage::Inside(group) = stage {
            group.steal()?;
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

    fn protocol(&self) -> Protocol {
        match self {
            Self::Active { user, .. } => user.protocol,
            Self::Removed { protocol, .. } => *protocol,
        }
    }

    pub(crate) fn inside(&mut self) -> Result<(&mut User, &mut Group), Error> {
        match self {
            Self::Active { user, stage: Stage::Inside(group) } => {
                group.check_numbers().map(|()| (&mut **user, &mut **group))
            }
            _ => Err(Error::NotInGroup),
        }
    }

    /// Performs an action of this member. If it fails, the group is unchanged.
    fn act(
        &mut self,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Group, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        let (user, group) = self.inside()?;
        if user.stolen {
            return Err(Error::Unsupported);
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
        let (user, group) = self.inside()?;
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        let own = message.author == user.id;
        if own && !user.stolen {
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
        let Self::Active { user, .. } = self else { return Err(Error::Internal) };
        // The user has sent nothing yet.
        if message.author == user.id {
            return Err(Error::WrongAuthor);
        }
        let prekeys = user.prekeys.clone();
        let result = self.try_to_join(message, context);
        // Before a welcome is refused for its content, it may have opened and so used up a prekey.
        if let (Err(_), Self::Active { user, .. }) = (&result, self) {
            user.prekeys = prekeys;
        }
        result
    }

    fn try_to_join(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Self::Active { user, stage } = self else { return Err(Error::Internal) };
        let Stage::Outside(lobbies) = stage else { return Err(Error::Internal) };
        let mut env = Env::new(user, context);
        let joined = match Kind::of(message.bytes)? {
            Kind::Founders => {
                let founders = Founders::decode(message.bytes)?;
                if founders.group_id(&message.author) != message.group {
                    return Err(Error::WrongGroup);
                }
                if !founders.others.contains(&env.user.id) {
                    return Ok(Received::default());
                }
                let lobby = lobby::of_invited(lobbies, &message.group)?;
                lobby.founders = Some((message.author, message.bytes.to_vec()));
                // Several messages may claim to be the creator's. Some may be forged, and one may be genuine.
                let waiting: Vec<Vec<u8>> = lobby.parked.of(&message.author).map(<[u8]>::to_vec).collect();
                let mut create = waiting.iter().filter(|bytes| Kind::of(bytes) == Ok(Kind::Create));
                create.find_map(|bytes| join_founded(message.group, lobby, bytes, &mut env).ok())
            }
            Kind::Create => {
                let lobby = lobby::of(lobbies, &message.group)?;
                match &lobby.founders {
                    Some((creator, _)) if *creator != message.author => return Err(Error::WrongAuthor),
                    Some(_) => Some(join_founded(message.group, lobby, message.bytes, &mut env)?),
                    None => None,
                }
            }
            Kind::Welcome => {
                confirm(&message.author, env.context)?;
                let welcome = ChannelMessage::decode(message.bytes)?;
                if welcome.sender != message.author.handle() {
                    return Err(Error::WrongAuthor);
                }
                Some(Group::join_invited(message.group, message.author, &welcome, &mut env)?)
            }
            _ => None,
        };
        let Some(mut group) = joined else {
            if Kind::of(message.bytes)? != Kind::Founders {
                lobby::of(lobbies, &message.group)?.parked.park(&message.author, message.bytes)?;
            }
            return Ok(Received::default());
        };
        group.parked = lobbies.remove(&message.group).unwrap_or_default().parked;
        group.follow_up(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        *stage = Stage::Inside(Box::new(group));
        self.leave_if_removed();
        Ok(received)
    }

    /// Erases everything at the user's removal, its identity and prekeys included: a message that has not arrived yet
    /// would still open with them.
    fn leave_if_removed(&mut self) {
        if let Self::Active { user, stage: Stage::Inside(group) } = self
            && !group.continues(user)
        {
            *self = Self::Removed { id: user.id, protocol: user.protocol, group: group.id };
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.protocol() as u8];
        let (user, stage) = match self {
            Self::Active { user, stage } => (user, stage),
            Self::Removed { id, group, .. } => {
                out.push(REMOVED);
                out.extend_from_slice(&id.0);
                out.extend_from_slice(&group.0);
                return out;
            }
        };
        out.push(match stage {
            Stage::Outside(_) => OUTSIDE,
            Stage::Inside(_) => INSIDE,
        });
        out.extend_from_slice(user.identity.to_secret().expose());
        user.prekeys.encode(&mut out);
        match stage {
            Stage::Outside(lobbies) => lobby::encode(lobbies, &mut out),
            Stage::Inside(group) => group.encode(&mut out),
        }
        out
    }

    pub(crate) fn decode(protocol: Protocol, state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        if reader.array()? != [VERSION, protocol as u8] {
            return Err(Error::Malformed);
        }
        let stage = reader.byte()?;
        let party = if stage == REMOVED {
            Self::Removed { id: MemberId(reader.array()?), protocol, group: GroupId(reader.array()?) }
        } else {
            let identity = SigningKey::from_secret(&Secret::new(reader.array()?));
            let id = MemberId(*identity.verification_key().as_bytes());
            let user =
                Box::new(User { id, protocol, identity, prekeys: PrekeySecrets::decode(&mut reader)?, stolen: false });
            let stage = match stage {
                OUTSIDE => Stage::Outside(lobby::decode(&mut reader)?),
                INSIDE => {
                    let group = Group::decode(&mut reader)?;
                    if group.roster.id(group.me()) != id {
                        return Err(Error::Malformed);
                    }
                    Stage::Inside(Box::new(group))
                }
                _ => return Err(Error::Malformed),
            };
            Self::Active { user, stage }
        };
        reader.finish()?;
        Ok(party)
    }
}

fn join_founded(group: GroupId, lobby: &Lobby, bytes: &[u8], env: &mut Env<'_, '_>) -> Result<Group, Error> {
    let (creator, founders) = lobby.founders.as_ref().ok_or(Error::Internal)?;
    confirm(creator, env.context)?;
    let create = ChannelMessage::decode(bytes)?;
    if create.sender != creator.handle() {
        return Err(Error::WrongAuthor);
    }
    Group::join_founded(group, *creator, &Founders::decode(founders)?, &create, env)
}

fn confirm(inviter: &MemberId, context: &Context<'_>) -> Result<(), Error> {
    if (context.confirm_inviter)(inviter) { Ok(()) } else { Err(Error::InviterNotConfirmed) }
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
        if !self.protocol().defers_channels() {
            return Err(Error::Unsupported);
        }
        self.found(others, true, context)
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.add(user, env))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.remove(user, env))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if !self.protocol().updates() {
            return Err(Error::Unsupported);
        }
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

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; DIGEST_LEN])>> {
        self.protocol().is_eager().then(|| self.present().map(Group::fingerprints).unwrap_or_default())
    }

    fn export(&self) -> Vec<u8> {
        self.encode()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
