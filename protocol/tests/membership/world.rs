//! Several members that exchange membership changes and acknowledgements in causal order, each at its own pace. Each
//! has both the code under test and the definition.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::{MEMBER_ID_LEN, MemberId};
use protocol::membership::{MemberIndex, MemberSet, Membership};

use crate::naive::{ChangeId, Kind, Naive, User};

const USERS: User = 9;

pub(crate) fn id(user: User) -> MemberId {
    MemberId([user; MEMBER_ID_LEN])
}

#[derive(Clone, Copy)]
enum Body {
    Create,
    Add(User),
    Remove(User),
    Acknowledge(ChangeId),
}

struct Node {
    user: User,
    fast: Membership,
    naive: Naive,
    /// The number of messages of each author that it has delivered.
    clock: BTreeMap<User, usize>,
    /// It has learned that it was removed.
    stopped: bool,
}

struct Welcome {
    joiner: User,
    state: Vec<u8>,
    naive: Naive,
    clock: BTreeMap<User, usize>,
    add: ChangeId,
}

pub(crate) struct World {
    nodes: BTreeMap<User, Node>,
    messages: BTreeMap<User, Vec<Body>>,
    welcomes: Vec<Welcome>,
}

impl Node {
    fn index(&self, user: User) -> Option<MemberIndex> {
        self.fast.index(&id(user))
    }

    fn users(&self, set: &MemberSet) -> BTreeSet<User> {
        set.iter().map(|member| self.fast.id(member).0[0]).collect()
    }

    fn compare_views(&self) {
        for user in 0..USERS {
            let fast = self.index(user).map(|index| self.users(self.fast.view(index))).unwrap_or_default();
            assert_eq!(fast, self.naive.view(user), "the view of {user} as {} sees it", self.user);
        }
    }

    /// Returns whether the change keeps the rules.
    fn record(&mut self, author: User, number: u32, body: Body) -> bool {
        let from = self.index(author).unwrap();
        match body {
            Body::Add(user) => {
                let allowed = self.fast.check_add(from, &id(user));
                assert_eq!(allowed, self.naive.check_add(author, user));
                if allowed.is_ok() {
                    self.fast.add(from, number, id(user));
                    self.naive.record((author, number), Kind::Adds([user].into()));
                }
                allowed.is_ok()
            }
            Body::Remove(target) => {
                let Some(index) = self.index(target) else { return false };
                let allowed = self.fast.check_remove(from, index);
                assert_eq!(allowed, self.naive.check_remove(author, target));
                if allowed.is_ok() {
                    self.fast.remove(from, number, index);
                    self.naive.record((author, number), Kind::Removes(target));
                }
                allowed.is_ok()
            }
            Body::Create | Body::Acknowledge(_) => unreachable!(),
        }
    }

    fn acknowledge(&mut self, user: User, change: ChangeId) {
        let (Some(member), Some(author)) = (self.index(user), self.index(change.0)) else { return };
        let before = self.fast.clone();
        let fast = self.fast.acknowledge(member, author, change.1);
        assert_eq!(fast, self.naive.acknowledge(user, change));
        assert!(fast.is_ok() || self.fast == before);
    }
}

impl World {
    pub(crate) fn found(founders: u8) -> Self {
        let mut world = Self {
            nodes: BTreeMap::new(),
            messages: (0..USERS).map(|user| (user, Vec::new())).collect(),
            welcomes: Vec::new(),
        };
        world.messages.insert(0, vec![Body::Create]);
        for user in 0..founders {
            // Each is given the founders in another order.
            let others = (0..founders).map(|other| id((other + user) % founders));
            let node = Node {
                user,
                fast: Membership::found(id(user), id(0), others).unwrap(),
                naive: Naive::found(user, 0, 0..founders),
                clock: BTreeMap::from([(0, 1)]),
                stopped: false,
            };
            world.nodes.insert(user, node);
            if user != 0 {
                world.broadcast(user, Body::Acknowledge((0, 1)));
            }
        }
        world
    }

    fn broadcast(&mut self, author: User, body: Body) -> u32 {
        let messages = self.messages.get_mut(&author).unwrap();
        messages.push(body);
        self.nodes.get_mut(&author).unwrap().clock.insert(author, messages.len());
        u32::try_from(messages.len()).unwrap()
    }

    pub(crate) fn step(&mut self, [action, actor, one, two]: [u8; 4]) {
        let actors: Vec<User> = self.nodes.keys().copied().collect();
        let actor = actors[usize::from(actor) % actors.len()];
        match action % 32 {
            0..5 => self.change(actor, Body::Add(one % USERS), two < 30),
            5..9 => self.change(actor, Body::Remove(one % USERS), two < 30),
            9..12 if !self.welcomes.is_empty() => {
                let welcome = self.welcomes.swap_remove(usize::from(one) % self.welcomes.len());
                self.join(welcome);
            }
            _ => {
                // Several in one step, so that not everything in a history is concurrent.
                for turn in 0..=two % 8 {
                    self.deliver(actor, one.wrapping_add(turn));
                }
            }
        }
        self.nodes.values().for_each(Node::compare_views);
    }

