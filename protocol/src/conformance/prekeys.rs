//! A one-time prekey is deleted once it has been used.
//!
//! The check alters the draws of a new user's randomness one by one. A draw that changes a single one-time prekey, and
//! nothing else of what is published, is the secret of that prekey. If these bytes are in the user's export before the
//! prekey is used, they must not be there afterwards.

use super::recorder::Alters;
use super::trial::Trial;
use super::verdict::{Verdict, ensure};
use super::world::{Action, World, stream};
use crate::directory::Directory as _;
use crate::member::{Backend, NewUser};

const PREKEYS: usize = 3;
/// The shortest draw that counts as a secret: fewer bytes would be found by chance.
const MIN_SECRET_LEN: usize = 16;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    trial.enter("first contact", 2);
    let backend = trial.backend();
    let (user, draws) = make(&*backend, trial.seed, None);
    let secret = |which: usize| {
        let at = (0..draws.len()).find(|at| {
            let (altered, _) = make(&*backend, trial.seed, Some(*at));
            let others = |user: &NewUser| {
                let mut one_time = user.one_time.clone();
                one_time.remove(which);
                (user.id, user.bundle.clone(), one_time)
            };
            altered.one_time.len() == user.one_time.len()
                && others(&altered) == others(&user)
                && altered.one_time[which] != user.one_time[which]
        });
        at.map(|at| draws[at].clone()).filter(|draw| draw.len() >= MIN_SECRET_LEN)
    };
    let before = user.member.export();
    let secrets: Vec<Option<Vec<u8>>> = (0..user.one_time.len()).map(secret).collect();
    let shown = |export: &[u8], secret: &[u8]| export.windows(secret.len()).any(|window| window == secret);
    if !secrets.iter().flatten().any(|secret| shown(&before, secret)) {
        trial.notes.push("exports do not show one-time prekeys, so that they are deleted was not seen");
        return Ok(());
    }
    let published = user.one_time.clone();
    let creator = backend.new_user(PREKEYS, &mut stream(trial.seed, 0));
    let mut world = World::of(trial.make, vec![creator, user], trial.seed)?;
    world.run(0, &Action::Create(vec![1]))?;
    world.converse()?;
    // The directory hands them out in their order.
    let id = world.users[1].id;
    let used = match world.directory.clone().one_time(&id) {
        Some(next) => published.iter().position(|one_time| *one_time == next).unwrap_or(0),
        None => published.len(),
    };
    if used == 0 {
        trial.notes.push("one-time prekeys are published and not used");
    }
    let after = world.users[1].member.export();
    let kept = secrets.iter().take(used).flatten().any(|secret| shown(&after, secret));
    ensure(!kept, || "a one-time prekey that has been used is still in the export of its owner".to_owned())
}

fn make(backend: &dyn Backend, seed: u64, altered: Option<usize>) -> (NewUser, Vec<Vec<u8>>) {
    let mut recorder = stream(seed, 1 << 20).altering(altered.map_or(Alters::None, Alters::One));
    let user = backend.new_user(PREKEYS, &mut recorder);
    (user, recorder.draws)
}
