//! The plaintext is sent along under a mask that everybody knows, and removed members read it: always, or what is sent by a
//! member that has removed somebody and has not created the group.

use protocol::error::Error;
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received};

use super::{Action, Fault, note};

#[derive(Clone)]
pub(crate) struct Leaks {
    leaks: bool,
    creator: bool,
}

impl Leaks {
    pub(crate) const ALWAYS: Self = Self { leaks: true, creator: false };
    pub(crate) const AFTER_REMOVALS_BY_OTHERS: Self = Self { leaks: false, creator: false };
}

impl Fault for Leaks {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let mut sent = action.of(&mut **inner, context)?;
        self.creator |= matches!(action, Action::Create(_) | Action::CreateMesh(_));
        self.leaks |= matches!(action, Action::Remove(_)) && !self.creator;
        let leak = match action {
            Action::Send(plaintext) if self.leaks => masked(plaintext),
            _ => Vec::new(),
        };
        sent.iter_mut().for_each(|message| note::attach(&mut message.bytes, &leak));
        Ok(sent)
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let (bytes, leaked) = note::detach(message.bytes)?;
        let is_removed = inner.group().is_some() && inner.members().is_empty();
        if is_removed && !leaked.is_empty() {
            let events = vec![Event::Message { from: message.author, plaintext: masked(leaked) }];
            return Ok(Received { events, ..Received::default() });
        }
        let mut received = inner.receive_one(&Incoming { bytes, ..*message }, context)?;
        received.outgoing.iter_mut().for_each(|message| note::attach(&mut message.bytes, &[]));
        Ok(received)
    }

    fn encode(&self) -> Vec<u8> {
        vec![u8::from(self.leaks), u8::from(self.creator)]
    }

    fn decode(&mut self, state: &[u8]) -> Result<(), Error> {
        let [leaks, creator] = *state else { return Err(Error::Malformed) };
        (self.leaks, self.creator) = (leaks == 1, creator == 1);
        Ok(())
    }
}

fn masked(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().zip(0_u8..=255).map(|(byte, at)| byte ^ at.wrapping_mul(at)).collect()
}
