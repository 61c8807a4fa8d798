//! A user in one group: the implementation of the trait [`Member`].

use std::collections::BTreeMap;

use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GROUP_ID_LEN, GroupId, MemberId};
use protocol::member::{Context, Incoming, Member, NewUser, Outgoing, Received};
use protocol::wire::codec::{MAX_MESSAGE_LEN, Reader, put_len, put_prefixed};
use protocol::x3dh::PrekeySecrets;
use rand_core::CryptoRng;

use crate::group::Group;
use crate::messages::{ChannelMessage, Founders, Kind};
use crate::parked::Parked;
use crate::user::{Env, Protocol, User};

/// Groups whose messages may wait for an invitation.
const MAX_LOBBIES: usize = 8;
/// Version of the export format.
const VERSION: u8 = 2;

#[derive(Clone)]
pub(crate) struct Party {
    user: User,
    stage: Stage,
}

#[derive(Clone)]
enum Stage {
    /// In no group yet. Messages wait for an invitation, separately for each group.
    Outside(BTreeMap<GroupId, Lobby>),
    Inside(Box<Group>),
    /// Removed. Only the id of the group is kept.
    Removed(GroupId),
}

/// What a user has received of a group before it is in the group.
#[derive(Clone, Default)]
struct Lobby {
    /// The author of the founders message, and its bytes. The group's id commits to the author's id and to the
    /// founders.
    founders: Option<(MemberId, Vec<u8>)>,
    parked: Parked,
}

/// A new user of a protocol.
pub(crate) fn new_user(protocol: Protocol, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
    let identity = SigningKey::random(rng);
    let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time_prekeys, rng);
    let id = MemberId(*identity.verification_key().as_bytes());
    let user = User { id, protocol, identity, prekeys };
    let member = Box::new(Party { user, stage: Stage::Outside(BTreeMap::new()) });
    NewUser { id, member, bundle: publication.bundle, one_time: publication.one_time }
}

/// The member of a protocol that `state` is the export of.
pub(crate) fn restore(protocol: Protocol, state: &[u8]) -> Result<Box<dyn Member>, Error> {
    Ok(Box::new(Party::decode(protocol, state).map_err(|_| Error::BadExport)?))
}

impl Party {
    /// Performs an action of this member. If it fails, the group is unchanged.
    fn act(
        &mut self,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Group, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        let Stage::Inside(group) = &mut self.stage else { return Err(Error::NotInGroup) };
        let mut env = Env::new(&mut self.user, context);
        action(group, &mut env)?;
        Ok(env.outgoing)
    }

    fn found(&mut self, others: &[MemberId], mesh: bool, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if !matches!(self.stage, Stage::Outside(_)) {
            return Err(Error::AlreadyInGroup);
        }
        let mut env = Env::new(&mut self.user, context);
        let group = Group::create(others, mesh, &mut env)?;
        let outgoing = env.outgoing;
        self.stage = Stage::Inside(Box::new(group));
        Ok(outgoing)
    }

