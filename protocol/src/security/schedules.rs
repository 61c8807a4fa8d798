//! Schedules with thefts, random ones and those of the situations, and what the attacker reads: for a model that predicts it.

use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::scene::Scene;
use super::situations::{self, Situation};
use crate::error::Error;
use crate::id::MemberId;
use crate::member::{Backend, Outgoing};
use crate::operation::PLAINTEXT_LEN;
use crate::stage::verdict::Verdict;
use crate::stage::world::{Action, Happened, Sent};

/// What a user does. Users are named by their numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Creates a group of itself and these.
    Create(Vec<usize>),
    /// Adds a user.
    Add(usize),
    /// Removes a member.
    Remove(usize),
    /// Updates.
    Update,
    /// Says the next text.
    Say,
}

/// What happens. Messages are named by their places in the order in which they were sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A user makes a call, which is not refused.
    Called {
        /// The user.
        by: usize,
        /// What it does.
        call: Call,
    },
    /// A message reaches a user.
    Received {
        /// The user.
        by: usize,
        /// The message.
        place: usize,
    },
    /// The state of a user is taken.
    Stolen(usize),
}

/// A message that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Its author.
    pub author: usize,
    /// The user that it is for; `None` if it is for everybody.
    pub to: Option<usize>,
    /// Its kind.
    pub kind: &'static str,
}

/// A schedule as it was played, and what the attacker has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The users' ids.
    pub ids: Vec<MemberId>,
    /// One-time prekeys of each user at first.
    pub one_time: usize,
    /// What has happened.
    pub steps: Vec<Step>,
    /// All messages.
    pub messages: Vec<Message>,
    /// For each text that was said, whether the attacker knows it.
    pub exposed: Vec<bool>,
}

/// How long a schedule is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Length {
    /// Users, some of whom are in no group at first.
    pub users: usize,
    /// Members of the group that the first user creates.
    pub founders: usize,
    /// Steps before everything is delivered.
    pub steps: usize,
    /// States that are taken, at random moments.
    pub thefts: usize,
    /// One-time prekeys of each user.
    pub one_time: usize,
}

/// Plays a random schedule: members act, and messages reach them late and in any order. In the end everything reaches everybody, and
/// everybody speaks.
///
/// # Errors
/// What has gone wrong, in words.
pub fn random(make: &dyn Fn() -> Box<dyn Backend>, length: Length, seed: u64) -> Result<Trace, String> {
    let Length { users, founders, steps, thefts, one_time } = length;
    let mut game = Game {
        scene: Scene::with_prekeys(make, users, one_time, seed)?,
        rng: ChaCha20Rng::seed_from_u64(seed),
        invited: vec![false; users],
    };
    game.call(0, Call::Create((1..founders).collect()))?;
    let moments: Vec<usize> = (0..thefts).map(|_| game.below(steps)).collect();
    for step in 0..steps {
        for _ in moments.iter().filter(|moment| **moment == step) {
            let victim = game.below(users);
            game.scene.steal(victim);
        }
        game.step()?;
    }
    game.settle()?;
    for user in 0..users {
        game.call(user, Call::Say)?;
    }
    game.settle()?;
    trace(game.scene, one_time)
}

/// A situation as it is played with a backend.
///
/// # Errors
/// The situation is not possible, or something has gone wrong: in words.
pub fn played(make: &dyn Fn() -> Box<dyn Backend>, situation: &Situation, seed: u64) -> Result<Trace, String> {
    trace(situations::scene(make, situation, seed)?, situations::one_time(situation))
}

fn trace(scene: Scene<'_>, one_time: usize) -> Verdict<Trace> {
    let step = |happened: &Happened| match happened {
        Happened::Called(by, action) => Step::Called {
            by: *by,
            call: match action {
                Action::Create(others) | Action::CreateMesh(others) => Call::Create(others.clone()),
                Action::Add(user) => Call::Add(*user),
                Action::Remove(user) => Call::Remove(*user),
                Action::Update => Call::Update,
                Action::Send(_) => Call::Say,
            },
        },
        Happened::Received(by, place) => Step::Received { by: *by, place: *place },
        Happened::Stolen(user) => Step::Stolen(*user),
    };
    let steps = scene.world.happened.iter().map(step).collect();
    let ids = scene.world.users.iter().map(|user| user.id).collect();
    let message = |Sent { author, to, kind, .. }: &Sent| Message { author: *author, to: *to, kind };
    let messages = scene.world.log.iter().map(message).collect();
    let exposed = scene.exposed()?;
    Ok(Trace { ids, one_time, steps, messages, exposed })
}

