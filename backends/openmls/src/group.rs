//! A group as one member knows it: the implementation's state, and what this adapter remembers beside it.

use std::collections::{BTreeMap, VecDeque};

use openmls::framing::errors::MessageDecryptionError;
use openmls::prelude::{
    Ciphersuite, CommitBuilder, Credential, GroupId as MlsGroupId, Initial, KeyPackage, LeafNode, Lifetime, MlsGroup,
    MlsGroupCreateConfig, MlsGroupJoinConfig, MlsMessageBodyIn, MlsMessageIn, OpenMlsProvider as _,
    ProcessMessageError, ProcessedMessageContent, ProtocolMessage, Sender, StagedCommit, StagedWelcome,
    ValidationError, Welcome, WireFormat, tls_codec,
};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Fingerprints, Incoming, Rule};
use protocol::wire::codec::{Reader, put_len, put_prefixed};
use sha2::{Digest as _, Sha256};
use tls_codec::DeserializeBytes as _;

use crate::provider::{Entries, Provider};
use crate::signer::Signer;
use crate::thread;

pub(crate) const CIPHERSUITE: Ciphersuite = Ciphersuite::MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519;
/// For how many past epochs a member still reads messages that a commit has overtaken.
const MAX_PAST_EPOCHS: usize = 3;
/// How many of my last messages I know again if they come back.
const MAX_SENT: usize = 64;

/// How entries of the storage begin that hold the keys of messages.
const MESSAGE_SECRETS: &[u8] = b"MessageSecrets";
/// The same for unused key packages.
const KEY_PACKAGES: &[u8] = b"KeyPackage";

type Digest = [u8; 32];

pub(crate) fn digest(bytes: &[u8]) -> Digest {
    Sha256::digest(bytes).into()
}

/// A group, as one of its members knows it.
pub(crate) struct Group {
    pub(crate) id: GroupId,
    mls: MlsGroup,
    pub(crate) provider: Provider,
    signer: Signer,
    /// Whether a commit of mine has taken effect, which fills my path in the tree.
    pub(crate) has_updated: bool,
    /// My own commit, until it or another one is received.
    pending: Option<Digest>,
    /// My last messages: the implementation cannot read them.
    sent: VecDeque<Digest>,
    /// The last epoch in which each author has spoken. In one order, an author's epochs do not go back: who speaks in an older
    /// one has stolen it.
    spoken: BTreeMap<MemberId, u64>,
}

/// What follows from a message.
pub(crate) enum Outcome {
    Events(Vec<Event>),
    /// I was removed.
    Removed(Event),
}

impl Outcome {
    const NONE: Self = Self::Events(Vec::new());
}

fn configuration() -> MlsGroupJoinConfig {
    MlsGroupJoinConfig::builder().use_ratchet_tree_extension(true).max_past_epochs(MAX_PAST_EPOCHS).build()
}

/// No clock decides what is valid.
pub(crate) fn always() -> Lifetime {
    Lifetime::init(0, u64::MAX)
}

/// The user that a credential names.
fn user_of(credential: &Credential) -> Option<MemberId> {
    credential.serialized_content().try_into().ok().map(MemberId)
}

/// The user of a leaf, if its credential names the signature key.
pub(crate) fn owner_of(leaf: &LeafNode) -> Option<MemberId> {
    user_of(leaf.credential()).filter(|id| id.0 == *leaf.signature_key().as_slice())
}

/// The group in a storage.
fn load(provider: &Provider, id: &GroupId) -> Option<MlsGroup> {
    MlsGroup::load(provider.storage(), &MlsGroupId::from_slice(&id.0)).ok().flatten()
}

impl Group {
    /// A group of its creator alone.
    pub(crate) fn new(id: GroupId, signer: Signer) -> Result<Self, Error> {
        let provider = Provider::default();
        let join = configuration();
        let configuration = MlsGroupCreateConfig::builder()
            .ciphersuite(CIPHERSUITE)
            .lifetime(always())
            .use_ratchet_tree_extension(true)
            .wire_format_policy(join.wire_format_policy())
            .max_past_epochs(MAX_PAST_EPOCHS)
            .build();
        let mls_id = MlsGroupId::from_slice(&id.0);
        let mls = MlsGroup::new_with_group_id(&provider, &signer, &configuration, mls_id, signer.credential());
        let mls = mls.map_err(|_| Error::Internal)?;
        Ok(Self::of(id, mls, provider, signer))
    }

