//! DSGM: the layers together, behind the traits of [`protocol::member`] (paper, section 4).

use protocol::causal_order::{Checked, MAX_TOGETHER, Receipt};
use protocol::crypto::count::Counted;
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
use protocol::wire::envelope::Envelope;
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
const VERSION: u8 = 4;
const PUBLISHED: u8 = 0x80;
const LEAN_CHANNELS: u8 = 0x40;
const TAGGED_ACKS: u8 = 0x20;
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
    /// The protocol with lean channels instead of 2SM: fewer bytes and less time for almost the same secrecy (`DEVIATIONS.md`).
    pub const LEAN_CHANNELS: Self = Self { rules: Rules::LeanChannels };
    /// The protocol with tags instead of signatures of plain acknowledgements (`DEVIATIONS.md`).
    pub const TAGGED_ACKS: Self = Self { rules: Rules::TaggedAcks };
    /// Both: the leanest form.
    pub const LEAN: Self = Self { rules: Rules::Lean };
}

/// How costs grow with the group: each recipient of an update verifies an acknowledgement by each other.
const GROWTH: &[&str] = &[
    "create sender bytes linear",
    "add sender bytes linear",
    "remove sender bytes linear",
    "update sender bytes linear",
    "update recipient bytes constant",
    "update sender public-key linear",
    "update recipient public-key linear",
    "update group public-key quadratic",
    "message sender bytes constant",
];
/// The same where acknowledgements have tags.
const GROWTH_WITH_TAGS: &[&str] = &[
    "create sender bytes linear",
    "add sender bytes linear",
    "remove sender bytes linear",
    "update sender bytes linear",
    "update recipient bytes constant",
    "update sender public-key linear",
    "update recipient public-key constant",
    "update group public-key linear",
    "message sender bytes constant",
];

impl Backend for Dcgka {
    fn description(&self) -> Description {
        let (variant, summary) = match self.rules {
            Rules::Corrected => {
                ("", "decentralized continuous group key agreement (Weidner et al., CCS 2021), with corrections")
            }
            Rules::Published => {
                ("published", "dcgka without some of its corrections: insecure, only to measure what they cost")
            }
            Rules::LeanChannels => ("lean-channels", "dcgka whose two-party ciphertexts derive what others send along"),
            Rules::TaggedAcks => ("tagged-acks", "dcgka whose plain acknowledgements have tags instead of signatures"),
            Rules::Lean => ("lean", "dcgka with lean channels and tagged acknowledgements"),
        };
        Description {
            name: "dcgka",
            variant,
            summary,
            capabilities: Capabilities {
                concurrent_operations: true,
                pcs_update: true,
                forward_secrecy: true,
                signed: if self.rules.tags_acks() { "every message but plain acks" } else { "every message" },
                ordering: Ordering::Causal,
                deterministic: true,
                // The group's nonce.
                public_randomness: &["create"],
                threads: false,
                counted: Counted::All,
            },
            adapts: None,
            caveats: &[],
            growth: if self.rules.tags_acks() { GROWTH_WITH_TAGS } else { GROWTH },
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let identity = SigningKey::random(rng);
        let (prekeys, publication) = PrekeySecrets::generate(&identity, one_time_prekeys, rng);
        let id = MemberId(*identity.verification_key().as_bytes());
        let user = User { id, identity, prekeys, rules: self.rules, stolen: false };
        let member = Box::new(Dsgm::Active { user: Box::new(user), stage: Stage::Outside(Lobbies::default()) });
        NewUser { id, member, bundle: publication.bundle, one_time: publication.one_time }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(Dsgm::decode(state, self.rules, false).map_err(|_| Error::BadExport)?))
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(Dsgm::decode(state, self.rules, true).map_err(|_| Error::BadExport)?))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        // The author of a create or add enforces the limit, so there is no larger group.
        let members = group_size + usize::from(operation == Operation::Add);
        (members <= MAX_MEMBERS).then(|| costs::expected(self.rules, operation, group_size)).flatten()
    }
}

