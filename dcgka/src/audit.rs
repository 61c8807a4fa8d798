//! What a simulation checks of DCGKA besides what it checks of every protocol.
//!
//! From the messages alone, whose recipients follow from their authors' views, the auditor derives who can know each
//! member's ratchet, by the rules of who can compute what:
//!
//! - an update secret is known to whoever knows the ratchet before it and its input;
//! - the input is public for the steps of an add; else it is known to all who got the operation's seed, or a forward of it;
//! - a ratchet is known to whom an ADD or ADD-ACK sends it; the first one of a joiner to who knew its adder's.
//!
//! Whenever an application message is sent, it must be secret from *all users outside the author's view together*: whatever
//! they have been told, as members, before and since, and whatever they have kept. That is what lazy repair and the rule
//! that nothing is encrypted to anybody outside the view are for. Both are checked by themselves too.
//!
//! At rest, nothing may be left of operations and of members who are gone.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error::Error;
use protocol::id::{Handle, MemberId, MessageId};
use protocol::member::{Event, Outgoing};
use protocol::simulation::{Audit, Call};
use protocol::wire::envelope::{Envelope, Subject};

use crate::agreement::state::Group;
use crate::dsgm::{Dsgm, Stage};
use crate::messages::{
    self, ACK, ACK_NONE, ADD, ADD_ACK, Add, CREATE, Create, MESSAGE, REMOVE, Seeded, UPDATE, WELCOME,
};
use crate::rules::Rules;
use crate::two_party::Slot;

/// Private keys that a member keeps for one other whom it has reached lately: the one that the other may use now, and the
/// one after an answer with `none`.
const MAX_KEPT_KEYS: usize = 2;

/// An auditor of one group, whose members follow all rules.
#[derive(Default)]
pub struct Auditor {
    ids: BTreeMap<Handle, MemberId>,
    /// Who got the seed of a control message, its author included; or whom it adds.
    controls: BTreeMap<MessageId, Control>,
    /// What has become of each member's ratchet.
    histories: BTreeMap<MemberId, Vec<Step>>,
}

enum Control {
    /// With all who know its seed.
    Seeded(BTreeSet<MemberId>),
    /// An add: of whom, and where it stands in its author's history.
    Add(MemberId, usize),
}

/// Something that happens to a ratchet.
enum Step {
    /// A step whose input these know.
    Input(BTreeSet<MemberId>),
    /// The first step of a joiner: who knows the input knew this member's ratchet then.
    Derived(MemberId, usize),
    /// The ratchet is sent to this user, and then makes a step that everybody can make.
    Shared(Option<MemberId>),
}

impl Auditor {
    /// The auditor of one simulation.
    #[must_use]
    pub fn boxed() -> Box<dyn Audit> {
        Box::new(Self::default())
    }

    /// Whether these users together know the ratchet of a member after so many entries of its history.
    fn is_known(&self, coalition: &dyn Fn(&MemberId) -> bool, member: &MemberId, until: usize) -> bool {
        // The first state is public.
        let mut known = true;
        for step in self.histories.get(member).into_iter().flatten().take(until) {
            match step {
                Step::Input(knowing) => known &= knowing.iter().any(coalition),
                Step::Derived(adder, then) => known &= self.is_known(coalition, adder, *then),
                Step::Shared(user) => known |= user.as_ref().is_some_and(coalition),
            }
        }
        known
    }

    fn position(&self, member: &MemberId) -> usize {
        self.histories.get(member).map_or(0, Vec::len)
    }

    fn record(&mut self, member: MemberId, step: Step) {
        self.histories.entry(member).or_default().push(step);
    }

