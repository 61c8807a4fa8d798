//! A group whose messages are in flight and arrive one by one, and who has read what.

use rand_core::Rng as _;

use crate::error::Error;
use crate::id::MemberId;
use crate::member::{Context, Event, Incoming, Outgoing, Received};
use crate::operation::PLAINTEXT_LEN;
use crate::stage::recorder::Recorder;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, Sent, User, World};

/// The greatest number of messages that arrive in a small group: a protocol that still sends after them sends for ever.
const MAX_ARRIVALS: usize = 5_000;

/// A number below `bound`.
pub(super) fn below(rng: &mut Recorder, bound: usize) -> usize {
    rng.next_u32() as usize % bound.max(1)
}

/// An application message.
#[derive(Clone)]
struct Said {
    author: usize,
    plaintext: Vec<u8>,
    /// The members in its author's view, whom it is for.
    readers: Vec<MemberId>,
}

/// A group with messages in flight.
pub(super) struct Flight<'a> {
    world: World<'a>,
    said: Vec<Said>,
    /// Users that join meanwhile. What they hear need not be for them.
    joiners: Vec<usize>,
    /// The messages that are withheld from a user until they are delivered by name.
    withheld: Vec<(usize, usize)>,
    /// The messages that have arrived, with their readers.
    arrived: Vec<(usize, usize)>,
}

impl<'a> Flight<'a> {
    /// A group in which nobody has read anything yet.
    pub(super) fn new(mut world: World<'a>) -> Self {
        world.users.iter_mut().for_each(|user| user.read.clear());
        Self { world, said: Vec::new(), joiners: Vec::new(), withheld: Vec::new(), arrived: Vec::new() }
    }

    pub(super) fn fork(&self) -> Verdict<Self> {
        let Self { world, said, joiners, withheld, arrived } = self;
        let (said, joiners) = (said.clone(), joiners.clone());
        Ok(Self { world: world.fork()?, said, joiners, withheld: withheld.clone(), arrived: arrived.clone() })
    }

    /// Users who are members in their own view, perhaps without the one that is to be removed.
    pub(super) fn actors(&self, without_last: bool) -> Vec<usize> {
        let members = self.world.users.iter().map(|user| !user.member.members().is_empty());
        let mut actors: Vec<usize> = members.enumerate().filter(|(_, is)| *is).map(|(user, _)| user).collect();
        if without_last {
            actors.pop();
        }
        actors
    }

    pub(super) fn say(&mut self, author: usize) -> Verdict {
        let mut plaintext = vec![0; PLAINTEXT_LEN];
        self.world.plaintexts.fill_bytes(&mut plaintext);
        let readers = self.world.users[author].member.members();
        self.said.push(Said { author, plaintext: plaintext.clone(), readers });
        self.act(author, &Action::Send(plaintext))
    }

    pub(super) fn act(&mut self, author: usize, action: &Action) -> Verdict {
        // In a total order, its author first learns what has become of its last commit.
        self.deliver_each(author, |world| world.awaited(author))?;
        let mut sent = self.call(author, action)?;
        if self.world.drops(author, &sent) {
            self.deliver_each(author, |world| core::mem::take(&mut world.users[author].inbox))?;
            sent = self.call(author, action)?;
        }
        match action {
            Action::Add(user) => {
                self.world.admit(*user);
                self.joiners.push(*user);
            }
            Action::Remove(user) => self.world.users[*user].inside = false,
            _ => {}
        }
        self.world.post(author, sent)
    }

    fn call(&mut self, author: usize, action: &Action) -> Verdict<Vec<Outgoing>> {
        self.world.call(author, action).map_err(|error| format!("the call failed: {error}"))
    }

