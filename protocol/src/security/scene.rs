//! A group in which something happens, and the states that are stolen meanwhile.

use std::collections::BTreeSet;
use std::ops::Range;

use rand_core::Rng as _;

use crate::attack::{Attacker, Overheard};
use crate::crypto::count::Counted;
use crate::crypto::secret::{SECRET_LEN, Secret};
use crate::error::Error;
use crate::member::{ACK, Backend, Capabilities, Context, Event, Incoming};
use crate::operation::{Operation, PLAINTEXT_LEN, Phase};
use crate::stage::derivations::Recording;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, Happened, Sent, World, stream};
use crate::wire::envelope::{Envelope, Subject};

/// What an attacker has tried to read, and what it has read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reads {
    /// The messages that it has tried to read.
    pub tried: usize,
    /// Those that it has read in either way.
    pub read: usize,
    /// Those that a thief has read.
    pub by_thieves: usize,
    /// Those that follow from the stolen states together; `None` if the backend's derivations are not recorded.
    pub by_derivation: Option<usize>,
}

/// What was tried in a situation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// What the situation asks about.
    pub secret: Reads,
    /// What the same attacker should read.
    pub twin: Reads,
    /// Whether the backend lets a thief follow the owner of a stolen state. If not, what was not read may only be out of reach.
    pub follows: bool,
}

/// For each text, whether it was read.
struct Read {
    /// By thieves.
    stolen: Vec<bool>,
    /// By derivation, if that is recorded.
    derived: Option<Vec<bool>>,
    follows: bool,
}

/// What a thief reads follows from the state. If it does not, the state does not show what it holds, or members use other
/// primitives than those that record.
pub(super) fn agrees(stolen: &[bool], derived: &[bool]) -> Verdict {
    ensure(stolen.iter().zip(derived).all(|(stolen, derived)| *derived || !stolen), || {
        "a thief reads what does not follow from the states: they hide what they hold, or members use primitives that are not counted"
            .to_owned()
    })
}

/// A group, and an attacker that steals states of its members.
pub(super) struct Scene<'a> {
    pub(super) world: World<'a>,
    recording: Option<Recording>,
    stolen: Vec<Vec<u8>>,
    secret: BTreeSet<usize>,
    twin: BTreeSet<usize>,
    /// The places of messages that should shut the attacker out.
    decisive: BTreeSet<usize>,
    /// The user that is offline.
    pub(super) away: Option<usize>,
}

impl<'a> Scene<'a> {
    /// A group of the first `members` users, in which everybody has spoken. All have this number of one-time prekeys.
    pub(super) fn new(
        make: &'a dyn Fn() -> Box<dyn Backend>,
        (members, users): (usize, usize),
        one_time: usize,
        seed: u64,
    ) -> Verdict<Self> {
        let mut scene = Self::with_prekeys(make, users, one_time, seed)?;
        scene.world.run(0, &Action::Create((1..members).collect()))?;
        scene.speak(&[])?;
        Ok(scene)
    }

