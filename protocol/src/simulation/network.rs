//! A network without order: messages wait for each user and arrive late, in any order, and repeatedly. They do not
//! arrive while users are separated or asleep.

use crate::id::MemberId;
use crate::member::{Outgoing, Recipients};

use super::schedule::USERS;

/// A message that a user has sent.
pub(super) struct Sent {
    pub(super) author: usize,
    /// The user that it is for; `None` if it is for everybody.
    pub(super) to: Option<usize>,
    pub(super) kind: &'static str,
    pub(super) bytes: Vec<u8>,
}

/// The messages that were sent, and which of them are on their way to whom.
pub(super) struct Network {
    ids: Vec<MemberId>,
    pub(super) sent: Vec<Sent>,
    /// For each user, the messages on their way to it, by their positions in `sent`.
    waiting: [Vec<usize>; USERS],
    /// For each user, the messages that have arrived.
    arrived: [Vec<usize>; USERS],
    /// Whether a user has ever been invited: from then on broadcasts reach it, earlier ones too.
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
            arrived: Default::default(),
            invited: [false; USERS],
            side: [false; USERS],
            asleep: [false; USERS],
        }
    }

    /// The ids of all users.
    pub(super) fn ids(&self) -> &[MemberId] {
        &self.ids
    }

    /// Names a user as a member: all broadcasts are sent to it, earlier ones too.
    pub(super) fn invite(&mut self, user: usize) {
        if !core::mem::replace(&mut self.invited[user], true) {
            let broadcasts = self.sent.iter().enumerate().filter(|(_, sent)| sent.to.is_none() && sent.author != user);
            self.waiting[user].extend(broadcasts.map(|(place, _)| place));
            self.waiting[user].sort_unstable();
        }
    }

    /// Sends messages. The error says that a message is for a user that does not exist.
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

    /// Separates the users whose bits are set from the others. If no bit is set, nobody is separated.
    pub(super) fn part(&mut self, sides: u16) {
        for (user, side) in self.side.iter_mut().enumerate() {
            *side = sides >> user & 1 == 1;
        }
    }

    /// The messages that can arrive at a user now, the oldest first.
    pub(super) fn receivable(&self, to: usize) -> Vec<usize> {
        let reaches = |place: &usize| {
            let author = self.sent[*place].author;
            self.side[author] == self.side[to] && !self.asleep[author]
        };
        if self.asleep[to] { Vec::new() } else { self.waiting[to].iter().copied().filter(reaches).collect() }
    }

    /// The messages that have arrived at a user.
    pub(super) fn arrived(&self, to: usize) -> &[usize] {
        &self.arrived[to]
    }

    /// These messages arrive at a user.
    pub(super) fn arrive(&mut self, to: usize, places: &[usize]) {
        self.waiting[to].retain(|place| !places.contains(place));
        self.arrived[to].extend(places);
    }

    /// Whether nothing is on its way to anybody.
    pub(super) fn is_quiet(&self) -> bool {
        self.waiting.iter().all(Vec::is_empty)
    }
}
