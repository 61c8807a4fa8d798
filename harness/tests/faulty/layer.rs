//! A layer around every message of DCGKA, with costs of its own. The layer is where the fault is: what it does can be left
//! out, put off or done elsewhere, and DCGKA inside it stays correct.

use dcgka::Dcgka;
use protocol::crypto::count::Counts;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Backend, Context, Description, Fingerprints, Incoming, Member, NewUser, Outgoing, Received};
use protocol::operation::{Expected, Operation, Phase, Role};
use rand_core::CryptoRng;

/// A layer, and with it what a member keeps for it beside its state.
pub(crate) trait Layer: Default + Clone + Send + Sync + 'static {
    /// Puts the layer around a message.
    fn put_on(&mut self, owner: &mut Owner, message: &[u8], ack: bool, rng: &mut dyn CryptoRng) -> Vec<u8>;

    /// Takes the layer off a message that reaches a member of a group of this size.
    fn take_off(&mut self, message: &Incoming<'_>, members: usize) -> Result<Vec<u8>, Error>;

    /// What a message costs its author, and what each receiver, in an operation on a group of this size.
    fn costs(ack: bool, group_size: usize) -> (Counts, Counts);

    /// Called with what a message without the layer has led to.
    fn received(&mut self, _received: &Received) {}

    /// Called when a member is made, by the method of this name.
    fn made(&mut self, _owner: &Owner, _by: &'static str) {}

    /// Called when the method of this name shows the member.
    fn shown(&self, _by: &'static str) {}
}

/// What the layer adds to a member's exported state.
#[derive(Clone, Copy, Default)]
pub(crate) struct Owner {
    pub(crate) secret: [u8; 32],
    pub(crate) number: u32,
}

/// DCGKA with a layer.
#[derive(Default)]
pub(crate) struct Layered<L>(std::marker::PhantomData<L>);

const BASE: Dcgka = Dcgka::CORRECTED;

impl<L: Layer> Backend for Layered<L> {
    fn description(&self) -> Description {
        Description { name: "layered", ..BASE.description() }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let mut owner = Owner::default();
        rng.fill_bytes(&mut owner.secret);
        let user = BASE.new_user(one_time_prekeys, rng);
        NewUser { member: Wrapped::boxed(user.member, owner, L::default(), "new_user"), ..user }
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        let (secret, rest) = state.split_first_chunk().ok_or(Error::BadExport)?;
        let (number, inner) = rest.split_first_chunk().ok_or(Error::BadExport)?;
        let owner = Owner { secret: *secret, number: u32::from_be_bytes(*number) };
        Ok(Wrapped::boxed(BASE.restore(inner)?, owner, L::default(), "restore"))
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        use Phase::{Generate, Process, Responses};
        use Role::{Joiner, Recipient, Removed, Sender};
        let Expected { messages, mut counts, .. } = BASE.expected(operation, group_size)?;
        let n = group_size as u64;
        // Messages made and received by all members of a role: control and application messages, then acknowledgements.
        let rows: Vec<(Role, Phase, [u64; 2], [u64; 2])> = match operation {
            Operation::Create | Operation::Update | Operation::UpdateCold => vec![
                (Sender, Generate, [1, 0], [0, 0]),
                (Sender, Responses, [0, 0], [0, n - 1]),
                (Recipient, Process, [0, n - 1], [n - 1, 0]),
                (Recipient, Responses, [0, 0], [0, (n - 1) * (n - 2)]),
            ],
            Operation::Add => vec![
                (Sender, Generate, [2, 0], [0, 0]),
                (Sender, Responses, [0, 0], [0, n]),
                (Recipient, Process, [0, n - 1], [n - 1, 0]),
                (Recipient, Responses, [0, 0], [0, (n - 1) * (n - 1)]),
                (Joiner, Process, [0, 2], [1, 0]),
                (Joiner, Responses, [0, 0], [0, n - 1]),
            ],
            Operation::Remove => vec![
                (Sender, Generate, [1, 0], [0, 0]),
                (Sender, Responses, [0, 0], [0, n - 2]),
                (Recipient, Process, [0, n - 2], [n - 2, 0]),
                (Recipient, Responses, [0, 0], [0, (n - 2) * n.saturating_sub(3)]),
                (Removed, Process, [0, 1], [0, 0]),
                (Removed, Responses, [0, 0], [0, n - 2]),
            ],
            Operation::Message => vec![(Sender, Generate, [1, 0], [0, 0]), (Recipient, Process, [0, n - 1], [0, 0])],
            Operation::MessageAfterRemove => {
                vec![(Sender, Generate, [1, 0], [0, 0]), (Recipient, Process, [0, n - 2], [0, 0])]
            }
            _ => return None,
        };
        let (message, ack) = (L::costs(false, group_size), L::costs(true, group_size));
        counts.extend(rows.into_iter().map(|(role, phase, messages, acks)| {
            let messages = messages[0] * message.0 + messages[1] * message.1;
            (role, phase, messages + acks[0] * ack.0 + acks[1] * ack.1)
        }));
        Some(Expected::new(messages, counts))
    }
}

struct Wrapped<L: Layer> {
    inner: Box<dyn Member>,
    owner: Owner,
    layer: L,
}

impl<L: Layer> Wrapped<L> {
    fn boxed(inner: Box<dyn Member>, owner: Owner, mut layer: L, by: &'static str) -> Box<dyn Member> {
        layer.made(&owner, by);
        Box::new(Self { inner, owner, layer })
    }

    fn put_on(&mut self, sent: Vec<Outgoing>, context: &mut Context<'_>) -> Vec<Outgoing> {
        let Self { owner, layer, .. } = self;
        let put_on = |message: Outgoing| {
            let bytes = layer.put_on(owner, &message.bytes, message.kind == "ack", context.rng);
            Outgoing { bytes, ..message }
        };
        sent.into_iter().map(put_on).collect()
    }
}

impl<L: Layer> Drop for Wrapped<L> {
    fn drop(&mut self) {
        self.layer.shown("drop");
    }
}

impl<L: Layer> Member for Wrapped<L> {
    fn id(&self) -> MemberId {
        self.layer.shown("id");
        self.inner.id()
    }

    fn group(&self) -> Option<GroupId> {
        self.layer.shown("group");
        self.inner.group()
    }

    fn members(&self) -> Vec<MemberId> {
        self.layer.shown("members");
        self.inner.members()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let sent = self.inner.create(others, context)?;
        Ok(self.put_on(sent, context))
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let sent = self.inner.add(user, context)?;
        Ok(self.put_on(sent, context))
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let sent = self.inner.remove(user, context)?;
        Ok(self.put_on(sent, context))
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let sent = self.inner.update(context)?;
        Ok(self.put_on(sent, context))
    }

    fn send(&mut self, plaintext: &[u8], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        let sent = self.inner.send(plaintext, context)?;
        Ok(self.put_on(sent, context))
    }

    fn receive_one(&mut self, message: &Incoming<'_>, context: &mut Context<'_>) -> Result<Received, Error> {
        let members = self.inner.members().len();
        let bytes = self.layer.take_off(message, members)?;
        let received = self.inner.receive_one(&Incoming { bytes: &bytes, ..*message }, context)?;
        self.layer.received(&received);
        let outgoing = self.put_on(received.outgoing, context);
        Ok(Received { outgoing, ..received })
    }

    fn fingerprints(&self) -> Option<Fingerprints> {
        self.layer.shown("fingerprints");
        self.inner.fingerprints()
    }

    fn delivered(&self) -> Option<Vec<(MemberId, u32)>> {
        self.layer.shown("delivered");
        self.inner.delivered()
    }

    fn export(&self) -> Vec<u8> {
        self.layer.shown("export");
        [&self.owner.secret[..], &self.owner.number.to_be_bytes(), &self.inner.export()].concat()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        self.layer.shown("duplicate");
        Self::boxed(self.inner.duplicate(), self.owner, self.layer.clone(), "duplicate")
    }
}

/// Work without a counted primitive, as in a library of one's own: a tenth of a millisecond or more.
pub(crate) fn arithmetic() {
    let mut sum = 1_u64;
    for number in 0..80_000 {
        sum = std::hint::black_box(sum.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(number));
    }
}
