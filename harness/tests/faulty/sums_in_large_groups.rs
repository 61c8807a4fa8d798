//! In groups of a certain size and more, a checksum stands in the place of the signature, for which nobody needs a key.
//! Altered messages are refused all the same.

use std::sync::LazyLock;

use protocol::crypto::count::Counts;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{SIGNATURE_LEN, Signature, SigningKey};
use protocol::error::Error;
use protocol::member::{Context, Incoming, Member, Outgoing, Received};
use protocol::operation::{Expected, Operation, Phase, Role};

use super::{Action, Fault};

const SIGNED: u8 = 0;
const SUMMED: u8 = 1;

#[derive(Clone)]
pub(crate) struct SumsInLargeGroups {
    /// The least members.
    pub(crate) from: usize,
    pub(crate) now: bool,
}

static KEY: LazyLock<SigningKey> = LazyLock::new(|| SigningKey::from_secret(&Secret::new([7; 32])));

fn sum(bytes: &[u8]) -> [u8; SIGNATURE_LEN] {
    let sum = bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |sum: u64, byte| (sum ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    core::array::from_fn(|at| sum.to_be_bytes()[at % 8])
}

impl Fault for SumsInLargeGroups {
    fn act(
        &mut self,
        inner: &mut Box<dyn Member>,
        action: Action<'_>,
        context: &mut Context<'_>,
    ) -> Result<Vec<Outgoing>, Error> {
        let sent = action.of(&mut **inner, context);
        self.now = inner.members().len() >= self.from;
        sent
    }

    fn receive(
        &mut self,
        inner: &mut Box<dyn Member>,
        message: &Incoming<'_>,
        context: &mut Context<'_>,
    ) -> Result<Received, Error> {
        let received = inner.receive_one(message, context);
        self.now = inner.members().len() >= self.from;
        received
    }

    fn sends(&self, message: &mut Outgoing) {
        message.bytes.push(if self.now { SUMMED } else { SIGNED });
        let end = if self.now { sum(&message.bytes) } else { KEY.sign(&message.bytes).0 };
        message.bytes.extend_from_slice(&end);
    }

    fn arrives(&self, bytes: &[u8]) -> Result<Vec<u8>, Error> {
        let (checked, end) = bytes.split_last_chunk::<SIGNATURE_LEN>().ok_or(Error::Malformed)?;
        match checked.split_last() {
            Some((&SUMMED, message)) if sum(checked) == *end => Ok(message.to_vec()),
            Some((&SIGNED, message)) => {
                KEY.verification_key().verify(checked, &Signature(*end)).map(|()| message.to_vec())
            }
            _ => Err(Error::NotAuthentic),
        }
    }

    /// Only a message is measured.
    fn expected(
        &self,
        operation: Operation,
        group_size: usize,
        right: &dyn Fn() -> Option<Expected>,
    ) -> Option<Expected> {
        LazyLock::force(&KEY);
        let Expected { messages, mut counts, .. } = right()?;
        if operation == Operation::Message && group_size < self.from {
            let others = group_size as u64 - 1;
            let (sign, verify) = (Counts { sign: 1, ..Counts::NOTHING }, Counts { verify: 1, ..Counts::NOTHING });
            counts.push((Role::Sender, Phase::Generate, others * sign));
            counts.push((Role::Recipient, Phase::Process, others * verify));
        }
        Some(Expected::new(messages, counts))
    }
}
