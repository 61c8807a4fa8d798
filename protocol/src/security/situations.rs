//! The situations, each in words and as it is played.

use super::scene::{Reads, Scene, Tried};
use crate::member::{Backend, Capabilities, Ordering};
use crate::operation::Operation;
use crate::stage::verdict::{Verdict, caught};
use crate::stage::world::Action;

/// What a situation is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    /// Messages from before the theft.
    ForwardSecrecy,
    /// Messages after something that could shut the thief out.
    Healing,
    /// Messages after a removal.
    Removal,
    /// Messages from before somebody joined.
    Joining,
    /// Messages in another's name.
    Forging,
    /// What prekeys open.
    Prekeys,
}

/// A situation.
#[derive(Clone, Copy)]
pub struct Situation {
    /// Its name in data.
    pub name: &'static str,
    /// What it is about.
    pub topic: Topic,
    /// What is stolen and what happens, in words.
    pub what: &'static str,
    /// What of it should stay secret, in words.
    pub secret: &'static str,
    /// What the same attacker should read, in words.
    pub twin: &'static str,
    play: Play,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What the attacker has read.
    Tried(Tried),
    /// The protocol does not have what the situation needs, in words.
    NotPossible(String),
    /// What should happen in the situation did not, in words.
    Failed(String),
}

