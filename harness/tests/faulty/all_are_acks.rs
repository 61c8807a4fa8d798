//! All messages are of the kind of acknowledgements, which a comparison can leave out.

use protocol::error::Error;
use protocol::member::{Context, Member, Outgoing};

use super::{Action, Fault};

#[derive(Clone)]
pub(crate) struct AllAreAcks;

impl Fault for AllAreAcks {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let sent = action.of(&mut **inner, context)?;
        Ok(sent.into_iter().map(|message| Outgoing { kind: "ack", ..message }).collect())
    }
}
