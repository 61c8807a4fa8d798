//! A user as a member of a group.

use openmls::prelude::{
    KeyPackage, KeyPackageIn, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _, OpenMlsRand as _, ProtocolMessage,
    ProtocolVersion, tls_codec,
};
use protocol::crypto::count::Counted;
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, COMMIT, Capabilities, Context, Description, Event, Fingerprints, Incoming, Member, NewUser, Ordering,
    Outgoing, Received, Recipients,
};
use protocol::operation::{Expected, Operation};
use protocol::wire::codec::{Reader, put_prefixed};
use rand_core::CryptoRng;
use tls_codec::{DeserializeBytes as _, Serialize as _};

use crate::costs;
use crate::group::{self, CIPHERSUITE, Group, Outcome};
use crate::provider::Provider;
use crate::signer::Signer;

/// The most one-time key packages of a user. It joins one group, so that only several adds at the same time need another one.
/// Each holds two keys and two signatures, which takes a while.
const MAX_ONE_TIME: usize = 4;

/// MLS, with a tree in one of two conditions.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMls {
    /// Only those that have had a reason to update have done so. The tree of a new group is blank but for its creator's path.
    Fresh,
    /// Everybody updates with its first message. After a conversation, no node of the tree is blank.
    Full,
}

impl OpenMls {
    fn user(self, id: MemberId, stolen: bool, stage: Stage) -> User {
        User { id, full: self == Self::Full, stolen, stage }
    }
}

impl Backend for OpenMls {
    fn description(&self) -> Description {
        Description {
            name: "openmls",
            variant: match self {
                Self::Fresh => "fresh",
                Self::Full => "full",
            },
            summary: match self {
                Self::Fresh => "MLS (RFC 9420) as OpenMLS implements it, on the tree of a new group",
                Self::Full => "MLS (RFC 9420) as OpenMLS implements it, on a tree in which everybody has updated",
            },
            capabilities: Capabilities {
                concurrent_operations: true,
                pcs_update: true,
                forward_secrecy: true,
                signed: "every message, key package and leaf of the tree",
                ordering: Ordering::Total,
                deterministic: false,
                public_randomness: &[],
                threads: false,
                counted: Counted::PublicKey,
            },
            growth: match self {
                Self::Fresh => &["update sender bytes linear", "update sender public-key linear"],
                Self::Full => &["update sender bytes logarithmic", "update sender public-key logarithmic"],
            },
            adapts: Some("openmls 0.9.2"),
            caveats: &[
                "it needs one order of all commits: the harness's sequencer gives it, at no cost; of concurrent commits one \
                 takes effect, and the authors of the others try again",
                "ciphersuite 1 (X25519, AES-128-GCM, SHA-256, Ed25519) with the implementation's RustCrypto provider, whose \
                 primitives are not those of the other protocols",
                "commits are private messages, the implementation's default; the ratchet tree is in the welcome; no padding",
                "an add and a removal also renew the author's path",
                "every call writes its changes to the implementation's storage in memory, as JSON: that is part of the times",
                "it keeps the keys of unread messages for three past epochs, as mls-rs does; its default is none, and with each \
                 message it writes the keys of all of them, which takes several times as long on a full tree",
                "its parallel iterators run on the calling thread alone",
                "an author merges its own commit when it comes back, without verifying it",
                "its state holds times of the clock, so the same randomness would give other exports; it draws its own",
                "key packages never expire, and a user drops the others when it joins",
                "this adapter knows its own last 64 messages again by their hashes, and refuses a message of an author that has \
                 spoken in a later epoch",
            ],
        }
    }

    fn new_user(&self, one_time_prekeys: usize, _rng: &mut dyn CryptoRng) -> NewUser {
        // The implementation draws its own randomness, which does not fail.
        match Secrets::generate(one_time_prekeys.min(MAX_ONE_TIME)) {
            Ok((secrets, (bundle, one_time))) => {
                let id = secrets.signer.id;
                let member = Box::new(self.user(id, false, Stage::Outside(Box::new(secrets))));
                NewUser { id, member, bundle, one_time }
            }
            Err(_) => {
                let id = MemberId([0; 32]);
                let member = Box::new(self.user(id, false, Stage::Removed(GroupId([0; 32]))));
                NewUser { id, member, bundle: Vec::new(), one_time: Vec::new() }
            }
        }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let user = decode(state).map(|(id, stage)| self.user(id, false, stage));
        user.map(|user| Box::new(user) as Box<dyn Member>).map_err(|_| Error::BadExport)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let user = decode(state).map(|(id, stage)| self.user(id, true, stage));
        user.map(|user| Box::new(user) as Box<dyn Member>).map_err(|_| Error::BadExport)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        costs::expected(operation, group_size, *self == Self::Full)
    }
}

