//! What a member does with honest and hostile arrivals, counted: the table "Honest and hostile worst cases" on the
//! crate's page.

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod common;

use common::World;
use common::counted::{Row, arrive, assert_table};
use protocol::causal_order::{MAX_STRANGERS, MAX_WAITING_PER_AUTHOR};
use protocol::crypto::signature::SIGNATURE_LEN;
use protocol::id::{Handle, MemberId};
use protocol::wire::codec::put_varint;
use protocol::wire::envelope::Kind;

/// What the users of a test follow unless it says otherwise.
const VARIANT: dcgka::Dcgka = dcgka::Dcgka::CORRECTED;

/// The member that receives everything.
const ME: usize = 1;
const FULL: u32 = MAX_WAITING_PER_AUTHOR as u32;

/// Bytes that somebody without any key can make.
fn forged(
    kind: u8,
    sender: Handle,
    number: u32,
    name: Option<Handle>,
    new_key: Option<MemberId>,
    tail: u32,
) -> Vec<u8> {
    let names = if name.is_some() { Kind::NAMES } else { 0 };
    let renews = if new_key.is_some() { Kind::NEW_KEY } else { 0 };
    let mut out = vec![1, kind | names | renews];
    out.extend_from_slice(&sender.0);
    put_varint(&mut out, number);
    out.extend(name.iter().flat_map(|name| name.0));
    out.extend(new_key.iter().flat_map(|key| key.0));
    // In the first half of the signature: the second half must be below the order of the group, or it is refused at once.
    out.extend_from_slice(&tail.to_be_bytes());
    out.extend_from_slice(&[0; SIGNATURE_LEN - 4]);
    out
}

/// Messages under numbers that are far from being used, with a valid new key.
fn far_numbers(world: &World, author: usize) -> Vec<(MemberId, Vec<u8>)> {
    let (id, key) = (world.id(author), world.id(0));
    let far = |index| forged(4, id.handle(), (1 << 30) + index, None, Some(key), 0);
    (0..FULL).map(|index| (id, far(index))).collect()
}

/// One message by each of as many unknown authors as there is room for.
fn strangers() -> Vec<(MemberId, Vec<u8>)> {
    let stranger = |name: u32| {
        let id = MemberId([[9; 28].as_slice(), &name.to_be_bytes()].concat().try_into().unwrap());
        (id, forged(9, id.handle(), 1, None, None, 0))
    };
    (0..MAX_STRANGERS as u32).map(stranger).collect()
}

/// A settled group in which everybody has sent enough that later messages replace what is remembered of earlier ones.
fn group(members: usize) -> World {
    let mut world = World::with_group(members, members + 1, 700);
    for _ in 0..100 {
        world.say(0, "hello");
    }
    world.settle();
    world
}