    /// Users in no group, with this number of one-time prekeys each.
    pub(super) fn with_prekeys(
        make: &'a dyn Fn() -> Box<dyn Backend>,
        users: usize,
        one_time: usize,
        seed: u64,
    ) -> Verdict<Self> {
        let recorded = make().description().capabilities.counted == Counted::All;
        let recording = recorded.then(Recording::start);
        let world = World::with_prekeys(make, users, one_time, seed)?;
        let (stolen, secret, twin, decisive) = (Vec::new(), BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
        Ok(Self { world, recording, stolen, secret, twin, decisive, away: None })
    }

    pub(super) fn capabilities(&self) -> Capabilities {
        (self.world.make)().description().capabilities
    }

    pub(super) fn supports(&self, operation: Operation) -> bool {
        (self.world.make)().supports(operation, self.world.insiders().len())
    }

    /// Takes a member's state.
    pub(super) fn steal(&mut self, user: usize) {
        let state = self.world.state(user);
        self.world.happened.push(Happened::Stolen(user));
        self.stolen.push(state);
    }

    /// The state that was stolen last.
    pub(super) fn last_stolen(&self) -> &[u8] {
        self.stolen.last().map_or(&[], Vec::as_slice)
    }

    /// The situation is about whether these messages can be read.
    pub(super) fn secret(&mut self, said: Range<usize>) {
        self.secret.extend(said);
    }

    /// The attacker should read these messages.
    pub(super) fn twin(&mut self, said: Range<usize>) {
        self.twin.extend(said);
    }

    /// Every member speaks but these and who is away. Returns what they say.
    pub(super) fn speak(&mut self, but: &[usize]) -> Verdict<Range<usize>> {
        let first = self.world.said.len();
        let speaks = |user: &usize| !but.contains(user) && Some(*user) != self.away;
        let speakers: Vec<usize> = self.world.insiders().into_iter().filter(speaks).collect();
        speakers.into_iter().try_for_each(|speaker| self.say(speaker).map(drop))?;
        Ok(first..self.world.said.len())
    }

    /// A member speaks, and everybody hears it.
    pub(super) fn say(&mut self, speaker: usize) -> Verdict<Range<usize>> {
        let said = self.begin_to_say(speaker)?;
        self.settle()?;
        Ok(said)
    }

    /// A member speaks, and nobody has heard it yet.
    pub(super) fn begin_to_say(&mut self, speaker: usize) -> Verdict<Range<usize>> {
        let mut text = vec![0; PLAINTEXT_LEN];
        self.world.plaintexts.fill_bytes(&mut text);
        self.world.said.push((speaker, text.clone()));
        self.world.begin(speaker, &Action::Send(text))?;
        Ok(self.world.said.len() - 1..self.world.said.len())
    }

    /// A member does something, and everything that follows happens. What it sends should shut the attacker out.
    pub(super) fn act(&mut self, user: usize, action: &Action) -> Verdict {
        self.begin(user, action)?;
        self.settle()
    }

    /// Members act, and nobody knows of the others' actions yet. Where a sequencer lets one of them win, the others make their
    /// calls again. The situation needs that the protocol can.
    pub(super) fn at_once(&mut self, actions: &[(usize, Action)]) -> Verdict {
        if self.world.total {
            return actions.iter().try_for_each(|(user, action)| self.act(*user, action));
        }
        // Everything that happens at once is sent to the joiners too.
        for (_, action) in actions {
            if let Action::Add(joiner) = action {
                self.world.users[*joiner].hears = true;
            }
        }
        actions.iter().try_for_each(|(user, action)| self.begin(*user, action))?;
        self.settle()
    }

    /// A member does something, and nothing else happens yet.
    pub(super) fn begin(&mut self, user: usize, action: &Action) -> Verdict {
        let first = self.world.log.len();
        self.world.begin(user, action)?;
        self.decisive.extend(first..self.world.log.len());
        Ok(())
    }

    /// A member updates. In a protocol without updates, it speaks instead.
    pub(super) fn update(&mut self, user: usize) -> Verdict {
        if self.capabilities().pcs_update {
            return self.act(user, &Action::Update);
        }
        self.say(user).map(drop)
    }

    /// What is on its way reaches a member, whose answers are sent.
    pub(super) fn catch_up(&mut self, user: usize) -> Verdict {
        let places = core::mem::take(&mut self.world.users[user].inbox);
        let answers = self.world.receive(user, &places, Phase::Process)?;
        self.world.post(user, answers)
    }

    /// Everything reaches everybody who is not away.
    pub(super) fn settle(&mut self) -> Verdict {
        self.world.settle(self.away)?;
        self.world.users.iter_mut().for_each(|user| user.hears = user.inside);
        Ok(())
    }

    /// Ends the scene: the attacker tries to read everything.
    pub(super) fn end(self) -> Verdict<Tried> {
        let (secret, twin) = (self.secret.clone(), self.twin.clone());
        let Read { stolen, derived, follows } = self.read()?;
        let follows_from = |said: usize| derived.as_ref().is_some_and(|derived| derived[said]);
        let reads = |asked: &BTreeSet<usize>| {
            let count = |is: &dyn Fn(usize) -> bool| asked.iter().filter(|said| is(**said)).count();
            Reads {
                tried: asked.len(),
                read: count(&|said| stolen[said] || follows_from(said)),
                by_thieves: count(&|said| stolen[said]),
                by_derivation: derived.as_ref().map(|_| count(&follows_from)),
            }
        };
        Ok(Tried { secret: reads(&secret), twin: reads(&twin), follows })
    }

    /// Ends the scene. Returns for each text whether the attacker knows it.
    pub(super) fn exposed(self) -> Verdict<Vec<bool>> {
        let Read { stolen, derived, .. } = self.read()?;
        let Some(derived) = derived else { return Ok(stolen) };
        Ok(derived.into_iter().zip(stolen).map(|(one, other)| one || other).collect())
    }

    fn read(self) -> Verdict<Read> {
        let Self { world, recording, stolen, decisive, .. } = self;
        let mut attacker = Attacker::default();
        let mut follows = true;
        for state in &stolen {
            let steal = attacker.steal(&*(world.make)(), state);
            follows &= steal.map_err(|error| format!("a state cannot be restored for a thief: {error}"))?;
        }
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
        let messages = world.log.iter().enumerate().map(|(place, Sent { author, bytes, .. })| Overheard {
            author: world.users[*author].id,
            bytes,
            decisive: decisive.contains(&place),
        });
        attacker.hear(world.group, messages, &mut context);
        // What thieves derive is recorded too: some messages reach nobody else who could open them.
        let derived = recording.map(|recording| {
            let (all, _) = recording.end(&world);
            let public = all.public(world.log.iter().map(|sent| &sent.bytes[..]));
            let known = all.with(&public, stolen.iter().map(Vec::as_slice));
            world.said.iter().map(|(_, said)| all.knows(&known, said)).collect::<Vec<bool>>()
        });
        let stolen: Vec<bool> = world.said.iter().map(|(_, said)| attacker.has_read(said)).collect();
        if let Some(derived) = &derived {
            agrees(&stolen, derived)?;
        }
        Ok(Read { stolen, derived, follows })
    }

    /// How many of the messages for this user have an effect if they arrive again, at the state that was stolen last.
    pub(super) fn replayed(&self, user: usize) -> Verdict<(usize, usize)> {
        let restored = (self.world.make)().restore(self.last_stolen());
        let mut member = restored.map_err(|error| format!("an export cannot be restored: {error}"))?;
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &self.world.directory, confirm_inviter: &|_| true };
        let (mut tried, mut taken) = (0, 0);
        for Sent { author, to, bytes, .. } in &self.world.log {
            if *author == user || to.is_some_and(|to| to != user) {
                continue;
            }
            let incoming = Incoming { group: self.world.group, author: self.world.users[*author].id, bytes };
            let result: Result<_, Error> = member.receive_one(&incoming, &mut context);
            let has_effect =
                |event: &Event| matches!(event, Event::Message { .. } | Event::Joined { .. } | Event::Added { .. });
            tried += 1;
            taken += usize::from(result.is_ok_and(|received| received.events.iter().any(has_effect)));
        }
        Ok((tried, taken))
    }