/// A user's key packages: the last-resort one, and the others.
type Published = (Vec<u8>, Vec<Vec<u8>>);

/// What a user has before it is in a group.
struct Secrets {
    signer: Signer,
    /// The private keys of its key packages.
    key_packages: Provider,
}

impl Secrets {
    fn generate(one_time: usize) -> Result<(Self, Published), Error> {
        let secrets = Self { signer: Signer::generate()?, key_packages: Provider::default() };
        let bundle = secrets.key_package(true)?;
        let one_time = (0..one_time).map(|_| secrets.key_package(false)).collect::<Result<_, _>>()?;
        Ok((secrets, (bundle, one_time)))
    }

    fn key_package(&self, last_resort: bool) -> Result<Vec<u8>, Error> {
        let builder = KeyPackage::builder().key_package_lifetime(group::always());
        let builder = if last_resort { builder.mark_as_last_resort() } else { builder };
        let made = builder.build(CIPHERSUITE, &self.key_packages, &self.signer, self.signer.credential());
        made.map_err(|_| Error::Internal)?.key_package().tls_serialize_detached().map_err(|_| Error::Internal)
    }

    fn duplicate(&self) -> Self {
        Self { signer: self.signer.clone(), key_packages: Provider::of(self.key_packages.entries()) }
    }
}

/// A user's key package, if the directory has a valid one.
fn key_package_of(user: &MemberId, directory: &dyn Directory, provider: &Provider) -> Option<KeyPackage> {
    let bytes = directory.one_time(user).or_else(|| directory.bundle(user))?;
    let package = KeyPackageIn::tls_deserialize_exact_bytes(&bytes).ok()?;
    let package = package.validate(provider.crypto(), ProtocolVersion::Mls10).ok()?;
    (group::owner_of(package.leaf_node()) == Some(*user) && package.ciphersuite() == CIPHERSUITE).then_some(package)
}

struct User {
    id: MemberId,
    /// Whether it updates with its first message.
    full: bool,
    /// In the hands of a thief.
    stolen: bool,
    stage: Stage,
}

enum Stage {
    Outside(Box<Secrets>),
    Inside(Box<Group>),
    /// A removed member has no secrets.
    Removed(GroupId),
}

fn to_all(kind: &'static str, bytes: Vec<u8>) -> Outgoing {
    Outgoing { to: Recipients::Everyone, kind, bytes }
}

impl User {
    fn inside(&mut self) -> Result<&mut Group, Error> {
        match &mut self.stage {
            Stage::Inside(_) if self.stolen => Err(Error::Unsupported),
            Stage::Inside(group) => Ok(group),
            _ => Err(Error::NotInGroup),
        }
    }

    /// Receives a message before there is a group: only a welcome has an effect.
    fn receive_outside(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let Stage::Outside(secrets) = &self.stage else { return Err(Error::Internal) };
        if message.author == self.id && !self.stolen {
            return Err(Error::WrongAuthor);
        }
        let parsed = MlsMessageIn::tls_deserialize_exact_bytes(message.bytes).map_err(|_| Error::Malformed)?;
        let welcome = match parsed.extract() {
            MlsMessageBodyIn::Welcome(welcome) => welcome,
            MlsMessageBodyIn::PublicMessage(other) => return ignored(message, &other.into()),
            MlsMessageBodyIn::PrivateMessage(other) => return ignored(message, &other.into()),
            _ => return Err(Error::Malformed),
        };
        let packages = secrets.key_packages.entries();
        let (inviter, group) = Group::join(message, welcome, packages, &secrets.signer, context.confirm_inviter)?;
        self.stage = Stage::Inside(Box::new(group));
        Ok(Received { outgoing: Vec::new(), events: vec![Event::Joined { inviter }] })
    }
}

/// A message to the members of a group, at a user who is not one of them: perhaps the commit that adds it.
fn ignored(message: &Incoming<'_>, parsed: &ProtocolMessage) -> Result<Received, Error> {
    let same = *parsed.group_id().as_slice() == message.group.0;
    if same { Ok(Received::default()) } else { Err(Error::WrongGroup) }
}

fn decode(state: &[u8]) -> Result<(MemberId, Stage), Error> {
    let (state, digest) = state.split_last_chunk().ok_or(Error::Malformed)?;
    if group::digest(state) != *digest {
        return Err(Error::Malformed);
    }
    let mut reader = Reader::new(state);
    let id = MemberId(reader.array()?);
    let stage = match reader.byte()? {
        0 => {
            let signer = Signer::decode(reader.prefixed()?)?;
            Stage::Outside(Box::new(Secrets { signer, key_packages: Provider::decode(&mut reader)? }))
        }
        1 => Stage::Inside(Box::new(Group::decode(&mut reader)?)),
        2 => Stage::Removed(GroupId(reader.array()?)),
        _ => return Err(Error::Malformed),
    };
    reader.finish()?;
    Ok((id, stage))
}

