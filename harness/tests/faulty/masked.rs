//! Exports are masked by a constant, so that nothing is found in them. Members and thieves work as before.

use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;

pub(crate) struct Masked(pub(crate) Box<dyn Backend>);

struct MaskedMember(Box<dyn Member>);

fn mask(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte ^ 0x55).collect()
}

impl Backend for Masked {
    fn description(&self) -> Description {
        self.0.description()
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let user = self.0.new_user(one_time_prekeys, rng);
        NewUser { member: Box::new(MaskedMember(user.member)), ..user }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(MaskedMember(self.0.restore(&mask(state))?)))
    }

    fn steal(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Ok(Box::new(MaskedMember(self.0.steal(&mask(state))?)))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        self.0.expected(operation, group_size)
    }
}

impl Member for MaskedMember {
    fn id(&self) -> MemberId {
        self.0.id()
    }

    fn group(&self) -> Option<GroupId> {
        self.0.group()
    }

    fn members(&self) -> Vec<MemberId> {
        self.0.members()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.0.create(others, context)
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.0.add(user, context)
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.0.remove(user, context)
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.0.update(context)
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.0.send(plaintext, context)
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        self.0.receive_one(message, context)
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        self.0.fingerprints()
    }

    fn export(&self) -> Vec<u8> {
        mask(&self.0.export())
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(Self(self.0.duplicate()))
    }
}
