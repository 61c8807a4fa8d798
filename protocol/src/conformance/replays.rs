//! Two groups of the same users. What is sent in one of them has no effect in the other, under that group's id.

use super::hostile::{Parcel, without_effect};
use super::trial::Trial;
use crate::operation::{Operation, PLAINTEXT_LEN, Phase, Start};
use crate::stage::verdict::Verdict;
use crate::stage::world::{Action, World};

const SIZE: usize = 3;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    trial.enter("two groups", SIZE);
    let (updates, adds) = (trial.capabilities().pcs_update, trial.supports(Operation::Add, SIZE));
    let mut one = trial.world(Start::Users, 1)?;
    let mut other = one.fork()?;
    other.redraw(trial.seed, 1 << 25);
    let send = || Action::Send(vec![0x5a; PLAINTEXT_LEN]);
    for (_, operator, action) in [
        (true, 0, Action::Create((1..SIZE).collect())),
        (true, 1, send()),
        (updates, 1, Action::Update),
        (adds, 2, Action::Add(SIZE)),
        (trial.supports(Operation::Remove, SIZE), 0, Action::Remove(2)),
        (true, 0, send()),
    ]
    .into_iter()
    .filter(|(possible, ..)| *possible)
    {
        replay(&mut one, &mut other, operator, &action)?;
    }
    Ok(())
}

/// The same operation in both groups. Before a message arrives in the second one, its counterparts of the first do.
fn replay(one: &mut World<'_>, other: &mut World<'_>, operator: usize, action: &Action) -> Verdict {
    let first = one.log.len();
    one.run(operator, action)?;
    let mut place = other.log.len();
    other.begin(operator, action)?;
    while place < other.log.len() {
        let (author, kind) = (other.log[place].author, other.log[place].kind);
        let old = one.log[first..].iter().filter(|sent| sent.author == author && sent.kind == kind);
        let parcel = |bytes: &Vec<u8>| Parcel { bytes: bytes.clone(), ..Parcel::of(other, place) };
        let replays: Vec<Parcel> = old.map(|sent| parcel(&sent.bytes)).collect();
        for user in 0..other.users.len() {
            if !other.users[user].inbox.contains(&place) {
                continue;
            }
            other.users[user].inbox.retain(|waiting| *waiting != place);
            for replay in &replays {
                without_effect(other, user, replay, || format!("a message of kind `{kind}` of another group"))?;
            }
            let answers = other.receive(user, &[place], Phase::Process)?;
            other.post(user, answers)?;
        }
        place += 1;
    }
    other.end(operator, action)?;
    other.agree().map(drop)
}