    /// A seed for exactly these, besides its author: one ciphertext each.
    fn seed(
        &mut self,
        author: MemberId,
        number: u32,
        mut known: BTreeSet<MemberId>,
        slots: &[Slot<'_>],
    ) -> Result<(), String> {
        known.remove(&author);
        if slots.len() != known.len() || slots.iter().any(|slot| matches!(slot, Slot::Empty)) {
            return Err(format!("message {number} of {author} has not one ciphertext for each of {}", known.len()));
        }
        known.insert(author);
        self.record(author, Step::Input(known.clone()));
        self.controls.insert(MessageId { author, number }, Control::Seeded(known));
        Ok(())
    }

    fn message(&mut self, call: &Call<'_>, sent: &Outgoing) -> Result<(), String> {
        let author = call.by;
        let malformed = |_: Error| format!("{author} sends what does not decode");
        let envelope = Envelope::decode(&sent.bytes).map_err(malformed)?;
        let number = envelope.number;
        let members = |view: &[MemberId]| view.iter().copied().collect::<BTreeSet<_>>();
        match envelope.kind {
            CREATE => {
                let create = Create::decode(envelope.body, Rules::Corrected).map_err(malformed)?;
                self.seed(author, number, members(call.after), &create.slots)
            }
            UPDATE | REMOVE => {
                let view = if envelope.kind == REMOVE { call.after } else { call.before };
                let seeded = Seeded::decode(envelope.body, view.len() - 1, Rules::Corrected).map_err(malformed)?;
                self.seed(author, number, members(view), &seeded.slots)
            }
            ADD => {
                let user = Add::decode(envelope.body).map_err(malformed)?.user;
                self.introduce(user);
                self.controls.insert(MessageId { author, number }, Control::Add(user, self.position(&author)));
                self.record(author, Step::Shared(Some(user)));
                Ok(())
            }
            ACK | ACK_NONE | ADD_ACK => self.acknowledgement(call, &envelope),
            MESSAGE => {
                let outside = |user: &MemberId| !call.before.contains(user);
                match self.is_known(&outside, &author, self.position(&author)) {
                    true => Err(format!("users outside the view of {author} can read its message {number}")),
                    false => Ok(()),
                }
            }
            WELCOME => Ok(()),
            _ => Err(format!("{author} sends a message of an unknown kind")),
        }
    }

    fn acknowledgement(&mut self, call: &Call<'_>, envelope: &Envelope<'_>) -> Result<(), String> {
        let author = call.by;
        let malformed = |_: Error| format!("{author} sends what does not decode");
        let Subject::Acknowledged(handle, number) = envelope.subject else { return Err(malformed(Error::Malformed)) };
        let unknown = || format!("{author} acknowledges what nobody has sent");
        let acknowledged = MessageId { author: *self.ids.get(&handle).ok_or_else(unknown)?, number };
        let step = match (envelope.kind, self.controls.get(&acknowledged).ok_or_else(unknown)?) {
            (ACK_NONE, _) => return Ok(()),
            (ACK, Control::Seeded(known)) if !known.contains(&author) => return Ok(()),
            (ACK, Control::Seeded(known)) => {
                let mut known = known.clone();
                for (handle, _) in messages::decode_forwards(envelope.body).map_err(malformed)? {
                    let to = *self.ids.get(&handle).ok_or_else(unknown)?;
                    self.check_recipient(call, &to)?;
                    known.insert(to);
                }
                Step::Input(known)
            }
            (ACK, Control::Add(user, then)) if *user == author => Step::Derived(acknowledged.author, *then),
            (ADD_ACK, Control::Add(user, _)) => match messages::decode_add_ack(envelope.body).map_err(malformed)? {
                Slot::Empty => Step::Shared(None),
                Slot::Full { .. } => {
                    self.check_recipient(call, user)?;
                    Step::Shared(Some(*user))
                }
            },
            _ => return Err(format!("{author} answers message {number} of {} as what it is not", acknowledged.author)),
        };
        self.record(author, step);
        Ok(())
    }

    /// Nothing is encrypted to anybody outside the own view. One call may have changed it more than once.
    fn check_recipient(&self, call: &Call<'_>, user: &MemberId) -> Result<(), String> {
        if call.has_seen(user) {
            return Ok(());
        }
        Err(format!("{} encrypts to {user}, who is not in its view", call.by))
    }

    fn introduce(&mut self, user: MemberId) {
        self.ids.insert(user.handle(), user);
    }
}

impl Audit for Auditor {
    fn call(&mut self, call: &Call<'_>) -> Result<(), String> {
        if let Some((author, error)) = call.refused.first() {
            return Err(format!("{} refuses an honest message of {author}: {error}", call.by));
        }
        if let Some(event) = call.events.iter().find(|event| matches!(event, Event::Rejected { .. })) {
            return Err(format!("{} refuses an honest message: {event:?}", call.by));
        }
        call.after.iter().for_each(|user| self.introduce(*user));
        call.outgoing.iter().try_for_each(|sent| self.message(call, sent))
    }

    fn at_rest(&mut self, exports: &[(MemberId, Vec<u8>)], damaged: bool) -> Result<(), String> {
        for (id, export) in exports {
            let member =
                Dsgm::decode(export, Rules::Corrected).map_err(|_| format!("the export of {id} is malformed"))?;
            let left = match &member.stage {
                Stage::Inside(group) => left_over(group, damaged),
                Stage::Outside(_) | Stage::Removed(_) => None,
            };
            if let Some(left) = left {
                return Err(format!("at rest {id} keeps {left}"));
            }
        }
        Ok(())
    }
}

/// What a settled group keeps and should not.
fn left_over(group: &Group, damaged: bool) -> Option<&'static str> {
    let gone = |member| member != group.me() && !group.view().contains(member);
    let everybody = || group.membership.everybody();
    let knows = |member: protocol::membership::MemberIndex| {
        group.senders.get(member.to_usize()).is_some_and(|sender| sender.ratchet.is_some() || sender.chain.is_some())
    };
    let left = [
        (!group.pending.is_empty(), "operations that nobody has to acknowledge any more"),
        (!group.leaving.is_empty(), "members who are gone as if somebody did not know"),
        (!damaged && !group.order.is_idle(), "messages that wait"),
        (
            everybody().any(|member| gone(member) && group.two_party.contains_key(&member)),
            "channels of members who are gone",
        ),
        (everybody().any(|member| gone(member) && knows(member)), "secrets of members who are gone"),
        (group.two_party.values().any(|channel| channel.kept() > MAX_KEPT_KEYS), "old private keys"),
    ];
    left.into_iter().find(|(is_left, _)| *is_left).map(|(_, what)| what)
}
