//! A group as one member knows it: BeeKEM's state, and what has led to it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::pin::pin;
use std::task::{Context as Task, Poll, Waker};

use beekem::cgka::Cgka;
use beekem::id::{MemberId as LeafId, TreeId};
use beekem::keys::ShareKeyMap;
use beekem::operation::{CgkaChange, CgkaOperation};
use beekem::pcs_key::PcsKey;
use future_form::Local;
use keyhive_codec::traits::Decode as _;
use keyhive_crypto::context::Context as Purpose;
use keyhive_crypto::digest::Digest;
use keyhive_crypto::share_key::{ShareKey, ShareSecretKey};
use keyhive_crypto::symmetric_key::SymmetricKey;
use keyhive_crypto::verified::Verified;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Rule};
use protocol::wire::codec::{Reader, put_len, put_prefixed};
use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::SeedableRng as _;

use crate::bundle::Secrets;
use crate::codec::{self, Change, Text};
use crate::conflicts;
use crate::ed25519::Key;

/// What waits for what it depends on: messages, and their bytes. It has room for the creation of a group of 8,000 members in
/// any order.
const MAX_WAITING: usize = 1 << 13;
const MAX_WAITING_BYTES: usize = 1 << 23;
/// How many of these, and of their bytes, may be of authors of whom nothing is known: members whose add has not arrived, or
/// strangers.
const MAX_OF_UNKNOWN: usize = MAX_WAITING / 8;
const MAX_OF_UNKNOWN_BYTES: usize = MAX_WAITING_BYTES / 8;
/// How far ahead of the first missing message of an author others of it are taken.
const MAX_AHEAD: usize = 4096;

/// A group, as one of its members knows it.
#[derive(Clone)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    me: MemberId,
    cgka: Cgka,
    /// What has led to the state of `cgka`, which has no other form in bytes.
    pub(crate) log: Vec<Entry>,
    /// What has arrived before what it depends on, by the first operation that it lacks.
    waiting: BTreeMap<OperationId, Vec<Waiting>>,
    members: BTreeSet<MemberId>,
    /// Everybody who was ever a member.
    known: BTreeSet<MemberId>,
    /// Which application messages of each author have been read.
    pub(crate) read: BTreeMap<MemberId, Read>,
    /// The number of my application messages.
    pub(crate) sent: u64,
}

/// A step of the state.
#[derive(Clone)]
pub(crate) enum Entry {
    /// My own operations. A rotation draws its keys from this seed.
    Add(MemberId, [u8; 32]),
    Remove(MemberId),
    Rotate([u8; 32]),
    /// Somebody's operation.
    Received(Change),
}

type OperationId = Digest<CgkaOperation>;

#[derive(Clone)]
enum Waiting {
    Change(Change),
    Text(MemberId, Text),
}

impl Waiting {
    fn author(&self) -> MemberId {
        match self {
            Self::Change(change) => MemberId(change.issuer().to_bytes()),
            Self::Text(author, _) => *author,
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Change(change) => change.signed().encoded().as_bytes().len(),
            Self::Text(_, text) => text.bytes.len(),
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Change(one), Self::Change(other)) => one.digest() == other.digest(),
            (Self::Text(author, one), Self::Text(by, other)) => author == by && one.bytes == other.bytes,
            _ => false,
        }
    }
}

/// The application messages of an author that have been read: all before the first number, and these others.
#[derive(Clone, Default)]
pub(crate) struct Read {
    pub(crate) first_missing: u64,
    pub(crate) ahead: BTreeSet<u64>,
}

/// Runs a future that waits for nothing: the keys are in memory.
fn now<T>(future: impl Future<Output = T>) -> Result<T, Error> {
    match pin!(future).poll(&mut Task::from_waker(Waker::noop())) {
        Poll::Ready(value) => Ok(value),
        Poll::Pending => Err(Error::Internal),
    }
}

fn leaf(id: &MemberId) -> Result<LeafId, Error> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(&id.0).map_err(|_| Error::Malformed)?;
    LeafId::try_from(key).map_err(|_| Error::Malformed)
}

