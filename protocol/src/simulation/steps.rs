//! What the steps of a schedule do, and when a call may be refused.

use super::schedule::{Fate, Step, USERS, What};
use super::world::{Said, Verdict, World};
use crate::error::Error;
use crate::member::Received;

/// The greatest number of messages that arrive together, unless all do.
const MAX_BATCH: usize = 8;

impl World<'_> {
    pub(super) fn step(&mut self, step: Step) -> Verdict {
        self.log.push(String::new());
        let [first, second, third] = step.arguments.map(usize::from);
        let fate = step.fate();
        match step.what() {
            What::Settle => {
                self.note(|| "everything that can arrive arrives".to_owned());
                self.settle()
            }
            What::Say => self.say(self.actor(first), fate),
            What::Update => self.update(self.actor(first), fate),
            What::Add => self.add(self.actor(first), second, fate),
            What::Remove => self.remove(self.actor(first), second, fate),
            What::CreateAgain => self.create_again(first % USERS),
            What::Receive => {
                let to = self.one_of(first, |user| !self.network.receivable(user).is_empty());
                let mut places = self.network.receivable(to);
                let first = second % places.len().max(1);
                places.rotate_left(first);
                places.truncate(1 + third / 8 % MAX_BATCH);
                self.note(|| format!("messages {places:?} reach user {to}, who {fate}"));
                self.receive(to, &places, fate)
            }
            What::CatchUp => {
                let to = self.one_of(first, |user| !self.network.receivable(user).is_empty());
                let places = self.network.receivable(to);
                self.note(|| format!("messages {places:?} reach user {to}, who {fate}"));
                self.receive(to, &places, fate)
            }
            What::Repeat => {
                let to = self.one_of(first, |user| !self.network.arrived(user).is_empty());
                let arrived = self.network.arrived(to);
                let place = arrived.get(second % arrived.len().max(1)).copied();
                place.map_or(Ok(()), |place| self.repeat(to, place))
            }
            What::Damage => {
                let to = self.one_of(first, |user| !self.network.receivable(user).is_empty());
                self.damage(to, second, third)
            }
            What::Part => {
                let sides = u16::from_be_bytes([step.arguments[0], step.arguments[1]]);
                self.note(|| format!("the users are separated by the bits {sides:010b}"));
                self.network.part(sides);
                Ok(())
            }
            What::Heal => {
                self.note(|| "the users are no longer separated".to_owned());
                self.network.part(0);
                Ok(())
            }
            What::Sleep => {
                self.note(|| format!("user {} falls asleep", first % USERS));
                self.network.asleep[first % USERS] = true;
                Ok(())
            }
            What::Wake => {
                self.note(|| format!("user {} wakes up", first % USERS));
                self.network.asleep[first % USERS] = false;
                Ok(())
            }
            What::Restart => {
                self.note(|| format!("user {} restarts", first % USERS));
                self.restore(first % USERS, None)
            }
        }
    }

    /// Logs what the step is.
    fn note(&mut self, what: impl FnOnce() -> String) {
        if let Some(line) = self.log.last_mut() {
            *line = what();
        }
    }

    /// Everything arrives at everybody that it can reach, and so do the answers.
    pub(super) fn settle(&mut self) -> Verdict {
        loop {
            let before = self.network.sent.len();
            for to in 0..USERS {
                let places = self.network.receivable(to);
                self.receive(to, &places, Fate::Lives)?;
            }
            if self.network.sent.len() == before {
                return Ok(());
            }
        }
    }

    /// Mostly a member, sometimes any user.
    fn actor(&self, argument: usize) -> usize {
        if argument < 240 { self.one_of(argument, |user| self.is_inside(user)) } else { argument % USERS }
    }

    /// One of the users for whom `is` holds; if there is none, one of all users.
    fn one_of(&self, argument: usize, is: impl Fn(usize) -> bool) -> usize {
        let those: Vec<usize> = (0..USERS).filter(|user| is(*user)).collect();
        those.get(argument % those.len().max(1)).copied().unwrap_or(argument % USERS)
    }

    pub(super) fn say(&mut self, by: usize, fate: Fate) -> Verdict {
        self.note(|| format!("user {by} speaks and {fate}"));
        let text = format!("message {}", self.said.len()).into_bytes();
        let view = self.users[by].member.members();
        let inside = self.is_inside(by);
        let refused = self.call(by, fate, |member, context| member.send(&text, context))?;
        expect(by, "send", refused, if inside { None } else { Some(Error::NotInGroup) })?;
        if inside && fate != Fate::DiesBefore {
            self.said.push(Said { author: by, text, view, read: [0; USERS] });
        }
        Ok(())
    }

    pub(super) fn update(&mut self, by: usize, fate: Fate) -> Verdict {
        self.note(|| format!("user {by} updates and {fate}"));
        if !self.backend.description().capabilities.pcs_update {
            return self.say(by, fate);
        }
        let inside = self.is_inside(by);
        let refused = self.call(by, fate, |member, context| member.update(context))?;
        self.extent.updates += u64::from(refused.is_none() && fate != Fate::DiesBefore);
        expect(by, "update", refused, if inside { None } else { Some(Error::NotInGroup) })
    }

    /// Adds a user, mostly one that is no member yet.
    fn add(&mut self, by: usize, argument: usize, fate: Fate) -> Verdict {
        let members = self.users[by].member.members();
        let strangers: Vec<usize> = (0..USERS).filter(|user| !members.contains(&self.users[*user].id)).collect();
        let stranger = strangers.get(argument % strangers.len().max(1)).copied();
        let whom = stranger.filter(|_| argument < 230).unwrap_or(argument % USERS);
        let id = self.users[whom].id;
        self.note(|| format!("user {by} adds user {whom} and {fate}"));
        let refused = self.call(by, fate, |member, context| member.add(&id, context))?;
        if refused.is_none() && fate != Fate::DiesBefore {
            self.extent.adds += 1;
            self.network.invite(whom);
        }
        // A user that was a member before can come back only under another id.
        let expected = match refused {
            _ if members.is_empty() => Some(Error::NotInGroup),
            _ if members.contains(&id) => Some(Error::AlreadyAMember),
            Some(Error::AlreadyAMember) if self.network.invited[whom] => refused,
            _ => None,
        };
        expect(by, "add", refused, expected)
    }

    fn remove(&mut self, by: usize, argument: usize, fate: Fate) -> Verdict {
        let members = self.users[by].member.members();
        let member = members.get(argument % members.len().max(1)).filter(|_| argument < 230);
        let id = member.copied().unwrap_or(self.users[argument % USERS].id);
        let whom = self.users.iter().position(|user| user.id == id).unwrap_or(USERS);
        self.note(|| format!("user {by} removes user {whom} and {fate}"));
        let refused = self.call(by, fate, |member, context| member.remove(&id, context))?;
        self.extent.removes += u64::from(refused.is_none() && fate != Fate::DiesBefore);
        let expected = match () {
            () if members.is_empty() => Some(Error::NotInGroup),
            () if id == self.users[by].id => Some(Error::RemovesItself),
            () if members.contains(&id) => None,
            () => Some(Error::NotAMember),
        };
        expect(by, "remove", refused, expected)
    }

    /// A user that has or had a group cannot create another.
    fn create_again(&mut self, by: usize) -> Verdict {
        if self.users[by].member.group().is_none() {
            return Ok(());
        }
        self.note(|| format!("user {by} creates a group again"));
        let refused = self.call(by, Fate::Lives, |member, context| member.create(&[], context))?;
        expect(by, "create", refused, Some(Error::AlreadyInGroup))
    }

    /// A message arrives again at a user: nothing happens, whether that is called an error or not.
    fn repeat(&mut self, to: usize, place: usize) -> Verdict {
        self.note(|| format!("message {place} reaches user {to} again"));
        self.extent.repeated += 1;
        let sent = &self.network.sent[place];
        let (author, bytes) = (self.users[sent.author].id, sent.bytes.clone());
        let state = self.users[to].member.export();
        match self.receive_alone(to, author, &bytes) {
            Ok(received) if received != Received::default() => {
                Err(format!("message {place} again at user {to} has effects: {:?}", received.events))
            }
            _ if self.users[to].member.export() != state => {
                Err(format!("message {place} again at user {to} has effects"))
            }
            _ => Ok(()),
        }
    }

    /// A message arrives with a flipped bit, or shorter. It has no effect; at most it waits.
    fn damage(&mut self, to: usize, which: usize, how: usize) -> Verdict {
        let receivable = self.network.receivable(to);
        let Some(place) = receivable.get(which % receivable.len().max(1)) else { return Ok(()) };
        let sent = &self.network.sent[*place];
        let (author, mut bytes) = (self.users[sent.author].id, sent.bytes.clone());
        let at = how * 97 % bytes.len();
        let place = *place;
        self.note(|| format!("message {place} reaches user {to} damaged at byte {at}"));
        if how.is_multiple_of(5) {
            bytes.truncate(at);
        } else {
            bytes[at] ^= 1 << (how % 8);
        }
        let state = self.users[to].member.export();
        self.extent.damaged += 1;
        match self.receive_alone(to, author, &bytes) {
            Ok(received) if received == Received::default() => Ok(()),
            Ok(received) => Err(format!("message {place}, damaged at byte {at}, has effects: {:?}", received.events)),
            Err(_) if self.users[to].member.export() == state => Ok(()),
            Err(error) => Err(format!("message {place}, damaged at byte {at}, is refused (`{error}`) and has effects")),
        }
    }
}

fn expect(by: usize, what: &str, refused: Option<Error>, expected: Option<Error>) -> Verdict {
    match (refused, expected) {
        (one, other) if one == other => Ok(()),
        (Some(error), _) => Err(format!("user {by} cannot {what}: {error}")),
        (None, _) => Err(format!("user {by} can {what}, and must not")),
    }
}
