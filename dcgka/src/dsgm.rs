//! DSGM: the layers together, behind the traits of [`protocol::member`] (paper, section 4).

use protocol::causal_order::Receipt;
use protocol::crypto::hash::DIGEST_LEN;
use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Event, Incoming, Member, NewUser, Ordering, Outgoing, Received,
};
use protocol::membership::KnownUser;
use protocol::operation::{Expected, Operation};
use protocol::wire::codec::Reader;
use protocol::wire::envelope::{self, Envelope};
use protocol::x3dh::PrekeySecrets;
use rand_core::CryptoRng;

use crate::agreement::state::{Continue, Env, Group, User};
use crate::agreement::welcome::Invitation;
use crate::costs;
use crate::limits::MAX_MEMBERS;
use crate::lobby::Lobbies;
use crate::messages::WELCOME;
use crate::rules::Rules;

/// The version of an export, in its first byte. The same byte says the variant, so that no member continues under other
/// rules.
const VERSION: u8 = 1;
const PUBLISHED: u8 = 0x80;
const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const REMOVED: u8 = 2;

/// The backend `dcgka` in one of its variants.
#[derive(Clone, Copy, Debug)]
pub struct Dcgka {
    rules: Rules,
}

impl Dcgka {
    /// The protocol with all corrections of `DEVIATIONS.md`: the one to use.
    pub const CORRECTED: Self = Self { rules: Rules::Corrected };
    /// The protocol without the corrections that `DEVIATIONS.md` marks: insecure, only to measure what they cost.
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
                threads: false,
            },
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let identity = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time_prekeys, rng);
        let id = MemberId(*identity.verification_key().as_bytes());
        let user = User { id, identity, prekeys, rules: self.rules };
        let member = Box::new(Dsgm { user, stage: Stage::Outside(Lobbies::default()) });
        NewUser { id, member, bundle: publication.bundle, one_time: publication.one_time }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(Dsgm::decode(state, self.rules).map_err(|_| Error::BadExport)?))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        // The author of a create or add enforces the limit, so there is no larger group.
        let members = group_size + usize::from(operation == Operation::Add);
        (members <= MAX_MEMBERS).then(|| costs::expected(self.rules, operation, group_size)).flatten()
    }
}

/// A user, and the one group that it can be in.
#[derive(Clone)]
pub(crate) struct Dsgm {
    pub(crate) user: User,
    pub(crate) stage: Stage,
}

#[derive(Clone)]
pub(crate) enum Stage {
    /// In no group yet. Messages wait for an invitation.
    Outside(Lobbies),
    /// In a group.
    Inside(Box<Group>),
    /// Removed: only the group's id is left.
    Removed(GroupId),
}

impl Dsgm {
    fn inside(&mut self) -> Result<(&mut User, &mut Group), Error> {
        match &mut self.stage {
            Stage::Inside(group) => group.check_numbers().map(|()| (&mut self.user, &mut **group)),
            _ => Err(Error::NotInGroup),
        }
    }

    /// Lets the user act in its group. Returns what it sends.
    fn act(
        &mut self,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Group, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        let (user, group) = self.inside()?;
        let mut env = Env::new(user, context);
        action(group, &mut env)?;
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
            env.confirm(&message.author)?;
            // Its author did not know that I am a member. The add gives me everything that I need.
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
        let mut env = Env::new(&mut self.user, context);
        let Some(mut group) = lobbies.receive(message, &mut env)? else { return Ok(Received::default()) };
        let stays = group.process_ready(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        self.stage = match stays {
            Continue::Member => Stage::Inside(Box::new(group)),
            Continue::Removed => Stage::Removed(message.group),
        };
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![form(self.user.rules)];
        out.extend_from_slice(self.user.identity.to_secret().expose());
        self.user.prekeys.encode(&mut out);
        match &self.stage {
            Stage::Outside(lobbies) => {
                out.push(OUTSIDE);
                lobbies.encode(&mut out);
            }
            Stage::Inside(group) => {
                out.push(INSIDE);
                group.encode(&mut out);
            }
            Stage::Removed(id) => {
                out.push(REMOVED);
                out.extend_from_slice(&id.0);
            }
        }
        out
    }

    pub(crate) fn decode(state: &[u8], rules: Rules) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        if reader.byte()? != form(rules) {
            return Err(Error::Malformed);
        }
        let identity = SigningKey::from_secret(&Secret::new(reader.array()?));
        let id = MemberId(*identity.verification_key().as_bytes());
        let user = User { id, identity, prekeys: PrekeySecrets::decode(&mut reader)?, rules };
        let stage = match reader.byte()? {
            OUTSIDE => Stage::Outside(Lobbies::decode(&mut reader)?),
            INSIDE => Stage::Inside(Box::new(Group::decode(&user, &mut reader)?)),
            REMOVED => Stage::Removed(GroupId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        reader.finish()?;
        Ok(Self { user, stage })
    }
}

fn form(rules: Rules) -> u8 {
    match rules {
        Rules::Corrected => VERSION,
        Rules::Published => VERSION | PUBLISHED,
    }
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
            Stage::Inside(group) => group.membership.in_order_of_ids(group.view()).map(|user| user.id).collect(),
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
        self.act(context, |group, env| group.add(user, env))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.remove(user, env))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.update(env))
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.act(context, |group, env| group.send(plaintext, env))
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
        // A hash of the chain, from which the message keys come. A hash of the ratchet would hide a chain that does not
        // advance.
        let fingerprint = |user: KnownUser| {
            let chain = group.senders.get(user.index.to_usize())?.chain.as_ref()?;
            let hash = Extracted::new(&[0; DIGEST_LEN], chain.as_secret().expose()).expand(label::FINGERPRINT, &[]);
            Some((user.id, *hash.expose()))
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