/// Plays a situation. What is counted in the end are messages, or, if it returns them, attempts.
type Play = fn(&mut Scene<'_>) -> Result<Option<(Reads, Reads)>, Trouble>;

enum Trouble {
    NotPossible(&'static str),
    Failed(String),
}

impl From<String> for Trouble {
    fn from(what: String) -> Self {
        Self::Failed(what)
    }
}

/// The members of the group at first: 0 is its creator.
const MEMBERS: usize = 6;
/// The members whose states are stolen.
const VICTIM: usize = 1;
const SECOND: usize = 2;
/// A member whose state is safe.
const OTHER: usize = 3;
/// Members that are removed.
const REMOVED: usize = 5;
const ALSO_REMOVED: usize = 4;
/// Users outside at first.
const JOINER: usize = 6;
const ACCOMPLICE: usize = 7;
const USERS: usize = 8;
/// One-time prekeys of each user: enough for everybody.
const ONE_TIME: usize = 2 * USERS;
/// Updates while somebody is away.
const UPDATES: usize = 3;

/// All situations.
pub const SITUATIONS: &[Situation] = &[
    Situation {
        name: "after-delivery",
        topic: Topic::ForwardSecrecy,
        what: "a state is taken after everything has been delivered",
        secret: "what was said before",
        twin: "what is said after",
        play: |scene| {
            let before = scene.speak(&[])?;
            scene.steal(VICTIM);
            scene.secret(before);
            let after = scene.speak(&[VICTIM])?;
            scene.twin(after);
            Ok(None)
        },
    },
    Situation {
        name: "acks-outstanding",
        topic: Topic::ForwardSecrecy,
        what: "a state is taken when its owner has received an update, and nobody's acknowledgement of it",
        secret: "what was said before",
        twin: "what is said after",
        play: |scene| {
            needs_update(scene)?;
            let before = scene.speak(&[])?;
            scene.begin(OTHER, &Action::Update)?;
            scene.catch_up(VICTIM)?;
            scene.steal(VICTIM);
            scene.settle()?;
            scene.secret(before);
            let after = scene.speak(&[VICTIM])?;
            scene.twin(after);
            Ok(None)
        },
    },
    Situation {
        name: "offline-member",
        topic: Topic::ForwardSecrecy,
        what: "a member is offline for three updates, and its state is taken before it comes back",
        secret: "what was said meanwhile",
        twin: "what is said when it is back",
        play: |scene| {
            let meanwhile = while_away(scene)?;
            scene.steal(REMOVED);
            scene.secret(meanwhile);
            back(scene, &[REMOVED])
        },
    },
    Situation {
        name: "beside-offline-member",
        topic: Topic::ForwardSecrecy,
        what: "a member is offline for three updates, and another one's state is taken before it comes back",
        secret: "what was said meanwhile",
        twin: "what is said when it is back",
        play: |scene| {
            let meanwhile = while_away(scene)?;
            scene.steal(VICTIM);
            scene.secret(meanwhile);
            back(scene, &[VICTIM])
        },
    },
    Situation {
        name: "own-update",
        topic: Topic::Healing,
        what: "a state is taken, and its owner updates",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.update(VICTIM)?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "others-update",
        topic: Topic::Healing,
        what: "a state is taken, and another member updates",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.update(OTHER)?;
            healed(scene, &[VICTIM])
        },
    },
    Situation {
        name: "two-updates",
        topic: Topic::Healing,
        what: "two states are taken, and their owners update one after the other",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM, SECOND])?;
            scene.update(VICTIM)?;
            scene.update(SECOND)?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "two-updates-at-once",
        topic: Topic::Healing,
        what: "two states are taken, and their owners update at once",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            needs_two_at_once(scene)?;
            stolen(scene, &[VICTIM, SECOND])?;
            scene.at_once(&[(VICTIM, Action::Update), (SECOND, Action::Update)])?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "own-message",
        topic: Topic::Healing,
        what: "a state is taken, and its owner merely speaks",
        secret: "what the others say after",
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.say(VICTIM)?;
            healed(scene, &[VICTIM])
        },
    },
    Situation {
        name: "round-trip",
        topic: Topic::Healing,
        what: "a state is taken, and everybody speaks twice",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.speak(&[])?;
            scene.speak(&[])?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "own-add",
        topic: Topic::Healing,
        what: "a state is taken, and its owner adds somebody",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.act(VICTIM, &Action::Add(JOINER))?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "own-removal",
        topic: Topic::Healing,
        what: "a state is taken, and its owner removes another member",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.act(VICTIM, &Action::Remove(REMOVED))?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "update-beside-add",
        topic: Topic::Healing,
        what: "a state is taken, and its owner updates while another member adds somebody",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| beside(scene, Action::Add(JOINER)),
    },
    Situation {
        name: "update-beside-update",
        topic: Topic::Healing,
        what: "a state is taken, and its owner updates while another member does",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| beside(scene, Action::Update),
    },
    Situation {
        name: "update-beside-removal",
        topic: Topic::Healing,
        what: "a state is taken, and its owner updates while another member removes a third",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| beside(scene, Action::Remove(REMOVED)),
    },
    Situation {
        name: "taken-twice",
        topic: Topic::Healing,
        what: "a state is taken, its owner updates, and its state is taken again",
        secret: "what is said after the update and before the second theft",
        twin: "what is said before the update and after the second theft",
        play: |scene| {
            stolen(scene, &[VICTIM])?;
            scene.update(VICTIM)?;
            healed(scene, &[])?;
            scene.steal(VICTIM);
            let later = scene.speak(&[VICTIM])?;
            scene.twin(later);
            Ok(None)
        },
    },
    Situation {
        name: "later-another",
        topic: Topic::Healing,
        what: "a state is taken, its owner updates, and another member's state is taken later",
        secret: "what is said after the update and before the second theft",
        twin: "what is said before the update and after the second theft",
        play: |scene| {
            scene.update(SECOND)?;
            stolen(scene, &[VICTIM])?;
            scene.update(VICTIM)?;
            scene.update(OTHER)?;
            healed(scene, &[])?;
            scene.steal(SECOND);
            let later = scene.speak(&[SECOND])?;
            scene.twin(later);
            Ok(None)
        },
    },
    Situation {
        name: "removed",
        topic: Topic::Removal,
        what: "a member is removed, with its states from before and after",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[REMOVED])?;
            scene.act(0, &Action::Remove(REMOVED))?;
            scene.steal(REMOVED);
            healed(scene, &[])
        },
    },
    Situation {
        name: "two-removed",
        topic: Topic::Removal,
        what: "two members that collude are removed one after the other",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            stolen(scene, &[REMOVED, ALSO_REMOVED])?;
            scene.act(0, &Action::Remove(REMOVED))?;
            scene.act(0, &Action::Remove(ALSO_REMOVED))?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "two-removed-at-once",
        topic: Topic::Removal,
        what: "two members that collude are removed at once, by two others",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            needs_concurrency(scene)?;
            stolen(scene, &[REMOVED, ALSO_REMOVED])?;
            scene.at_once(&[(0, Action::Remove(REMOVED)), (OTHER, Action::Remove(ALSO_REMOVED))])?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "removed-beside-add",
        topic: Topic::Removal,
        what: "a member is removed while another member adds somebody",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            needs_concurrency(scene)?;
            stolen(scene, &[REMOVED])?;
            scene.at_once(&[(0, Action::Remove(REMOVED)), (OTHER, Action::Add(JOINER))])?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "removed-adds",
        topic: Topic::Removal,
        what: "a member that is removed adds an accomplice at once, and both collude",
        secret: AFTER,
        twin: BETWEEN,
        play: |scene| {
            needs_concurrency(scene)?;
            scene.steal(ACCOMPLICE);
            stolen(scene, &[REMOVED])?;
            scene.begin(0, &Action::Remove(REMOVED))?;
            scene.begin(REMOVED, &Action::Add(ACCOMPLICE))?;
            scene.steal(REMOVED);
            // The accomplice is in nobody's view.
            scene.world.users[ACCOMPLICE].inside = false;
            scene.settle()?;
            scene.steal(ACCOMPLICE);
            healed(scene, &[])
        },
    },
    Situation {
        name: "joiner",
        topic: Topic::Joining,
        what: "somebody is added, with its states from before and after",
        secret: "what was said before the add",
        twin: "what is said after it",
        play: |scene| {
            let before = scene.speak(&[])?;
            scene.steal(JOINER);
            scene.act(0, &Action::Add(JOINER))?;
            scene.steal(JOINER);
            scene.secret(before);
            let after = scene.speak(&[JOINER])?;
            scene.twin(after);
            Ok(None)
        },
    },
    Situation {
        name: "speaks-after-update",
        topic: Topic::Forging,
        what: "a state is taken, its owner updates, and the thief speaks in its name",
        secret: "members that take it for the owner's",
        twin: "members that take it before the update",
        play: |scene| {
            scene.steal(VICTIM);
            let others = scene.world.insiders().len() - 1;
            let attempts = |read| Reads { tried: others, read, by_thieves: read, by_derivation: None };
            let before = scene.world.fooled(VICTIM, scene.last_stolen())?;
            scene.update(VICTIM)?;
            let after = scene.world.fooled(VICTIM, scene.last_stolen())?;
            Ok(Some((attempts(after), attempts(before))))
        },
    },
    Situation {
        name: "forged-acknowledgement",
        topic: Topic::Forging,
        what: "the state of a member that has received an update is taken, and the thief acknowledges it in another member's name",
        secret: "members that take it for the other member's, until that signs something",
        twin: "members that take the acknowledgement of the other member itself",
        play: |scene| {
            needs_update(scene)?;
            scene.begin(OTHER, &Action::Update)?;
            for user in scene.world.insiders().into_iter().filter(|user| ![VICTIM, OTHER].contains(user)) {
                scene.catch_up(user)?;
            }
            scene.steal(SECOND);
            let others = scene.world.insiders().len() - 1;
            let attempts = |read| Reads { tried: others, read, by_thieves: read, by_derivation: None };
            match scene.forged_ack(VICTIM)? {
                Some((forged, genuine)) => Ok(Some((attempts(forged), attempts(genuine)))),
                None => Err(Trouble::NotPossible("nobody acknowledges")),
            }
        },
    },
    Situation {
        name: "before-joining",
        topic: Topic::Prekeys,
        what: "the state of a user with unused one-time prekeys is taken, and it is added and updates",
        secret: "what is said after its update",
        twin: "what is said before its update",
        play: |scene| {
            scene.steal(JOINER);
            scene.act(0, &Action::Add(JOINER))?;
            let before = scene.speak(&[JOINER])?;
            scene.twin(before);
            scene.update(JOINER)?;
            healed(scene, &[])
        },
    },
    Situation {
        name: "used-prekeys",
        topic: Topic::Prekeys,
        what: "a user is added with a one-time prekey and updates, and its state is taken later",
        secret: "what was said between the add and the update",
        twin: "what is said after the theft",
        play: used_prekeys,
    },
    Situation {
        name: "no-prekeys-left",
        topic: Topic::Prekeys,
        what: "a user that has no one-time prekey left is added and updates, and its state is taken later",
        secret: "what was said between the add and the update",
        twin: "what is said after the theft",
        play: used_prekeys,
    },
    Situation {
        name: "replayed",
        topic: Topic::Prekeys,
        what: "all messages, those of the first contact included, arrive again at a member that was added",
        secret: "messages with an effect",
        twin: "messages with an effect when they arrive at its state from before",
        play: |scene| {
            scene.steal(JOINER);
            scene.act(0, &Action::Add(JOINER))?;
            scene.speak(&[])?;
            let (tried, first) = scene.replayed(JOINER)?;
            scene.steal(JOINER);
            let (_, again) = scene.replayed(JOINER)?;
            let attempts = |read| Reads { tried, read, by_thieves: read, by_derivation: None };
            Ok(Some((attempts(again), attempts(first))))
        },
    },
];

