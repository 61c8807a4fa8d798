//! Secrets that are derived, as the primitives derive them: none is sent in clear, and a key that has opened a message cannot
//! be derived again from a state.

use std::collections::BTreeSet;

use super::search::{BLOCK, blocks};
use super::verdict::{Verdict, ensure};
use super::world::{Sent, World};
use crate::crypto::tap::Derived;

/// Bytes of a secret: a longer output is several.
const SECRET: usize = 32;

/// A secret that is sent in clear is a derived value from which or with which members go on. Values that are derived to be
/// shown are none.
pub(super) fn in_clear(world: &World<'_>, derived: &Derived) -> Verdict {
    let inputs = derived.inputs.iter().flatten().chain(&derived.keys);
    let used: BTreeSet<u128> = inputs.flat_map(|input| blocks(input)).collect();
    let outputs = derived.outputs.iter().flat_map(|(_, output)| blocks(output));
    let secret: BTreeSet<u128> = outputs.filter(|block| used.contains(block)).collect();
    for Sent { kind, bytes, .. } in &world.log {
        ensure(!blocks(bytes).any(|block| secret.contains(&block)), || {
            format!("a message of kind `{kind}` shows in clear a secret from which others are derived")
        })?;
    }
    Ok(())
}

/// With everything that a state holds, and everything that was sent, derives what can be derived: none of the keys from the
/// number `first` on.
pub(super) fn forgotten(world: &World<'_>, derived: &Derived, first: usize) -> Verdict {
    for user in world.insiders() {
        ensure(!follows(world, derived, first, &world.state(user), &mut world.log.iter()), || {
            "the key of a message that was read can be derived from the state of a member, which is declared otherwise"
                .to_owned()
        })?;
    }
    Ok(())
}

/// Whether a key from the number `first` on follows from this state and these messages. It does not depend on the code of a
/// thief: a stolen state that leaves unused what it holds opens nothing, whatever its thief could do.
pub(super) fn follows(
    world: &World<'_>,
    derived: &Derived,
    first: usize,
    state: &[u8],
    heard: &mut dyn Iterator<Item = &Sent>,
) -> bool {
    let start = |value: &[u8]| value.first_chunk::<BLOCK>().copied().map(u128::from_be_bytes);
    let parts = |output: &'_ Vec<u8>| output.chunks(SECRET).filter_map(start).collect::<Vec<_>>();
    let drawn = world.users.iter().flat_map(|user| &user.rng.draws).filter_map(|draw| start(draw));
    let secrets: BTreeSet<u128> = derived.outputs.iter().flat_map(|(_, output)| parts(output)).chain(drawn).collect();
    // A secret in clear is found in another way.
    let public = heard.flat_map(|sent| blocks(&sent.bytes)).filter(|block| !secrets.contains(block));
    let mut known: BTreeSet<u128> = public.collect();
    known.extend(blocks(state));
    for (inputs, output) in &derived.outputs {
        let inputs = derived.inputs.get(*inputs).map_or(&[][..], Vec::as_slice);
        if inputs.iter().all(|input| is_known(input, &known, &secrets)) {
            known.extend(parts(output));
        }
    }
    derived.keys[first..].iter().filter_map(|key| start(key)).any(|key| known.contains(&key))
}

/// Whether somebody who knows these secrets knows an input: all secrets that are parts of it, or a constant. What is
/// neither may have come about in another way.
fn is_known(input: &[u8], known: &BTreeSet<u128>, secrets: &BTreeSet<u128>) -> bool {
    let parts: Vec<u128> = blocks(input).filter(|block| secrets.contains(block)).collect();
    let constant = input.len() < SECRET || input.iter().collect::<BTreeSet<_>>().len() <= 1;
    match parts[..] {
        [] => constant || blocks(input).all(|block| known.contains(&block)),
        _ => parts.iter().all(|part| known.contains(part)),
    }
}
