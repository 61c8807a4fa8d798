//! A network that alters, cuts, extends, misdirects and repeats messages, and lies about their authors and groups: none
//! of that has an effect, and the genuine message still has its effect.

use std::collections::BTreeSet;

use super::exports::places;
use super::trial::Trial;
use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::member::{Context, Event, Incoming, Member, Received, Recipients};
use crate::operation::Operation;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, User, World};

const SIZE: usize = 3;
/// The number of places at which the first message of a kind is altered: at either end, and between.
const THOROUGH: (usize, usize) = (96, 32);
/// The same for later messages of that kind.
const BRIEF: (usize, usize) = (2, 12);
/// The number of bytes at the beginning of a message that may be its header.
const HEADER: usize = 96;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    for operation in Operation::ALL {
        if !trial.supports(operation, SIZE) {
            continue;
        }
        trial.enter(operation.name(), SIZE);
        // One of the two outsiders is added, the other one stays outside.
        let world = trial.world(operation.start(), 2)?;
        let mut calm = world.fork()?;
        let expected = walk(&mut calm, operation, false)?;
        let mut world = world.fork()?;
        let happened = walk(&mut world, operation, true)?;
        ensure(happened == expected, || "genuine messages have other effects after altered copies of them".to_owned())?;
        world.agree()?;
        repeat_all(&mut world)?;
        world.converse()?;
        world.agree()?;
    }
    Ok(())
}