    /// A copy, if the storage holds the group.
    pub(crate) fn duplicate(&self) -> Option<Self> {
        let provider = Provider::of(self.provider.entries());
        let (mls, signer) = (load(&provider, &self.id)?, self.signer.clone());
        let (sent, spoken) = (self.sent.clone(), self.spoken.clone());
        Some(Self { mls, provider, signer, sent, spoken, ..*self })
    }

    fn of(id: GroupId, mls: MlsGroup, provider: Provider, signer: Signer) -> Self {
        let (sent, spoken) = (VecDeque::new(), BTreeMap::new());
        Self { id, mls, provider, signer, has_updated: false, pending: None, sent, spoken }
    }

    /// Joins by a welcome, with one of these key packages. Returns the inviter too.
    pub(crate) fn join(
        message: &Incoming<'_>,
        welcome: Welcome,
        key_packages: Entries,
        signer: &Signer,
        confirm_inviter: &dyn Fn(&MemberId) -> bool,
    ) -> Result<(MemberId, Self), Error> {
        let provider = Provider::of(key_packages);
        let staged = StagedWelcome::new_from_welcome(&provider, &configuration(), welcome, None);
        let staged = staged.map_err(|_| Error::NotAuthentic)?;
        if *staged.group_context().group_id().as_slice() != message.group.0 {
            return Err(Error::WrongGroup);
        }
        let inviter = staged.welcome_sender().ok().and_then(owner_of).ok_or(Error::NotAuthentic)?;
        if inviter != message.author {
            return Err(Error::WrongAuthor);
        }
        if !staged.members().all(|it| it.credential.serialized_content() == it.signature_key) {
            return Err(Error::NotAuthentic);
        }
        if !confirm_inviter(&inviter) {
            return Err(Error::InviterNotConfirmed);
        }
        let mls = staged.into_group(&provider).map_err(|_| Error::NotAuthentic)?;
        provider.forget(KEY_PACKAGES);
        Ok((inviter, Self::of(message.group, mls, provider, signer.clone())))
    }

    pub(crate) fn members(&self) -> Vec<MemberId> {
        let mut members: Vec<_> = self.mls.members().filter_map(|it| user_of(&it.credential)).collect();
        members.sort_unstable();
        members
    }

    pub(crate) fn has(&self, user: &MemberId) -> bool {
        self.mls.members().any(|it| user_of(&it.credential).as_ref() == Some(user))
    }

    /// A hash for each member of what all members of an epoch know.
    pub(crate) fn fingerprints(&self) -> Fingerprints {
        let secret = self.mls.epoch_authenticator().as_slice();
        self.members().into_iter().map(|id| (id, digest(&[secret, &id.0].concat()))).collect()
    }

    fn remember(&mut self, sent: Digest) {
        self.sent.push_back(sent);
        if self.sent.len() > MAX_SENT {
            self.sent.pop_front();
        }
    }

    /// Forgets what a call has done that has failed.
    fn undo(&mut self, before: Entries) -> Result<(), Error> {
        self.provider.put(before);
        self.mls = load(&self.provider, &self.id).ok_or(Error::Internal)?;
        Ok(())
    }
}

/// What this member sends.
impl Group {
    /// Adds the first users to a new group, in which nobody can object. Returns the welcome for them.
    pub(crate) fn found(&mut self, key_packages: Vec<KeyPackage>) -> Result<Vec<u8>, Error> {
        let (_, welcome) = self.add(key_packages)?;
        self.merge_own()?;
        Ok(welcome)
    }

    /// A commit that adds users, and the welcome for them.
    pub(crate) fn add(&mut self, key_packages: Vec<KeyPackage>) -> Result<(Vec<u8>, Vec<u8>), Error> {
        let sent = self.commit(|commit| commit.propose_adds(key_packages).force_self_update(true))?;
        Ok((sent.0, sent.1.ok_or(Error::Internal)?))
    }

    /// A commit that removes a member.
    pub(crate) fn remove(&mut self, user: &MemberId) -> Result<Vec<u8>, Error> {
        let index = self.mls.members().find(|it| user_of(&it.credential).as_ref() == Some(user)).map(|it| it.index);
        let index = index.ok_or(Error::NotAMember)?;
        self.commit(|commit| commit.propose_removals([index])).map(|sent| sent.0)
    }

    /// A commit that replaces the keys of my path.
    pub(crate) fn update(&mut self) -> Result<Vec<u8>, Error> {
        self.commit(|commit| commit.force_self_update(true)).map(|sent| sent.0)
    }

