//! The users, what they do, and what must hold after each call.

use std::collections::BTreeMap;

use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;

use super::network::Network;
use super::schedule::{Fate, Schedule, USERS};
use super::subject::{Audit, Call, Extent};
use crate::directory::InMemoryDirectory;
use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::member::{Backend, Context, Event, Incoming, Member, Outgoing, Received};

/// The number of one-time prekeys of each user. They may run out.
const PREKEYS: usize = 24;

pub(super) struct World<'a> {
    pub(super) backend: &'a dyn Backend,
    audit: Option<Box<dyn Audit + 'a>>,
    directory: InMemoryDirectory,
    pub(super) group: GroupId,
    pub(super) users: Vec<User>,
    pub(super) network: Network,
    pub(super) said: Vec<Said>,
    /// The fingerprint of a sender after a number of its messages, as the first member that had it showed it.
    sequence: BTreeMap<(MemberId, u32), [u8; 32]>,
    /// What each step was, in words; empty if the step was not possible.
    pub(super) log: Vec<String>,
    /// What has happened so far. Messages are not counted here but where they are kept.
    pub(super) extent: Extent,
}

pub(super) struct User {
    pub(super) id: MemberId,
    pub(super) member: Box<dyn Member>,
    rng: ChaCha20Rng,
}

/// An application message.
pub(super) struct Said {
    pub(super) author: usize,
    pub(super) text: Vec<u8>,
    /// The members in its author's view.
    pub(super) view: Vec<MemberId>,
    /// The number of times that each user has read it.
    pub(super) read: [u32; USERS],
}

/// The error says what is wrong.
pub(super) type Verdict<T = ()> = Result<T, String>;

impl<'a> World<'a> {
    /// The users, the first of which has created a group.
    pub(super) fn new(
        backend: &'a dyn Backend,
        audit: Option<Box<dyn Audit + 'a>>,
        schedule: &Schedule,
    ) -> Verdict<Self> {
        let directory = InMemoryDirectory::default();
        let mut users = Vec::with_capacity(USERS);
        for stream in 0..USERS as u64 {
            let mut rng = ChaCha20Rng::seed_from_u64(schedule.seed);
            rng.set_stream(stream);
            let user = backend.new_user(PREKEYS, &mut rng);
            directory.publish(user.id, user.bundle, user.one_time);
            users.push(User { id: user.id, member: user.member, rng });
        }
        let network = Network::new(users.iter().map(|user| user.id).collect());
        let mut world = Self {
            backend,
            audit,
            directory,
            group: GroupId([0; 32]),
            users,
            network,
            said: Vec::new(),
            sequence: BTreeMap::new(),
            log: Vec::new(),
            extent: Extent::default(),
        };
        let others: Vec<MemberId> = world.users[1..schedule.founders].iter().map(|user| user.id).collect();
        (0..schedule.founders).for_each(|user| world.network.invite(user));
        let refused = world.call(0, Fate::Lives, |member, context| member.create(&others, context))?;
        if let Some(error) = refused {
            return Err(format!("the group cannot be created: {error}"));
        }
        world.group = world.users[0].member.group().ok_or("the creator is in no group")?;
        Ok(world)
    }

    /// Whether a user is a member in its own view.
    pub(super) fn is_inside(&self, user: usize) -> bool {
        !self.users[user].member.members().is_empty()
    }

