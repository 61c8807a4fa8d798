//! What a member does with acknowledgements that have tags, honest and forged, counted: the table "Acknowledgements with tags" on the
//! crate's page.

use protocol::causal_order::MAX_WAITING_PER_AUTHOR;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::id::{MemberId, MessageId};
use protocol::wire::envelope::{Draft, Kind, MAX_TAGGED, Subject};

use super::concurrency::common::counted::{Row, arrive, assert_table};
use super::concurrency::common::{World, carry};
use super::tagged_acks::{forge, group, number};

const FULL: u32 = MAX_WAITING_PER_AUTHOR as u32;
/// The author of the acknowledgements, a member that can check tags, and a joiner that cannot.
const AUTHOR: usize = 1;
const MEMBER: usize = 2;
const JOINER: usize = 4;

/// Forged acknowledgements of messages by user 0 under one number of [`AUTHOR`]. `acknowledged` says of which one each is.
fn flood(world: &World, number: u32, acknowledged: impl Fn(u32) -> u32) -> Vec<(MemberId, Vec<u8>)> {
    let author = world.id(AUTHOR);
    let forged = |index: u32| {
        let mut secret = [0; 32];
        secret[..4].copy_from_slice(&index.to_be_bytes());
        (author, forge(world, author, number, (0, acknowledged(index)), &Secret::new(secret)))
    };
    (0..FULL).map(forged).collect()
}

/// A group in which the author has acknowledged an update, and a joiner that knows the update from its welcome, and not the
/// secret under which the tag is.
struct Joined {
    world: World,
    /// The acknowledgement, and the member's.
    acks: Vec<usize>,
    add: Vec<usize>,
    /// Forged copies of the acknowledgement, with wrong tags.
    wrong: Vec<(MemberId, Vec<u8>)>,
}

fn joined() -> Joined {
    let mut world = group(4, 5, 910);
    let update = world.update(0);
    let acks = carry(&mut world, &[&update], &[AUTHOR, MEMBER]);
    let acknowledged = number(&world, update[0]);
    let wrong = flood(&world, number(&world, acks[0]), |_| acknowledged);
    let add = world.add(MEMBER, JOINER);
    carry(&mut world, &[&add], &[JOINER]);
    Joined { world, acks, add, wrong }
}

/// Without any key: signed messages that nobody has made, after 64 acknowledgements of messages by this user.
fn unsigned(world: &World, number: u32, user: MemberId) -> Vec<(MemberId, Vec<u8>)> {
    let author = world.id(AUTHOR);
    let history: Vec<_> = (1..=64).map(|number| (user.handle(), MessageId { author: user, number })).collect();
    let forged = |index: u32| {
        let key = SigningKey::from_secret(&Secret::new([7; 32]));
        let (body, subject) = (&index.to_be_bytes()[..], Subject::None);
        let draft = Draft { kind: Kind(9), sender: author, number: number + 63, subject, new_key: None, body };
        (author, draft.sign_after(&world.group, (author.handle(), None), &history, &key).0)
    };
    (0..FULL / 2).map(forged).collect()
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let said = |world: &World, place: usize| [(world.id(AUTHOR), world.sent[place].bytes.clone())];
    let Joined { mut world, acks, add, wrong } = joined();
    let next = number(&world, acks[0]);
    let mut arrives = |world: &mut World, to, what, messages: &[_]| rows.push(arrive(world, to, what, messages, 0));
    let genuine = said(&world, acks[0]);
    arrives(&mut world, MEMBER, "1,024 acknowledgements with wrong tags, at a member that has the secret", &wrong);
    arrives(&mut world, MEMBER, "then the genuine one", &genuine);
    arrives(&mut world, JOINER, "1,024 acknowledgements with wrong tags, at a joiner", &wrong);
    let unknown = flood(&world, next, |index| 1_000_000 + index);
    arrives(&mut world, JOINER, "then 1,024 acknowledgements of messages that nobody has sent", &unknown);
    let answer = carry(&mut world, &[&acks[1..], &add], &[AUTHOR])[0];
    let signed = said(&world, answer);
    arrives(&mut world, JOINER, "then the ADD-ACK of their author, which brings the genuine one", &signed);
    arrives(&mut world, JOINER, "then the genuine one", &genuine);

    let Joined { mut world, acks, add, .. } = joined();
    let known = unsigned(&world, next, world.id(0));
    arrives(&mut world, JOINER, "512 messages with wrong signatures and 64 acknowledgements each, at a joiner", &known);
    let later = unsigned(&world, next + 2, world.id(0));
    arrives(&mut world, JOINER, "then 512 under a number whose turn has not come", &later);
    let stranger = unsigned(&world, next, MemberId([9; 32]));
    arrives(&mut world, JOINER, "then 512 that acknowledge messages of an unknown user", &stranger);
    let answer = carry(&mut world, &[&acks[1..], &add], &[AUTHOR])[0];
    let signed = said(&world, answer);
    arrives(&mut world, JOINER, "then the ADD-ACK", &signed);
    rows
}

#[test]
fn the_table_of_acknowledgements_with_tags_says_what_is_counted() {
    let rows = rows();
    let refused: Vec<usize> = rows.iter().map(|row| row.refused).collect();
    let (full, half) = (FULL as usize, FULL as usize / 2);
    assert_eq!(refused, [full, 0, 0, full - MAX_TAGGED, 0, 0, half, 0, 0, 0]);
    assert_table("# Acknowledgements with tags", &rows, |Row { work, .. }| {
        vec![work.verify, work.kdf, work.envelopes, work.hash_blocks]
    });
}