/// A user, and the one group that it can be in.
#[derive(Clone)]
pub(crate) enum Dsgm {
    /// In no group yet, or in one.
    Active { user: Box<User>, stage: Stage },
    /// Removed: only names are left, and no secret of the group or of the user.
    Removed { id: MemberId, rules: Rules, group: GroupId },
}

#[derive(Clone)]
pub(crate) enum Stage {
    /// In no group yet. Messages wait for an invitation.
    Outside(Lobbies),
    /// In a group.
    Inside(Box<Group>),
}

impl Dsgm {
    /// The group that the user is in.
    pub(crate) fn present(&self) -> Option<&Group> {
        match self {
            Self::Active { stage: Stage::Inside(group), .. } => Some(group),
            _ => None,
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

    /// Lets the user act in its group. Returns what it sends.
    fn act(
        &mut self,
        context: &mut Context<'_>,
        action: impl FnOnce(&mut Group, &mut Env<'_, '_>) -> Result<(), Error>,
    ) -> Result<Vec<Outgoing>, Error> {
        let (user, group) = self.inside()?;
        if group.stolen {
            return Err(Error::Unsupported);
        }
        let mut env = Env::new(user, context);
        action(group, &mut env)?;
        Ok(env.outgoing)
    }

    /// Checks the signatures of these messages together, as far as they are of members whose messages can be verified now.
    fn check_together(&self, messages: &[Incoming<'_>]) -> Vec<Option<Checked>> {
        let group = match self {
            Self::Active { stage: Stage::Inside(group), .. } if messages.len() > 1 => group,
            _ => return messages.iter().map(|_| None).collect(),
        };
        let decoded = messages.iter().map(|message| {
            let envelope = Envelope::decode(message.bytes).ok().filter(|_| message.group == group.id)?;
            Some((message.author, envelope))
        });
        let decoded: Vec<_> = decoded.collect();
        group.order.check_together(&group.id, &decoded)
    }

    fn receive_checked(
        &mut self,
        message: &Incoming<'_>,
        checked: Option<Checked>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        match self {
            Self::Active { stage: Stage::Outside(_), .. } => self.receive_outside(message, context),
            Self::Active { stage: Stage::Inside(_), .. } => self.receive_inside(message, checked, context),
            Self::Removed { .. } => Ok(Received::default()),
        }
    }

    fn receive_inside(
        &mut self,
        message: &Incoming<'_>,
        checked: Option<Checked>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (user, group) = self.inside()?;
        if message.group != group.id {
            return Err(Error::WrongGroup);
        }
        let envelope = Envelope::decode(message.bytes)?;
        // Of the user's own messages, one that the network echoes has no effect. Under a later number, it would be taken
        // for the user's next one.
        if message.author == user.id && envelope.number > group.number && !group.stolen {
            return Err(Error::WrongAuthor);
        }
        let mut env = Env::new(user, context);
        if envelope.kind == WELCOME {
            // Its author did not know that I am a member, or is me. The add gives me everything that I need, and nobody
            // joins, so there is no inviter to confirm.
            Invitation::decode(&message.group, message.author, &envelope)?;
        } else if group.has_no_room_for(&message.author, &envelope) {
            return Err(Error::QueueFull);
        } else if !group.receive_tagged(&message.author, &envelope, &mut env)?
            && group.order.receive_decoded(&message.author, &message.group, &envelope, checked)?
                == Receipt::Equivocation
        {
            env.events.push(Event::Equivocation { by: message.author });
        }
        let stays = group.process_ready(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        if stays == Continue::Removed {
            self.erase(message.group);
        }
        Ok(received)
    }

    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Self::Active { user, stage } = self else { return Err(Error::Internal) };
        let Stage::Outside(lobbies) = stage else { return Err(Error::Internal) };
        // The user has sent nothing yet. A thief may hear what it sends before what it joins by.
        if message.author == user.id && !user.stolen {
            return Err(Error::WrongAuthor);
        }
        let mut env = Env::new(user, context);
        let Some(mut group) = lobbies.receive(message, &mut env)? else { return Ok(Received::default()) };
        let stays = group.process_ready(&mut env)?;
        let received = Received { outgoing: env.outgoing, events: env.events };
        match stays {
            Continue::Member => *stage = Stage::Inside(Box::new(group)),
            Continue::Removed => self.erase(message.group),
        }
        Ok(received)
    }

    /// Erases everything at the user's removal, its identity and prekeys included: a message that has not arrived yet
    /// would still open with them.
    fn erase(&mut self, group: GroupId) {
        *self = Self::Removed { id: self.id(), rules: self.rules(), group };
    }

    pub(crate) fn rules(&self) -> Rules {
        match self {
            Self::Active { user, .. } => user.rules,
            Self::Removed { rules, .. } => *rules,
        }
    }

    fn encode(&self) -> Vec<u8> {
        let mut out = vec![form(self.rules())];
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
            Stage::Outside(lobbies) => lobbies.encode(&mut out),
            Stage::Inside(group) => group.encode(user.rules, &mut out),
        }
        out
    }

    pub(crate) fn decode(state: &[u8], rules: Rules, stolen: bool) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        if reader.byte()? != form(rules) {
            return Err(Error::Malformed);
        }
        let stage = reader.byte()?;
        let member = if stage == REMOVED {
            Self::Removed { id: MemberId(reader.array()?), rules, group: GroupId(reader.array()?) }
        } else {
            let identity = SigningKey::from_secret(&Secret::new(reader.array()?));
            let id = MemberId(*identity.verification_key().as_bytes());
            let mut prekeys = PrekeySecrets::decode(&mut reader)?;
            if stolen {
                prekeys.steal();
            }
            let user = Box::new(User { id, identity, prekeys, rules, stolen });
            let stage = match stage {
                OUTSIDE => Stage::Outside(Lobbies::decode(rules, &mut reader)?),
                INSIDE => Stage::Inside(Box::new(Group::decode(&user, &mut reader)?)),
                _ => return Err(Error::Malformed),
            };
            Self::Active { user, stage }
        };
        reader.finish()?;
        Ok(member)
    }
}

fn form(rules: Rules) -> u8 {
    match rules {
        Rules::Corrected => VERSION,
        Rules::Published => VERSION | PUBLISHED,
        Rules::LeanChannels => VERSION | LEAN_CHANNELS,
        Rules::TaggedAcks => VERSION | TAGGED_ACKS,
        Rules::Lean => VERSION | LEAN_CHANNELS | TAGGED_ACKS,
    }
}

impl Member for Dsgm {
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
        group.membership.in_order_of_ids(group.view()).map(|user| user.id).collect()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Self::Active { user, stage: stage @ Stage::Outside(_) } = self else { return Err(Error::AlreadyInGroup) };
        let mut env = Env::new(user, context);
        let group = Group::create(others, &mut env)?;
        let outgoing = env.outgoing;
        *stage = Stage::Inside(Box::new(group));
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
        self.receive_checked(message, None, context)
    }

    fn receive(&mut self, batch: &[Incoming<'_>], context: &mut Context<'_>) -> Vec<Result<Received, Error>> {
        let mut results = Vec::with_capacity(batch.len());
        for messages in batch.chunks(MAX_TOGETHER) {
            let checked = self.check_together(messages).into_iter().zip(messages);
            results.extend(checked.map(|(checked, message)| self.receive_checked(message, checked, context)));
        }
        results
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; DIGEST_LEN])>> {
        let Some(group) = self.present() else { return Some(Vec::new()) };
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
        let Some(group) = self.present() else { return Some(Vec::new()) };
        let everybody = group.membership.everybody().map(|member| group.membership.id(member));
        let mut delivered: Vec<_> =
            everybody.filter_map(|id| group.order.latest(&id).map(|number| (id, number))).collect();
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
