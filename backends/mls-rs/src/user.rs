//! A user as a member of a group.

use core::marker::PhantomData;
use std::collections::BTreeSet;

use ed25519_dalek::SigningKey;
use mls_rs::error::MlsError;
use mls_rs::{MlsMessage, ProtocolVersion, WireFormat};
use mls_rs_core::key_package::KeyPackageData;
use protocol::crypto::count::{self, Counted, Counts};
use protocol::directory::Directory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, COMMIT, Capabilities, Context, Description, Event, Fingerprints, Incoming, Member, NewUser, Ordering,
    Outgoing, Received, Recipients,
};
use protocol::operation::{Expected, Operation};
use protocol::wire::codec::{Reader, put_len, put_prefixed};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use crate::client::{Store, Stored, client, id_of, member_at, now};
use crate::costs;
use crate::group::{Change, Commit, Inside};
use crate::provider::{Provider, Randomness, Source};

/// Keys of a key package: one for the welcome and one for the leaf.
const PACKAGE_KEYS: usize = 2;

const FRESH_GROWTH: &[&str] = &["update sender bytes linear", "message sender bytes constant"];
const FULL_GROWTH: &[&str] = &["update sender bytes logarithmic", "message sender bytes constant"];

/// MLS with one provider of cryptography, and with a tree in one of two conditions.
pub(crate) struct Mls<P> {
    /// Whether everybody updates with its first message. After a conversation, no node of the tree is blank.
    full: bool,
    provider: PhantomData<P>,
}

impl<P: Provider> Mls<P> {
    pub(crate) const FRESH: Self = Self { full: false, provider: PhantomData };
    pub(crate) const FULL: Self = Self { full: true, provider: PhantomData };

    fn decode(&self, state: &[u8], stolen: bool) -> Result<Box<dyn Member>, Error> {
        let user = User::<P>::decode(state, self.full, stolen).map_err(|_| Error::BadExport)?;
        Ok(Box::new(user))
    }
}

impl<P: Provider> Backend for Mls<P> {
    fn description(&self) -> Description {
        Description {
            name: "mls-rs",
            variant: if self.full { P::FULL } else { P::FRESH },
            summary: if self.full { P::FULL_SUMMARY } else { P::FRESH_SUMMARY },
            capabilities: Capabilities {
                concurrent_operations: true,
                pcs_update: true,
                forward_secrecy: true,
                signed: "every commit, application message, key package and welcome",
                ordering: Ordering::Total,
                deterministic: true,
                public_randomness: &[],
                threads: false,
                counted: Counted::PublicKey,
            },
            adapts: Some(P::ADAPTS),
            caveats: &[
                "it needs a server that puts all commits in one order: of concurrent ones it takes one, and the others are made \
                 again",
                "commits are sent as PublicMessage, and messages are padded, as is its default",
                "every commit has a path, those that only add too: an option, and not its default",
                "an update replaces the keys of a member's path in the tree, and not its signature key",
                "the secrets of three past epochs are kept, as is its default, to read messages that commits have overtaken; \
                 until they are gone, a state from before an update can send in its owner's name",
                "until its first commit takes effect, a member keeps the key of the leaf in its key package, as MLS has it",
                "a call works on a copy of the group, because a refused message can change it: with 128 members, that is half \
                 of the time of reading a message",
                "after each commit the group is encoded without its tree, because only so does it forget old epochs",
                "each commit makes and signs a group info, also if nobody joins",
                "the feature rayon is off, so that it works on one thread",
                "the time is always the same, and key packages never expire",
            ],
            growth: if self.full { FULL_GROWTH } else { FRESH_GROWTH },
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let mut seed = Zeroizing::new([0; 32]);
        rng.fill_bytes(&mut *seed);
        count::add(Counts { sign_keygen: 1, ..Counts::NOTHING });
        let (signing, store) = (SigningKey::from_bytes(&seed), Store::default());
        let mut packages = (0..=one_time_prekeys).map(|_| publish::<P>(&signing, &store, rng).unwrap_or_default());
        let (bundle, one_time) = (packages.next().unwrap_or_default(), packages.collect());
        let id = id_of_key(&signing);
        let user = User::<P> { id, full: self.full, stolen: false, stage: Stage::Outside(signing, store) };
        NewUser { id, member: Box::new(user), bundle, one_time }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.decode(state, false)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.decode(state, true)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        costs::expected(self.full, operation, group_size)
    }
}

struct User<P: Provider> {
    id: MemberId,
    /// Whether it updates with its first message.
    full: bool,
    /// In the hands of a thief.
    stolen: bool,
    stage: Stage<P>,
}

enum Stage<P: Provider> {
    /// With the secrets of the user's key packages.
    Outside(SigningKey, Store),
    Inside(SigningKey, Box<Inside<P>>),
    /// A removed member has no secrets.
    Removed(GroupId),
}

fn to_all(kind: &'static str, bytes: Vec<u8>) -> Outgoing {
    Outgoing { to: Recipients::Everyone, kind, bytes }
}

/// A user's key package, if the directory has a valid one. That its signatures are valid, mls-rs checks.
fn package_of(user: &MemberId, directory: &dyn Directory) -> Option<MlsMessage> {
    let bytes = directory.one_time(user).or_else(|| directory.bundle(user))?;
    // No signature covers the version in front, and mls-rs does not look at it.
    bytes.starts_with(&ProtocolVersion::MLS_10.raw_value().to_be_bytes()).then_some(())?;
    let package = MlsMessage::from_bytes(&bytes).ok()?;
    let id = id_of(package.as_key_package()?.signing_identity())?;
    (id == *user).then_some(package)
}

fn id_of_key(signing: &SigningKey) -> MemberId {
    MemberId(signing.verifying_key().to_bytes())
}

/// Makes a key package.
fn publish<P: Provider>(signing: &SigningKey, store: &Store, rng: &mut dyn CryptoRng) -> Result<Vec<u8>, MlsError> {
    let randomness = Randomness::default();
    let client = client::<P>(signing, store.clone(), randomness.clone());
    let source = Source::keys(rng, PACKAGE_KEYS);
    let make = || client.generate_key_package_message(Default::default(), Default::default(), Some(now()));
    randomness.during(source, make)?.to_bytes()
}

impl<P: Provider> User<P> {
    fn inside(&mut self) -> Result<&mut Inside<P>, Error> {
        match &mut self.stage {
            Stage::Inside(..) if self.stolen => Err(Error::Unsupported),
            Stage::Inside(_, inside) => Ok(inside),
            _ => Err(Error::NotInGroup),
        }
    }