impl Group {
    /// A group without members, as each of them begins.
    pub(crate) fn new(id: GroupId, secrets: &Secrets) -> Result<Self, Error> {
        let tree = ed25519_dalek::VerifyingKey::from_bytes(&id.0).map_err(|_| Error::WrongGroup)?;
        let mut keys = ShareKeyMap::new();
        keys.insert(secrets.prekey.share_key(), secrets.prekey);
        let me = secrets.id();
        let tree = TreeId::try_from(tree).map_err(|_| Error::WrongGroup)?;
        Ok(Self {
            id,
            me,
            cgka: Cgka::new(tree, leaf(&me)?, keys),
            log: Vec::new(),
            waiting: BTreeMap::new(),
            members: BTreeSet::new(),
            known: BTreeSet::new(),
            read: BTreeMap::new(),
            sent: 0,
        })
    }

    /// Whether an operation has been applied.
    pub(crate) fn has(&self, change: &Change) -> bool {
        self.cgka.op(&change.digest()).is_some()
    }

    /// Whether I have read a message of each other member.
    pub(crate) fn has_read_all(&self) -> bool {
        self.members.iter().all(|member| *member == self.me || self.read.contains_key(member))
    }

    /// Whether a user is a member or was one.
    pub(crate) fn knows(&self, user: &MemberId) -> bool {
        self.known.contains(user)
    }

    pub(crate) fn members(&self) -> &BTreeSet<MemberId> {
        &self.members
    }

    /// Whether I am a member.
    pub(crate) fn is_mine(&self) -> bool {
        self.members.contains(&self.me)
    }

    /// Repeats a step that was made before.
    pub(crate) fn repeat(&mut self, entry: &Entry, signing: &Key) -> Result<(), Error> {
        match entry {
            Entry::Add(user, key) => {
                let key = ShareKey::decode(key).map_err(|_| Error::Malformed)?;
                self.add(*user, key, signing).map(drop)
            }
            Entry::Remove(user) => self.remove(user, signing).map(drop),
            Entry::Rotate(seed) => self.rotate(*seed, signing).map(drop),
            Entry::Received(change) => self.merge(change).map(drop),
        }
    }

    pub(crate) fn add(
        &mut self,
        user: MemberId,
        key: ShareKey,
        signing: &Key,
    ) -> Result<Verified<CgkaOperation>, Error> {
        let added = now(self.cgka.add::<Local, _>(leaf(&user)?, key, None, BTreeSet::new(), signing))?;
        let change = added.map_err(|_| Error::Internal)?.ok_or(Error::AlreadyAMember)?;
        self.log.push(Entry::Add(user, key.to_bytes()));
        self.known.insert(user);
        self.look()?;
        Ok(change)
    }

    pub(crate) fn remove(&mut self, user: &MemberId, signing: &Key) -> Result<Verified<CgkaOperation>, Error> {
        let removed = now(self.cgka.remove::<Local, _>(leaf(user)?, BTreeSet::new(), signing))?;
        let change = removed.map_err(|_| Error::Internal)?.ok_or(Error::NotAMember)?;
        self.log.push(Entry::Remove(*user));
        self.look()?;
        Ok(change)
    }

