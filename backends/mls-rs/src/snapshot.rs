//! States of mls-rs 0.57.0 in bytes, for a thief that reads what its victim sends.

use mls_rs::group::GroupContext;
use mls_rs::mls_rs_codec::{Error, MlsDecode as _, byte_vec};

use crate::client::Stored;

/// Collections in a group's state between the context of its epoch and the leaf of its owner: proposals, the owner's
/// among them; the tree with five indexes and the hashes of its nodes; the hash of the transcript.
const BETWEEN: usize = 10;

/// Makes a group and its past epochs those of another member, as far as they say whose they are.
pub(crate) fn disown(stored: &mut Stored) -> Result<(), Error> {
    for epoch in stored.epochs.values_mut() {
        let mut rest = &epoch[..];
        GroupContext::mls_decode(&mut rest)?;
        let at = epoch.len() - rest.len();
        change_leaf(epoch, at)?;
    }
    let mut rest = &stored.state[..];
    u16::mls_decode(&mut rest)?;
    GroupContext::mls_decode(&mut rest)?;
    (0..BETWEEN).try_for_each(|_| skip(&mut rest))?;
    if u8::mls_decode(&mut rest)? != 0 {
        // The group is to be founded again.
        return Err(Error::InvalidContent);
    }
    // The confirmation tag.
    skip(&mut rest)?;
    let at = stored.state.len() - rest.len();
    change_leaf(&mut stored.state, at)
}

fn skip(rest: &mut &[u8]) -> Result<(), Error> {
    byte_vec::mls_decode::<Vec<u8>>(rest).map(drop)
}

/// Changes the number of a leaf that stands at this place.
fn change_leaf(bytes: &mut [u8], at: usize) -> Result<(), Error> {
    // The lowest bit of four bytes in network order.
    *bytes.get_mut(at + 3).ok_or(Error::UnexpectedEOF)? ^= 1;
    Ok(())
}