/// What user 0 says next.
fn said(world: &mut World, count: u32) -> Vec<(MemberId, Vec<u8>)> {
    let id = world.id(0);
    let places: Vec<_> = (0..count).map(|_| world.say(0, "sixteen bytes...")[0]).collect();
    places.iter().map(|place| (id, world.sent[*place].bytes.clone())).collect()
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    let mut world = group(4);
    let messages = said(&mut world, FULL);
    rows.push(arrive(&mut world, ME, "1,024 messages in order", &messages, 0));

    let mut world = group(4);
    let reverse: Vec<_> = said(&mut world, FULL).into_iter().rev().collect();
    rows.push(arrive(&mut world, ME, "1,024 messages in reverse order", &reverse, 1));

    let mut world = group(4);
    let flood = far_numbers(&world, 0);
    rows.push(arrive(&mut world, ME, "1,024 forged messages with far numbers and new keys", &flood, 0));
    let messages = said(&mut world, FULL);
    rows.push(arrive(&mut world, ME, "then 1,024 messages in order", &messages, 0));

    // All forged ones come before the genuine one, which is an update.
    let mut world = group(4);
    let first = said(&mut world, 1);
    let (id, key, update) = (world.id(0), world.id(0), world.update(0)[0]);
    let update = world.sent[update].bytes.clone();
    let number = protocol::wire::envelope::Envelope::decode(&update).unwrap().number;
    let mut under: Vec<_> =
        (1..FULL).map(|index| (id, forged(2, id.handle(), number, None, Some(key), index))).collect();
    under.push((id, update));
    rows.push(arrive(&mut world, ME, "1,023 forged messages under the number of an UPDATE, and the UPDATE", &under, 0));
    rows.push(arrive(&mut world, ME, "then the message before it", &first, 0));

    let mut world = group(4);
    rows.push(arrive(&mut world, ME, "1,024 messages of unknown authors", &strangers(), 0));

    // An ADD by user 0, without a flood and with all queues full, in its own name too.
    let add = |world: &mut World, flooded: bool| {
        let place = world.add(0, 64)[0];
        let add = (world.id(0), world.sent[place].bytes.clone());
        let authors: Vec<_> = (0..64).filter(|author| *author != ME).collect();
        let flood =
            authors.iter().flat_map(|author| far_numbers(world, *author)).chain(strangers()).collect::<Vec<_>>();
        let full = flooded.then(|| {
            arrive(
                world,
                ME,
                "such forged messages in the names of 63 members, and 1,024 of unknown authors",
                &flood,
                0,
            )
        });
        let name = if flooded { "then an ADD in the group of 64" } else { "an ADD in a group of 64" };
        full.into_iter().chain([arrive(world, ME, name, &[add], 0)]).collect::<Vec<_>>()
    };
    for flooded in [false, true] {
        rows.extend(add(&mut group(64), flooded));
    }

    // The next message of user 2 names users that nobody knows; one of them is added then.
    let add = |flooded: bool| {
        let mut world = group(4);
        let place = world.add(0, 4)[0];
        let add = (world.id(0), world.sent[place].bytes.clone());
        let (id, joiner) = (world.id(2), world.id(4).handle());
        let number = world.users[ME].member.delivered().unwrap().iter().find(|(of, _)| *of == id).unwrap().1 + 1;
        let name = |index: u32| Handle([[7; 4], index.to_be_bytes()].concat().try_into().unwrap());
        let named = |index| Some(if index == 0 { joiner } else { name(index) });
        let naming: Vec<_> =
            (0..FULL).map(|index| (id, forged(3, id.handle(), number, named(index), None, index))).collect();
        let naming =
            flooded.then(|| arrive(&mut world, ME, "1,024 messages that name 1,024 unknown users", &naming, 0));
        let name = if flooded { "then the ADD of one of these users" } else { "an ADD in a group of 4" };
        naming.into_iter().chain([arrive(&mut world, ME, name, &[add], 0)]).collect::<Vec<_>>()
    };
    rows.extend([false, true].into_iter().flat_map(add));

    // A user that a group of 64 has invited, and copies of its ADD whose signatures are wrong.
    let mut world = World::with_group(64, 65, 701);
    let [add, welcome] = world.add(0, 64)[..] else { panic!("an add and a welcome") };
    let [add, welcome] = [add, welcome].map(|place| (world.id(0), world.sent[place].bytes.clone()));
    rows.push(arrive(&mut world, 64, "a welcome to a group of 64", &[welcome], 0));
    let copy = |index: u32| {
        let mut bytes = add.1.clone();
        let signature = bytes.len() - SIGNATURE_LEN;
        bytes[signature..signature + 4].copy_from_slice(&index.to_be_bytes());
        (add.0, bytes)
    };
    let copies: Vec<_> = (1..FULL).map(copy).collect();
    rows.push(arrive(&mut world, 64, "then 1,023 copies of its ADD with wrong signatures", &copies, 0));
    rows.push(arrive(&mut world, 64, "then its ADD", &[add], 0));
    rows
}

#[test]
fn the_table_of_worst_cases_says_what_is_counted() {
    let rows = rows();
    assert!(rows.iter().all(|row| row.refused == 0));
    assert_table("# Honest and hostile worst cases", &rows, |Row { work, .. }| {
        vec![work.verify, work.points, work.envelopes, work.hash_blocks]
    });
}
