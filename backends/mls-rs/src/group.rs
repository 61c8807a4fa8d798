//! A group as one member knows it.

use std::collections::VecDeque;

use ed25519_dalek::SigningKey;
use mls_rs::error::MlsError;
use mls_rs::group::proposal::Proposal;
use mls_rs::group::{CommitEffect, CommitMessageDescription, ReceivedMessage};
use mls_rs::{Client, Group, MlsMessage, WireFormat};
use protocol::crypto::hash::{DIGEST_LEN, hash};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Fingerprints, Incoming};
use protocol::wire::codec::{Reader, put_len, put_prefixed};
use zeroize::Zeroizing;

use crate::client::{Config, PAST_EPOCHS, Store, Stored, client, id_of, member_at, now};
use crate::provider::{Provider, Randomness, Source};
use crate::snapshot;

/// How many of its own messages a member knows again.
const MAX_SENT: usize = 64;

const SENT: &[u8] = b"mls-rs-backend-v1 sent";
const FINGERPRINT: &[u8] = b"mls-rs-backend-v1 fingerprint";

type Digest = [u8; DIGEST_LEN];

/// A group, as one of its members knows it.
pub(crate) struct Inside<P: Provider> {
    pub(crate) id: GroupId,
    group: Group<Config<P>>,
    /// What the group writes when it is told to.
    store: Store,
    randomness: Randomness,
    /// My commit that waits for its place in the order.
    pending: Option<Digest>,
    /// What I have sent.
    sent: VecDeque<Digest>,
    /// Whether a commit of mine has taken effect.
    renewed: bool,
}

/// What a commit does besides renewing the keys of its author.
pub(crate) enum Change {
    Nothing,
    Add(Box<MlsMessage>),
    Remove(u32),
}

/// A commit, and the welcome for who it adds.
pub(crate) struct Commit {
    pub(crate) commit: Vec<u8>,
    pub(crate) welcome: Option<Vec<u8>>,
}

fn digest(bytes: &[u8]) -> Digest {
    *hash(SENT, &[bytes]).as_bytes()
}

impl<P: Provider> Inside<P> {
    /// A group with all whose key packages these are, and the welcome for them.
    pub(crate) fn create(
        client: &Client<Config<P>>,
        packages: Vec<MlsMessage>,
        store: Store,
        randomness: Randomness,
        source: Source,
    ) -> Result<(Self, Option<Vec<u8>>), MlsError> {
        let (group, welcome) = randomness.during(source, || {
            let mut group = client.create_group(Default::default(), Default::default(), Some(now()))?;
            let builder = group.commit_builder().commit_time(now());
            let output =
                packages.into_iter().try_fold(builder, |builder, package| builder.add_member(package))?.build()?;
            group.apply_pending_commit()?;
            let welcome = output.welcome_messages.first().map(MlsMessage::to_bytes).transpose()?;
            Ok::<_, MlsError>((group, welcome))
        })?;
        let mut new = Self::new(group, store, randomness)?;
        new.renewed = true;
        if let Some(welcome) = &welcome {
            new.remember(welcome);
        }
        Ok((new, welcome))
    }

    /// A group that its member has just created or joined. It needs its key packages no longer.
    pub(crate) fn new(mut group: Group<Config<P>>, store: Store, randomness: Randomness) -> Result<Self, MlsError> {
        store.lock().packages.clear();
        group.write_to_storage_without_ratchet_tree()?;
        Self::of(group, store, randomness)
    }

    fn of(group: Group<Config<P>>, store: Store, randomness: Randomness) -> Result<Self, MlsError> {
        let id = GroupId(group.group_id().try_into().map_err(|_| MlsError::GroupIdMismatch)?);
        Ok(Self { id, group, store, randomness, pending: None, sent: VecDeque::new(), renewed: false })
    }

    /// The members, sorted.
    pub(crate) fn members(&self) -> Vec<MemberId> {
        let mut members: Vec<_> = self.group.roster().member_identities_iter().filter_map(id_of).collect();
        members.sort_unstable();
        members
    }

    /// The number of a member's leaf.
    pub(crate) fn leaf_of(&self, user: &MemberId) -> Option<u32> {
        self.group.member_with_identity(&user.0).ok().map(|member| member.index)
    }

    /// Whether no commit of mine has taken effect yet, and none waits to do so.
    pub(crate) fn is_new(&self) -> bool {
        !self.renewed && self.pending.is_none()
    }