const AFTER: &str = "what is said after";
const BETWEEN: &str = "what is said in between";
/// The situation in which users have no one-time prekeys.
const NO_PREKEYS: &str = "no-prekeys-left";

/// Plays a situation with a backend. The same seed gives the same answer.
pub fn examine(make: &dyn Fn() -> Box<dyn Backend>, situation: &Situation, seed: u64) -> Answer {
    match caught(|| play(make, situation, seed)) {
        Ok(tried) => Answer::Tried(tried),
        Err(Trouble::NotPossible(why)) => Answer::NotPossible(why.to_owned()),
        Err(Trouble::Failed(what)) => Answer::Failed(what),
    }
}

/// The scene of a situation, in the end.
pub(super) fn scene<'a>(
    make: &'a dyn Fn() -> Box<dyn Backend>,
    situation: &Situation,
    seed: u64,
) -> Result<Scene<'a>, String> {
    let mut scene = Scene::new(make, (MEMBERS, USERS), one_time(situation), seed)?;
    match (situation.play)(&mut scene) {
        Ok(_) => Ok(scene),
        Err(Trouble::NotPossible(why)) => Err(why.to_owned()),
        Err(Trouble::Failed(what)) => Err(what),
    }
}

/// The number of one-time prekeys of each user.
pub(super) fn one_time(situation: &Situation) -> usize {
    if situation.name == NO_PREKEYS { 0 } else { ONE_TIME }
}