    /// How many members take an acknowledgement in a victim's name, of what is on its way to it: first one that the state that was
    /// stolen last can forge, then the victim's own. `None` if the victim acknowledges nothing.
    ///
    /// Who has a state can sign with the keys in it, which are not the victim's. But it can make each tag whose secret is in it.
    pub(super) fn forged_ack(&self, victim: usize) -> Verdict<Option<(usize, usize)>> {
        let world = &self.world;
        let mut rng = stream(0, u64::from(u32::MAX));
        let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
        let mut copy = world.revive(&*world.users[victim].member)?;
        let mut answers = Vec::new();
        for place in &world.users[victim].inbox {
            let Sent { author, bytes, .. } = &world.log[*place];
            let incoming = Incoming { group: world.group, author: world.users[*author].id, bytes };
            answers.extend(copy.receive_one(&incoming, &mut context).unwrap_or_default().outgoing);
        }
        let Some(genuine) = answers.iter().find(|answer| answer.kind == ACK) else { return Ok(None) };
        let mut taken_by = |bytes: &[u8]| -> Verdict<usize> {
            let mut taken = 0;
            for reader in world.insiders().into_iter().filter(|user| *user != victim) {
                let mut reader = world.revive(&*world.users[reader].member)?;
                let incoming = Incoming { group: world.group, author: world.users[victim].id, bytes };
                let received = reader.receive_one(&incoming, &mut context).unwrap_or_default();
                taken += usize::from(received.events.iter().any(|event| matches!(event, Event::Acked { .. })));
            }
            Ok(taken)
        };
        let forged = if self.has_tag_in(victim, &genuine.bytes) { taken_by(&genuine.bytes)? } else { 0 };
        Ok(Some((forged, taken_by(&genuine.bytes)?)))
    }

    /// Whether a message has a tag whose secret is in the state that was stolen last.
    fn has_tag_in(&self, author: usize, bytes: &[u8]) -> bool {
        let Ok(envelope) = Envelope::decode(bytes) else { return false };
        let Subject::Acknowledged(handle, number) = envelope.subject else { return false };
        let ids = || self.world.users.iter().map(|user| user.id);
        let Some(acknowledged) = ids().find(|id| id.handle() == handle).filter(|_| envelope.is_tagged()) else {
            return false;
        };
        let subject = Subject::Acknowledged(acknowledged, number);
        let digest = envelope.digest(&self.world.group, &self.world.users[author].id, &subject);
        let secrets = self.last_stolen().windows(SECRET_LEN).filter_map(|window| window.try_into().ok());
        secrets.map(Secret::new).any(|secret| envelope.has_tag_of(&digest, &secret))
    }
}
