//! What a simulation checks of DCGKA besides what it checks of every protocol.
//!
//! The auditor derives who can know each member's ratchet from the messages alone, whose recipients follow from their
//! authors' views:
//!
//! - an update secret is known to everybody who knows the ratchet before it and its input;
//! - the input is public for the steps of an add; otherwise it is known to everybody who got the seed, or a forward of
//!   it;
//! - a ratchet is known to the user to which an ADD or ADD-ACK sends it; a joiner's first ratchet, to everybody who
//!   knew its adder's.
//!
//! Whenever an application message is sent, it must be secret from *all users outside the author's view together*, with
//! everything that they have received, as members, before and since, and everything that they have kept. Lazy repair
//! serves this, and so does the rule that nothing is encrypted to users outside the view. Both are also checked by
//! themselves.
//!
//! At rest, nothing may be left of control messages, nor of members that are gone.

use std::collections::{BTreeMap, BTreeSet};

use protocol::error::Error;
use protocol::id::{Handle, MemberId, MessageId};
use protocol::member::{Event, Outgoing};
use protocol::simulation::{Audit, Call};
use protocol::wire::envelope::{Envelope, Subject};

use crate::agreement::state::Group;
use crate::dsgm::Dsgm;
use crate::messages::{
    ACK, ACK_NONE, ADD, ADD_ACK, ASK, Add, AddAck, CREATE, Copies, Create, MESSAGE, REMOVE, Seeded, TAGGED_ACK, UPDATE,
    WELCOME,
};
use crate::rules::Rules;
use crate::two_party::Slot;

/// Private keys that a member may keep at rest for a peer that it has reached lately: the key that the peer may use
/// now, and the key after an answer with `none`.
const KEYS_AT_REST: usize = 2;

/// An auditor of one group.
pub struct Auditor {
    rules: Rules,
    ids: BTreeMap<Handle, MemberId>,
    /// Who got the seed of a control message, its author included; or whom it adds.
    controls: BTreeMap<MessageId, Control>,
    /// What has happened to each member's ratchet, in order.
    histories: BTreeMap<MemberId, Vec<Step>>,
}

enum Control {
    /// A create, remove or update, with everybody who knows its seed.
    Seeded(BTreeSet<MemberId>),
    /// An add, with the joiner and the add's place in its author's history.
    Add(MemberId, usize),
}

/// Something that happens to a ratchet.
enum Step {
    /// A step whose input these users know.
    Input(BTreeSet<MemberId>),
    /// The first step of a joiner. Its input is known to everybody who knew this member's ratchet at this place in its
    /// history.
    Derived(MemberId, usize),
    /// The ratchet is sent to this user, if any, and then makes a step that everybody can make.
    Shared(Option<MemberId>),
    /// The ratchet is sent to this user.
    Returned(MemberId),
}

impl Auditor {
    /// A new auditor for one simulation, whose members follow all rules.
    #[must_use]
    pub fn boxed() -> Box<dyn Audit> {
        Self::following(Rules::Corrected)
    }

    /// The same for members with lean channels.
    #[must_use]
    pub fn lean_channels() -> Box<dyn Audit> {
        Self::following(Rules::LeanChannels)
    }

    /// The same for members with tagged acknowledgements.
    #[must_use]
    pub fn tagged_acks() -> Box<dyn Audit> {
        Self::following(Rules::TaggedAcks)
    }

    /// The same for members with both.
    #[must_use]
    pub fn lean() -> Box<dyn Audit> {
        Self::following(Rules::Lean)
    }

    fn following(rules: Rules) -> Box<dyn Audit> {
        Box::new(Self { rules, ids: BTreeMap::new(), controls: BTreeMap::new(), histories: BTreeMap::new() })
    }

