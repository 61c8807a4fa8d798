//! What messages cost the member that they reach, counted, and tables of that.

use protocol::crypto::count::{Counts, snapshot};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Context, Incoming};

use super::World;

/// A row of a table on the crate's page.
pub struct Row {
    pub arrives: String,
    pub bytes: usize,
    pub work: Counts,
    pub kept: usize,
    /// How many of the messages were refused as not authentic, or for lack of room.
    pub refused: usize,
}

/// Lets messages reach a user, and counts. What is kept is what the export has grown by when only `last` messages are
/// missing.
pub fn arrive(world: &mut World, to: usize, arrives: &str, messages: &[(MemberId, Vec<u8>)], last: usize) -> Row {
    let size = |world: &World| world.users[to].member.export().len();
    let (mut kept, mut work, mut refused) = (0, Counts::default(), 0);
    let empty = size(world);
    for (index, (author, bytes)) in messages.iter().enumerate() {
        let before = snapshot();
        let incoming = Incoming { group: world.group, author: *author, bytes };
        let received =
            world.act(to, |member, context: &mut Context<'_>| Ok(member.receive_one(&incoming, context)?.outgoing));
        work += snapshot() - before;
        match received {
            Ok(_) => {}
            Err(Error::NotAuthentic | Error::QueueFull) => refused += 1,
            Err(error) => panic!("{arrives}: {error}"),
        }
        if index + 1 + last == messages.len() {
            kept = size(world).saturating_sub(empty);
        }
    }
    let bytes = messages.iter().map(|(_, bytes)| bytes.len()).sum();
    Row { arrives: arrives.to_owned(), bytes, work, kept, refused }
}

/// Fails unless the crate's page has these rows after a heading: what arrives, its bytes, the figures, and what is kept.
pub fn assert_table(heading: &str, rows: &[Row], figures: impl Fn(&Row) -> Vec<u64>) {
    let line = |row: &Row| {
        let figures = [vec![row.bytes as u64], figures(row), vec![row.kept as u64]].concat();
        let figures: Vec<String> = figures.into_iter().map(grouped).collect();
        format!("//! | {} | {} |\n", row.arrives, figures.join(" | "))
    };
    let table: String = rows.iter().map(line).collect();
    let (_, page) = include_str!("../../src/lib.rs").split_once(heading).unwrap();
    assert!(page.contains(&table), "the crate's page should have these rows:\n{table}");
}

/// With a comma before every three digits.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
