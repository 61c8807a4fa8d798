//! The exact public-key operations of each call, for comparison with the measured ones.
//!
//! Leaves are numbered in the order of members, and the creator has leaf 0. HPKE costs DH + KG at either end: the one who opens
//! derives its own public key again. With d the height of the tree:
//!
//! | | author | recipient at leaf i |
//! |---|---|---|
//! | path | (d + 1) KG, S, an HPKE for each node that it encrypts to | V, one HPKE, KG for each node above both |
//! | commit | S | V |
//! | added key package | 2V | 2V |
//! | welcome | S, an HPKE for each joiner | V for each leaf and one more, one HPKE, KG for each node above both |

use protocol::crypto::count::Counts;
use protocol::member::COMMIT;
use protocol::operation::{Expected, Operation, Phase, Role};

const KG: Counts = Counts { keygen: 1, ..Counts::NOTHING };
const HPKE: Counts = Counts { dh: 1, keygen: 1, ..Counts::NOTHING };
const SIGN: Counts = Counts { sign: 1, ..Counts::NOTHING };
const VERIFY: Counts = Counts { verify: 1, ..Counts::NOTHING };

/// The cost of `operation` in a group of `n` members, at least 2, whose tree is `full` once everybody has spoken. `None` if the
/// protocol does not have the operation, or if it is one of several members.
pub(crate) fn expected(operation: Operation, n: usize, full: bool) -> Option<Expected> {
    let n = n as u64;
    let others = n - 1;
    let (send, receive) = ((Role::Sender, Phase::Generate), (Role::Recipient, Phase::Process));
    let (messages, counts) = match operation {
        Operation::Create => {
            // The group begins with its creator alone, which has a leaf and signs it. Nobody else hears of the path.
            let founds = KG + SIGN + path(n, 0) + SIGN;
            let invites = SIGN + others * (2 * VERIFY + HPKE);
            let joins = others * ((n + 1) * VERIFY + HPKE) + above_both(n, 1..n);
            (vec![("welcome", 1)], vec![(send, founds + invites), (receive, joins)])
        }
        Operation::Add => {
            let known = if full { height(n) } else { others };
            let adds = 2 * VERIFY + path(n + 1, known) + SIGN + SIGN + HPKE;
            let learns = others * (4 * VERIFY + HPKE) + above_both(n + 1, 1..n);
            let joins = (n + 2) * VERIFY + HPKE + above_both(n + 1, n..n + 1);
            let joiner = (Role::Joiner, Phase::Process);
            (vec![(COMMIT, 1), ("welcome", 1)], vec![(send, adds), (receive, learns), (joiner, joins)])
        }
        Operation::Remove => {
            // The nodes above the removed leaf are blank, so the last subtree is reached by the parts that are not.
            let parts = u64::from((n - 1).ilog2() + (n - 1).count_ones() - 1);
            let known = if full { parts } else { others - 1 };
            let learns = (others - 1) * (2 * VERIFY + HPKE) + above_both(n - 1, 1..n - 1);
            let removed = (Role::Removed, Phase::Process);
            let removes = path(n - 1, known) + SIGN;
            (vec![(COMMIT, 1)], vec![(send, removes), (receive, learns), (removed, 2 * VERIFY)])
        }
        // At the creation, only the creator has a path. Its neighbour shares all nodes of it.
        Operation::Update | Operation::UpdateCold => {
            let known = if full && operation == Operation::Update { height(n) } else { others };
            let learns = others * (2 * VERIFY + HPKE) + above_both(n, 1..n);
            (vec![(COMMIT, 1)], vec![(send, path(n, known) + SIGN), (receive, learns)])
        }
        Operation::Message => (vec![("message", 1)], vec![(send, SIGN), (receive, others * VERIFY)]),
        Operation::MessageAfterRemove => (vec![("message", 1)], vec![(send, SIGN), (receive, (others - 1) * VERIFY)]),
        _ => return None,
    };
    Some(Expected::new(messages, counts.into_iter().map(|((role, phase), counts)| (role, phase, counts)).collect()))
}

/// A new path of leaf 0 or 1 in a tree of `n` leaves, encrypted to this number of nodes.
fn path(n: u64, nodes: u64) -> Counts {
    (height(n) + 1) * KG + SIGN + nodes * HPKE
}

/// The number of nodes above a leaf of the first pair in a tree of `n` leaves, all of which have others below them.
fn height(n: u64) -> u64 {
    u64::from(n.next_power_of_two().ilog2())
}

/// A key pair for each node that is above both leaf 0 and the leaf `i`, for each `i` of these.
fn above_both(n: u64, leaves: core::ops::Range<u64>) -> Counts {
    leaves.map(|i| height(n) - u64::from(i.ilog2())).sum::<u64>() * KG
}