    /// Replaces my leaf's key and the path above it.
    pub(crate) fn rotate(&mut self, seed: [u8; 32], signing: &Key) -> Result<Verified<CgkaOperation>, Error> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let key = ShareSecretKey::generate(&mut rng);
        let rotated = now(self.cgka.update::<Local, _, _>(key.share_key(), key, signing, &mut rng))?;
        let (_, change, _) = rotated.map_err(|_| Error::Internal)?;
        self.log.push(Entry::Rotate(seed));
        Ok(change)
    }

    /// All operations so far, in an order in which they can be applied.
    pub(crate) fn history(&self) -> Result<Vec<Change>, Error> {
        let batches = self.cgka.ops().map_err(|_| Error::Internal)?;
        Ok(batches.into_iter().flat_map(IntoIterator::into_iter).collect())
    }

    /// How many nodes of the tree have several keys.
    pub(crate) fn conflicts(&self) -> Option<usize> {
        self.history().ok().map(|history| conflicts::count(&history))
    }

    /// Takes an operation whose signature is valid, and what it releases. An operation that does not fit is rejected.
    pub(crate) fn take(&mut self, change: Change) -> Result<Vec<Event>, Error> {
        if self.has(&change) { Ok(Vec::new()) } else { self.settle(Waiting::Change(change)) }
    }

    /// Takes an application message whose signature is valid.
    pub(crate) fn read(&mut self, from: MemberId, text: Text) -> Result<Vec<Event>, Error> {
        let is_read = |read: &Read| text.counter < read.first_missing || read.ahead.contains(&text.counter);
        if self.read.get(&from).is_some_and(is_read) { Ok(Vec::new()) } else { self.settle(Waiting::Text(from, text)) }
    }

    /// Processes what has arrived and everything that has waited for it; or lets it wait.
    fn settle(&mut self, arrived: Waiting) -> Result<Vec<Event>, Error> {
        if let Some(lacks) = self.lacks(&arrived) {
            self.hold(lacks, arrived)?;
            return Ok(Vec::new());
        }
        let mut events = Vec::new();
        let mut released = VecDeque::from([arrived]);
        while let Some(next) = released.pop_front() {
            match (self.lacks(&next), next) {
                (Some(lacks), next) => self.waiting.entry(lacks).or_default().push(next),
                (None, Waiting::Text(from, text)) => events.push(self.open(from, &text)),
                (None, Waiting::Change(change)) => {
                    events.extend(self.process(&change)?);
                    if self.has(&change) {
                        released.extend(self.waiting.remove(&change.digest()).unwrap_or_default());
                    }
                }
            }
        }
        Ok(events)
    }

    /// The first operation that something depends on and that has not been applied.
    fn lacks(&self, waiting: &Waiting) -> Option<OperationId> {
        let is_missing = |id: &OperationId| self.cgka.op(id).is_none();
        match waiting {
            Waiting::Change(change) => change.payload().predecessors.iter().copied().find(is_missing),
            Waiting::Text(_, text) => Some(text.update).filter(is_missing),
        }
    }

    /// Lets something wait, if there is room.
    fn hold(&mut self, lacks: OperationId, arrived: Waiting) -> Result<(), Error> {
        if self.waiting.get(&lacks).is_some_and(|it| it.iter().any(|other| other.is_same(&arrived))) {
            return Ok(());
        }
        let is_full = |is_counted: &dyn Fn(&Waiting) -> bool, most: usize, most_bytes: usize| {
            let counted = self.waiting.values().flatten().filter(|it| is_counted(it));
            let (number, bytes) = counted.fold((0, 0), |(number, bytes), it| (number + 1, bytes + it.size()));
            number >= most || bytes + arrived.size() > most_bytes
        };
        // Before the first operation has been applied, nobody is known.
        let is_of_unknown = |it: &Waiting| !self.known.is_empty() && !self.known.contains(&it.author());
        if is_full(&|_| true, MAX_WAITING, MAX_WAITING_BYTES)
            || is_of_unknown(&arrived) && is_full(&is_of_unknown, MAX_OF_UNKNOWN, MAX_OF_UNKNOWN_BYTES)
        {
            return Err(Error::QueueFull);
        }
        self.waiting.entry(lacks).or_default().push(arrived);
        Ok(())
    }

    fn process(&mut self, change: &Change) -> Result<Vec<Event>, Error> {
        let by = MemberId(change.issuer().to_bytes());
        // The first operation of a group adds its creator.
        let founds = self.known.is_empty();
        if !founds && !self.known.contains(&by) {
            return Ok(vec![Event::Rejected { from: by, rule: Rule::AuthorNotAMember }]);
        }
        let before = self.members.clone();
        if self.merge(change).is_err() {
            return Ok(vec![Event::Rejected { from: by, rule: Rule::Form }]);
        }
        let mut events = Vec::new();
        events.extend(self.members.difference(&before).map(|user| Event::Added { by, user: *user }));
        events.extend(before.difference(&self.members).map(|user| Event::Removed { by, user: *user }));
        if change.payload().is_update() {
            events.push(Event::Updated { by });
        }
        Ok(events)
    }

    fn merge(&mut self, change: &Change) -> Result<(), Error> {
        self.cgka.merge_concurrent_operation(change.clone()).map_err(|_| Error::Malformed)?;
        self.log.push(Entry::Received(change.clone()));
        if let CgkaChange::Add { added_id, .. } = &change.payload().change {
            self.known.insert(MemberId(added_id.to_bytes()));
        }
        if change.payload().is_update() { Ok(()) } else { self.look() }
    }

    /// Who is a member now. BeeKEM may have to apply its history again to say so.
    fn look(&mut self) -> Result<(), Error> {
        let members = self.cgka.member_ids().map_err(|_| Error::Internal)?;
        self.members = members.map(|id| MemberId(id.to_bytes())).collect();
        Ok(())
    }

    /// Encrypts an application message. If there is no secret that all members can know, a rotation comes before it, which
    /// is returned too.
    pub(crate) fn write(
        &mut self,
        plaintext: &[u8],
        seed: [u8; 32],
        signing: &Key,
    ) -> Result<(Option<Verified<CgkaOperation>>, Vec<u8>), Error> {
        let mut rng = ChaCha20Rng::from_seed(seed);
        let secret = now(self.cgka.group_secret_for_write::<Local, _, _>(signing, &mut rng))?;
        let (secret, update, rotation) = secret.map_err(|_| Error::Internal)?;
        let rotation = rotation.map(|(change, _)| change);
        if rotation.is_some() {
            // It has drawn the same as `rotate` would.
            self.log.push(Entry::Rotate(seed));
        }
        let header = Text::header(&update, &secret.digest(), self.sent);
        let key = text_key(&secret, &self.me, self.sent);
        let sealed = key.try_seal(plaintext, &header).map_err(|_| Error::Internal)?;
        self.sent += 1;
        Ok((rotation, Text::encode(&self.id, &header, &sealed, signing)))
    }

    fn open(&mut self, from: MemberId, text: &Text) -> Event {
        if !self.members.contains(&from) {
            return Event::Rejected { from, rule: Rule::AuthorNotAMember };
        }
        let Some(plaintext) = self.decrypt(&from, text) else { return Event::Undecryptable { from } };
        let read = self.read.entry(from).or_default();
        read.ahead.insert(text.counter);
        while read.ahead.remove(&read.first_missing) {
            read.first_missing += 1;
        }
        while read.ahead.len() > MAX_AHEAD {
            read.first_missing = read.ahead.pop_first().map_or(read.first_missing, |first| first + 1);
        }
        Event::Message { from, plaintext }
    }

    fn decrypt(&mut self, from: &MemberId, text: &Text) -> Option<Vec<u8>> {
        let secret = self.cgka.group_secret_from_hashes(&text.secret, &text.update).ok()?;
        let header = Text::header(&text.update, &text.secret, text.counter);
        text_key(&secret, from, text.counter).try_open(&text.sealed, &header).ok()
    }
}