impl Member for User {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        match &self.stage {
            Stage::Outside(_) => None,
            Stage::Inside(group) => Some(group.id),
            Stage::Removed(group) => Some(*group),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        match &self.stage {
            Stage::Inside(group) => group.members(),
            _ => Vec::new(),
        }
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Stage::Outside(secrets) = &self.stage else { return Err(Error::AlreadyInGroup) };
        if self.stolen {
            return Err(Error::Unsupported);
        }
        if others.is_empty() {
            return Err(Error::GroupSize);
        }
        let mut named = std::collections::BTreeSet::from([self.id]);
        if !others.iter().all(|user| named.insert(*user)) {
            return Err(Error::AlreadyAMember);
        }
        let package = |user| key_package_of(user, context.directory, &secrets.key_packages);
        let packages: Option<Vec<_>> = others.iter().map(package).collect();
        let packages = packages.ok_or(Error::NoBundle)?;
        let id = GroupId(secrets.key_packages.rand().random_array().map_err(|_| Error::Internal)?);
        let mut group = Group::new(id, secrets.signer.clone())?;
        let welcome = group.found(packages)?;
        self.stage = Stage::Inside(Box::new(group));
        Ok(vec![to_all("welcome", welcome)])
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let group = self.inside()?;
        if group.has(user) {
            return Err(Error::AlreadyAMember);
        }
        let package = key_package_of(user, context.directory, &group.provider).ok_or(Error::NoBundle)?;
        let (commit, welcome) = group.add(vec![package])?;
        let welcome = Outgoing { to: Recipients::One(*user), kind: "welcome", bytes: welcome };
        Ok(vec![to_all(COMMIT, commit), welcome])
    }

    fn remove(&mut self, user: &MemberId, _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let me = self.id;
        let group = self.inside()?;
        if *user == me {
            return Err(Error::RemovesItself);
        }
        Ok(vec![to_all(COMMIT, group.remove(user)?)])
    }

    fn update(&mut self, _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        Ok(vec![to_all(COMMIT, self.inside()?.update()?)])
    }

    fn send(&mut self, plaintext: &[u8], _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let full = self.full;
        let group = self.inside()?;
        // The message comes first: after the commit, it would be one of a past epoch.
        let mut outgoing = vec![to_all("message", group.write(plaintext)?)];
        if full && !group.has_updated {
            outgoing.push(to_all(COMMIT, group.update()?));
        }
        Ok(outgoing)
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let outcome = match &mut self.stage {
            Stage::Outside(_) => return self.receive_outside(message, context),
            Stage::Inside(group) => group.receive(message, self.stolen)?,
            Stage::Removed(group) if *group != message.group => return Err(Error::WrongGroup),
            Stage::Removed(_) => return Ok(Received::default()),
        };
        let events = match outcome {
            Outcome::Events(events) => events,
            Outcome::Removed(event) => {
                self.stage = Stage::Removed(message.group);
                vec![event]
            }
        };
        Ok(Received { outgoing: Vec::new(), events })
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        match &self.stage {
            Stage::Inside(group) => Some(group.fingerprints()),
            _ => Some(Vec::new()),
        }
    }

    fn export(&self) -> Vec<u8> {
        let mut out = self.id.0.to_vec();
        match &self.stage {
            Stage::Outside(secrets) => {
                out.push(0);
                put_prefixed(&mut out, secrets.signer.encoded());
                secrets.key_packages.encode(&mut out);
            }
            Stage::Inside(group) => {
                out.push(1);
                group.encode(&mut out);
            }
            Stage::Removed(group) => out.extend([&[2][..], &group.0].concat()),
        }
        // The implementation trusts its storage.
        out.extend(group::digest(&out));
        out
    }

    fn duplicate(&self) -> Box<dyn Member> {
        let stage = match &self.stage {
            Stage::Outside(secrets) => Stage::Outside(Box::new(secrets.duplicate())),
            // It is in the storage: without it, the copy would be in no group.
            Stage::Inside(group) => match group.duplicate() {
                Some(copy) => Stage::Inside(Box::new(copy)),
                None => Stage::Removed(group.id),
            },
            Stage::Removed(group) => Stage::Removed(*group),
        };
        Box::new(User { stage, ..*self })
    }
}
