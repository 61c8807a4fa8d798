//! A protocol in a total order: each change of the group is a commit, which takes effect at its author only when the sequencer
//! echoes it. Without a flaw it is correct.

use std::sync::Mutex;

use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{
    Backend, COMMIT, Capabilities, Context, Description, Event, Incoming, Member, Ordering, Outgoing, Received,
    Recipients,
};
use protocol::operation::{Expected, Operation};
use protocol::wire::codec::{Reader, put_prefixed};

use super::{Action, Fault};

/// What is wrong with it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Impatience {
    None,
    /// A commit takes effect at its author at once.
    AtOnce,
    /// After another's commit, a member sends its own old one again.
    SendsOldCommit,
    /// A member takes no notice of the echo of its commit.
    Deaf,
    /// A member whose commit was too late sends nothing when its call is made again.
    GivesUp,
}

/// A base protocol in a total order.
pub(crate) struct InTurns {
    base: fn() -> Box<dyn Backend>,
    flaw: Impatience,
    pending: Option<Pending>,
    /// Whether the last commit was too late.
    lost: bool,
}

/// A commit that was sent, and the member if it takes effect.
struct Pending {
    sent: Vec<Outgoing>,
    /// A fault must be `Sync`.
    member: Mutex<Box<dyn Member>>,
}

impl InTurns {
    pub(crate) fn new(base: fn() -> Box<dyn Backend>, flaw: Impatience) -> Self {
        Self { base, flaw, pending: None, lost: false }
    }
}

impl Clone for InTurns {
    fn clone(&self) -> Self {
        let copy =
            |it: &Pending| Pending { sent: it.sent.clone(), member: Mutex::new(it.member.lock().unwrap().duplicate()) };
        Self { pending: self.pending.as_ref().map(copy), ..*self }
    }
}

fn is_commit(message: &Outgoing) -> bool {
    message.kind == COMMIT
}

impl Fault for InTurns {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        if !matches!(action, Action::Add(_) | Action::Remove(_) | Action::Update) {
            return action.of(&mut **inner, context);
        }
        if let Some(old) = self.pending.as_ref().filter(|_| self.flaw == Impatience::SendsOldCommit) {
            return Ok(old.sent.clone());
        }
        if core::mem::take(&mut self.lost) && self.flaw == Impatience::GivesUp {
            return Ok(Vec::new());
        }
        let mut member = inner.duplicate();
        let mut sent = action.of(&mut *member, context)?;
        if let Some(commit) = sent.iter_mut().find(|message| message.to == Recipients::Everyone) {
            commit.kind = COMMIT;
        }
        // Answers to the commit follow it.
        sent.sort_by_key(|message| !is_commit(message));
        if self.flaw == Impatience::AtOnce {
            *inner = member;
        } else {
            self.pending = Some(Pending { sent: sent.clone(), member: Mutex::new(member) });
        }
        Ok(sent)
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let own = |it: &Pending| it.sent.iter().any(|sent| is_commit(sent) && sent.bytes == message.bytes);
        if message.author == inner.id() && self.pending.as_ref().is_some_and(own) {
            if self.flaw != Impatience::Deaf
                && inner.group() == Some(message.group)
                && let Some(pending) = self.pending.take()
            {
                *inner = pending.member.into_inner().unwrap();
            }
            return Ok(Received::default());
        }
        let received = inner.receive_one(message, context)?;
        let changes = |event: &Event| {
            matches!(event, Event::Added { .. } | Event::Removed { .. } | Event::Updated { .. } | Event::Joined { .. })
        };
        if received.events.iter().any(changes) && self.flaw != Impatience::SendsOldCommit {
            self.lost |= self.pending.take().is_some();
        }
        // What comes before the commit, the member must also know if it takes effect.
        if let Some(Pending { member, .. }) = &self.pending {
            let _ = member.lock().unwrap().receive_one(message, context);
        }
        Ok(received)
    }

    fn description(&self, right: Description) -> Description {
        let capabilities = Capabilities { ordering: Ordering::Total, ..right.capabilities };
        Description { name: "in-turns", variant: "", capabilities, ..right }
    }

    /// Its echoes cost something that the base's formulas do not know.
    fn expected(&self, _: Operation, _: usize, _: &dyn Fn() -> Option<Expected>) -> Option<Expected> {
        None
    }

    fn encode(&self) -> Vec<u8> {
        let mut state = Vec::new();
        if let Some(Pending { sent, member }) = &self.pending {
            put_prefixed(&mut state, &member.lock().unwrap().export());
            for message in sent.iter().filter(|message| is_commit(message)) {
                put_prefixed(&mut state, &message.bytes);
            }
        }
        state
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        self.pending = None;
        if !state.is_empty() {
            let mut reader = Reader::new(state);
            let member = (self.base)().restore(reader.prefixed()?)?;
            let sent = Outgoing { to: Recipients::Everyone, kind: COMMIT, bytes: reader.prefixed()?.to_vec() };
            reader.finish()?;
            self.pending = Some(Pending { sent: vec![sent], member: Mutex::new(member) });
        }
        Ok(())
    }

    fn members(&self, inner: &dyn Member) -> Vec<MemberId> {
        inner.members()
    }
}
