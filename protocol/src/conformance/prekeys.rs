//! A one-time prekey is deleted once it has been used, and all prekeys once their owner has been removed.
//!
//! The check alters the draws of a new user's randomness one by one. A draw that changes a bundle, and not the user's id,
//! is the secret of a prekey; if it changes a single one-time prekey and nothing else, it is the secret of that one. If
//! these bytes are in the user's export before the prekey is used, or before its owner is removed, they must not be there
//! afterwards.

use super::trial::Trial;
use crate::directory::Directory as _;
use crate::member::{Backend, NewUser};
use crate::operation::Operation;
use crate::stage::recorder::Alters;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, World, stream};

const PREKEYS: usize = 3;
/// The shortest draw that counts as a secret: fewer bytes would be found by chance.
const MIN_SECRET_LEN: usize = 16;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    trial.enter("first contact", 2);
    let backend = trial.backend();
    let (user, draws) = make(&*backend, trial.seed, None);
    let secrets: Vec<Prekey> = draws
        .iter()
        .enumerate()
        .filter(|(_, draw)| draw.len() >= MIN_SECRET_LEN)
        .filter_map(|(at, draw)| Prekey::of(&user, &make(&*backend, trial.seed, Some(at)).0, draw))
        .collect();
    let before = user.member.export();
    if !secrets.iter().any(|prekey| prekey.one_time.is_some() && prekey.is_in(&before)) {
        let why = match user.one_time[..] {
            [] => "users publish no one-time prekeys",
            _ => "exports do not show one-time prekeys",
        };
        trial.not_made("whether used one-time prekeys are deleted", why);
    }
    if !secrets.iter().any(|prekey| prekey.is_in(&before)) {
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
    if used == 0 && !published.is_empty() {
        trial.notes.push("one-time prekeys are published and not used");
    }
    let after = world.users[1].member.export();
    let is_used = |prekey: &Prekey| prekey.one_time.is_some_and(|which| which < used);
    let kept = secrets.iter().any(|prekey| is_used(prekey) && prekey.is_in(&after));
    ensure(!kept, || "a one-time prekey that has been used is still in the export of its owner".to_owned())?;
    if !trial.supports(Operation::Remove, 2) {
        return Ok(());
    }
    world.run(0, &Action::Remove(1))?;
    let after = world.users[1].member.export();
    let kept = secrets.iter().any(|prekey| prekey.is_in(&after));
    ensure(!kept, || "a prekey of a removed member is still in its export".to_owned())
}

/// The secret of a prekey, which is the number `one_time` of the one-time prekeys if it is one of them.
struct Prekey {
    secret: Vec<u8>,
    one_time: Option<usize>,
}

impl Prekey {
    /// The secret that `draw` is, if `altered` has another one in its place.
    fn of(user: &NewUser, altered: &NewUser, draw: &[u8]) -> Option<Self> {
        if altered.id != user.id || altered.one_time.len() != user.one_time.len() {
            return None;
        }
        let changed = |which: &usize| altered.one_time[*which] != user.one_time[*which];
        let changed: Vec<usize> = (0..user.one_time.len()).filter(changed).collect();
        let one_time = match (altered.bundle == user.bundle, &changed[..]) {
            (true, []) => return None,
            (true, [which]) => Some(*which),
            _ => None,
        };
        Some(Self { secret: draw.to_vec(), one_time })
    }

    fn is_in(&self, export: &[u8]) -> bool {
        export.windows(self.secret.len()).any(|window| window == self.secret)
    }
}

fn make(backend: &dyn Backend, seed: u64, altered: Option<usize>) -> (NewUser, Vec<Vec<u8>>) {
    let mut recorder = stream(seed, 1 << 20).altering(altered.map_or(Alters::None, Alters::One));
    let user = backend.new_user(PREKEYS, &mut recorder);
    (user, recorder.draws)
}