struct Game<'a> {
    scene: Scene<'a>,
    rng: ChaCha20Rng,
    /// The users to whom broadcasts go.
    invited: Vec<bool>,
}

impl Game<'_> {
    fn below(&mut self, n: usize) -> usize {
        usize::try_from(self.rng.next_u64() % n.max(1) as u64).unwrap_or(0)
    }

    fn step(&mut self) -> Verdict {
        let users = self.scene.world.users.len();
        let members: Vec<usize> =
            (0..users).filter(|user| !self.scene.world.users[*user].member.members().is_empty()).collect();
        let Some(&actor) = members.get(self.below(members.len())) else { return Ok(()) };
        match self.below(20) {
            0..=8 => {
                let waiting: Vec<usize> =
                    (0..users).filter(|user| !self.scene.world.users[*user].inbox.is_empty()).collect();
                let Some(&reader) = waiting.get(self.below(waiting.len())) else { return Ok(()) };
                let count = 1 + self.below(3);
                for _ in 0..count {
                    let at = self.below(self.scene.world.users[reader].inbox.len());
                    self.deliver(reader, at)?;
                }
                Ok(())
            }
            9 => self.settle(),
            10..=14 => self.call(actor, Call::Say),
            15 | 16 => self.call(actor, Call::Update),
            17 => {
                let joiner = self.below(users);
                self.call(actor, Call::Add(joiner))
            }
            _ => {
                let target = members[self.below(members.len())];
                // A group that dies out shows nothing.
                if members.len() > 3 { self.call(actor, Call::Remove(target)) } else { Ok(()) }
            }
        }
    }

    /// Lets the message at this place in a user's inbox reach it.
    fn deliver(&mut self, reader: usize, at: usize) -> Verdict {
        let inbox = &mut self.scene.world.users[reader].inbox;
        if at >= inbox.len() {
            return Ok(());
        }
        let place = inbox.remove(at);
        let answers = self.scene.world.hand(reader, place);
        self.post(reader, answers)
    }

    fn settle(&mut self) -> Verdict {
        let users = self.scene.world.users.len();
        while self.scene.world.users.iter().any(|user| !user.inbox.is_empty()) {
            for user in 0..users {
                while !self.scene.world.users[user].inbox.is_empty() {
                    self.deliver(user, 0)?;
                }
            }
        }
        Ok(())
    }

    fn call(&mut self, by: usize, call: Call) -> Verdict {
        let world = &mut self.scene.world;
        let action = match &call {
            Call::Create(others) => Action::Create(others.clone()),
            Call::Add(user) => Action::Add(*user),
            Call::Remove(user) => Action::Remove(*user),
            Call::Update => Action::Update,
            Call::Say => {
                let mut text = vec![0; PLAINTEXT_LEN];
                world.plaintexts.fill_bytes(&mut text);
                Action::Send(text)
            }
        };
        let result = world.call(by, &action);
        let reasons =
            [Error::NotInGroup, Error::AlreadyAMember, Error::NotAMember, Error::RemovesItself, Error::AlreadyInGroup];
        let sent = match result {
            Ok(sent) => Some(sent),
            Err(error) if reasons.contains(&error) => None,
            Err(error) => return Err(format!("user {by} cannot {call:?}: {error}")),
        };
        let Some(sent) = sent else { return Ok(()) };
        match (action, &call) {
            (Action::Send(text), _) => world.said.push((by, text)),
            (_, Call::Create(others)) => {
                let group = world.users[by].member.group();
                world.group = group.ok_or("a member that has created a group is in none")?;
                let founders = others.iter().chain([&by]);
                founders.for_each(|user| self.invited[*user] = true);
            }
            (_, Call::Add(user)) => self.invite(*user),
            _ => {}
        }
        self.post(by, sent)
    }

    /// From now on broadcasts reach a user, earlier ones too.
    fn invite(&mut self, user: usize) {
        if !core::mem::replace(&mut self.invited[user], true) {
            let world = &mut self.scene.world;
            let earlier = world.log.iter().enumerate().filter(|(_, sent)| sent.to.is_none() && sent.author != user);
            let earlier: Vec<usize> = earlier.map(|(place, _)| place).collect();
            world.users[user].inbox.extend(earlier);
        }
    }

    fn post(&mut self, author: usize, sent: Vec<Outgoing>) -> Verdict {
        let world = &mut self.scene.world;
        for (user, invited) in world.users.iter_mut().zip(&self.invited) {
            user.hears = *invited;
        }
        world.post(author, sent)
    }
}
