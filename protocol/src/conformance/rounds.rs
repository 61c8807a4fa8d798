//! Messages that arrive together, in one batch, as a backend may verify them together. One of them is altered: it has no
//! effect, the others have theirs, and the genuine one has its effect when it arrives later.

use super::hostile::Parcel;
use super::trial::Trial;
use crate::error::Error;
use crate::member::{Context, Incoming, Member, Received};
use crate::operation::{Operation, PLAINTEXT_LEN, Phase, Start};
use crate::stage::recorder::Recorder;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World};

/// A group in which an operation is acknowledged by five members at once.
const SIZE: usize = 6;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for operation in Operation::ALL {
        if trial.supports(operation, SIZE) {
            trial.enter(operation.name(), SIZE);
            let mut world = trial.world(operation.start(), 1)?;
            let (operator, action) = Action::of(operation, SIZE);
            world.begin(operator, &action)?;
            round_by_round(world)?;
        }
    }
    trial.enter("a message of each member in one round", SIZE);
    let mut world = trial.world(Start::Conversed, 0)?;
    for speaker in world.insiders() {
        world.begin(speaker, &Action::Send(vec![0x5a; PLAINTEXT_LEN]))?;
    }
    round_by_round(world)
}

/// Lets everything arrive, each round at copies first.
fn round_by_round(mut world: World<'_>) -> Verdict {
    while world.users.iter().any(|user| !user.inbox.is_empty()) {
        let mut answers = Vec::new();
        for user in 0..world.users.len() {
            let places = core::mem::take(&mut world.users[user].inbox);
            if places.len() > 1 && world.users[user].inside {
                spoil(&world, user, &places)?;
            }
            answers.push((user, world.receive(user, &places, Phase::Responses)?));
        }
        answers.into_iter().try_for_each(|(user, sent)| world.post(user, sent))?;
    }
    world.users.iter_mut().for_each(|user| user.hears = user.inside);
    world.agree().map(drop)
}

/// Lets a round arrive at copies of its reader, each time with another message altered.
fn spoil(world: &World<'_>, reader: usize, places: &[usize]) -> Verdict {
    let genuine: Vec<Parcel> = places.iter().map(|place| Parcel::of(world, *place)).collect();
    let mut calm = Reader::of(world, reader);
    let expected = calm.receive(&genuine);
    let effects = effects(&expected);
    for (at, place) in places.iter().enumerate() {
        let kind = world.log[*place].kind;
        for byte in [genuine[at].bytes.len() / 2, genuine[at].bytes.len() - 1] {
            let mut round = genuine.clone();
            round[at].bytes[byte] ^= 1;
            let mut copy = Reader::of(world, reader);
            let mut results = copy.receive(&round);
            let taken = results.get(at).is_none_or(|result| result.as_ref().is_ok_and(|it| *it != Received::default()));
            ensure(!taken, || {
                format!(
                    "among genuine messages in one batch, one of kind `{kind}` with an altered byte {byte} was taken for genuine"
                )
            })?;
            drop(results.remove(at));
            results.extend(copy.receive(&genuine[at..=at]));
            ensure(effects == self::effects(&results) && copy.shows() == calm.shows(), || {
                format!(
                    "a message of kind `{kind}` that comes after others of its round, and after an altered copy of it \
                     among them, has other effects"
                )
            })?;
        }
    }
    Ok(())
}

/// What has happened, in any order: the events and the answers, or that a message was refused.
fn effects(results: &[Result<Received, Error>]) -> Vec<String> {
    let of = |result: &Result<Received, Error>| match result {
        Ok(Received { events, outgoing }) => {
            let events = events.iter().map(|event| format!("{event:?}"));
            events.chain(outgoing.iter().map(|sent| format!("{} {:?}", sent.kind, sent.to))).collect()
        }
        Err(error) => vec![error.to_string()],
    };
    let mut all: Vec<String> = results.iter().flat_map(of).collect();
    all.sort_unstable();
    all
}

/// A copy of a member.
struct Reader<'w, 'a> {
    world: &'w World<'a>,
    member: Box<dyn Member>,
    rng: Recorder,
}

impl<'w, 'a> Reader<'w, 'a> {
    fn of(world: &'w World<'a>, user: usize) -> Self {
        Self { world, member: world.users[user].member.duplicate(), rng: world.users[user].rng.clone() }
    }

    fn receive(&mut self, parcels: &[Parcel]) -> Vec<Result<Received, Error>> {
        let incoming =
            parcels.iter().map(|Parcel { group, author, bytes }| Incoming { group: *group, author: *author, bytes });
        let batch: Vec<Incoming<'_>> = incoming.collect();
        let mut context = Context { rng: &mut self.rng, directory: &self.world.directory, confirm_inviter: &|_| true };
        self.member.receive(&batch, &mut context)
    }

    fn shows(&self) -> impl PartialEq {
        (self.member.group(), self.member.members(), self.member.fingerprints())
    }
}