    /// A call that passes in no message. Returns the error if it was refused.
    pub(super) fn call(
        &mut self,
        by: usize,
        fate: Fate,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Verdict<Option<Error>> {
        let User { member, rng, .. } = &mut self.users[by];
        let (state, members) = (member.export(), member.members());
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let result = action(member.as_mut(), &mut context);
        self.extent.calls += 1;
        match result {
            Ok(outgoing) => {
                self.finish(by, fate, state, &members, Received { outgoing, events: Vec::new() }, &[])?;
                Ok(None)
            }
            Err(error) if member.export() == state => Ok(Some(error)),
            Err(error) => Err(format!("user {by} refuses a call (`{error}`), and its state has changed")),
        }
    }

    /// Lets messages arrive at a user, in one call.
    pub(super) fn receive(&mut self, to: usize, places: &[usize], fate: Fate) -> Verdict {
        if places.is_empty() {
            return Ok(());
        }
        let User { member, rng, .. } = &mut self.users[to];
        let (state, members) = (if fate == Fate::DiesBefore { member.export() } else { Vec::new() }, member.members());
        let (ids, sent) = (self.network.ids(), &self.network.sent);
        let incoming = |place: &usize| Incoming {
            group: self.group,
            author: ids[sent[*place].author],
            bytes: &sent[*place].bytes,
        };
        let batch: Vec<Incoming<'_>> = places.iter().map(incoming).collect();
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let results = member.receive(&batch, &mut context);
        self.extent.calls += 1;
        if results.len() != batch.len() {
            return Err(format!("user {to} returns {} results for {} messages", results.len(), batch.len()));
        }
        let (mut all, mut refused) = (Received::default(), Vec::new());
        let after = self.users[to].member.members();
        for (place, result) in places.iter().zip(results) {
            let author = self.users[self.network.sent[*place].author].id;
            match result {
                Ok(received) => {
                    all.outgoing.extend(received.outgoing);
                    all.events.extend(received.events);
                }
                // Some protocols no longer listen to a removed member.
                Err(error) if !after.contains(&author) => refused.push((author, error)),
                Err(error) => {
                    let kind = self.network.sent[*place].kind;
                    return Err(format!("user {to} refuses message {place} (`{kind}`): {error}"));
                }
            }
        }
        if fate != Fate::DiesBefore {
            self.network.arrive(to, places);
        }
        self.finish(to, fate, state, &members, all, &refused)
    }

    /// Lets one message arrive at a user, in a call of its own, and ignores what follows from it.
    pub(super) fn receive_alone(&mut self, to: usize, author: MemberId, bytes: &[u8]) -> Result<Received, Error> {
        let User { member, rng, .. } = &mut self.users[to];
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        self.extent.calls += 1;
        member.receive_one(&Incoming { group: self.group, author, bytes }, &mut context)
    }

    /// Handles the outcome of a call that was not refused.
    fn finish(
        &mut self,
        by: usize,
        fate: Fate,
        state: Vec<u8>,
        members: &[MemberId],
        received: Received,
        refused: &[(MemberId, Error)],
    ) -> Verdict {
        match fate {
            Fate::DiesBefore => return self.restore(by, Some(&state)),
            Fate::DiesAfter => self.restore(by, None)?,
            Fate::Lives => {}
        }
        let after = self.users[by].member.members();
        if let Some(audit) = &mut self.audit {
            let Received { outgoing, events } = &received;
            let id = self.users[by].id;
            audit.call(&Call { by: id, before: members, after: &after, outgoing, events, refused })?;
        }
        self.network.post(by, received.outgoing)?;
        received.events.into_iter().try_for_each(|event| self.take(by, event))?;
        self.compare_key_material(by)
    }

    /// A user dies, and resumes from this state or from its latest.
    pub(super) fn restore(&mut self, user: usize, state: Option<&[u8]>) -> Verdict {
        self.extent.restarts += 1;
        let latest = self.users[user].member.export();
        let state = state.unwrap_or(&latest);
        let member = self.backend.restore(state).map_err(|error| format!("the export of user {user}: {error}"))?;
        if member.export() != state {
            return Err(format!("user {user}, restored, has another export"));
        }
        self.users[user].member = member;
        Ok(())
    }

    fn take(&mut self, by: usize, event: Event) -> Verdict {
        match event {
            Event::Message { from, plaintext } => {
                let said = self.said.iter_mut().find(|said| said.text == plaintext);
                let Some(said) = said.filter(|said| self.users[said.author].id == from) else {
                    return Err(format!("user {by} reads what nobody has sent, or names the wrong sender"));
                };
                said.read[by] += 1;
            }
            Event::Rejected { from, rule } if self.users[by].member.members().contains(&from) => {
                return Err(format!("user {by} rejects a message of {from}, by the rule {rule:?}"));
            }
            Event::Equivocation { by: author } => {
                return Err(format!("user {by} says that {author} signed two messages under one number"));
            }
            Event::Inconsistent { by: author } => {
                return Err(format!("user {by} says that {author} sent somebody another secret than it knows"));
            }
            _ => {}
        }
        Ok(())
    }

    /// For each sender there is one sequence of key material: all users that know any of it after the same message of
    /// the sender know the same.
    fn compare_key_material(&mut self, user: usize) -> Verdict {
        let member = &self.users[user].member;
        let (Some(known), Some(delivered)) = (member.fingerprints(), member.delivered()) else { return Ok(()) };
        for (sender, fingerprint) in known {
            let Ok(at) = delivered.binary_search_by_key(&sender, |(author, _)| *author) else { continue };
            let number = delivered[at].1;
            if *self.sequence.entry((sender, number)).or_insert(fingerprint) != fingerprint {
                return Err(format!("after message {number} of {sender}, user {user} has other key material of it"));
            }
        }
        Ok(())
    }

    /// Lets the auditor check what is left when no message is on its way.
    pub(super) fn audit_at_rest(&mut self) -> Verdict {
        let Some(audit) = &mut self.audit else { return Ok(()) };
        let exports: Vec<(MemberId, Vec<u8>)> = self.users.iter().map(|user| (user.id, user.member.export())).collect();
        audit.at_rest(&exports, self.extent.damaged > 0)
    }
}
