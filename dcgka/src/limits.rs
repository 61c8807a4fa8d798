//! Every limit that this crate sets, in the order of the table on the crate's page.
//!
//! Limits on messages that wait, on their length and on the equivocations that are noticed belong to
//! [`protocol::causal_order`] and [`protocol::wire::codec`].

use protocol::causal_order::MAX_WAITING_BYTES;
use protocol::membership::Limits;
use protocol::wire::codec::MAX_MESSAGE_LEN;

/// Members of a group. An add is judged by its author's view alone, which everybody knows. Two concurrent adds at the
/// limit are therefore both valid, so a group can exceed the limit by as many members as were added concurrently.
pub const MAX_MEMBERS: usize = 1024;

/// Users that a group has ever had, counted in the same way. Nobody is forgotten: each removed member leaves an id, a
/// key, a number and its acknowledgements.
pub const MAX_KNOWN: usize = 4 * MAX_MEMBERS;

/// Membership changes in a welcome: some four for each user that its adder can have known.
pub(crate) const MAX_WELCOME_CHANGES: usize = 4 * MAX_KNOWN;

/// Steps to evaluate the membership in a welcome, which take less than a tenth of a second. A group of 4,096 users that
/// were all added and of whom three quarters were removed takes 30 million.
pub(crate) const MAX_WELCOME_STEPS: u64 = 1 << 25;

/// What a joiner accepts as the membership of a group, and the most that an adder sends.
pub(crate) const WELCOME_LIMITS: Limits =
    Limits { known: MAX_KNOWN, records: MAX_WELCOME_CHANGES, steps: MAX_WELCOME_STEPS };

/// Bytes of a welcome's state. Beyond it the welcome would be too long to be read.
pub(crate) const MAX_WELCOME_STATE_LEN: usize = MAX_MESSAGE_LEN - WELCOME_OVERHEAD;

/// More bytes than a welcome takes besides its state, for envelope and hash.
const WELCOME_OVERHEAD: usize = 1024;

/// Control messages of one author that some member has not acknowledged. At this number the author's own updates and
/// adds fail, and so do its messages that need an update first. The author can still remove a silent member.
///
/// For each control message everybody keeps three sets of members, and some 50 bytes for the secret of each recipient
/// that has not acknowledged it. With one silent member of 1,024 that is 1 kB, so a quarter of a megabyte for an
/// author. An author that updates every day can wait eight months for a member.
pub const MAX_UNACKNOWLEDGED: usize = 256;

/// Pending control messages of one author. At this number the others hold back the author's next update or add, and
/// everything after it, until acknowledgements arrive, unless another member has acknowledged it already and would have
/// to wait too. So an author alone cannot make the others keep more; with an accomplice it can.
pub const MAX_PENDING: usize = 2 * MAX_UNACKNOWLEDGED;

/// Private keys kept for one peer to encrypt to, one for each ciphertext that the peer has not acknowledged. Beyond it
/// the peer gets empty slots. A key takes some 40 bytes, so a peer costs at most 40 kB, and only a silent one costs
/// that much.
pub const MAX_KEPT_KEYS: usize = 1024;

/// Groups whose messages a user outside keeps until it is invited.
pub(crate) const MAX_LOBBIES: usize = 8;

/// Invitations to one group that may wait for their adds.
pub(crate) const MAX_INVITATIONS: usize = 16;

/// Bytes of an application message's plaintext.
pub const MAX_PLAINTEXT_LEN: usize = 1 << 16;

/// The last number of a member's own messages with which it may begin a call, receiving included, since that may
/// require an answer. The numbers after it are more than one call can use: a call answers at most all control messages
/// that have waited, whose bodies take at least 32 bytes each.
pub(crate) const LAST_NUMBER: u32 = u32::MAX - (MAX_WAITING_BYTES / 16) as u32;

#[cfg(test)]
mod tests {
    use protocol::causal_order::{EQUIVOCATION_WINDOW, MAX_STRANGERS, MAX_WAITING_PER_AUTHOR};

    use super::*;

    /// Constants with their names and values.
    macro_rules! named {
        ($($limit:ident),* $(,)?) => { [$((stringify!($limit), $limit.to_string())),*] };
    }

    /// With a comma before every three digits.
    fn grouped(digits: &str) -> String {
        let mut grouped = String::new();
        for (place, digit) in digits.chars().enumerate() {
            if place > 0 && (digits.len() - place).is_multiple_of(3) {
                grouped.push(',');
            }
            grouped.push(digit);
        }
        grouped
    }

    #[test]
    fn the_table_on_the_crates_page_has_every_limit_with_its_value() {
        let limits = named![
            MAX_MEMBERS,
            MAX_KNOWN,
            MAX_WELCOME_CHANGES,
            MAX_WELCOME_STEPS,
            MAX_WELCOME_STATE_LEN,
            MAX_UNACKNOWLEDGED,
            MAX_PENDING,
            MAX_KEPT_KEYS,
            MAX_LOBBIES,
            MAX_INVITATIONS,
            MAX_PLAINTEXT_LEN,
            LAST_NUMBER,
        ];
        let constants = include_str!("limits.rs").lines().filter_map(|line| {
            let line = line.strip_prefix("pub const ").or_else(|| line.strip_prefix("pub(crate) const "))?;
            line.split(':').next().filter(|name| *name != "WELCOME_LIMITS")
        });
        assert!(constants.eq(limits.iter().map(|(name, _)| *name)), "a constant is missing above");

        let elsewhere =
            named![MAX_WAITING_PER_AUTHOR, MAX_WAITING_BYTES, MAX_STRANGERS, MAX_MESSAGE_LEN, EQUIVOCATION_WINDOW];
        let (_, table) = include_str!("lib.rs").split_once("# Limits").unwrap();
        let table = table.replace(['[', ']', '`'], "");
        let place = |(name, value): &(&str, String)| {
            let entry = format!("| {} ({name}", grouped(value));
            table.find(&entry).unwrap_or_else(|| panic!("the table lacks `{entry}`"))
        };
        assert!(limits.iter().map(place).is_sorted(), "the table has another order");
        for limit in &elsewhere {
            place(limit);
        }
    }
}
