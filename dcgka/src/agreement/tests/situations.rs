//! Situations with several operations at once: whoever is left keeps nothing that it need not keep, and whoever is out
//! reads nothing, even if all of them put together what they have.

use protocol::member::Member as _;

use super::Net;
use super::coalition::{read_by, user_of};
use crate::dsgm::{Dsgm, Stage};
use crate::rules::Rules;

const FOUNDERS: usize = 6;
const USERS: usize = 9;

struct Situation {
    name: &'static str,
    acts: fn(&mut Net),
    members: &'static [usize],
}

/// Users 0 to 5 are members at first.
const SITUATIONS: &[Situation] = &[
    Situation {
        name: "update next to add",
        acts: |net| {
            net.update(1);
            net.add(0, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "two adds",
        acts: |net| {
            net.add(0, 6);
            net.add(1, 7);
        },
        members: &[0, 1, 2, 3, 4, 5, 6, 7],
    },
    Situation {
        name: "the same user added twice",
        acts: |net| {
            net.add(0, 6);
            net.add(1, 6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "add next to removal of the adder",
        acts: |net| {
            net.add(0, 6);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5],
    },
    Situation {
        name: "the same transitively",
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
        acts: |net| {
            let add = net.add(0, 6);
            net.deliver(&add, 1);
            net.remove(1, 0);
        },
        members: &[1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "add next to a remove by another",
        acts: |net| {
            net.add(0, 6);
            net.remove(1, 3);
        },
        members: &[0, 1, 2, 4, 5, 6],
    },
    Situation {
        name: "a removed member adds an accomplice",
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
        acts: |net| {
            net.remove(0, 3);
            net.add(3, 6);
            net.add(1, 6);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "mutual removes",
        acts: |net| {
            net.remove(0, 1);
            net.remove(1, 0);
        },
        members: &[2, 3, 4, 5],
    },
    Situation {
        name: "a cycle of three removes",
        acts: |net| {
            net.remove(0, 1);
            net.remove(1, 2);
            net.remove(2, 0);
        },
        members: &[3, 4, 5],
    },
    Situation {
        name: "two removes of one user",
        acts: |net| {
            net.remove(0, 5);
            net.remove(1, 5);
        },
        members: &[0, 1, 2, 3, 4],
    },
    Situation {
        name: "two colluders removed by different members",
        acts: |net| {
            net.remove(0, 4);
            net.remove(1, 5);
        },
        members: &[0, 1, 2, 3],
    },
    Situation {
        name: "remove next to update by the removed",
        acts: |net| {
            net.remove(0, 3);
            net.update(3);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "remove next to update by another",
        acts: |net| {
            net.remove(0, 3);
            net.update(1);
        },
        members: &[0, 1, 2, 4, 5],
    },
    Situation {
        name: "concurrent updates",
        acts: |net| {
            for user in 0..FOUNDERS {
                net.update(user);
            }
        },
        members: &[0, 1, 2, 3, 4, 5],
    },
    Situation {
        name: "joiner updates before it has all add-acks",
        acts: |net| {
            let add = net.add(0, 6);
            let acks = net.deliver(&add, 1);
            net.deliver(&[&add[..], &acks].concat(), 6);
            net.update(6);
        },
        members: &[0, 1, 2, 3, 4, 5, 6],
    },
    Situation {
        name: "a newcomer, and colluders removed by different members",
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
        name: "a newcomer removes whoever adds another",
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

/// Delivers everything; returns the last states of those who were removed.
fn settle(net: &mut Net, order: Order) -> Vec<Dsgm> {
    let mut last_states = Vec::new();
    loop {
        let before = net.sent.len();
        for user in 0..USERS {
            let mut places: Vec<_> = (0..before).collect();
            if order == Order::Backwards || (order == Order::Mixed && user % 2 == 0) {
                places.reverse();
            }
            for place in places {
                let state = matches!(net.users[user].0.stage, Stage::Inside(_)).then(|| net.users[user].0.clone());
                net.deliver(&[place], user);
                let removed = matches!(net.users[user].0.stage, Stage::Removed(_));
                last_states.extend(state.filter(|_| removed));
            }
        }
        if net.sent.len() == before {
            return last_states;
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
    states.extend(settle(&mut net, order));
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
fn as_published_outsiders_read_on_in_many_situations() {
    let leaky = |situation: &&Situation| ORDERS.into_iter().any(|order| leaks(Rules::Published, situation, order, 200));
    let leaking: Vec<_> = SITUATIONS.iter().filter(leaky).map(|situation| situation.name).collect();
    let expected = [
        "add next to removal of the adder",
        "the same transitively",
        "add next to a remove by another",
        "a removed member adds an accomplice",
        "a removed member adds an accomplice that adds another",
        "a member removed by processing an add",
        "mutual removes",
        "a cycle of three removes",
        "two colluders removed by different members",
        "a newcomer, and colluders removed by different members",
        "mutual removes next to adds by both",
        "a newcomer removes whoever adds another",
    ];
    assert_eq!(leaking, expected);
}