fn play(make: &dyn Fn() -> Box<dyn Backend>, situation: &Situation, seed: u64) -> Result<Tried, Trouble> {
    let mut scene = Scene::new(make, (MEMBERS, USERS), one_time(situation), seed)?;
    let attempts = (situation.play)(&mut scene)?;
    let mut tried = scene.end()?;
    if let Some((secret, twin)) = attempts {
        (tried.secret, tried.twin) = (secret, twin);
    }
    Ok(tried)
}

fn needs_update(scene: &Scene<'_>) -> Result<(), Trouble> {
    if scene.capabilities().pcs_update { Ok(()) } else { Err(Trouble::NotPossible("it has no update")) }
}

/// Members that know nothing of each other act.
fn needs_concurrency(scene: &Scene<'_>) -> Result<(), Trouble> {
    match scene.capabilities() {
        Capabilities { ordering: Ordering::Total, .. } => {
            Err(Trouble::NotPossible("a sequencer lets nothing happen at once"))
        }
        Capabilities { concurrent_operations: false, .. } => Err(Trouble::NotPossible("members may not act at once")),
        _ => Ok(()),
    }
}

/// The same, but if a sequencer lets one of them win, the other acts after it.
fn needs_two_at_once(scene: &Scene<'_>) -> Result<(), Trouble> {
    needs_update(scene)?;
    if scene.capabilities().ordering == Ordering::Total { Ok(()) } else { needs_concurrency(scene) }
}

/// Takes these members' states. What the others say then, a thief reads.
fn stolen(scene: &mut Scene<'_>, victims: &[usize]) -> Verdict {
    victims.iter().for_each(|victim| scene.steal(*victim));
    let between = scene.speak(victims)?;
    scene.twin(between);
    Ok(())
}

/// What is said now should be secret. These members are silent.
fn healed(scene: &mut Scene<'_>, but: &[usize]) -> Result<Option<(Reads, Reads)>, Trouble> {
    let after = scene.speak(but)?;
    scene.secret(after);
    Ok(None)
}

/// A victim updates while another member acts.
fn beside(scene: &mut Scene<'_>, action: Action) -> Result<Option<(Reads, Reads)>, Trouble> {
    needs_two_at_once(scene)?;
    stolen(scene, &[VICTIM])?;
    scene.at_once(&[(VICTIM, Action::Update), (OTHER, action)])?;
    healed(scene, &[])
}

/// A member is away while others update and speak. Returns what they say.
fn while_away(scene: &mut Scene<'_>) -> Verdict<std::ops::Range<usize>> {
    scene.away = Some(REMOVED);
    let first = scene.world.said.len();
    for updater in 0..UPDATES {
        scene.update(updater)?;
        scene.speak(&[])?;
    }
    Ok(first..scene.world.said.len())
}

/// The member comes back. What all but these say then, a thief reads.
fn back(scene: &mut Scene<'_>, but: &[usize]) -> Result<Option<(Reads, Reads)>, Trouble> {
    scene.away = None;
    scene.settle()?;
    let after = scene.speak(but)?;
    scene.twin(after);
    Ok(None)
}

fn used_prekeys(scene: &mut Scene<'_>) -> Result<Option<(Reads, Reads)>, Trouble> {
    if !scene.supports(Operation::Add) {
        return Err(Trouble::NotPossible("it has no add"));
    }
    scene.act(0, &Action::Add(JOINER))?;
    let between = scene.speak(&[])?;
    scene.secret(between);
    scene.update(JOINER)?;
    scene.speak(&[])?;
    scene.steal(JOINER);
    let after = scene.speak(&[JOINER])?;
    scene.twin(after);
    Ok(None)
}