impl Group {
    /// Everything besides the log.
    pub(crate) fn encode_messages(&self, out: &mut Vec<u8>) {
        put_len(out, self.waiting.values().map(Vec::len).sum());
        for waiting in self.waiting.values().flatten() {
            match waiting {
                Waiting::Change(change) => {
                    out.push(0);
                    put_prefixed(out, &codec::encode(change));
                }
                Waiting::Text(author, text) => {
                    out.push(1);
                    out.extend_from_slice(&author.0);
                    put_prefixed(out, &text.bytes);
                }
            }
        }
        put_len(out, self.read.len());
        for (author, read) in &self.read {
            out.extend_from_slice(&author.0);
            out.extend_from_slice(&read.first_missing.to_be_bytes());
            put_len(out, read.ahead.len());
            read.ahead.iter().for_each(|counter| out.extend_from_slice(&counter.to_be_bytes()));
        }
        out.extend_from_slice(&self.sent.to_be_bytes());
    }

    pub(crate) fn decode_messages(&mut self, reader: &mut Reader<'_>) -> Result<(), Error> {
        for _ in 0..reader.count(1)? {
            let waiting = match reader.byte()? {
                0 => Waiting::Change(codec::change(&self.id, reader.prefixed()?)?.0),
                1 => {
                    let author = MemberId(reader.array()?);
                    Waiting::Text(author, Text::decode(&self.id, &author, reader.prefixed()?)?)
                }
                _ => return Err(Error::Malformed),
            };
            let lacks = self.lacks(&waiting).ok_or(Error::Malformed)?;
            self.waiting.entry(lacks).or_default().push(waiting);
        }
        for _ in 0..reader.count(1)? {
            let (author, first_missing) = (MemberId(reader.array()?), u64::from_be_bytes(reader.array()?));
            let ahead =
                (0..reader.count(8)?).map(|_| reader.array().map(u64::from_be_bytes)).collect::<Result<_, _>>()?;
            self.read.insert(author, Read { first_missing, ahead });
        }
        self.sent = u64::from_be_bytes(reader.array()?);
        Ok(())
    }
}

/// The key of one application message, from the secret of an update.
fn text_key(secret: &PcsKey, author: &MemberId, counter: u64) -> SymmetricKey {
    let material = [secret.0.as_slice(), &author.0, &counter.to_be_bytes()].concat();
    SymmetricKey::from(Purpose::CONTENT_APPLICATION_KEY.derive_key(&material))
}