    /// A member makes a change. It breaks the rules only if `forced`; then its author sends it without recording it.
    fn change(&mut self, actor: User, body: Body, forced: bool) {
        let node = self.nodes.get_mut(&actor).unwrap();
        if node.stopped {
            return;
        }
        let (state, naive) = (node.fast.clone(), node.naive.clone());
        let number = u32::try_from(self.messages[&actor].len() + 1).unwrap();
        let stands = node.record(actor, number, body);
        if stands || forced {
            self.broadcast(actor, body);
        }
        if let Body::Add(joiner) = body
            && stands
        {
            let mut bytes = Vec::new();
            state.encode(&mut bytes);
            let clock = self.nodes[&actor].clock.clone();
            let naive = naive.invite(joiner);
            self.welcomes.push(Welcome { joiner, state: bytes, naive, clock, add: (actor, number) });
        }
    }

    fn join(&mut self, welcome: Welcome) {
        let user = welcome.joiner;
        if self.nodes.contains_key(&user) {
            return;
        }
        let fast = Membership::decode(id(user), &mut &welcome.state[..]).unwrap();
        let mut node = Node { user, fast, naive: welcome.naive, clock: welcome.clock, stopped: false };
        assert!(node.record(welcome.add.0, welcome.add.1, Body::Add(user)));
        assert!(node.fast.is_member(node.fast.me()));
        self.nodes.insert(user, node);
        self.broadcast(user, Body::Acknowledge(welcome.add));
    }

    fn ready(&self, user: User) -> Vec<User> {
        let clock = &self.nodes[&user].clock;
        let delivered = |author: User| clock.get(&author).copied().unwrap_or(0);
        let ready = self.messages.iter().filter(|(author, messages)| match messages.get(delivered(**author)) {
            Some(Body::Acknowledge((of, number))) => delivered(*of) >= usize::try_from(*number).unwrap(),
            Some(_) => true,
            None => false,
        });
        ready.map(|(author, _)| *author).collect()
    }

    fn deliver(&mut self, user: User, choice: u8) {
        let ready = self.ready(user);
        let node = self.nodes.get_mut(&user).unwrap();
        if node.stopped || ready.is_empty() {
            return;
        }
        let author = ready[usize::from(choice) % ready.len()];
        let delivered = node.clock.entry(author).or_default();
        let body = self.messages[&author][*delivered];
        *delivered += 1;
        let number = u32::try_from(*delivered).unwrap();
        match body {
            Body::Acknowledge(change) => {
                node.acknowledge(author, change);
                node.stopped = !node.fast.is_member(node.fast.me());
            }
            _ => {
                if node.record(author, number, body) {
                    node.stopped = !node.fast.is_member(node.fast.me());
                    // Some acknowledge their own removal, against the rules.
                    if !node.stopped || choice & 64 == 0 {
                        self.broadcast(user, Body::Acknowledge((author, number)));
                    }
                }
            }
        }
    }

    pub(crate) fn deliver_everything(&mut self) {
        while let Some(welcome) = self.welcomes.pop() {
            self.join(welcome);
        }
        loop {
            let before: usize = self.nodes.values().map(|node| node.clock.values().sum::<usize>()).sum();
            for user in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.deliver(user, 64);
            }
            self.nodes.values().for_each(Node::compare_views);
            if before == self.nodes.values().map(|node| node.clock.values().sum::<usize>()).sum() {
                return;
            }
        }
    }

    pub(crate) fn compare_checks_and_encodings(&self) {
        for node in self.nodes.values() {
            for author in 0..USERS {
                let Some(index) = node.index(author) else { continue };
                for user in 0..USERS {
                    assert_eq!(node.fast.check_add(index, &id(user)), node.naive.check_add(author, user));
                    if let Some(target) = node.index(user) {
                        assert_eq!(node.fast.check_remove(index, target), node.naive.check_remove(author, user));
                    }
                }
                assert_eq!(
                    node.fast.removal_is_acknowledged_by_all(index),
                    node.naive.removal_is_acknowledged_by_all(author)
                );
            }
            let mut bytes = Vec::new();
            node.fast.encode(&mut bytes);
            let mut rest = &bytes[..];
            assert_eq!(Membership::decode(id(node.user), &mut rest).unwrap(), node.fast);
            assert!(rest.is_empty());
        }
    }

    /// Members that have delivered everything have the same views.
    pub(crate) fn assert_agreement(&self) {
        let live: Vec<&Node> = self.nodes.values().filter(|node| !node.stopped).collect();
        for node in &live {
            for (author, messages) in &self.messages {
                assert_eq!(node.clock.get(author).copied().unwrap_or(0), messages.len());
            }
            for user in 0..USERS {
                let views =
                    [live[0], *node].map(|node| node.index(user).map(|index| node.users(node.fast.view(index))));
                assert_eq!(views[0], views[1], "{} and {} on {user}", live[0].user, node.user);
            }
            for other in &live {
                assert!(node.fast.is_member(node.index(other.user).unwrap()));
            }
        }
    }

    pub(crate) fn encodings(&self) -> Vec<(MemberId, Vec<u8>)> {
        let encode = |node: &Node| {
            let mut bytes = Vec::new();
            node.fast.encode(&mut bytes);
            (id(node.user), bytes)
        };
        self.nodes.values().map(encode).collect()
    }
}
