//! Messages that arrive together, whose signatures are checked together.

use std::collections::BTreeMap;

use super::CausalOrder;
use super::message::Checked;
use crate::crypto::signature::{VerificationKey, verify_together};
use crate::id::{GroupId, MemberId};
use crate::wire::envelope::Envelope;

impl CausalOrder {
    /// Checks the signatures of messages that are about to be [received](Self::receive_decoded) in this order, as far as it is
    /// clear already under which key, and changes nothing. Returns them in the same order; `None` for one that is to be
    /// verified when it is received. If one signature is not valid, that is so for all of them.
    #[must_use]
    pub fn check_together(
        &self,
        group: &GroupId,
        messages: &[Option<(MemberId, Envelope<'_>)>],
    ) -> Vec<Option<Checked>> {
        // The number of each author's last signed message, and the key of the next one, if all before it are valid.
        let mut latest = BTreeMap::new();
        let mut check = |id: &MemberId, envelope: &Envelope<'_>| -> Option<(Checked, VerificationKey)> {
            let author = self.authors.get(id).filter(|author| author.handle == envelope.sender)?;
            let (number, key) = latest.get(id).copied().unwrap_or((author.signed, author.verified_key));
            if envelope.number <= number || envelope.follows() > number || envelope.is_tagged() {
                return None;
            }
            let mut readings = self.names.readings(envelope).ok()?;
            let (reading, None) = (readings.next()?, readings.next()) else { return None };
            let new_key = envelope.new_key.as_ref().map(VerificationKey::from_bytes).transpose().ok()?;
            latest.insert(*id, (envelope.number, new_key.unwrap_or(key)));
            let digest = envelope.digest_after(group, id, &reading.subject, &reading.history);
            Some((Checked::new(envelope, reading, digest, new_key, &key), key))
        };
        let parts: Vec<_> = messages.iter().map(|it| it.as_ref().and_then(|(id, it)| check(id, it))).collect();
        let signed = parts.iter().zip(messages).filter_map(|(part, message)| {
            let ((checked, key), (_, envelope)) = (part.as_ref()?, message.as_ref()?);
            Some((*key, &checked.digest.as_bytes()[..], envelope.signature()?))
        });
        let signed: Vec<_> = signed.collect();
        let valid = match &signed[..] {
            [] => false,
            [(key, digest, signature)] => key.verify(digest, signature).is_ok(),
            _ => verify_together(&signed),
        };
        parts.into_iter().map(|part| part.filter(|_| valid).map(|(checked, _)| checked)).collect()
    }
}
