//! The contract as requests to a program.

use std::sync::Arc;

use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::connection::{Connection, Handle, seed};
use super::line::{Id, base64};
use super::wire::{Delivered, Done, Group, Made, Members, Prints, Restored, Results, Sends, Spoken, State};

/// A backend of a program.
pub(super) struct Piped {
    pub(super) connection: Arc<Connection>,
    pub(super) spoken: &'static Spoken,
}

/// A member in a program.
struct PipedMember {
    connection: Arc<Connection>,
    spoken: &'static Spoken,
    handle: Handle,
    id: MemberId,
}

impl Piped {
    fn member(&self, handle: Handle, Id(id): Id) -> Box<dyn Member> {
        let connection = Arc::clone(&self.connection);
        Box::new(PipedMember { connection, spoken: self.spoken, handle, id: MemberId(id) })
    }

    fn revive(&self, call: &str, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let handle = self.connection.new_member();
        let with = json!({ "variant": self.spoken.description.variant, "state": base64(state) });
        let Restored { user } = self.connection.ask(call, handle, with)?;
        Ok(self.member(handle, user))
    }
}

impl Backend for Piped {
    fn description(&self) -> Description {
        self.spoken.description
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let handle = self.connection.new_member();
        let variant = self.spoken.description.variant;
        let with = json!({ "variant": variant, "one_time": one_time_prekeys, "seed": seed(rng) });
        let Made { user, bundle, one_time } = self.connection.must("new-user", handle, with);
        let one_time = one_time.into_iter().map(|bundle| bundle.0).collect();
        NewUser { id: MemberId(user.0), member: self.member(handle, user), bundle: bundle.0, one_time }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.revive("restore", state)
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.revive("steal", state)
    }

    fn process(&self) -> Option<u32> {
        Some(self.connection.process())
    }

    /// Formulas stay with the harness: a program has none.
    fn expected(&self, _operation: Operation, _group_size: usize) -> Option<Expected> {
        None
    }

    fn has(&self, operation: Operation, _group_size: usize) -> bool {
        self.spoken.operations.contains(&operation)
    }
}

impl PipedMember {
    /// What the program shows of the member.
    fn shown<T: DeserializeOwned>(&self, call: &str) -> T {
        self.connection.must(call, self.handle, json!({}))
    }

    /// A value of the contract, or the end of a program that has sent something else.
    fn checked<T>(&self, call: &str, result: Result<T, String>) -> T {
        result.unwrap_or_else(|what| self.connection.give_up(&format!("in `{call}`: {what}")))
    }

    /// A call that sends messages.
    fn send_by(&self, call: &str, with: Value, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let Sends { outgoing } = self.connection.call(call, self.handle, with, context)?;
        Ok(self.checked(call, self.spoken.all_outgoing(outgoing)))
    }
}

fn ids(ids: &[MemberId]) -> Value {
    ids.iter().map(|id| base64(&id.0)).collect()
}

impl Member for PipedMember {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        let Group { group } = self.shown("group");
        group.map(|id| GroupId(id.0))
    }

    fn members(&self) -> Vec<MemberId> {
        let Members { members } = self.shown("members");
        members.into_iter().map(|id| MemberId(id.0)).collect()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.send_by("create", json!({ "users": ids(others) }), context)
    }

    fn create_mesh(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.send_by("create-mesh", json!({ "users": ids(others) }), context)
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.send_by("add", json!({ "user": base64(&user.0) }), context)
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.send_by("remove", json!({ "user": base64(&user.0) }), context)
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.send_by("update", json!({}), context)
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.send_by("send", json!({ "plaintext": base64(plaintext) }), context)
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        self.receive(&[*message], context).pop().unwrap_or(Err(Error::Internal))
    }

    fn receive(&mut self, batch: &[Incoming<'_>], context: &mut Context<'_>) -> Vec<Result<Received, Error>> {
        let message = |Incoming { group, author, bytes }: &Incoming<'_>| json!({ "group": base64(&group.0), "author": base64(&author.0), "bytes": base64(bytes) });
        let messages: Value = batch.iter().map(message).collect();
        let call = "receive";
        let said = self.connection.call(call, self.handle, json!({ "messages": messages }), context);
        let Results { results } = match said {
            Ok(results) => results,
            Err(error) => return vec![Err(error); batch.len()],
        };
        results.into_iter().map(|said| self.checked(call, self.spoken.received(said))).collect()
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        let Prints { fingerprints } = self.shown("fingerprints");
        Some(fingerprints?.into_iter().map(|(id, print)| (MemberId(id.0), print.0)).collect())
    }

    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        let Delivered { delivered } = self.shown("delivered");
        Some(delivered?.into_iter().map(|(id, number)| (MemberId(id.0), number)).collect())
    }

    fn export(&self) -> Vec<u8> {
        let State { state } = self.shown("export");
        state.0
    }

    fn duplicate(&self) -> Box<dyn Member> {
        let handle = self.connection.new_member();
        let Done {} = self.connection.must("duplicate", self.handle, json!({ "copy": handle.number }));
        Box::new(Self { connection: Arc::clone(&self.connection), spoken: self.spoken, handle, id: self.id })
    }
}

impl Drop for PipedMember {
    fn drop(&mut self) {
        self.connection.tell("drop", self.handle);
    }
}