    /// Lets the messages that are taken out of a user's inbox arrive there, one by one.
    fn deliver_each(&mut self, user: usize, take: impl FnOnce(&mut World<'a>) -> Vec<usize>) -> Verdict {
        take(&mut self.world).into_iter().try_for_each(|place| self.deliver(user, &[place]))
    }

    /// Whether all messages arrive in one order.
    pub(super) fn is_ordered(&self) -> bool {
        self.world.total
    }

    /// What is in flight to a user.
    pub(super) fn inbox(&self, user: usize) -> Vec<usize> {
        self.world.users[user].inbox.clone()
    }

    /// The author of a message.
    pub(super) fn author(&self, place: usize) -> usize {
        self.world.log[place].author
    }

    /// Withholds everything that is in flight to a user.
    pub(super) fn withhold(&mut self, user: usize) -> Vec<usize> {
        let places = core::mem::take(&mut self.world.users[user].inbox);
        self.withheld.extend(places.iter().map(|place| (user, *place)));
        places
    }

    /// Lets messages arrive in the order in which they were sent, except at those users.
    pub(super) fn settle(&mut self, but: &[usize]) -> Verdict {
        loop {
            let users = self.world.users.iter().enumerate().filter(|(number, _)| !but.contains(number));
            // What is sent later comes later in each inbox.
            let first = users.filter_map(|(number, user)| user.inbox.first().map(|place| (number, *place)));
            let next = first.min_by_key(|(_, place)| *place);
            let Some((user, place)) = next else { return Ok(()) };
            self.deliver(user, &[place])?;
        }
    }

    fn waiting(&self) -> impl Iterator<Item = (usize, usize)> {
        let users = self.world.users.iter().enumerate();
        let next = if self.world.total { 1 } else { usize::MAX };
        users.flat_map(move |(number, user)| user.inbox.iter().take(next).map(move |place| (number, *place)))
    }

    /// Lets one message arrive, if there is one.
    pub(super) fn deliver_one(&mut self, rng: &mut Recorder) -> Verdict {
        self.deliver_one_if_any(rng).map(drop)
    }

    /// Lets one message arrive. Returns whether there was one.
    pub(super) fn deliver_one_if_any(&mut self, rng: &mut Recorder) -> Verdict<bool> {
        let waiting: Vec<_> = self.waiting().collect();
        let Some((user, place)) = waiting.get(below(rng, waiting.len())) else { return Ok(false) };
        self.deliver(*user, &[*place]).map(|()| true)
    }

    /// Lets messages arrive at a user, in one batch.
    pub(super) fn deliver(&mut self, user: usize, places: &[usize]) -> Verdict {
        self.world.users[user].inbox.retain(|other| !places.contains(other));
        let results = self.receive(user, places);
        ensure(results.len() == places.len(), || "a batch did not yield one result for each message".to_owned())?;
        places.iter().zip(results).try_for_each(|(place, result)| self.accept(user, *place, result))
    }

    fn accept(&mut self, user: usize, place: usize, result: Result<Received, Error>) -> Verdict {
        self.arrived.push((user, place));
        // In a large group, each member may answer each operation with a message to all.
        let most = MAX_ARRIVALS.max(8 * self.world.users.len().pow(2));
        ensure(self.arrived.len() < most, || "members answer each other for ever".to_owned())?;
        let kind = self.world.log[place].kind;
        // What a joiner hears may have been sent to the members before it.
        let (joins, inside) = (self.joiners.contains(&user), self.world.users[user].inside);
        let received = match result {
            Ok(received) => received,
            // Nothing is promised to a removed member.
            Err(_) if joins || !inside => return Ok(()),
            Err(error) => {
                return Err(format!(
                    "a genuine message of kind `{kind}` that others have overtaken was refused: {error}"
                ));
            }
        };
        for event in received.events {
            let trouble = match event {
                Event::Message { from, plaintext } => {
                    self.world.users[user].read.push((from, plaintext));
                    continue;
                }
                Event::Undecryptable { .. } => "could not be decrypted".to_owned(),
                Event::Rejected { rule, .. } => format!("was rejected by the rule {rule:?}"),
                _ => continue,
            };
            ensure(joins || !inside, || {
                format!(
                    "a genuine message that others have overtaken {trouble}: one of kind `{kind}`, or one that waited for it"
                )
            })?;
        }
        self.world.post(user, received.outgoing)
    }

    fn receive(&mut self, user: usize, places: &[usize]) -> Vec<Result<Received, Error>> {
        let incoming = |place: &usize| {
            let Sent { author, bytes, .. } = &self.world.log[*place];
            Incoming { group: self.world.group, author: self.world.users[*author].id, bytes }
        };
        let batch: Vec<_> = places.iter().map(incoming).collect();
        let User { member, rng, .. } = &mut self.world.users[user];
        let mut context = Context { rng, directory: &self.world.directory, confirm_inviter: &|_| true };
        member.receive(&batch, &mut context)
    }

    /// One of the messages that have arrived arrives again.
    pub(super) fn repeat_one(&mut self, rng: &mut Recorder) -> Verdict {
        let arrived = self.arrived.get(below(rng, self.arrived.len())).copied();
        arrived.map_or(Ok(()), |(user, place)| self.repeat(user, place))
    }

    /// A message that has arrived at a user arrives there again. Nothing may happen, whatever that is called.
    pub(super) fn repeat(&mut self, user: usize, place: usize) -> Verdict {
        let received = self.receive(user, &[place]).into_iter().flatten();
        ensure(received.into_iter().all(|received| received == Received::default()), || {
            format!("a message of kind `{}` that has arrived before has an effect again", self.world.log[place].kind)
        })
    }

    /// Another instance of the backend continues with a user.
    pub(super) fn restart(&mut self, user: usize) -> Verdict {
        self.world.users[user].member = self.world.revive(&*self.world.users[user].member)?;
        Ok(())
    }

    /// Everything arrives. Then all have read what was for them, agree, and can go on.
    pub(super) fn finish(mut self) -> Verdict<World<'a>> {
        self.land()?;
        self.world.users.iter_mut().for_each(|user| user.hears = user.inside);
        self.world.converse()?;
        self.world.agree()?;
        Ok(self.world)
    }

    /// Everything arrives. Then all have read what was for them, and agree.
    pub(super) fn land(&mut self) -> Verdict {
        self.settle(&[])?;
        for (number, user) in self.world.users.iter().enumerate() {
            for Said { author, plaintext, readers } in &self.said {
                let author_stays = self.world.users[*author].inside;
                let entitled = number != *author && readers.contains(&user.id);
                let from = self.world.users[*author].id;
                let times = user.read.iter().filter(|(by, read)| *by == from && read == plaintext).count();
                ensure(times <= 1, || "a member read a message twice".to_owned())?;
                // In a total order, what comes after an add may be for the joiner, whatever its author knew.
                let joined = self.world.total && self.joiners.contains(&number);
                ensure(times == 0 || entitled || joined, || "somebody read a message that was not for it".to_owned())?;
                ensure(times == 1 || !entitled || !user.inside || !author_stays, || {
                    "a message is lost, although the declared ordering allows the order in which all arrived".to_owned()
                })?;
            }
            let said = |(from, text): &(MemberId, Vec<u8>)| {
                self.said.iter().any(|said| self.world.users[said.author].id == *from && said.plaintext == *text)
            };
            ensure(user.read.iter().all(said), || "a member read what nobody has sent".to_owned())?;
        }
        self.world.agree().map(drop)
    }
}
