//! Recording a membership change, and the views by the definition of members(Changes).

use std::sync::Arc;

use super::set::{ChangeIndex, ChangeSet, MemberIndex, MemberSet};
use super::{Change, Membership, Record};

impl Membership {
    /// Records a membership change and brings all views up to date.
    pub(super) fn record(&mut self, author: MemberIndex, number: u32, change: Change) -> ChangeIndex {
        if let Some(recorded) = self.recorded(author, number) {
            return recorded;
        }
        let count = self.records.len();
        let author_had_acknowledged = if self.has_acknowledged_all(author) {
            ChangeSet::first(count)
        } else {
            ChangeSet::of(count, |change| self.has_acknowledged(author, change))
        };
        let index = self.insert(Record {
            author,
            number,
            change,
            acknowledged_by: [author, self.me].into_iter().collect(),
            author_had_acknowledged,
            removes: MemberSet::new(),
        });
        self.count_acknowledgement(author);
        if author != self.me {
            self.count_acknowledgement(self.me);
        }

        let mut view = MemberSet::clone(self.view(self.me));
        match change {
            Change::Create => view.unite(&self.founders),
            Change::Add(user) => {
                view.insert(user);
                self.spread_removals(author, user);
                if user == self.me {
                    self.acknowledge_everything();
                }
            }
            Change::Remove(_) => self.update_removal(index),
        }
        view.subtract(&self.removed);
        self.set_view(self.me, Arc::new(view));
        if author != self.me {
            self.set_view(author, self.view_by_definition(author));
        }
        index
    }

    /// Appends a record to the tables. The caller must update what is computed from them.
    pub(super) fn insert(&mut self, record: Record) -> ChangeIndex {
        let index = ChangeIndex::from_usize(self.records.len());
        let users = match record.change {
            Change::Create => self.founders.clone(),
            Change::Add(user) => MemberSet::from_iter([user]),
            Change::Remove(_) => MemberSet::new(),
        };
        for user in users.iter() {
            if let Some(known) = self.known.get_mut(user.to_usize()) {
                known.adds.push(index);
            }
        }
        match (record.change, self.known.get_mut(record.author.to_usize())) {
            (Change::Remove(_), _) => self.removes.push(index),
            (_, Some(author)) => author.authored_adds.push(index),
            (_, None) => {}
        }
        self.by_message.insert((record.author, record.number), index);
        self.records.push(record);
        index
    }

    pub(super) fn count_acknowledgement(&mut self, member: MemberIndex) {
        if let Some(known) = self.known.get_mut(member.to_usize()) {
            known.acknowledged += 1;
        }
    }

    /// A joiner starts with all that its welcome contains, and has acknowledged all of it.
    fn acknowledge_everything(&mut self) {
        for record in &mut self.records {
            record.acknowledged_by.insert(self.me);
        }
        if let Some(known) = self.known.get_mut(self.me.to_usize()) {
            known.acknowledged = self.records.len();
        }
    }

    /// After a new add of `user` by `adder`: the removes that remove the adder now remove the user too, because none of
    /// their authors had acknowledged that add.
    fn spread_removals(&mut self, adder: MemberIndex, user: MemberIndex) {
        if !self.removed.contains(adder) {
            return;
        }
        for remove in self.removes.clone() {
            let spreads = self
                .records
                .get(remove.to_usize())
                .is_some_and(|record| record.removes.contains(adder) && !record.removes.contains(user));
            if spreads {
                self.update_removal(remove);
            }
        }
    }

    /// Computes again whom a remove removes, given all that I know.
    pub(super) fn update_removal(&mut self, remove: ChangeIndex) {
        let Some(record) = self.records.get(remove.to_usize()) else { return };
        let removes = self.removed_by_one(record, |_| true);
        self.removed.unite(&removes);
        if let Some(record) = self.records.get_mut(remove.to_usize()) {
            record.removes = removes;
        }
    }

    pub(super) fn set_view(&mut self, member: MemberIndex, view: Arc<MemberSet>) {
        if let Some(known) = self.known.get_mut(member.to_usize()) {
            known.view = view;
        }
    }

    pub(super) fn view_by_definition(&self, member: MemberIndex) -> Arc<MemberSet> {
        match self.known.get(self.me.to_usize()) {
            Some(me) if self.has_acknowledged_all(member) => Arc::clone(&me.view),
            _ => Arc::new(self.members(|change| self.has_acknowledged(member, change))),
        }
    }

    /// members(Changes), for the changes that `included` accepts.
    pub(super) fn members(&self, included: impl Fn(usize) -> bool) -> MemberSet {
        let mut members = MemberSet::new();
        for (_, record) in self.records.iter().enumerate().filter(|(change, _)| included(*change)) {
            match record.change {
                Change::Create => members.unite(&self.founders),
                Change::Add(user) => {
                    members.insert(user);
                }
                Change::Remove(_) => {}
            }
        }
        members.subtract(&self.removed_by(included));
        members
    }

    /// Everybody whom the removes that `included` accepts remove, given the changes that it accepts.
    pub(super) fn removed_by(&self, included: impl Fn(usize) -> bool) -> MemberSet {
        let mut removed = MemberSet::new();
        for remove in self.removes.iter().filter(|remove| included(remove.to_usize())) {
            let Some(record) = self.records.get(remove.to_usize()) else { continue };
            match record.change {
                // With fewer changes, a remove never removes more.
                Change::Remove(target) if record.removes.len() == 1 => {
                    removed.insert(target);
                }
                _ if record.removes.is_subset(&removed) => {}
                _ => removed.unite(&self.removed_by_one(record, &included)),
            }
        }
        removed
    }

    /// Whom one remove removes, given the changes that `included` accepts.
    fn removed_by_one(&self, remove: &Record, included: impl Fn(usize) -> bool) -> MemberSet {
        let mut removed = MemberSet::new();
        let Change::Remove(target) = remove.change else { return removed };
        let mut next = vec![target];
        while let Some(member) = next.pop() {
            if !removed.insert(member) {
                continue;
            }
            let adds = self.known.get(member.to_usize()).map_or(&[][..], |known| &known.authored_adds);
            for add in adds.iter().map(|add| add.to_usize()) {
                if remove.author_had_acknowledged.contains(add) || !included(add) {
                    continue;
                }
                match self.records.get(add).map(|record| record.change) {
                    Some(Change::Create) => next.extend(self.founders.iter()),
                    Some(Change::Add(user)) => next.push(user),
                    Some(Change::Remove(_)) | None => {}
                }
            }
        }
        removed
    }
}