/// The effect of a genuine message: who received it, what happened, and what the answers were.
#[derive(PartialEq)]
struct Step {
    place: usize,
    user: usize,
    events: Vec<Event>,
    answers: Vec<(Recipients, &'static str)>,
}

/// Runs an operation message by message. If the network is hostile, one of those who get a message first gets altered
/// copies of it, and all of them get it again afterwards.
fn walk(world: &mut World<'_>, operation: Operation, hostile: bool) -> Verdict<Vec<Step>> {
    let (operator, action) = Action::of(operation, SIZE);
    let mut kinds = BTreeSet::new();
    let mut steps = Vec::new();
    let mut place = world.log.len();
    world.begin(operator, &action)?;
    while place < world.log.len() {
        let readers: Vec<usize> =
            (0..world.users.len()).filter(|user| world.users[*user].inbox.contains(&place)).collect();
        let victim = readers.get(place % readers.len().max(1)).copied();
        for user in readers {
            world.users[user].inbox.retain(|other| *other != place);
            let mut thorough = false;
            if hostile && Some(user) == victim {
                thorough = kinds.insert(world.log[place].kind);
                tamper(world, place, user, if thorough { THOROUGH } else { BRIEF })?;
            }
            let genuine = Parcel::of(world, place);
            let received = match receive(world, user, &genuine) {
                Ok(received) => received,
                Err(error) if world.users[user].inside => {
                    let kind = world.log[place].kind;
                    let when = if hostile { " after altered copies of it" } else { "" };
                    return Err(format!("a genuine message of kind `{kind}` was refused{when}: {error}"));
                }
                Err(_) => {
                    steps.push(Step { place, user, events: Vec::new(), answers: Vec::new() });
                    continue;
                }
            };
            let answers = received.outgoing.iter().map(|sent| (sent.to, sent.kind)).collect();
            steps.push(Step { place, user, events: received.events.clone(), answers });
            let sent = world.accept(user, place, received)?;
            if hostile && world.users[user].received.contains(&place) {
                silent(world, user, &genuine, || "a repeated message".to_owned())?;
            }
            if thorough {
                raise(world, user, &genuine, world.log[place].kind)?;
            }
            world.post(user, sent)?;
        }
        place += 1;
    }
    world.end(operator, &action)?;
    Ok(steps)
}

/// A message, with the group and author that a transport claims.
#[derive(Clone)]
pub(super) struct Parcel {
    pub(super) group: GroupId,
    pub(super) author: MemberId,
    pub(super) bytes: Vec<u8>,
}

impl Parcel {
    pub(super) fn of(world: &World<'_>, place: usize) -> Self {
        let sent = &world.log[place];
        Self { group: world.group, author: world.users[sent.author].id, bytes: sent.bytes.clone() }
    }
}

pub(super) fn receive(world: &mut World<'_>, user: usize, parcel: &Parcel) -> Result<Received, Error> {
    receive_if(world, user, parcel, &|_| true)
}

/// The same if the user confirms the inviters that `confirms` says.
pub(super) fn receive_if(
    world: &mut World<'_>,
    user: usize,
    parcel: &Parcel,
    confirms: &dyn Fn(&MemberId) -> bool,
) -> Result<Received, Error> {
    let Parcel { group, author, bytes } = parcel;
    let user = &mut world.users[user];
    let mut context = Context { rng: &mut user.rng, directory: &world.directory, confirm_inviter: confirms };
    user.member.receive_one(&Incoming { group: *group, author: *author, bytes }, &mut context)
}

/// Sends everything but the genuine message to a user that is about to get it, and the genuine one to those that it is
/// not for.
fn tamper(world: &mut World<'_>, place: usize, victim: usize, (ends, between): (usize, usize)) -> Verdict {
    let genuine = Parcel::of(world, place);
    let kind = world.log[place].kind;
    batch(world, victim, &genuine, kind)?;
    for at in places(genuine.bytes.len(), ends, between) {
        let mut altered = genuine.clone();
        altered.bytes[at] ^= 1 << (at % 8);
        without_effect(world, victim, &altered, || format!("a message of kind `{kind}` with an altered byte {at}"))?;
        let mut cut = genuine.clone();
        cut.bytes.truncate(at);
        without_effect(world, victim, &cut, || format!("a message of kind `{kind}` cut to {at} bytes"))?;
    }
    for extension in [&[0][..], &genuine.bytes] {
        let extended = Parcel { bytes: [&genuine.bytes, extension].concat(), ..genuine.clone() };
        without_effect(world, victim, &extended, || format!("a message of kind `{kind}` with more bytes at its end"))?;
    }
    let ids: Vec<MemberId> = world.users.iter().map(|user| user.id).collect();
    for author in ids.into_iter().filter(|id| *id != genuine.author) {
        let foreign = Parcel { author, ..genuine.clone() };
        without_effect(world, victim, &foreign, || format!("a message of kind `{kind}` under another author"))?;
    }
    let elsewhere = Parcel { group: GroupId(world.group.0.map(|byte| !byte)), ..genuine.clone() };
    without_effect(world, victim, &elsewhere, || format!("a message of kind `{kind}` under another group"))?;
    let (author, to) = (world.log[place].author, world.log[place].to);
    for user in 0..world.users.len() {
        if world.addresses(author, to, user) {
            continue;
        }
        without_effect(world, user, &genuine, || format!("a message of kind `{kind}` at somebody it is not for"))?;
    }
    Ok(())
}

/// Sends copies of a message that has arrived. In one of them its number, if that is there, is the next one.
fn raise(world: &mut World<'_>, victim: usize, genuine: &Parcel, kind: &str) -> Verdict {
    for at in 0..genuine.bytes.len().min(HEADER) {
        let mut next = genuine.clone();
        next.bytes[at] = next.bytes[at].wrapping_add(1);
        let what = || format!("a copy of an earlier message of kind `{kind}` with the byte {at} raised by one");
        without_effect(world, victim, &next, what)?;
    }
    Ok(())
}

/// Checks that a message is refused without a trace, or accepted in silence: it may wait for what it seems to depend
/// on.
pub(super) fn without_effect(
    world: &mut World<'_>,
    user: usize,
    parcel: &Parcel,
    what: impl Fn() -> String,
) -> Verdict {
    let shown = |member: &dyn Member| (member.group(), member.members(), member.fingerprints());
    let member = &*world.users[user].member;
    let (state, before) = (member.export(), shown(member));
    let result = receive(world, user, parcel);
    let member = &*world.users[user].member;
    match result {
        Err(_) => ensure(member.export() == state, || format!("{} was refused, and has changed the state", what())),
        Ok(received) => {
            ensure(received == Received::default(), || format!("{} was taken for a genuine one", what()))?;
            ensure(shown(member) == before, || format!("{} has changed group, members or fingerprints", what()))
        }
    }
}

/// Checks that a message is taken in silence, without a trace: there is nothing wrong with it, and nothing new in it.
pub(super) fn silent(world: &mut World<'_>, user: usize, parcel: &Parcel, what: impl Fn() -> String) -> Verdict {
    let state = world.users[user].member.export();
    match receive(world, user, parcel) {
        Err(error) => return Err(format!("{} was refused: {error}", what())),
        Ok(received) => ensure(received == Received::default(), || format!("{} had an effect", what()))?,
    }
    ensure(world.users[user].member.export() == state, || format!("{} has changed the state", what()))
}

/// Checks batches, at a copy: a forgery must not spoil its neighbours, and a duplicate must count once.
fn batch(world: &World<'_>, victim: usize, genuine: &Parcel, kind: &str) -> Verdict {
    let User { member, rng, .. } = &world.users[victim];
    let mut altered = genuine.bytes.clone();
    if let Some(last) = altered.last_mut() {
        *last ^= 1;
    }
    let incoming = |bytes| Incoming { group: genuine.group, author: genuine.author, bytes };
    let receive = |batch: &[Incoming<'_>]| {
        let (mut copy, mut rng) = (member.duplicate(), rng.clone());
        let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
        copy.receive(batch, &mut context)
    };
    let alone = receive(&[incoming(&genuine.bytes)]);
    let among = receive(&[incoming(&altered), incoming(&genuine.bytes), incoming(&genuine.bytes)]);
    let events = |result: Option<&Result<Received, Error>>| {
        result.and_then(|result| result.as_ref().ok()).map(|received| received.events.clone()).unwrap_or_default()
    };
    let what = format!(
        "in one batch of a message of kind `{kind}` with its last byte altered, the genuine one, and its copy,"
    );
    ensure(among.len() == 3, || format!("{what} there are {} results", among.len()))?;
    ensure(events(among.first()).is_empty(), || format!("{what} the altered one was taken for a genuine one"))?;
    ensure(events(among.get(1)) == events(alone.first()), || format!("{what} the genuine one has other effects"))?;
    let copy_has_none = among.last() == Some(&Ok(Received::default())) || alone.iter().any(Result::is_err);
    ensure(copy_has_none, || {
        format!("{what} the copy is refused or has an effect, as if the genuine one had not counted")
    })
}

/// Sends everything that was ever sent to everybody again, its authors included.
fn repeat_all(world: &mut World<'_>) -> Verdict {
    for place in 0..world.log.len() {
        let genuine = Parcel::of(world, place);
        for user in 0..world.users.len() {
            let (author, known) = (world.log[place].author, world.users[user].received.contains(&place));
            let kind = world.log[place].kind;
            let what = || format!("an old message of kind `{kind}`, repeated at everybody,");
            if world.users[user].inside && (known || author == user) {
                silent(world, user, &genuine, what)?;
            } else {
                without_effect(world, user, &genuine, what)?;
            }
        }
    }
    Ok(())
}
