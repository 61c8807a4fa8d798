//! DSGM: the layers together, as a member of the project's contract (paper, section 4).

use std::collections::BTreeMap;

use protocol::causal_order::{Receipt, CausalOrder};
use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Event, Incoming, Member, NewUser, Ordering, Outgoing, Received,
};
use protocol::operation::{Expected, Operation};
use protocol::wire::envelope::{self, Envelope};
use protocol::x3dh::PrekeySecrets;
use rand_core::CryptoRng;

use crate::agreement::state::{Continue, Env, Group, MAX_MEMBERS, User};
use crate::agreement::welcome::{Invitation, MAX_INVITATIONS};
use crate::costs;
use crate::messages::{ADD, CREATE, Create, WELCOME};
use crate::rules::Rules;

/// Groups of which messages may wait before an invitation comes.
const MAX_LOBBIES: usize = 8;

/// The backend `dcgka` in one of its variants.
#[derive(Clone, Copy, Debug)]
pub struct Dcgka {
    rules: Rules,
}

impl Dcgka {
    /// The protocol with all corrections of `DEVIATIONS.md`: the one to use.
    pub const CORRECTED: Self = Self { rules: Rules::Corrected };
    /// Without those corrections that `DEVIATIONS.md` marks: insecure, and only there to measure what they cost.
    pub const PUBLISHED: Self = Self { rules: Rules::Published };
}

impl Backend for Dcgka {
    fn description(&self) -> Description {
        let (variant, summary) = match self.rules {
            Rules::Corrected => {
                ("", "decentralized continuous group key agreement (Weidner et al., CCS 2021), with corrections")
            }
            Rules::Published => {
                ("published", "dcgka without some of its corrections: insecure, only to measure what they cost")
            }
        };
        Description {
            name: "dcgka",
            variant,
            summary,
            capabilities: Capabilities {
                concurrent_operations: true,
                pcs_update: true,
                forward_secrecy: true,
                signed: "every message",
                ordering: Ordering::Causal,
                deterministic: true,
            },
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let identity = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time_prekeys, rng);
        let id = MemberId(*identity.verification_key().as_bytes());
        let user = User { id, identity, prekeys, rules: self.rules };
        let member = Box::new(Dsgm { user, stage: Stage::Outside(BTreeMap::new()) });
        NewUser { id, member, bundle: publication.bundle, one_time: publication.one_time }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(Dsgm::decode(state, self.rules).map_err(|_| Error::BadExport)?))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        // The author of an operation minds the limit, so beyond it there is none.
        let members = group_size + usize::from(operation == Operation::Add);
        (members <= MAX_MEMBERS).then(|| costs::expected(self.rules, operation, group_size)).flatten()
    }
}

/// A user in one group.
#[derive(Clone)]
pub(crate) struct Dsgm {
    pub(crate) user: User,
    pub(crate) stage: Stage,
}

#[derive(Clone)]
pub(crate) enum Stage {
    /// In no group yet. Messages wait for an invitation, by group.
    Outside(BTreeMap<GroupId, Lobby>),
    /// In a group.
    Inside(Box<Group>),
    /// Removed: nothing is left of the group but its name.
    Removed(GroupId),
}

/// What has arrived of a group before its welcome was complete.
#[derive(Clone, Default)]
pub(crate) struct Lobby {
    pub(crate) waiting: CausalOrder,
    pub(crate) invitations: Vec<Invitation>,
}

impl Dsgm {
    fn inside(&mut self) -> Result<(&mut User, &mut Group), Error> {
        match &mut self.stage {
            Stage::Inside(group) => group.check_numbers().map(|()| (&mut self.user, &mut **group)),
            _ => Err(Error::NotInGroup),
        }
    }