    /// Receives a message before there is a group, which only a welcome can change.
    fn receive_outside(&mut self, message: &Incoming<'_>, context: &Context<'_>) -> Result<Received, Error> {
        let Stage::Outside(signing, store) = &self.stage else { return Err(Error::Internal) };
        if message.author == self.id && !self.stolen {
            return Err(Error::WrongAuthor);
        }
        let decoded = MlsMessage::from_bytes(message.bytes).map_err(|_| Error::Malformed)?;
        if decoded.wire_format() != WireFormat::Welcome {
            return Ok(Received::default());
        }
        let randomness = Randomness::default();
        let client = client::<P>(signing, store.clone(), randomness.clone());
        let (group, info) = client.join_group(None, &decoded, Some(now())).map_err(|_| Error::NotAuthentic)?;
        if group.group_id() != message.group.0 {
            return Err(Error::WrongGroup);
        }
        let inviter = member_at(&group, info.sender).filter(|id| *id == message.author).ok_or(Error::WrongAuthor)?;
        if !(context.confirm_inviter)(&inviter) {
            return Err(Error::InviterNotConfirmed);
        }
        let inside = Inside::new(group, store.clone(), randomness).map_err(|_| Error::Internal)?;
        self.stage = Stage::Inside(signing.clone(), Box::new(inside));
        Ok(Received { outgoing: Vec::new(), events: vec![Event::Joined { inviter }] })
    }

    fn decode(state: &[u8], full: bool, stolen: bool) -> Result<Self, Error> {
        let mut reader = Reader::new(state);
        let id = MemberId(reader.array()?);
        let stage = match reader.byte()? {
            OUTSIDE => Stage::Outside(SigningKey::from_bytes(&reader.array()?), decode_packages(&mut reader)?),
            INSIDE => {
                let signing = SigningKey::from_bytes(&reader.array()?);
                let inside = Inside::decode(&mut reader, &signing)?;
                Stage::Inside(signing, Box::new(inside))
            }
            REMOVED => Stage::Removed(GroupId(reader.array()?)),
            _ => return Err(Error::Malformed),
        };
        reader.finish()?;
        Ok(Self { id, full, stolen, stage })
    }
}

const OUTSIDE: u8 = 0;
const INSIDE: u8 = 1;
const REMOVED: u8 = 2;

fn encode_packages(store: &Store, out: &mut Vec<u8>) {
    let stored = store.lock();
    put_len(out, stored.packages.len());
    for (id, package) in &stored.packages {
        for bytes in [id, &package.key_package_bytes, package.init_key.as_ref(), package.leaf_node_key.as_ref()] {
            put_prefixed(out, bytes);
        }
        out.extend_from_slice(&package.expiration.to_be_bytes());
    }
}

fn decode_packages(reader: &mut Reader<'_>) -> Result<Store, Error> {
    let mut stored = Stored::default();
    for _ in 0..reader.count(1)? {
        let id = reader.prefixed()?.to_vec();
        let package = reader.prefixed()?.to_vec();
        let (init_key, leaf_key) = (reader.prefixed()?.to_vec(), reader.prefixed()?.to_vec());
        let expiration = u64::from_be_bytes(reader.array()?);
        let package = KeyPackageData::new(package, init_key.into(), leaf_key.into(), expiration);
        stored.packages.insert(id, package);
    }
    Ok(Store::new(stored))
}

impl<P: Provider> Member for User<P> {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        match &self.stage {
            Stage::Outside(..) => None,
            Stage::Inside(_, inside) => Some(inside.id),
            Stage::Removed(group) => Some(*group),
        }
    }

