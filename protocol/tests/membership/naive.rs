//! The definition of membership with strong remove, word for word, on sets of membership changes.

use std::collections::{BTreeMap, BTreeSet};

use protocol::member::Rule;

pub(crate) type User = u8;
pub(crate) type ChangeId = (User, u32);

#[derive(Clone)]
pub(crate) enum Kind {
    Adds(BTreeSet<User>),
    Removes(User),
}

#[derive(Clone)]
struct Change {
    kind: Kind,
    author_had_acknowledged: BTreeSet<ChangeId>,
}

#[derive(Clone)]
pub(crate) struct Naive {
    me: User,
    changes: BTreeMap<ChangeId, Change>,
    acknowledged: BTreeMap<User, BTreeSet<ChangeId>>,
}

impl Naive {
    pub(crate) fn found(me: User, creator: User, founders: impl IntoIterator<Item = User>) -> Self {
        let mut naive = Self { me, changes: BTreeMap::new(), acknowledged: BTreeMap::new() };
        naive.record((creator, 1), Kind::Adds(founders.into_iter().collect()));
        naive
    }

    /// The joiner's copy, which contains all that the inviter knew.
    pub(crate) fn invite(&self, joiner: User) -> Self {
        let mut naive = self.clone();
        naive.me = joiner;
        naive.acknowledged.insert(joiner, naive.all());
        naive
    }

    pub(crate) fn record(&mut self, id: ChangeId, kind: Kind) {
        let author_had_acknowledged = self.acknowledged_by(id.0);
        self.changes.insert(id, Change { kind, author_had_acknowledged });
        self.acknowledged.entry(id.0).or_default().insert(id);
        self.acknowledged.entry(self.me).or_default().insert(id);
    }

    /// The user that a change adds, if it adds one.
    #[allow(dead_code, reason = "only another test asks for it")]
    pub(crate) fn added_by(&self, id: ChangeId) -> Option<User> {
        match &self.changes.get(&id)?.kind {
            Kind::Adds(users) if users.len() == 1 => users.first().copied(),
            _ => None,
        }
    }

    pub(crate) fn all(&self) -> BTreeSet<ChangeId> {
        self.changes.keys().copied().collect()
    }

    pub(crate) fn acknowledged_by(&self, user: User) -> BTreeSet<ChangeId> {
        self.acknowledged.get(&user).cloned().unwrap_or_default()
    }

    fn removed_by(&self, remove: &Change, target: User, ids: &BTreeSet<ChangeId>) -> BTreeSet<User> {
        let mut removed = BTreeSet::from([target]);
        loop {
            let before = removed.len();
            for id in ids {
                if let Kind::Adds(users) = &self.changes[id].kind
                    && removed.contains(&id.0)
                    && !remove.author_had_acknowledged.contains(id)
                {
                    removed.extend(users);
                }
            }
            if removed.len() == before {
                return removed;
            }
        }
    }

    fn removed(&self, ids: &BTreeSet<ChangeId>) -> BTreeSet<User> {
        let removes = ids.iter().filter_map(|id| match self.changes[id].kind {
            Kind::Removes(target) => Some(self.removed_by(&self.changes[id], target, ids)),
            Kind::Adds(_) => None,
        });
        removes.flatten().collect()
    }

    pub(crate) fn members(&self, ids: &BTreeSet<ChangeId>) -> BTreeSet<User> {
        let added = ids.iter().flat_map(|id| match &self.changes[id].kind {
            Kind::Adds(users) => users.clone(),
            Kind::Removes(_) => BTreeSet::new(),
        });
        let added: BTreeSet<User> = added.collect();
        added.difference(&self.removed(ids)).copied().collect()
    }

    pub(crate) fn view(&self, user: User) -> BTreeSet<User> {
        self.members(&if user == self.me { self.all() } else { self.acknowledged_by(user) })
    }

    fn knows_add_of(&self, user: User, added: User) -> bool {
        self.acknowledged_by(user)
            .iter()
            .any(|id| matches!(&self.changes[id].kind, Kind::Adds(users) if users.contains(&added)))
    }

    pub(crate) fn check_add(&self, author: User, user: User) -> Result<(), Rule> {
        if !self.view(author).contains(&author) {
            Err(Rule::AuthorNotAMember)
        } else if self.knows_add_of(author, user) {
            Err(Rule::AlreadyAMember)
        } else {
            Ok(())
        }
    }

    pub(crate) fn check_remove(&self, author: User, target: User) -> Result<(), Rule> {
        let view = self.view(author);
        if !view.contains(&author) {
            Err(Rule::AuthorNotAMember)
        } else if author == target {
            Err(Rule::RemovesItself)
        } else if !view.contains(&target) {
            Err(Rule::TargetNotAMember)
        } else {
            Ok(())
        }
    }

    pub(crate) fn acknowledge(&mut self, user: User, id: ChangeId) -> Result<(), Rule> {
        let Some(change) = self.changes.get(&id) else { return Ok(()) };
        let before = self.acknowledged_by(user);
        if before.contains(&id) {
            return Err(Rule::NothingToAcknowledge);
        }
        let mut after = before.clone();
        after.insert(id);
        if matches!(&change.kind, Kind::Adds(users) if users.contains(&user)) && !self.knows_add_of(user, user) {
            after.extend(&change.author_had_acknowledged);
        }
        if self.members(&after).contains(&user) {
            self.acknowledged.insert(user, after);
            Ok(())
        } else if self.members(&before).contains(&user) {
            Err(Rule::AcknowledgesOwnRemoval)
        } else {
            Err(Rule::AuthorNotAMember)
        }
    }

    pub(crate) fn removal_is_acknowledged_by_all(&self, target: User) -> bool {
        let all = self.all();
        let removes = |id: &&ChangeId| match self.changes[id].kind {
            Kind::Removes(first) => self.removed_by(&self.changes[id], first, &all).contains(&target),
            Kind::Adds(_) => false,
        };
        let removes: BTreeSet<ChangeId> = all.iter().filter(removes).copied().collect();
        !removes.is_empty()
            && self.view(self.me).into_iter().all(|member| {
                let acknowledged = self.acknowledged_by(member);
                removes.is_subset(&acknowledged) && self.removed(&acknowledged).contains(&target)
            })
    }
}