    /// An operation of this member's own.
    fn operate(
        &mut self,
        context: &mut Context<'_>,
        operation: impl FnOnce(&mut Group, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        let (user, group) = self.inside()?;
        let mut env = Env::new(user, context);
        operation(group, &mut env)?;
        Ok(env.outgoing)
    }

    fn receive_inside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let (user, group) = self.inside()?;
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        if message.author == user.id {
            return Err(Error::WrongAuthor);
        }
        let mut env = Env::new(user, context);
        if envelope::kind(message.bytes) == Some(WELCOME) {
            let envelope = Envelope::decode(message.bytes)?;
            confirm(&message.author, env.context)?;
            // By somebody who did not know that I am a member. Its add tells me all that I need.
            Invitation::decode(&message.group, message.author, &envelope)?;
        } else if group.has_no_room_for(message) {
            return Err(Error::QueueFull);
        } else if group.order.receive(&message.author, &message.group, message.bytes)? == Receipt::Equivocation {
            env.events.push(Event::Equivocation { by: message.author });
        }
        let stays = group.process_ready(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        if stays == Continue::Removed {
            self.stage = Stage::Removed(message.group);
        }
        Ok(received)
    }

    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Stage::Outside(lobbies) = &mut self.stage else { return Err(Error::Internal) };
        let envelope = Envelope::decode(message.bytes)?;
        let lobby = lobbies.get(&message.group);
        let mut env = Env::new(&mut self.user, context);
        let joined = match envelope.kind {
            // By its group and number it is the group's first message; all others under this kind are for those inside to
            // refuse, and to be delivered once I am one of them.
            CREATE if Group::is_created_by(&message.group, &message.author, &envelope) => {
                let create = Create::decode(envelope.body, env.user.rules)?;
                if !create.others.contains(&env.user.id) {
                    wait(lobbies, message)?;
                    return Ok(Received::default());
                }
                confirm(&message.author, env.context)?;
                let mut group = Group::invited(message.group, message.author, &create, env.user)?;
                group.order.receive(&message.author, &message.group, message.bytes)?;
                Some(group)
            }
            WELCOME => {
                confirm(&message.author, env.context)?;
                let invitation = Invitation::decode(&message.group, message.author, &envelope)?;
                let joined = {
                    let waiting = lobby.into_iter().flat_map(|lobby| lobby.waiting.unverified(&message.author));
                    let me = env.user.id;
                    let mut adds = waiting.filter_map(|bytes| invitation.is_for(&message.group, &me, bytes)).peekable();
                    match adds.peek() {
                        Some(_) => Group::join(message.group, &invitation, adds, &mut env)?,
                        None => None,
                    }
                };
                if joined.is_none() {
                    keep_invitation(lobbies, message.group, invitation)?;
                }
                joined
            }
            ADD => {
                let invitations = lobby.into_iter().flat_map(|lobby| &lobby.invitations);
                let me = env.user.id;
                let mut from_author = invitations.filter(|invitation| invitation.inviter == message.author);
                let found = from_author.find_map(|invitation| {
                    invitation.is_for(&message.group, &me, message.bytes).map(|add| (invitation, add))
                });
                let joined = found.and_then(|(invitation, add)| {
                    Group::join(message.group, invitation, std::iter::once(add), &mut env).ok().flatten()
                });
                // An add whose welcome is no good is one like any other: somebody else may invite me to the group.
                if joined.is_none() {
                    wait(lobbies, message)?;
                }
                joined
            }
            _ => {
                wait(lobbies, message)?;
                None
            }
        };
        let Some(mut group) = joined else { return Ok(Received::default()) };
        let lobby = lobbies.remove(&message.group).unwrap_or_default();
        for (author, bytes) in lobby.waiting.into_unverified() {
            // Forged ones among them are dropped here.
            let _ = group.order.receive(&author, &message.group, &bytes);
        }
        let stays = group.process_ready(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        self.stage = match stays {
            Continue::Member => Stage::Inside(Box::new(group)),
            Continue::Removed => Stage::Removed(message.group),
        };
        Ok(received)
    }
}

fn confirm(inviter: &MemberId, context: &Context<'_>) -> Result<(), Error> {
    if (context.confirm_inviter)(inviter) { Ok(()) } else { Err(Error::InviterNotConfirmed) }
}

fn keep_invitation(
    lobbies: &mut BTreeMap<GroupId, Lobby>,
    group: GroupId,
    invitation: Invitation,
) -> Result<(), Error> {
    if !lobbies.contains_key(&group) && lobbies.len() >= MAX_LOBBIES {
        // An invitation is worth more than messages of a group that nobody has invited us to.
        let uninvited = lobbies.iter().find(|(_, lobby)| lobby.invitations.is_empty()).map(|(id, _)| *id);
        lobbies.remove(&uninvited.ok_or(Error::QueueFull)?);
    }
    let lobby = lobbies.entry(group).or_default();
    let known = |other: &Invitation| (other.inviter, other.number) == (invitation.inviter, invitation.number);
    if lobby.invitations.iter().any(known) {
        return Ok(());
    }
    if lobby.invitations.len() >= MAX_INVITATIONS {
        return Err(Error::QueueFull);
    }
    lobby.invitations.push(invitation);
    Ok(())
}

fn wait(lobbies: &mut BTreeMap<GroupId, Lobby>, message: &Incoming<'_>) -> Result<(), Error> {
    if !lobbies.contains_key(&message.group) && lobbies.len() >= MAX_LOBBIES {
        return Err(Error::QueueFull);
    }
    let mut lobby = lobbies.remove(&message.group).unwrap_or_default();
    let arrival = lobby.waiting.receive(&message.author, &message.group, message.bytes);
    if arrival.is_ok() || !lobby.waiting.is_idle() || !lobby.invitations.is_empty() {
        lobbies.insert(message.group, lobby);
    }
    arrival.map(drop)
}

impl Member for Dsgm {
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
        match &self.stage {
            Stage::Inside(group) => group.membership.in_order_of_ids(group.view()).map(|(id, _)| id).collect(),
            _ => Vec::new(),
        }
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        if !matches!(self.stage, Stage::Outside(_)) {
            return Err(Error::AlreadyInGroup);
        }
        let mut env = Env::new(&mut self.user, context);
        let group = Group::create(others, &mut env)?;
        let outgoing = env.outgoing;
        self.stage = Stage::Inside(Box::new(group));
        Ok(outgoing)
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.operate(context, |group, env| group.add(user, env))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.operate(context, |group, env| group.remove(user, env))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.operate(context, |group, env| group.update(env))
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.operate(context, |group, env| group.send(plaintext, env))
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        match &self.stage {
            Stage::Outside(_) => self.receive_outside(message, context),
            Stage::Inside(_) => self.receive_inside(message, context),
            Stage::Removed(_) => Ok(Received::default()),
        }
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; DIGEST_LEN])>> {
        let Stage::Inside(group) = &self.stage else { return Some(Vec::new()) };
        // Of the chain, from which the message keys come: a ratchet that moves on would hide a chain that does not.
        let fingerprint = |(id, member): (MemberId, protocol::membership::MemberIndex)| {
            let chain = group.senders.get(member.to_usize())?.chain.as_ref()?;
            let hash = Extracted::new(&[0; DIGEST_LEN], chain.as_secret().expose()).expand(label::FINGERPRINT, &[]);
            Some((id, *hash.expose()))
        };
        Some(group.membership.in_order_of_ids(group.view()).filter_map(fingerprint).collect())
    }

    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        let Stage::Inside(group) = &self.stage else { return Some(Vec::new()) };
        let everybody = group.membership.everybody().map(|member| group.membership.id(member));
        let mut delivered: Vec<_> =
            everybody.filter_map(|id| group.order.frontier(&id).map(|(number, _)| (id, number))).collect();
        delivered.sort_unstable();
        Some(delivered)
    }

    fn export(&self) -> Vec<u8> {
        self.encode()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}