    /// Makes a commit, which waits until it is received. It takes the place of one that has waited.
    fn commit(
        &mut self,
        propose: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
        let before = if self.pending.is_some() { self.provider.entries() } else { Entries::new() };
        match self.try_commit(propose) {
            Ok((commit, welcome)) => {
                self.pending = Some(digest(&commit));
                self.remember(digest(&commit));
                Ok((commit, welcome))
            }
            Err(error) => {
                self.undo(before)?;
                Err(error)
            }
        }
    }

    fn try_commit(
        &mut self,
        propose: impl FnOnce(CommitBuilder<'_, Initial>) -> CommitBuilder<'_, Initial>,
    ) -> Result<(Vec<u8>, Option<Vec<u8>>), Error> {
        thread::keep_work_here();
        let (provider, signer) = (&self.provider, &self.signer);
        let (storage, rand, crypto) = (provider.storage(), provider.rand(), provider.crypto());
        self.mls.clear_pending_commit(storage).map_err(|_| Error::Internal)?;
        let commit = propose(self.mls.commit_builder()).load_psks(storage).map_err(|_| Error::Internal)?;
        // A welcome has its own group info. One for others, who join by themselves, is not needed.
        let commit = commit.create_group_info(false).build(rand, crypto, signer, |_| true);
        let sent = commit.map_err(|_| Error::Internal)?.stage_commit(provider).map_err(|_| Error::Internal)?;
        let welcome = sent.to_welcome_msg().map(|welcome| welcome.to_bytes()).transpose();
        let commit = sent.commit().to_bytes();
        Ok((commit.map_err(|_| Error::Internal)?, welcome.map_err(|_| Error::Internal)?))
    }

    /// Lets my pending commit take effect.
    pub(crate) fn merge_own(&mut self) -> Result<Vec<Event>, Error> {
        let events = self.mls.pending_commit().map(|commit| self.events_of(commit, self.signer.id)).unwrap_or_default();
        self.mls.merge_pending_commit(&self.provider).map_err(|_| Error::Internal)?;
        self.has_updated = true;
        self.advance();
        Ok(events)
    }

    /// Encrypts an application message.
    pub(crate) fn write(&mut self, plaintext: &[u8]) -> Result<Vec<u8>, Error> {
        let message = self.mls.create_message(&self.provider, &self.signer, plaintext).map_err(|_| Error::Internal)?;
        let bytes = message.to_bytes().map_err(|_| Error::Internal)?;
        self.remember(digest(&bytes));
        Ok(bytes)
    }
}

/// What this member receives.
impl Group {
    /// Receives a message of the group. A thief stays in the epoch in which the member was removed.
    pub(crate) fn receive(&mut self, message: &Incoming<'_>, stolen: bool) -> Result<Outcome, Error> {
        thread::keep_work_here();
        if message.group != self.id {
            return Err(Error::WrongGroup);
        }
        let parsed = MlsMessageIn::tls_deserialize_exact_bytes(message.bytes).map_err(|_| Error::Malformed)?;
        let parsed: ProtocolMessage = match parsed.extract() {
            MlsMessageBodyIn::PublicMessage(parsed) => parsed.into(),
            MlsMessageBodyIn::PrivateMessage(parsed) => parsed.into(),
            // Somebody else joins by it, or I have.
            MlsMessageBodyIn::Welcome(_) => return Ok(Outcome::NONE),
            _ => return Err(Error::Malformed),
        };
        if *parsed.group_id().as_slice() != self.id.0 {
            return Err(Error::WrongGroup);
        }
        if message.author != self.signer.id {
            return self.process(parsed, message.author, stolen);
        }
        let sent = digest(message.bytes);
        if self.pending == Some(sent) {
            return self.merge_own().map(Outcome::Events);
        }
        let mine = self.sent.contains(&sent) || parsed.epoch() < self.mls.epoch();
        if mine { Ok(Outcome::NONE) } else { Err(Error::WrongAuthor) }
    }