    /// All members know the secret of an epoch from which these are derived.
    pub(crate) fn fingerprints(&self) -> Option<Fingerprints> {
        let epoch = self.group.epoch_authenticator().ok()?;
        let of = |id: MemberId| (id, *hash(FINGERPRINT, &[epoch.as_bytes(), &id.0]).as_bytes());
        Some(self.members().into_iter().map(of).collect())
    }

    /// Makes a commit, which waits for its place in the order and replaces the one that has waited before.
    pub(crate) fn commit(&mut self, change: Change, source: Source) -> Result<Commit, MlsError> {
        let mut group = self.group.clone();
        group.clear_pending_commit();
        let output = self.randomness.during(source, || {
            let builder = group.commit_builder().commit_time(now());
            match change {
                Change::Nothing => builder,
                Change::Add(package) => builder.add_member(*package)?,
                Change::Remove(leaf) => builder.remove_member(leaf)?,
            }
            .build()
        })?;
        let commit = output.commit_message.to_bytes()?;
        let welcome = output.welcome_messages.first().map(MlsMessage::to_bytes).transpose()?;
        self.group = group;
        self.pending = Some(self.remember(&commit));
        if let Some(welcome) = &welcome {
            self.remember(welcome);
        }
        Ok(Commit { commit, welcome })
    }

    /// Encrypts an application message.
    pub(crate) fn send(&mut self, plaintext: &[u8], source: Source) -> Result<Vec<u8>, MlsError> {
        let group = &mut self.group;
        let sent = self.randomness.during(source, || group.encrypt_application_message(plaintext, Vec::new()))?;
        let bytes = sent.to_bytes()?;
        self.remember(&bytes);
        Ok(bytes)
    }

    /// Remembers what I send, to know it again.
    fn remember(&mut self, bytes: &[u8]) -> Digest {
        let digest = digest(bytes);
        self.sent.push_back(digest);
        if self.sent.len() > MAX_SENT {
            self.sent.pop_front();
        }
        digest
    }

    /// Receives a message. It may be `own`, or at least in my name. Returns what has happened, and whether I am still a
    /// member.
    pub(crate) fn receive(&mut self, message: &Incoming<'_>, own: bool) -> Result<(Vec<Event>, bool), Error> {
        const NOTHING: (Vec<Event>, bool) = (Vec::new(), true);
        let decoded = MlsMessage::from_bytes(message.bytes).map_err(|_| Error::Malformed)?;
        let (format, epoch, now) = (decoded.wire_format(), decoded.epoch(), self.group.current_epoch());
        let is_past = match format {
            // It has let others in.
            WireFormat::Welcome => true,
            WireFormat::PublicMessage => epoch < Some(now),
            WireFormat::PrivateMessage => epoch.is_some_and(|epoch| epoch + PAST_EPOCHS < now),
            _ => return Err(Error::Malformed),
        };
        if decoded.group_id().is_some_and(|id| id != self.id.0) {
            return Err(Error::WrongGroup);
        }
        if epoch > Some(now) {
            // Its keys are not known yet.
            return Err(Error::NotAuthentic);
        }
        if own {
            let digest = digest(message.bytes);
            if self.pending != Some(digest) {
                let known = self.sent.contains(&digest) || epoch.is_some_and(|epoch| epoch < now);
                return if known { Ok(NOTHING) } else { Err(Error::WrongAuthor) };
            }
        }
        if is_past {
            return Ok(NOTHING);
        }
        match self.process(&message.author, decoded)? {
            Processed::Old => Ok(NOTHING),
            Processed::New(group, events) => {
                self.renewed |= own;
                if group.current_epoch() > now {
                    self.pending = None;
                }
                self.group = *group;
                Ok((events, true))
            }
            Processed::Removed(events) => Ok((events, false)),
        }
    }

    /// Lets a copy of the group process a message of `author`.
    fn process(&self, author: &MemberId, message: MlsMessage) -> Result<Processed<P>, Error> {
        let is_public = message.wire_format() == WireFormat::PublicMessage;
        let mut group = self.group.clone();
        let sent_by = |leaf| member_at(&self.group, leaf).filter(|id| id == author).ok_or(Error::WrongAuthor);
        match group.process_incoming_message_with_time(message, now()) {
            Ok(ReceivedMessage::ApplicationMessage(text)) => {
                let from = sent_by(text.sender_index)?;
                let plaintext = text.data().to_vec();
                Ok(Processed::New(Box::new(group), vec![Event::Message { from, plaintext }]))
            }
            Ok(ReceivedMessage::Commit(commit)) if is_public && !commit.is_external => {
                let by = sent_by(commit.committer)?;
                let (events, stays) = self.changes(by, &commit)?;
                if !stays {
                    return Ok(Processed::Removed(events));
                }
                // Only so does the group forget the secrets of old epochs.
                group.write_to_storage_without_ratchet_tree().map_err(|_| Error::Internal)?;
                Ok(Processed::New(Box::new(group), events))
            }
            Ok(_) => Err(Error::Malformed),
            // The key of a message is deleted when it is used.
            Err(MlsError::KeyMissing(_) | MlsError::EpochNotFound) => Ok(Processed::Old),
            Err(_) => Err(Error::NotAuthentic),
        }
    }

