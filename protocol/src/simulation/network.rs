//! A network without order: messages wait for each user, come late, in any order and again, or not at all as long as users
//! are apart or asleep.

use crate::id::MemberId;
use crate::member::{Outgoing, Recipients};

use super::schedule::USERS;

/// A message that somebody has sent.
pub(super) struct Sent {
    pub(super) author: usize,
    /// None for everybody.
    pub(super) to: Option<usize>,
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// What was sent, and what of it is on its way to whom.
pub(super) struct Network {
    ids: Vec<MemberId>,
    pub(super) sent: Vec<Sent>,
    /// For each user the messages on their way, by place in `sent`.
    waiting: [Vec<usize>; USERS],
    /// For each user those that have come.
    come: [Vec<usize>; USERS],
    /// Whether a user has ever been invited: broadcasts, earlier ones too, reach it from then on.
    pub(super) invited: [bool; USERS],
    side: [bool; USERS],
    pub(super) asleep: [bool; USERS],
}

impl Network {
    pub(super) fn new(ids: Vec<MemberId>) -> Self {
        Self {
            ids,
            sent: Vec::new(),
            waiting: Default::default(),
            come: Default::default(),
            invited: [false; USERS],
            side: [false; USERS],
            asleep: [false; USERS],
        }
    }

    /// Everybody's ids.
    pub(super) fn ids(&self) -> &[MemberId] {
        &self.ids
    }

    /// Somebody is named as a member: it is to hear everything, what has been said before too.
    pub(super) fn invite(&mut self, user: usize) {
        if !core::mem::replace(&mut self.invited[user], true) {
            let broadcasts = self.sent.iter().enumerate().filter(|(_, sent)| sent.to.is_none() && sent.author != user);
            self.waiting[user].extend(broadcasts.map(|(place, _)| place));
            self.waiting[user].sort_unstable();
        }
    }

    /// Sends. Err where somebody is written to who is not there.
    pub(super) fn post(&mut self, author: usize, outgoing: Vec<Outgoing>) -> Result<(), String> {
        for Outgoing { to, kind, bytes } in outgoing {
            let to = match to {
                Recipients::Everyone => None,
                Recipients::One(id) => {
                    let user = self.ids.iter().position(|other| *other == id);
                    Some(user.ok_or_else(|| format!("user {author} writes to somebody who does not exist"))?)
                }
            };
            let place = self.sent.len();
            self.sent.push(Sent { author, to, kind, bytes });
            for user in 0..USERS {
                if to.map_or(user != author && self.invited[user], |to| to == user) {
                    self.waiting[user].push(place);
                }
            }
        }
        Ok(())
    }

    /// The two are divided by this number's bits; without bits nobody is.
    pub(super) fn part(&mut self, sides: u16) {
        for (user, side) in self.side.iter_mut().enumerate() {
            *side = sides >> user & 1 == 1;
        }
    }

    /// What can come to a user, the longest under way first.
    pub(super) fn deliverable(&self, to: usize) -> Vec<usize> {
        let reaches = |place: &usize| {
            let author = self.sent[*place].author;
            self.side[author] == self.side[to] && !self.asleep[author]
        };
        if self.asleep[to] { Vec::new() } else { self.waiting[to].iter().copied().filter(reaches).collect() }
    }

    /// What has come to a user.
    pub(super) fn come(&self, to: usize) -> &[usize] {
        &self.come[to]
    }

    /// These have come.
    pub(super) fn arrived(&mut self, to: usize, places: &[usize]) {
        self.waiting[to].retain(|place| !places.contains(place));
        self.come[to].extend(places);
    }

    /// Whether nothing is on its way to anybody.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }
}