    fn members(&self) -> Vec<MemberId> {
        match &self.stage {
            Stage::Inside(_, inside) => inside.members(),
            _ => Vec::new(),
        }
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Stage::Outside(signing, store) = &self.stage else { return Err(Error::AlreadyInGroup) };
        let mut named = BTreeSet::from([self.id]);
        if !others.iter().all(|user| named.insert(*user)) {
            return Err(Error::AlreadyAMember);
        }
        let packages: Option<Vec<_>> = others.iter().map(|user| package_of(user, context.directory)).collect();
        let packages = packages.ok_or(Error::NoBundle)?;
        let (randomness, source) = (Randomness::default(), Source::stream(context.rng));
        let client = client::<P>(signing, store.clone(), randomness.clone());
        let created = Inside::create(&client, packages, store.clone(), randomness, source);
        let (inside, welcome) = created.map_err(|_| Error::NoBundle)?;
        self.stage = Stage::Inside(signing.clone(), Box::new(inside));
        Ok(welcome.into_iter().map(|welcome| to_all("welcome", welcome)).collect())
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let inside = self.inside()?;
        if inside.leaf_of(user).is_some() {
            return Err(Error::AlreadyAMember);
        }
        let package = package_of(user, context.directory).ok_or(Error::NoBundle)?;
        let made = inside.commit(Change::Add(Box::new(package)), Source::stream(context.rng));
        let Commit { commit, welcome } = made.map_err(|_| Error::NoBundle)?;
        let welcome = Outgoing { to: Recipients::One(*user), kind: "welcome", bytes: welcome.ok_or(Error::Internal)? };
        Ok(vec![to_all(COMMIT, commit), welcome])
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let me = self.id;
        let inside = self.inside()?;
        if *user == me {
            return Err(Error::RemovesItself);
        }
        let leaf = inside.leaf_of(user).ok_or(Error::NotAMember)?;
        let made = inside.commit(Change::Remove(leaf), Source::stream(context.rng)).map_err(|_| Error::Internal)?;
        Ok(vec![to_all(COMMIT, made.commit)])
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let made = self.inside()?.commit(Change::Nothing, Source::stream(context.rng)).map_err(|_| Error::Internal)?;
        Ok(vec![to_all(COMMIT, made.commit)])
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let full = self.full;
        let inside = self.inside()?;
        let mut outgoing = Vec::new();
        if full && inside.is_new() {
            let made = inside.commit(Change::Nothing, Source::stream(context.rng)).map_err(|_| Error::Internal)?;
            outgoing.push(to_all(COMMIT, made.commit));
        }
        let message = inside.send(plaintext, Source::stream(context.rng)).map_err(|_| Error::Internal)?;
        outgoing.push(to_all("message", message));
        Ok(outgoing)
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        match &mut self.stage {
            Stage::Outside(..) => self.receive_outside(message, context),
            Stage::Removed(group) if *group != message.group => Err(Error::WrongGroup),
            Stage::Removed(_) => Ok(Received::default()),
            Stage::Inside(_, inside) if inside.id != message.group => Err(Error::WrongGroup),
            Stage::Inside(signing, inside) if self.stolen && message.author == self.id => {
                let events = inside.read_own(message, signing)?;
                Ok(Received { outgoing: Vec::new(), events })
            }
            Stage::Inside(_, inside) => {
                let (events, stays) = inside.receive(message, message.author == self.id)?;
                if !stays && !self.stolen {
                    self.stage = Stage::Removed(message.group);
                }
                Ok(Received { outgoing: Vec::new(), events })
            }
        }
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        match &self.stage {
            Stage::Inside(_, inside) => inside.fingerprints(),
            _ => None,
        }
    }

    fn export(&self) -> Vec<u8> {
        let mut out = self.id.0.to_vec();
        match &self.stage {
            Stage::Outside(signing, store) => {
                out.push(OUTSIDE);
                out.extend_from_slice(signing.as_bytes());
                encode_packages(store, &mut out);
            }
            Stage::Inside(signing, inside) => {
                out.push(INSIDE);
                out.extend_from_slice(signing.as_bytes());
                inside.encode(&mut out);
            }
            Stage::Removed(group) => out.extend([&[REMOVED][..], &group.0].concat()),
        }
        out
    }

    fn duplicate(&self) -> Box<dyn Member> {
        let Self { id, full, stolen, .. } = *self;
        // Whatever was exported decodes.
        let lost = |_| Self { id, full, stolen, stage: Stage::Removed(GroupId([0; 32])) };
        Box::new(Self::decode(&self.export(), full, stolen).unwrap_or_else(lost))
    }
}