    fn receive_inside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Stage::Inside(group) = &mut self.stage else { return Err(Error::Internal) };
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        if message.author == self.user.id {
            return Err(Error::WrongAuthor);
        }
        let mut env = Env::new(&mut self.user, context);
        group.receive(&message.author, message.bytes, &mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        self.leave_if_removed();
        Ok(received)
    }

    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let prekeys = self.user.prekeys.clone();
        // Before a welcome is refused for its content, it may have opened and so used up a prekey.
        self.try_to_join(message, context).inspect_err(|_| self.user.prekeys = prekeys)
    }

    fn try_to_join(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Stage::Outside(lobbies) = &mut self.stage else { return Err(Error::Internal) };
        let mut env = Env::new(&mut self.user, context);
        let joined = match Kind::of(message.bytes)? {
            Kind::Founders => {
                let founders = Founders::decode(message.bytes)?;
                if founders.group_id(&message.author) != message.group {
                    return Err(Error::WrongGroup);
                }
                if !founders.others.contains(&env.user.id) {
                    return Ok(Received::default());
                }
                // A founders message that names me takes precedence over a group that nobody has invited me to.
                if !lobbies.contains_key(&message.group) && lobbies.len() >= MAX_LOBBIES {
                    let uninvited = lobbies.iter().find(|(_, lobby)| lobby.founders.is_none()).map(|(id, _)| *id);
                    lobbies.remove(&uninvited.ok_or(Error::QueueFull)?);
                }
                let lobby = lobby(lobbies, &message.group)?;
                lobby.founders = Some((message.author, message.bytes.to_vec()));
                // Several messages may claim to be the creator's. Some may be forged, and one may be genuine.
                let waiting: Vec<Vec<u8>> = lobby.parked.of(&message.author).map(<[u8]>::to_vec).collect();
                let mut create = waiting.iter().filter(|bytes| Kind::of(bytes) == Ok(Kind::Create));
                create.find_map(|bytes| join_founded(message.group, lobby, bytes, &mut env).ok())
            }
            Kind::Create => {
                let lobby = lobby(lobbies, &message.group)?;
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
                lobby(lobbies, &message.group)?.parked.park(&message.author, message.bytes)?;
            }
            return Ok(Received::default());
        };
        group.parked = lobbies.remove(&message.group).unwrap_or_default().parked;
        group.follow_up(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        self.stage = Stage::Inside(Box::new(group));
        self.leave_if_removed();
        Ok(received)
    }

    fn leave_if_removed(&mut self) {
        if let Stage::Inside(group) = &self.stage
            && !group.roster.is_inside()
        {
            self.stage = Stage::Removed(group.id);
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION, self.user.protocol as u8];
        out.extend_from_slice(self.user.identity.to_secret().expose());
        self.user.prekeys.encode(&mut out);
        match &self.stage {
            Stage::Outside(lobbies) => {
                out.push(0);
                put_len(&mut out, lobbies.len());
                for (id, Lobby { founders, parked }) in lobbies {
                    out.extend_from_slice(&id.0);
                    out.push(founders.is_some().into());
                    if let Some((creator, bytes)) = founders {
                        out.extend_from_slice(&creator.0);
                        put_prefixed(&mut out, bytes);
                    }
                    parked.encode(&mut out);
                }
            }
            Stage::Inside(group) => {
                out.push(1);
                group.encode(&mut out);
            }
            Stage::Removed(id) => {
                out.push(2);
                out.extend_from_slice(&id.0);
            }
        }
        out
    }

    fn decode(protocol: Protocol, state: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        if reader.array()? != [VERSION, protocol as u8] {
            return Err(Error::Malformed);
        }
        let identity = SigningKey::from_secret(&Secret::new(reader.array()?));
        let id = MemberId(*identity.verification_key().as_bytes());
        let user = User { id, protocol, identity, prekeys: PrekeySecrets::decode(&mut reader)? };
        let stage = match reader.byte()? {
            0 => {
                let mut lobbies = BTreeMap::new();
                for _ in 0..reader.count(GROUP_ID_LEN)? {
                    let id = GroupId(reader.array()?);
                    let founders = match reader.flag()? {
                        true => Some((MemberId(reader.array()?), reader.prefixed()?.to_vec())),
                        false => None,
                    };
                    lobbies.insert(id, Lobby { founders, parked: Parked::decode(&mut reader)? });
                }
                Stage::Outside(lobbies)
            }
            1 => {
                let group = Group::decode(&mut reader)?;
                if group.roster.id(group.me()) != id {
                    return Err(Error::Malformed);
                }
                Stage::Inside(Box::new(group))
            }
            2 => Stage::Removed(GroupId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        reader.finish()?;
        Ok(Self { user, stage })
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

/// The lobby of a group. Empty lobbies of other groups are dropped.
///
/// [`Error::QueueFull`] if there are [`MAX_LOBBIES`] others.
fn lobby<'a>(lobbies: &'a mut BTreeMap<GroupId, Lobby>, group: &GroupId) -> Result<&'a mut Lobby, Error> {
    lobbies.retain(|id, lobby| id == group || lobby.founders.is_some() || lobby.parked.len() > 0);
    if !lobbies.contains_key(group) && lobbies.len() >= MAX_LOBBIES {
        return Err(Error::QueueFull);
    }
    Ok(lobbies.entry(*group).or_default())
}

impl Member for Party {
    fn id(&self) -> MemberId {
        self.user.id
    }

    fn group(&self) -> Option<GroupId> {
        match &self.stage {
            Stage::Outside(_) => None,
            Stage::Inside(group) => Some(group.id),
            Stage::Removed(id) => Some(*id),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        let Stage::Inside(group) = &self.stage else { return Vec::new() };
        group.roster.membership.in_order_of_ids(group.roster.view()).map(|user| user.id).collect()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.found(others, false, context)
    }

    fn create_mesh(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if !self.user.protocol.defers_channels() {
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
        if !self.user.protocol.updates() {
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
        match &self.stage {
            Stage::Outside(_) => self.receive_outside(message, context),
            Stage::Inside(_) => self.receive_inside(message, context),
            Stage::Removed(_) => Ok(Received::default()),
        }
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; DIGEST_LEN])>> {
        let Stage::Inside(group) = &self.stage else { return self.user.protocol.is_eager().then(Vec::new) };
        self.user.protocol.is_eager().then(|| group.fingerprints())
    }

    fn export(&self) -> Vec<u8> {
        self.encode()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
