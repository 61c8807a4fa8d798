//! vodozemac does not let a party read its own messages. So a thief edits the pickle of a stolen session: the chain in
//! which the owner sends becomes one that is received.

use ciborium::Value;
use protocol::error::Error;
use vodozemac::olm::Session;
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey};

/// The number of received chains that a session keeps.
pub(crate) const MAX_RECEIVED: usize = 5;

/// Makes the chain in which a session sends one that it receives too. Returns its ratchet key, or `None` if the session
/// makes a new one with its next message.
pub(crate) fn receive_own(session: &mut Session) -> Result<Option<Curve25519PublicKey>, Error> {
    let mut pickle = Value::serialized(&session.pickle()).map_err(|_| Error::Internal)?;
    let sending = field(&mut pickle, "sending_ratchet")?;
    let Ok(ratchet) = field(sending, "active_ratchet") else { return Ok(None) };
    let secret: [u8; 32] = field(ratchet, "ratchet_key")?.deserialized().map_err(|_| Error::Internal)?;
    let (chain_key, count) =
        (field(sending, "symmetric_key_ratchet")?.clone(), field(sending, "ratchet_count")?.clone());
    let key = Curve25519PublicKey::from(&Curve25519SecretKey::from_slice(&secret));
    let none = Value::Map(vec![("inner".into(), Value::Array(Vec::new()))]);
    let chain = Value::Map(vec![
        ("ratchet_key".into(), Value::serialized(&key).map_err(|_| Error::Internal)?),
        ("hkdf_ratchet".into(), chain_key),
        ("skipped_message_keys".into(), none),
        ("ratchet_count".into(), count),
    ]);
    let received = field(field(&mut pickle, "receiving_chains")?, "inner")?.as_array_mut().ok_or(Error::Internal)?;
    if received.len() >= MAX_RECEIVED {
        received.remove(0);
    }
    received.push(chain);
    *session = Session::from_pickle(pickle.deserialized().map_err(|_| Error::Internal)?);
    Ok(Some(key))
}

fn field<'a>(of: &'a mut Value, name: &str) -> Result<&'a mut Value, Error> {
    let fields = of.as_map_mut().ok_or(Error::Internal)?;
    let found = fields.iter_mut().find(|(key, _)| key.as_text() == Some(name));
    found.map(|(_, value)| value).ok_or(Error::Internal)
}
