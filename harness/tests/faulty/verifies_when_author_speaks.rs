//! Every message carries a second signature, over the same bytes each time, so that a copy of it can be told from an altered one
//! without verifying it. The fault: that of an acknowledgement is verified only when its author sends something else.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use protocol::crypto::count::Counts;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::{Signature, SigningKey, VerificationKey};
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::Incoming;
use rand_core::CryptoRng;

use crate::layer::{Layer, Owner};
use crate::second_signature::VERIFY;

const SIGNED: &[u8] = b"always the same";
static KEY: LazyLock<(VerificationKey, Signature)> = LazyLock::new(|| {
    let key = SigningKey::from_secret(&Secret::new([7; 32]));
    (key.verification_key(), key.sign(SIGNED))
});

/// The authors of acknowledgements that have not been verified.
#[derive(Clone, Default)]
pub(crate) struct VerifiesWhenAuthorSpeaks {
    waiting: BTreeSet<MemberId>,
}

impl Layer for VerifiesWhenAuthorSpeaks {
    fn put_on(&mut self, _: &mut Owner, message: &[u8], ack: bool, _: &mut dyn CryptoRng) -> Vec<u8> {
        [message, &[u8::from(ack)], &KEY.1.0].concat()
    }

    fn take_off(&mut self, message: &Incoming<'_>, _: usize) -> Result<Vec<u8>, Error> {
        let (rest, signature) = message.bytes.split_last_chunk().ok_or(Error::Malformed)?;
        let (ack, inner) = rest.split_last().ok_or(Error::Malformed)?;
        if *signature != KEY.1.0 {
            return Err(Error::NotAuthentic);
        }
        if *ack == 1 {
            self.waiting.insert(message.author);
        } else {
            let waited = self.waiting.remove(&message.author);
            (0..=u8::from(waited)).try_for_each(|_| KEY.0.verify(SIGNED, &KEY.1))?;
        }
        Ok(inner.to_vec())
    }

    fn costs(ack: bool, _: usize) -> (Counts, Counts) {
        LazyLock::force(&KEY);
        (Counts::NOTHING, if ack { Counts::NOTHING } else { VERIFY })
    }
}