    fn process(&mut self, message: ProtocolMessage, author: MemberId, stolen: bool) -> Result<Outcome, Error> {
        let (epoch, past) = (message.epoch().as_u64(), message.epoch() < self.mls.epoch());
        // Reading a private message uses its key up.
        let private = message.wire_format() == WireFormat::PrivateMessage;
        let before = if private { self.provider.entries_of(MESSAGE_SECRETS) } else { Entries::new() };
        let processed = match self.mls.process_message(&self.provider, message) {
            Ok(processed) => processed,
            // Its key is used up or gone: it is repeated, or from before I was a member.
            Err(error) if past || has_no_key(&error) => return Ok(Outcome::NONE),
            Err(_) => return Err(Error::NotAuthentic),
        };
        let sender = user_of(processed.credential()).filter(|_| matches!(processed.sender(), Sender::Member(_)));
        let result = match processed.into_content() {
            _ if sender != Some(author) => Err(Error::WrongAuthor),
            ProcessedMessageContent::ApplicationMessage(_) if self.spoken.get(&author) > Some(&epoch) => {
                Err(Error::NotAuthentic)
            }
            ProcessedMessageContent::ApplicationMessage(text) => {
                self.spoken.insert(author, epoch);
                Ok(Outcome::Events(vec![Event::Message { from: author, plaintext: text.into_bytes() }]))
            }
            ProcessedMessageContent::StagedCommitMessage(commit) => self.take(*commit, author, stolen),
            _ => Err(Error::Malformed),
        };
        if result.is_err() && private {
            self.undo(before)?;
        }
        result
    }

    fn take(&mut self, commit: StagedCommit, by: MemberId, stolen: bool) -> Result<Outcome, Error> {
        let added = commit.add_proposals().map(|it| owner_of(it.add_proposal().key_package().leaf_node()));
        let same = commit.update_path_leaf_node().is_none_or(|leaf| owner_of(leaf) == Some(by));
        if !same || added.into_iter().any(|id| id.is_none()) {
            return Ok(Outcome::Events(vec![Event::Rejected { from: by, rule: Rule::Form }]));
        }
        if commit.self_removed() {
            let event = Event::Removed { by, user: self.signer.id };
            return Ok(if stolen { Outcome::Events(vec![event]) } else { Outcome::Removed(event) });
        }
        let events = self.events_of(&commit, by);
        self.mls.merge_staged_commit(&self.provider, commit).map_err(|_| Error::Internal)?;
        self.advance();
        Ok(Outcome::Events(events))
    }

    /// Forgets what is of no use in a new epoch.
    fn advance(&mut self) {
        self.pending = None;
        let oldest = self.mls.epoch().as_u64().saturating_sub(MAX_PAST_EPOCHS as u64);
        self.spoken.retain(|_, epoch| *epoch > oldest);
    }

    /// What a commit changes.
    fn events_of(&self, commit: &StagedCommit, by: MemberId) -> Vec<Event> {
        let added = commit.add_proposals().filter_map(|it| owner_of(it.add_proposal().key_package().leaf_node()));
        let mut events: Vec<_> = added.map(|user| Event::Added { by, user }).collect();
        let removed = commit.remove_proposals().map(|it| it.remove_proposal().removed());
        let removed = removed.filter_map(|index| self.mls.member(index).and_then(user_of));
        events.extend(removed.map(|user| Event::Removed { by, user }));
        if events.is_empty() && commit.update_path_leaf_node().is_some() {
            events.push(Event::Updated { by });
        }
        events
    }
}

fn has_no_key<T>(error: &ProcessMessageError<T>) -> bool {
    use ProcessMessageError::ValidationError as Invalid;
    matches!(error, Invalid(ValidationError::UnableToDecrypt(MessageDecryptionError::SecretTreeError(_))))
}

/// The state in bytes.
impl Group {
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_prefixed(out, self.signer.encoded());
        out.extend_from_slice(&self.id.0);
        out.push(u8::from(self.has_updated));
        out.push(u8::from(self.pending.is_some()));
        out.extend(self.pending.iter().flatten());
        put_len(out, self.sent.len());
        self.sent.iter().for_each(|digest| out.extend_from_slice(digest));
        put_len(out, self.spoken.len());
        self.spoken.iter().for_each(|(author, epoch)| out.extend([&author.0[..], &epoch.to_be_bytes()].concat()));
        self.provider.encode(out);
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let signer = Signer::decode(reader.prefixed()?)?;
        let id = GroupId(reader.array()?);
        let has_updated = reader.flag()?;
        let pending = if reader.flag()? { Some(reader.array()?) } else { None };
        let sent = (0..reader.count(32)?).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let mut spoken = BTreeMap::new();
        for _ in 0..reader.count(40)? {
            spoken.insert(MemberId(reader.array()?), u64::from_be_bytes(reader.array()?));
        }
        let provider = Provider::decode(reader)?;
        let mls = load(&provider, &id).ok_or(Error::Malformed)?;
        Ok(Self { id, mls, provider, signer, has_updated, pending, sent, spoken })
    }
}
