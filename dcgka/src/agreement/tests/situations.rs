//! Situations with several operations at once: whoever is left keeps nothing that it need not keep, and whoever is out
//! reads nothing, even if all of them put together what they have.

use protocol::member::Member as _;
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use super::Net;
use super::coalition::{read_by, user_of};
use crate::dsgm::{Dsgm, Stage};
use crate::rules::Rules;

const FOUNDERS: usize = 6;
const USERS: usize = 9;

struct Situation {
    name: &'static str,
    /// Whether the rules that the variant `published` leaves out are what keeps outsiders out.
    leaks_as_published: bool,
    acts: fn(&mut Net),
    members: &'static [usize],
}

/// Users 0 to 5 are members at first.
const SITUATIONS: &[Situation] = &[
    Situation {
        name: "update next to add",
        leaks_as_published: false,
        acts: |net| {
            net.update(1);
            net.add(0, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "two adds",
        leaks_as_published: false,
        acts: |net| {
            net.add(0, 6);
            net.add(1, 7);
        },
        members: &[0, 1, 2, 3, 4, 5, 6, 7],
    },
    Situation {
        name: "the same user added twice",
        leaks_as_published: false,
        acts: |net| {
            net.add(0, 6);
            net.add(1, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "the same user added twice, by one who knows of an update and by one who does not",
        leaks_as_published: false,
        acts: |net| {
            let update = net.update(3);
            net.deliver(&update, 0);
            let add = net.add(0, 6);
            net.add(1, 6);
            net.deliver(&add, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
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
    Situation {
        name: "add next to removal of the adder",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5],
    },
    Situation {
        name: "the same transitively",
        leaks_as_published: true,
        acts: |net| {
            let add = net.add(0, 6);
            net.deliver(&add, 6);
            net.add(6, 7);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5],
    },
    Situation {
        name: "add acknowledged before the adder's removal",
        leaks_as_published: false,
        acts: |net| {
            let add = net.add(0, 6);
            net.deliver(&add, 1);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "add next to a remove by another",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.remove(1, 3);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Situation {
        name: "a removed member adds an accomplice",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 3);
            net.settle_among(&[0, 1, 2, 4, 5]);
            let add = net.add(3, 6);
            net.deliver(&add, 6);
            net.update(6);
            net.update(3);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "a removed member adds an accomplice that adds another",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 3);
            let add = net.add(3, 6);
            net.deliver(&add, 6);
            let add = net.add(6, 7);
            net.deliver(&add, 7);
            net.update(7);
            net.update(1);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "a member removed by processing an add",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 3);
            net.add(3, 6);
            net.add(1, 6);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "mutual removes",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 1);
            net.remove(1, 0);
        },
        members: &[2, 3, 4, 5],
    },
    Situation {
        name: "a cycle of three removes",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 1);
            net.remove(1, 2);
            net.remove(2, 0);
        },
        members: &[3, 4, 5],
    },
    Situation {
        name: "two removes of one user",
        leaks_as_published: false,
        acts: |net| {
            net.remove(0, 5);
            net.remove(1, 5);
        },
        members: &[0, 1, 2, 3, 4],
    },
    Situation {
        name: "two colluders removed by different members",
        leaks_as_published: true,
        acts: |net| {
            net.remove(0, 4);
            net.remove(1, 5);
        },
        members: &[0, 1, 2, 3],
    },
    Situation {
        name: "remove next to update by the removed",
        leaks_as_published: false,
        acts: |net| {
            net.remove(0, 3);
            net.update(3);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "remove next to update by another",
        leaks_as_published: false,
        acts: |net| {
            net.remove(0, 3);
            net.update(1);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "concurrent updates",
        leaks_as_published: false,
        acts: |net| {
            for user in 0..FOUNDERS {
                net.update(user);
            }
        },
        members: &[0, 1, 2, 3, 4, 5],
    },
    Situation {
        name: "joiner updates before it has all add-acks",
        leaks_as_published: false,
        acts: |net| {
            let add = net.add(0, 6);
            let acks = net.deliver(&add, 1);
            net.deliver(&[&add[..], &acks].concat(), 6);
            net.update(6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
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
    Situation {
        name: "mutual removes next to adds by both",
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
    Situation {
        name: "ack after removal",
        leaks_as_published: false,
        acts: |net| {
            let operations = [net.update(0), net.add(1, 6)].concat();
            net.deliver(&operations, 3);
            net.settle_among(&[0, 1, 2, 4, 5, 6]);
            net.remove(0, 3);
            net.settle_among(&[0, 1, 2, 4, 5]);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Situation {
        name: "a removed author's message in flight past a joiner",
        leaks_as_published: false,
        acts: |net| {
            let operation = net.update(1);
            let acks = net.deliver(&operation, 3);
            let update = net.update(3);
            net.deliver(&[acks, update].concat(), 1);
            net.remove(0, 3);
            net.add(0, 6);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Situation {
        name: "re-add under the old id by somebody unaware",
        leaks_as_published: true,
        acts: |net| {
            net.add(0, 6);
            net.settle_among(&[0, 1, 3, 4, 6]);
            net.remove(1, 6);
            net.add(2, 6);
        },
        members: &[0, 1, 2, 3, 4, 5],
    },
    Situation {
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
    Situation {
        name: "a joiner removes whoever adds another",
        leaks_as_published: true,
        acts: |net| {
            let add = net.add(0, 6);
            net.deliver(&add, 6);
            net.remove(6, 1);
            net.add(1, 7);
            net.update(2);
        },
        members: &[0, 2, 3, 4, 5, 6],
    },
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    AsSent,
    Backwards,
    /// Every other user the one way, the rest the other.
    Mixed,
}

const ORDERS: [Order; 3] = [Order::AsSent, Order::Backwards, Order::Mixed];

/// Delivers everything.
fn settle(net: &mut Net, order: Order) {
    loop {
        let before = net.sent.len();
        for user in 0..USERS {
            let mut places: Vec<_> = (0..before).collect();
            if order == Order::Backwards || (order == Order::Mixed && user % 2 == 0) {
                places.reverse();
            }
            net.deliver(&places, user);
        }
        if net.sent.len() == before {
            break;
        }
    }
}

/// Lets every member speak twice, the network quiet before each; whether the states read any of it.
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

/// Whether those who are out in the end read what is said then.
fn leaks(rules: Rules, situation: &Situation, order: Order, seed: u64) -> bool {
    let mut net = Net::following(rules, FOUNDERS, USERS, seed);
    (situation.acts)(&mut net);
    let outsiders = (0..USERS).filter(|user| !situation.members.contains(user));
    let mut states: Vec<_> = outsiders.map(|user| net.users[user].0.clone()).collect();
    settle(&mut net, order);
    states.append(&mut net.last_states);
    for user in 0..USERS {
        let members: Vec<_> = match &net.users[user].0.stage {
            Stage::Inside(group) => group.view().iter().map(|member| group.membership.id(member)).collect(),
            _ => Vec::new(),
        };
        let mut members: Vec<_> = members.iter().map(|id| user_of(&net, id)).collect();
        members.sort_unstable();
        let expected = if situation.members.contains(&user) { situation.members } else { &[] };
        assert_eq!(members, expected, "{} {order:?}: as user {user} sees it", situation.name);
    }
    net.check_nothing_is_left(situation.members);
    any_read(&mut net, situation.members, &states)
}

#[test]
fn after_each_situation_nothing_is_left_and_all_who_are_out_together_read_nothing() {
    for (number, situation) in SITUATIONS.iter().enumerate() {
        for order in ORDERS {
            assert!(!leaks(Rules::Corrected, situation, order, 100 + number as u64), "{} {order:?}", situation.name);
        }
    }
}

/// The attack works where nothing stands against it.
#[test]
fn as_published_outsiders_read_on_in_most_situations_with_removals() {
    for situation in SITUATIONS {
        let leaks = ORDERS.into_iter().any(|order| leaks(Rules::Published, situation, order, 200));
        assert_eq!(leaks, situation.leaks_as_published, "{}", situation.name);
    }
}

/// Random operations and deliveries, by and to whoever is a member in its own eyes.
fn random_schedule(net: &mut Net, steps: usize, rng: &mut ChaCha20Rng) {
    let mut below = |bound: usize| usize::try_from(rng.next_u64() % bound as u64).unwrap();
    for _ in 0..steps {
        let (user, other) = (below(USERS), below(USERS));
        let Stage::Inside(group) = &net.users[user].0.stage else {
            let places = [below(net.sent.len())];
            net.deliver(&places, user);
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
                    net.deliver(&add, other);
                }
            }
            2 if is_in && view.len() > 3 => drop(net.remove(user, other)),
            3 => {
                let side: Vec<_> = (0..USERS).filter(|_| below(3) > 0).collect();
                net.settle_among(&side);
            }
            _ => {
                let place = below(net.sent.len());
                net.deliver(&[place], user);
            }
        }
    }
}

/// `SCHEDULES` and `FIRST` ask for others than the usual ones.
#[test]
fn whatever_happens_all_who_are_out_together_read_nothing() {
    let setting = |name: &str, usual: u64| std::env::var(name).map_or(usual, |value| value.parse().unwrap());
    let (first, count) = (setting("FIRST", 0), setting("SCHEDULES", 30));
    for seed in first..first + count {
        let mut net = Net::following(Rules::Corrected, FOUNDERS, USERS, seed);
        random_schedule(&mut net, 40, &mut ChaCha20Rng::seed_from_u64(seed));
        let before: Vec<_> = net.users.iter().map(|(member, ..)| member.clone()).collect();
        settle(&mut net, ORDERS[seed as usize % 3]);
        let is_inside = |user: &usize| matches!(net.users[*user].0.stage, Stage::Inside(_));
        let (members, outside): (Vec<_>, Vec<_>) = (0..USERS).partition(is_inside);
        let mut states: Vec<_> = outside.iter().map(|user| before[*user].clone()).collect();
        states.append(&mut net.last_states);
        assert!(!any_read(&mut net, &members, &states), "schedule {seed}");
        // Keys for what acknowledgements carry go with the next operation.
        for user in &members {
            net.update(*user);
            net.settle();
        }
        net.check_nothing_is_left(&members);
    }
}
