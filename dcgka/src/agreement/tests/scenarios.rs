//! Scenarios with concurrent control messages: the members that are left keep nothing that they do not need, and the
//! users outside read nothing, even if they combine all that they have.

use std::collections::BTreeSet;

use protocol::member::Member as _;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::Net;
use super::coalition::{read_by, user_of};
use crate::dsgm::Dsgm;
use crate::rules::Rules;

const FOUNDERS: usize = 6;
const USERS: usize = 9;

struct Scenario {
    name: &'static str,
    /// Whether only the rules that the variant `published` leaves out keep outsiders out.
    leaks_as_published: bool,
    acts: fn(&mut Net),
    members: &'static [usize],
}

/// Users 0 to 5 are members at first.
const SCENARIOS: &[Scenario] = &[
    Scenario {
        name: "update concurrent with add",
        leaks_as_published: false,
        acts: |net| {
            net.update(1);
            net.add(0, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Scenario {
        name: "two adds",
        leaks_as_published: false,
        acts: |net| {
            net.add(0, 6);
            net.add(1, 7);
        },
        members: &[0, 1, 2, 3, 4, 5, 6, 7],
    },
    Scenario {
        name: "the same user added twice",
        leaks_as_published: false,
        acts: |net| {
            net.add(0, 6);
            net.add(1, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Scenario {
        name: "the same user added twice, by one member that knows of an update and by one that does not",
        leaks_as_published: false,
        acts: |net| {
            let update = net.update(3);
            net.carry(&update, 0);
            let add = net.add(0, 6);
            net.add(1, 6);
            net.carry(&add, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Scenario {
        name: "a user added again when it has acknowledged what the second adder has not",
        leaks_as_published: false,
        acts: |net| {
            net.add(0, 6);
            net.add(1, 6);
            net.update(3);
            net.settle_among(&[0, 2, 3, 4, 5, 6]);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Scenario {
        name: "add concurrent with removal of the adder",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5],
    },
    Scenario {
        name: "the same transitively",
        leaks_as_published: true,
        acts: |net| {
            let add = net.add(0, 6);
            net.carry(&add, 6);
            net.add(6, 7);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5],
    },
    Scenario {
        name: "add acknowledged before the adder's removal",
        leaks_as_published: false,
        acts: |net| {
            let add = net.add(0, 6);
            net.carry(&add, 1);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5, 6],
    },
    Scenario {
        name: "add concurrent with a remove by another",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.remove(1, 3);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Scenario {
        name: "a removed member adds an accomplice",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 3);
            net.settle_among(&[0, 1, 2, 4, 5]);
            let add = net.add(3, 6);
            net.carry(&add, 6);
            net.update(6);
            net.update(3);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Scenario {
        name: "a removed member adds an accomplice that adds another",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 3);
            let add = net.add(3, 6);
            net.carry(&add, 6);
            let add = net.add(6, 7);
            net.carry(&add, 7);
            net.update(7);
            net.update(1);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Scenario {
        name: "a member removed by processing an add",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 3);
            net.add(3, 6);
            net.add(1, 6);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Scenario {
        name: "mutual removes",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 1);
            net.remove(1, 0);
        },
        members: &[2, 3, 4, 5],
    },
    Scenario {
        name: "a cycle of three removes",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 1);
            net.remove(1, 2);
            net.remove(2, 0);
        },
        members: &[3, 4, 5],
    },
    Scenario {
        name: "two removes of one user",
        leaks_as_published: false,
        acts: |net| {
            net.remove(0, 5);
            net.remove(1, 5);
        },
        members: &[0, 1, 2, 3, 4],
    },
    Scenario {
        name: "two colluders removed by different members",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 4);
            net.remove(1, 5);
        },
        members: &[0, 1, 2, 3],
    },
    Scenario {
        name: "remove concurrent with update by the removed",
        leaks_as_published: false,
        acts: |net| {
            net.remove(0, 3);
            net.update(3);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Scenario {
        name: "remove concurrent with update by another",
        leaks_as_published: false,
        acts: |net| {
            net.remove(0, 3);
            net.update(1);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Scenario {
        name: "concurrent updates",
        leaks_as_published: false,
        acts: |net| {
            for user in 0..FOUNDERS {
                net.update(user);
            }
        },
        members: &[0, 1, 2, 3, 4, 5],
    },
    Scenario {
        name: "joiner updates before it has all add-acks",
        leaks_as_published: false,
        acts: |net| {
            let add = net.add(0, 6);
            let acks = net.carry(&add, 1);
            net.carry(&[&add[..], &acks].concat(), 6);
            net.update(6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Scenario {
        name: "a joiner, and colluders removed by different members",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 4);
            net.remove(1, 5);
            net.add(2, 6);
            net.update(3);
        },
        members: &[0, 1, 2, 3, 6],
    },
    Scenario {
        name: "mutual removes concurrent with adds by both",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.add(1, 7);
            net.remove(0, 1);
            net.remove(1, 0);
            net.add(2, 8);
        },
        members: &[2, 3, 4, 5, 8],
    },
    Scenario {
        name: "ack after removal",
        leaks_as_published: false,
        acts: |net| {
            let sent = [net.update(0), net.add(1, 6)].concat();
            net.carry(&sent, 3);
            net.settle_among(&[0, 1, 2, 4, 5, 6]);
            net.remove(0, 3);
            net.settle_among(&[0, 1, 2, 4, 5]);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Scenario {
        name: "a removed author's message in flight past a joiner",
        leaks_as_published: false,
        acts: |net| {
            let update = net.update(1);
            let acks = net.carry(&update, 3);
            let update = net.update(3);
            net.carry(&[acks, update].concat(), 1);
            net.remove(0, 3);
            net.add(0, 6);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Scenario {
        name: "re-add under the old id by a member that does not know",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.settle_among(&[0, 1, 3, 4, 6]);
            net.remove(1, 6);
            net.add(2, 6);
        },
        members: &[0, 1, 2, 3, 4, 5],
    },
    Scenario {
        name: "a long partition",
        leaks_as_published: true,
        acts: |net| {
            let (left, right) = ([0, 1, 2, 6, 8], [3, 4, 5, 7]);
            net.add(0, 6);
            net.add(3, 7);
            net.settle_among(&left);
            net.settle_among(&right);
            // Each side removes one of its own, and one of the other.
            net.remove(6, 1);
            net.remove(7, 4);
            net.settle_among(&left);
            net.settle_among(&right);
            net.remove(0, 5);
            net.remove(3, 2);
            net.settle_among(&left);
            net.settle_among(&right);
            net.add(6, 8);
            net.update(7);
            net.settle_among(&left);
            net.settle_among(&right);
        },
        members: &[0, 3, 6, 7, 8],
    },
    Scenario {
        name: "a joiner removes a member that adds another user",
        leaks_as_published: true,
        acts: |net| {
            let add = net.add(0, 6);
            net.carry(&add, 6);
            net.remove(6, 1);
            net.add(1, 7);
            net.update(2);
        },
        members: &[0, 2, 3, 4, 5, 6],
    },
];

/// The variants that keep outsiders out.
const SECRET: [Rules; 3] = [Rules::Corrected, Rules::LeanChannels, Rules::Lean];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsSent,
    Backwards,
    /// Backwards at every other user, as sent at the rest.
    Mixed,
}

const ORDERS: [Order; 3] = [Order::AsSent, Order::Backwards, Order::Mixed];

/// Carries everything to everybody.
fn settle(net: &mut Net, order: Order) {
    loop {
        let before = net.sent.len();
        for user in 0..USERS {
            let mut places: Vec<_> = (0..before).collect();
            if order == Order::Backwards || (order == Order::Mixed && user % 2 == 0) {
                places.reverse();
            }
            net.carry(&places, user);
        }
        if net.sent.len() == before {
            break;
        }
    }
}

/// Lets every member speak twice, each time with nothing in transit. Returns whether the states can read any of it.
fn any_read(net: &mut Net, members: &[usize], states: &[Dsgm]) -> bool {
    let mut said = Vec::new();
    for sender in [members, members].concat() {
        let sent = net.act(sender, |member, context| member.send(b"secret", context));
        said.extend(sent.last().copied());
        net.settle();
    }
    let read = read_by(net, states);
    said.iter().any(|place| read.contains(place))
}

/// Whether the users that are outside in the end can read what is said then.
fn leaks(rules: Rules, scenario: &Scenario, order: Order, seed: u64) -> bool {
    let mut net = Net::following(rules, FOUNDERS, USERS, seed);
    (scenario.acts)(&mut net);
    let outsiders = (0..USERS).filter(|user| !scenario.members.contains(user));
    let mut states: Vec<_> = outsiders.map(|user| net.users[user].0.clone()).collect();
    settle(&mut net, order);
    states.append(&mut net.last_states);
    for user in 0..USERS {
        let mut members: Vec<_> = net.users[user].0.members().iter().map(|id| user_of(&net, id)).collect();
        members.sort_unstable();
        let expected = if scenario.members.contains(&user) { scenario.members } else { &[] };
        assert_eq!(members, expected, "{} {order:?}: as user {user} sees it", scenario.name);
    }
    net.check_nothing_is_left(scenario.members);
    any_read(&mut net, scenario.members, &states)
}

#[test]
fn after_each_scenario_nothing_is_left_and_all_outsiders_together_read_nothing() {
    for (number, scenario) in SCENARIOS.iter().enumerate() {
        for (rules, order) in SECRET.into_iter().flat_map(|rules| ORDERS.map(|order| (rules, order))) {
            let leaks = leaks(rules, scenario, order, 100 + number as u64);
            assert!(!leaks, "{} {rules:?} {order:?}", scenario.name);
        }
    }
}

/// The attack works if nothing prevents it.
#[test]
fn as_published_outsiders_can_read_in_most_scenarios_with_removals() {
    for scenario in SCENARIOS {
        let leaks = ORDERS.into_iter().any(|order| leaks(Rules::Published, scenario, order, 200));
        assert_eq!(leaks, scenario.leaks_as_published, "{}", scenario.name);
    }
}

/// Random acts of the users that are members in their own view, and random messages carried to all users.
fn random_schedule(net: &mut Net, steps: usize, rng: &mut ChaCha20Rng) {
    let mut below = |bound: usize| usize::try_from(rng.next_u64() % bound as u64).unwrap();
    for _ in 0..steps {
        let (user, other) = (below(USERS), below(USERS));
        let Some(group) = net.users[user].0.present() else {
            let places = [below(net.sent.len())];
            net.carry(&places, user);
            continue;
        };
        let (me, view) = (group.me(), group.view());
        let target = group.membership.index(&net.id(other));
        let is_in = target.is_some_and(|member| view.contains(member) && member != me);
        match below(8) {
            0 => drop(net.update(user)),
            1 if target.is_none() => {
                let add = net.add(user, other);
                if below(2) == 0 {
                    net.carry(&add, other);
                }
            }
            2 if is_in && view.len() > 3 => drop(net.remove(user, other)),
            3 => {
                let side: Vec<_> = (0..USERS).filter(|_| below(3) > 0).collect();
                net.settle_among(&side);
            }
            _ => {
                let place = below(net.sent.len());
                net.carry(&[place], user);
            }
        }
    }
}

/// `SCHEDULES` and `FIRST` choose other schedules than the usual ones.
#[test]
fn after_random_schedules_all_outsiders_together_read_nothing() {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count) = (setting("FIRST", 0), setting("SCHEDULES", 20));
    for (rules, seed) in (first..first + count).flat_map(|seed| SECRET.map(|rules| (rules, seed))) {
        let mut net = Net::following(rules, FOUNDERS, USERS, seed);
        random_schedule(&mut net, 40, &mut ChaCha20Rng::seed_from_u64(seed));
        let before: Vec<_> = net.users.iter().map(|(member, ..)| member.clone()).collect();
        settle(&mut net, ORDERS[seed as usize % 3]);
        let is_inside = |user: &usize| net.users[*user].0.present().is_some();
        let (members, outside): (Vec<_>, Vec<_>) = (0..USERS).partition(is_inside);
        let mut states: Vec<_> = outside.iter().map(|user| before[*user].clone()).collect();
        states.append(&mut net.last_states);
        assert!(!any_read(&mut net, &members, &states), "{rules:?}, schedule {seed}");
        // Keys for the ciphertexts in acknowledgements are deleted with the next update.
        for user in &members {
            net.update(*user);
            net.settle();
        }
        net.check_nothing_is_left(&members);
    }
}

/// What thieves read of a random schedule in which members speak, with one to three states stolen on the way. Returns how
/// many messages were sent, and the places of those that can be read.
fn read_by_thieves(rules: Rules, seed: u64) -> (usize, BTreeSet<usize>) {
    let mut net = Net::following(rules, FOUNDERS, USERS, seed);
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let mut states = Vec::new();
    for _ in 0..=seed % 3 {
        random_schedule(&mut net, 10, &mut rng);
        let victim = usize::try_from(rng.next_u64() % USERS as u64).unwrap();
        states.push(net.users[victim].0.clone());
        random_schedule(&mut net, 10, &mut rng);
        for user in 0..USERS {
            if net.users[user].0.present().is_some() {
                net.act(user, |member, context| member.send(b"secret", context));
            }
        }
    }
    settle(&mut net, Order::AsSent);
    (net.sent.len(), read_by(&net, &states))
}

/// Acknowledgements with tags arrive with later messages too, so only variants with the same acknowledgements follow the same
/// schedule. `SCHEDULES` and `FIRST` choose other schedules than the usual ones.
#[test]
fn thieves_read_the_same_over_lean_channels() {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count) = (setting("FIRST", 0), setting("SCHEDULES", 20));
    for [faithful, lean] in [[Rules::Corrected, Rules::LeanChannels], [Rules::TaggedAcks, Rules::Lean]] {
        let (mut read, mut sent) = (0, 0);
        for seed in first..first + count {
            let [faithful, lean] = [faithful, lean].map(|rules| read_by_thieves(rules, seed));
            assert!(faithful == lean, "schedule {seed}");
            (sent, read) = (sent + lean.0, read + lean.1.len());
        }
        assert!(read > 0 && read < sent, "{read} of {sent}");
        println!("{lean:?}: thieves read {read} of {sent} messages");
    }
}
