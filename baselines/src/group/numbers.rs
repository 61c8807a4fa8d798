//! No call stops half-way because a counter is at its end: each begins with a check that all of them suffice.

use protocol::error::Error;

use super::Group;
use crate::session::Channel;

impl Group {
    /// The number of my next message. It exists, because every call begins with [`check_numbers`](Self::check_numbers).
    pub(super) fn next_number(&self) -> Result<u32, Error> {
        self.number.checked_add(1).ok_or(Error::Internal)
    }

    /// Fails unless every counter has enough left for all that one call can send.
    pub(crate) fn check_numbers(&self) -> Result<(), Error> {
        let most = self.most_in_a_call();
        let counters = [self.number, self.roster.sequence()].into_iter().chain(self.keys.counters());
        let mut counters = counters.chain(self.channels.values().flat_map(Channel::counters));
        let enough = |counter: u32| (u32::MAX - counter) as usize >= most;
        if counters.all(enough) { Ok(()) } else { Err(Error::NumbersExhausted) }
    }

    /// By how much a call can advance a counter.
    ///
    /// A call processes the message that it receives, those that are parked and the notices that wait, each of them
    /// once. For each it sends at most two answers, or a greeting and all of my notices to a joiner. Then it sends what a
    /// call sends in any case: at most two messages. It makes at most one sender key for each notice and one more, and
    /// advances no other counter by more than it sends messages.
    fn most_in_a_call(&self) -> usize {
        let processed = 1 + self.parked.len() + self.roster.waiting();
        processed.saturating_mul(2 + self.roster.announced()).saturating_add(2)
    }
}

#[cfg(test)]
mod tests {
    use protocol::error::Error;
    use protocol::member::Member as _;

    use crate::common::{ALL, PAIRWISE, World};
    use crate::group::Group;
    use crate::party::Party;
    use crate::user::Protocol;

    type Counter = (&'static str, fn(&mut Group, u32));

    const COUNTERS: [Counter; 5] = [
        ("messages", |group, value| group.number = value),
        ("notices", |group, value| group.roster.set_sequence(value)),
        ("sender keys", |group, value| group.keys.set_last_id(value)),
        ("messages under a sender key", |group, value| group.keys.set_iteration(value)),
        ("messages on a channel", |group, value| {
            group.channels.values_mut().for_each(|channel| channel.set_sent(value));
        }),
    ];

    /// Changes the group of a user.
    fn change<T>(world: &mut World, user: usize, change: impl FnOnce(&mut Group) -> T) -> T {
        let state = world.users[user].member.export();
        let protocols = [Protocol::Pairwise, Protocol::Lazy, Protocol::Eager, Protocol::Pcs];
        let protocol = protocols.into_iter().find(|protocol| *protocol as u8 == state[1]).unwrap();
        let mut party = Party::decode(protocol, &state).unwrap();
        let result = change(party.inside().unwrap().1);
        world.users[user].member = world.variant.restore(&party.export()).unwrap();
        result
    }

    /// Every call of user 1: what it is, and its result.
    fn calls(world: &mut World) -> Vec<(&'static str, Result<usize, Error>)> {
        let said = world.say(0, "to be received");
        let place = said.into_iter().find(|place| world.sent[*place].to.contains(&1)).unwrap();
        let bytes = world.sent[place].bytes.clone();
        let state = world.users[1].member.export();
        let mut results = Vec::new();
        let mut call = |world: &mut World, what, call: &dyn Fn(&mut World) -> Result<usize, Error>| {
            let result = call(world);
            assert!(result.is_ok() || world.users[1].member.export() == state, "{what} has changed the state");
            world.users[1].member = world.variant.restore(&state).unwrap();
            results.push((what, result));
        };
        call(world, "add", &|world| world.try_add(1, 4).map(|sent| sent.len()));
        call(world, "remove", &|world| world.try_remove(1, 3).map(|sent| sent.len()));
        call(world, "send", &|world| world.act(1, |member, context| member.send(b"", context)).map(|sent| sent.len()));
        if world.variant.description().capabilities.pcs_update {
            call(world, "update", &|world| {
                world.act(1, |member, context| member.update(context)).map(|sent| sent.len())
            });
        }
        call(world, "receive", &|world| world.receive(0, &bytes, 1).map(|received| received.events.len()));
        results
    }

    #[test]
    fn a_call_at_the_end_of_a_counter_is_refused_as_a_whole_and_one_step_before_it_succeeds() {
        for variant in ALL {
            for (what, set) in COUNTERS {
                if variant.description().name == PAIRWISE.description().name && what.contains("sender key") {
                    continue;
                }
                let mut world = World::with_group(variant, 4, 6, 60);
                world.check(&[0, 1, 2, 3]);
                for spare in [0, 1] {
                    let mut world = world.fork();
                    change(&mut world, 1, |group| {
                        let left = u32::try_from(group.most_in_a_call()).unwrap();
                        set(group, u32::MAX - left + 1 - spare);
                    });
                    for (call, result) in calls(&mut world) {
                        match spare {
                            0 => assert_eq!(result, Err(Error::NumbersExhausted), "{call} without enough {what}"),
                            _ => assert!(result.is_ok_and(|done| done > 0), "{call} with enough {what}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn the_numbers_that_a_call_may_need_suffice_for_all_that_has_waited() {
        for variant in ALL {
            let mut world = World::with_group(variant, 4, 9, 61);
            world.check(&[0, 1, 2, 3]);
            // Notices of user 1, which joiners may need.
            world.add(1, 4);
            world.remove(1, 4);
            world.settle();
            world.remove(1, 3);
            // User 0 adds user 5, who adds others. User 1 gets the add last.
            let add = world.add(0, 5);
            world.settle_among(&[0, 5]);
            for joiner in [6, 7, 8] {
                world.add(5, joiner);
                world.say(5, "still unknown");
                world.settle_among(&[0, 5, joiner]);
            }
            let add: Vec<_> = add.into_iter().filter(|place| world.sent[*place].to.contains(&1)).collect();
            for place in world.undelivered(1) {
                if world.sent[place].author != 0 {
                    world.deliver(place, 1);
                }
            }
            let (before, most) = change(&mut world, 1, |group| {
                let most = u32::try_from(group.most_in_a_call()).unwrap();
                group.number = u32::MAX - most;
                (group.number, most)
            });
            world.deliver(add[0], 1);
            let used = change(&mut world, 1, |group| group.number) - before;
            assert!((6..=most).contains(&used), "{used} of {most}");
        }
    }
}