    /// What a commit does, and whether I stay a member.
    fn changes(&self, by: MemberId, commit: &CommitMessageDescription) -> Result<(Vec<Event>, bool), Error> {
        let (epoch, stays) = match &commit.effect {
            CommitEffect::NewEpoch(epoch) => (epoch, true),
            CommitEffect::Removed { new_epoch, .. } => (new_epoch, false),
            CommitEffect::ReInit(_) => return Err(Error::Malformed),
        };
        let change = |proposal: &Proposal| match proposal {
            Proposal::Add(add) => id_of(add.signing_identity()).map(|user| Event::Added { by, user }),
            Proposal::Remove(remove) => {
                member_at(&self.group, remove.to_remove()).map(|user| Event::Removed { by, user })
            }
            // Nothing else is asked for here.
            _ => None,
        };
        let changes = epoch.applied_proposals().iter().map(|info| change(&info.proposal).ok_or(Error::Malformed));
        let mut events = changes.collect::<Result<Vec<_>, _>>()?;
        if events.is_empty() {
            events.push(Event::Updated { by });
        }
        Ok((events, stays))
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        // What cannot be encoded is exported as nothing, and not restored.
        let _ = self.group.clone().write_to_storage();
        let stored = self.store.lock();
        put_prefixed(out, &stored.state);
        put_len(out, stored.epochs.len());
        for (epoch, secrets) in &stored.epochs {
            out.extend_from_slice(&epoch.to_be_bytes());
            put_prefixed(out, secrets);
        }
        out.push(self.pending.is_some().into());
        out.extend(self.pending.iter().flatten());
        put_len(out, self.sent.len());
        out.extend(self.sent.iter().flatten());
        out.push(self.renewed.into());
    }

    pub(crate) fn decode(reader: &mut Reader<'_>, signing: &SigningKey) -> Result<Self, Error> {
        let mut stored = Stored { state: Zeroizing::new(reader.prefixed()?.to_vec()), ..Stored::default() };
        for _ in 0..reader.count(1)? {
            let epoch = u64::from_be_bytes(reader.array()?);
            stored.epochs.insert(epoch, Zeroizing::new(reader.prefixed()?.to_vec()));
        }
        let pending = reader.flag()?.then(|| reader.array()).transpose()?;
        let sent = (0..reader.count(DIGEST_LEN)?).map(|_| reader.array()).collect::<Result<_, _>>()?;
        let renewed = reader.flag()?;
        Ok(Self { pending, sent, renewed, ..Self::load(stored, signing).map_err(|_| Error::Malformed)? })
    }

    /// The group that is stored.
    fn load(stored: Stored, signing: &SigningKey) -> Result<Self, MlsError> {
        let (store, randomness) = (Store::new(stored), Randomness::default());
        // The store holds one group, whatever its id.
        let group = client(signing, store.clone(), randomness.clone()).load_group(&[])?;
        Self::of(group, store, randomness)
    }

    /// Reads an application message of mine, as another member would. For me it holds nothing new, and a thief of my state
    /// wants to know what it opens.
    pub(crate) fn read_own(&self, message: &Incoming<'_>, signing: &SigningKey) -> Result<Vec<Event>, Error> {
        let decoded = MlsMessage::from_bytes(message.bytes).map_err(|_| Error::Malformed)?;
        if decoded.wire_format() != WireFormat::PrivateMessage {
            return Err(Error::NotAuthentic);
        }
        self.group.clone().write_to_storage().map_err(|_| Error::Internal)?;
        let mut stored = self.store.lock().clone();
        snapshot::disown(&mut stored).map_err(|_| Error::Internal)?;
        let mut another = Self::load(stored, signing).map_err(|_| Error::Internal)?;
        another.receive(message, false).map(|(events, _)| events)
    }
}

/// What has become of a message.
enum Processed<P: Provider> {
    /// It has been received before, or was sent before this member joined.
    Old,
    /// The group afterwards, and what has happened.
    New(Box<Group<Config<P>>>, Vec<Event>),
    /// This member is removed.
    Removed(Vec<Event>),
}
