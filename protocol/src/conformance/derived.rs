//! Secrets that are derived, as the primitives derive them: none is sent in clear, and a key that has opened a message cannot
//! be derived again from a state.

use std::collections::BTreeSet;

use super::search::blocks;
use crate::crypto::tap::Derived;
use crate::stage::derivations::Recording;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Sent, World};

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
pub(super) fn forgotten(world: &World<'_>, recording: Recording, first: usize) -> Verdict {
    let (all, keys) = recording.end(world);
    // A secret in clear is found in another way.
    let public = all.public_but_secrets(world.log.iter().map(|sent| &sent.bytes[..]));
    for user in world.insiders() {
        let known = all.with(&public, [&world.state(user)[..]]);
        ensure(!keys[first..].iter().any(|key| all.knows(&known, key)), || {
            "the key of a message that was read can be derived from the state of a member, which is declared otherwise"
                .to_owned()
        })?;
    }
    Ok(())
}