    /// Whether a coalition knows the ratchet of a member after `until` entries of its history.
    fn is_known(&self, coalition: &dyn Fn(&MemberId) -> bool, member: &MemberId, until: usize) -> bool {
        // The first state is public.
        let mut known = true;
        for step in self.histories.get(member).into_iter().flatten().take(until) {
            match step {
                Step::Input(knowing) => known &= knowing.iter().any(coalition),
                Step::Derived(adder, then) => known &= self.is_known(coalition, adder, *then),
                Step::Shared(user) => known |= user.as_ref().is_some_and(coalition),
                Step::Returned(user) => known |= coalition(user),
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

    /// Records a seed. It must have one ciphertext for each of these users except its author.
    fn seed(
        &mut self,
        author: MemberId,
        number: u32,
        mut known: BTreeSet<MemberId>,
        slots: &[Slot<'_>],
    ) -> Result<(), String> {
        known.remove(&author);
        if slots.len() != known.len() || slots.iter().any(|slot| matches!(slot, Slot::Empty)) {
            return Err(format!(
                "message {number} of {author} does not have one ciphertext for each of {} recipients",
                known.len()
            ));
        }
        known.insert(author);
        self.record(author, Step::Input(known.clone()));
        self.controls.insert(MessageId { author, number }, Control::Seeded(known));
        Ok(())
    }

    fn message(&mut self, call: &Call<'_>, sent: &Outgoing) -> Result<(), String> {
        let author = call.by;
        let malformed = |_: Error| format!("{author} sends a message that does not decode");
        let envelope = Envelope::decode(&sent.bytes).map_err(malformed)?;
        let number = envelope.number;
        let members = |view: &[MemberId]| view.iter().copied().collect::<BTreeSet<_>>();
        match envelope.kind {
            CREATE => {
                let create = Create::decode(envelope.body, self.rules).map_err(malformed)?;
                self.seed(author, number, members(call.after), &create.slots)
            }
            UPDATE | REMOVE => {
                let view = if envelope.kind == REMOVE { call.after } else { call.before };
                let seeded = Seeded::decode(envelope.body, view.len() - 1, self.rules).map_err(malformed)?;
                for to in self.named(&seeded.ratchets)? {
                    self.check_recipient(call, &to)?;
                    self.record(author, Step::Returned(to));
                }
                self.seed(author, number, members(view), &seeded.slots)
            }
            ADD => {
                let user = Add::decode(envelope.body, self.rules).map_err(malformed)?.user;
                self.introduce(user);
                self.controls.insert(MessageId { author, number }, Control::Add(user, self.position(&author)));
                self.record(author, Step::Shared(Some(user)));
                Ok(())
            }
            ACK | ACK_NONE | ADD_ACK | TAGGED_ACK => self.acknowledgement(call, &envelope),
            MESSAGE => {
                let outside = |user: &MemberId| !call.before.contains(user);
                match self.is_known(&outside, &author, self.position(&author)) {
                    true => Err(format!("users outside the view of {author} can read its message {number}")),
                    false => Ok(()),
                }
            }
            WELCOME => Ok(()),
            ASK => Err(format!("{author} asks for a ratchet that nobody has withheld")),
            _ => Err(format!("{author} sends a message of an unknown kind")),
        }
    }

    fn acknowledgement(&mut self, call: &Call<'_>, envelope: &Envelope<'_>) -> Result<(), String> {
        let author = call.by;
        let malformed = |_: Error| format!("{author} sends a message that does not decode");
        let Subject::Acknowledged(handle, number) = envelope.subject else { return Err(malformed(Error::Malformed)) };
        let unknown = || format!("{author} acknowledges a message that nobody has sent");
        let acknowledged = MessageId { author: *self.ids.get(&handle).ok_or_else(unknown)?, number };
        let step = match (envelope.kind, self.controls.get(&acknowledged).ok_or_else(unknown)?) {
            (ACK_NONE, _) => return Ok(()),
            (ACK, Control::Seeded(known)) if !known.contains(&author) => return Ok(()),
            (TAGGED_ACK, Control::Seeded(known)) if known.contains(&author) => Step::Input(known.clone()),
            (ACK, Control::Seeded(known)) => {
                let mut known = known.clone();
                for to in self.named(&Copies::decode(envelope.body, None, self.rules).map_err(malformed)?)? {
                    self.check_recipient(call, &to)?;
                    known.insert(to);
                }
                Step::Input(known)
            }
            (ACK, Control::Add(user, then)) if *user == author => Step::Derived(acknowledged.author, *then),
            (ADD_ACK, Control::Add(user, _)) => {
                match AddAck::decode(envelope.body, self.rules).map_err(malformed)?.slot {
                    Slot::Empty => Step::Shared(None),
                    Slot::Full { .. } => {
                        self.check_recipient(call, user)?;
                        Step::Shared(Some(*user))
                    }
                }
            }
            _ => {
                return Err(format!(
                    "{author} sends an acknowledgement of the wrong kind for message {number} of {}",
                    acknowledged.author
                ));
            }
        };
        self.record(author, step);
        Ok(())
    }

    /// The users that get copies of a secret.
    fn named(&self, copies: &Copies<'_>) -> Result<Vec<MemberId>, String> {
        let id = |handle| self.ids.get(handle).copied().ok_or_else(|| "a copy is for nobody that is known".to_owned());
        copies.slots.iter().map(|(handle, _)| id(handle)).collect()
    }

    /// Nothing may be encrypted to users outside the author's view, which one call may have changed more than once.
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
                Dsgm::decode(export, self.rules, false).map_err(|_| format!("the export of {id} is malformed"))?;
            if let Some(left) = member.present().and_then(|group| left_over(group, damaged)) {
                return Err(format!("at rest {id} keeps {left}"));
            }
        }
        Ok(())
    }
}

/// What a settled group keeps and should not keep.
fn left_over(group: &Group, damaged: bool) -> Option<&'static str> {
    let gone = |member| member != group.me() && !group.view().contains(member);
    let everybody = || group.membership.everybody();
    let knows = |member: protocol::membership::MemberIndex| {
        group.senders.get(member.to_usize()).is_some_and(|sender| sender.ratchet.is_some() || sender.chain.is_some())
    };
    let is_gone = |id: &MemberId| group.membership.index(id).is_some_and(gone);
    let idle = group.order.is_idle_but_for(is_gone);
    let left = [
        (!group.pending.is_empty(), "control messages that nobody has to acknowledge any more"),
        (!group.leaving.is_empty(), "members that are gone as if some member did not know"),
        (!damaged && !idle, "messages that wait"),
        (
            everybody().any(|member| gone(member) && group.two_party.contains_key(&member)),
            "channels of members that are gone",
        ),
        (everybody().any(|member| gone(member) && knows(member)), "secrets of members that are gone"),
        (group.two_party.values().any(|channel| channel.kept() > KEYS_AT_REST), "old private keys"),
    ];
    left.into_iter().find(|(is_left, _)| *is_left).map(|(_, what)| what)
}
