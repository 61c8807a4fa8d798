//! Users, who play a recorded schedule.

use std::collections::{BTreeMap, BTreeSet};

use protocol::id::MemberId;
use protocol::security::schedules::{Call, Step, Trace};

use crate::channel::Bundle;
use crate::group::{Content, Control, Group, Message, Seeded, Users};
use crate::naive::User;
use crate::terms::{Atom, Terms};

/// What the variants differ in.
#[derive(Clone, Copy)]
pub(crate) struct Rules {
    /// Without the guard of ADD-ACKs and without lazy repair.
    pub(crate) published: bool,
    /// Over lean channels.
    pub(crate) lean: bool,
    /// With tags in the place of signatures of plain acknowledgements.
    pub(crate) tagged: bool,
}

/// Prekeys of each user: its identity and signed prekey, and the one-time prekeys that the directory hands out.
pub(crate) struct Directory {
    own: Vec<(Atom, Atom, Vec<Atom>)>,
    handed_out: Vec<usize>,
}

impl Directory {
    pub(crate) fn bundle(&mut self, user: User) -> Bundle {
        let user = usize::from(user);
        let (identity, signed, one_time) = &self.own[user];
        let which = self.handed_out[user];
        self.handed_out[user] += 1;
        Bundle { identity: *identity, signed: *signed, one_time: one_time.get(which).map(|key| (which, *key)) }
    }
}

/// What a user needs besides its own state.
pub(crate) struct Env<'a> {
    pub(crate) ids: &'a [MemberId],
    pub(crate) terms: &'a mut Terms,
    pub(crate) directory: &'a mut Directory,
    /// Its own one-time prekeys that have not been used.
    pub(crate) one_time: &'a mut BTreeMap<usize, Atom>,
    pub(crate) sent: Vec<Message>,
}

enum Stage {
    Outside,
    Inside(Box<Group>),
    Removed,
}

struct Player {
    identity: Atom,
    signed: Atom,
    one_time: BTreeMap<usize, Atom>,
    stage: Stage,
    /// What has reached it and was not processed.
    waiting: Vec<usize>,
}

pub(crate) struct World<'a> {
    trace: &'a Trace,
    rules: Rules,
    terms: Terms,
    directory: Directory,
    players: Vec<Player>,
    messages: Vec<Message>,
    /// The places in the trace of each user's messages, of which this many have been made here.
    places: Vec<(Vec<usize>, usize)>,
    by_place: BTreeMap<usize, usize>,
    by_number: BTreeMap<Control, usize>,
    texts: Vec<Atom>,
    held: BTreeSet<Atom>,
}

impl<'a> World<'a> {
    /// Plays a schedule. Returns for each text whether the attacker can know it.
    pub(crate) fn play(trace: &'a Trace, rules: Rules) -> Result<Vec<bool>, String> {
        let mut terms = Terms::new();
        let users = trace.ids.len();
        let own: Vec<(Atom, Atom, Vec<Atom>)> = (0..users)
            .map(|_| (terms.fresh(), terms.fresh(), (0..trace.one_time).map(|_| terms.fresh()).collect()))
            .collect();
        let player = |(identity, signed, one_time): &(Atom, Atom, Vec<Atom>)| Player {
            identity: *identity,
            signed: *signed,
            one_time: one_time.iter().copied().enumerate().collect(),
            stage: Stage::Outside,
            waiting: Vec::new(),
        };
        let players = own.iter().map(player).collect();
        let of = |user| {
            let places = trace.messages.iter().enumerate().filter(|(_, message)| message.author == user);
            (places.map(|(place, _)| place).collect(), 0)
        };
        let mut world = World {
            trace,
            rules,
            terms,
            directory: Directory { own, handed_out: vec![0; users] },
            players,
            messages: Vec::new(),
            places: (0..users).map(of).collect(),
            by_place: BTreeMap::new(),
            by_number: BTreeMap::new(),
            texts: Vec::new(),
            held: BTreeSet::new(),
        };
        for (at, step) in trace.steps.iter().enumerate() {
            world.step(step).map_err(|what| format!("step {at}, {step:?}: {what}"))?;
        }
        for (user, (places, made)) in world.places.iter().enumerate() {
            if places.len() != *made {
                return Err(format!("user {user} has sent {} messages, and {made} in the twin", places.len()));
            }
        }
        let known = world.terms.closure(&world.held);
        Ok(world.texts.iter().map(|text| known.contains(text)).collect())
    }

    fn step(&mut self, step: &Step) -> Result<(), String> {
        match step {
            Step::Called { by, call } => {
                let mut text = None;
                let rules = self.rules;
                self.act(*by, |me, stage, env| {
                    if let Call::Create(others) = call {
                        let others: Users = others.iter().map(|user| *user as User).collect();
                        let founders = others.iter().chain([&me]).copied().collect();
                        let mut group = Group::founded(me, me, &founders, rules);
                        group.create(others, env);
                        *stage = Stage::Inside(Box::new(group));
                    }
                    let Stage::Inside(group) = stage else { return };
                    match call {
                        Call::Create(_) => {}
                        Call::Add(user) => group.add(*user as User, env),
                        Call::Remove(user) => group.remove(*user as User, env),
                        Call::Update => group.update(env),
                        Call::Say => text = Some(group.say(env)),
                    }
                })?;
                self.texts.extend(text);
                Ok(())
            }
            Step::Received { by, place } => {
                let message = *self.by_place.get(place).ok_or("the twin has not sent this message")?;
                if !matches!(self.players[*by].stage, Stage::Removed) {
                    self.players[*by].waiting.push(message);
                }
                self.enter(*by)?;
                self.process_ready(*by)
            }
            Step::Stolen(user) => {
                let player = &self.players[*user];
                if !matches!(player.stage, Stage::Removed) {
                    self.held.extend([player.identity, player.signed]);
                    self.held.extend(player.one_time.values());
                }
                if let Stage::Inside(group) = &player.stage {
                    group.held(&mut self.held);
                }
                Ok(())
            }
        }
    }

    /// Lets a user do something, and finds the places of what it sends.
    fn act(&mut self, user: usize, action: impl FnOnce(User, &mut Stage, &mut Env<'_>)) -> Result<(), String> {
        let player = &mut self.players[user];
        let mut env = Env {
            ids: &self.trace.ids,
            terms: &mut self.terms,
            directory: &mut self.directory,
            one_time: &mut player.one_time,
            sent: Vec::new(),
        };
        action(user as User, &mut player.stage, &mut env);
        let (places, made) = &mut self.places[user];
        for message in env.sent {
            let place = *places.get(*made).ok_or("the twin sends a message more")?;
            *made += 1;
            let real = self.trace.messages[place].kind;
            if real != message.content.kind() {
                return Err(format!("the twin sends `{}` where user {user} sends `{real}`", message.content.kind()));
            }
            self.by_place.insert(place, self.messages.len());
            if !matches!(message.content, Content::Welcome { .. }) {
                self.by_number.insert((message.author, message.number), self.messages.len());
            }
            self.messages.push(message);
        }
        Ok(())
    }

    /// A user outside enters a group: by CREATE, or by a welcome with its ADD.
    fn enter(&mut self, user: usize) -> Result<(), String> {
        if !matches!(self.players[user].stage, Stage::Outside) {
            return Ok(());
        }
        let (me, rules) = (user as User, self.rules);
        let message = |which: &usize| self.messages[*which].clone();
        let waiting: Vec<Message> = self.players[user].waiting.iter().map(message).collect();
        for create in &waiting {
            if let Content::Seed { kind: Seeded::Create(others), .. } = &create.content
                && others.contains(&me)
            {
                let founders = others.iter().chain([&create.author]).copied().collect();
                let group = Group::founded(me, create.author, &founders, rules);
                return self.act(user, |_, stage, _| *stage = Stage::Inside(Box::new(group)));
            }
        }
        for welcome in &waiting {
            let Content::Welcome { to, .. } = welcome.content else { continue };
            let is_add = |it: &Message| matches!(it.content, Content::Add { user, .. } if user == me);
            let same = |it: &Message| (it.author, it.number) == (welcome.author, welcome.number);
            let Some(add) = waiting.iter().find(|it| is_add(it) && same(it)).filter(|_| to == me) else { continue };
            self.act(user, |_, stage, env| {
                if let Some(group) = Group::join(me, rules, welcome, add, env) {
                    *stage = Stage::Inside(Box::new(group));
                }
            })?;
            if matches!(self.players[user].stage, Stage::Inside(_)) {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Processes what is ready: all that its author had processed before has been processed here.
    fn process_ready(&mut self, user: usize) -> Result<(), String> {
        loop {
            while let Some(tagged) = self.next_tagged(user) {
                self.players[user].waiting.retain(|which| *which != tagged);
                let Message { author, acknowledges, .. } = self.messages[tagged];
                self.act(user, |_, stage, env| {
                    let Stage::Inside(group) = stage else { return };
                    group.take(author, acknowledges.unwrap(), env);
                })?;
            }
            let Some(next) = self.next(user) else { return Ok(()) };
            self.players[user].waiting.retain(|which| *which != next);
            let message = self.messages[next].clone();
            self.act(user, |_, stage, env| {
                let Stage::Inside(group) = stage else { return };
                group.delivered.insert(message.author, message.number);
                group.process(&message, env);
                if group.continues() {
                    group.tidy();
                } else {
                    *stage = Stage::Removed;
                }
            })?;
        }
    }

    /// The next message that is ready, of the author with the smallest id. What was acknowledged under tags is there as soon as
    /// its author's next signed message is.
    fn next(&self, user: usize) -> Option<usize> {
        let Player { stage: Stage::Inside(group), waiting, .. } = &self.players[user] else { return None };
        let ready = group.delivered.iter().filter_map(|(author, last)| {
            let next = *self.by_number.get(&(*author, last + 1))?;
            let is_there = self.signed_after(*author, *last).is_some_and(|signed| waiting.contains(&signed));
            (is_there && is_after(group, &self.messages[next])).then_some((self.trace.ids[usize::from(*author)], next))
        });
        ready.min().map(|(_, next)| next)
    }

    /// The first message with a signature of an author after this number.
    fn signed_after(&self, author: User, number: u32) -> Option<usize> {
        let later = self.by_number.range((author, number + 1)..=(author, u32::MAX));
        later.map(|(_, which)| *which).find(|which| !self.messages[*which].tagged)
    }

    /// An acknowledgement with a tag that waits, and whose turn it is.
    fn next_tagged(&self, user: usize) -> Option<usize> {
        let Player { stage: Stage::Inside(group), waiting, .. } = &self.players[user] else { return None };
        let is_next = |which: &usize| {
            let message = &self.messages[*which];
            let Some(last) = group.delivered.get(&message.author).filter(|_| message.tagged) else { return false };
            let signed_is_there =
                self.signed_after(message.author, *last).is_some_and(|signed| waiting.contains(&signed));
            let turn = last + group.taken_of(message.author) + 1;
            !signed_is_there && message.number == turn && is_after(group, message)
        };
        waiting.iter().copied().find(is_next)
    }
}

/// Whether what a message acknowledges has been delivered.
fn is_after(group: &Group, message: &Message) -> bool {
    let delivered = |(user, number): Control| group.delivered.get(&user).is_some_and(|last| *last >= number);
    message.acknowledges.is_none_or(delivered)
}
