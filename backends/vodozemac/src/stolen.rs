//! What a thief of a member's state does: it follows the group, and sends nothing. vodozemac does not let a party read its own
//! messages, so a thief edits the pickles of the stolen sessions: what the owner sends in its present chain becomes a chain
//! that is received.

use ciborium::Value;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::membership::KnownUser;
use vodozemac::olm::Session;
use vodozemac::{Curve25519PublicKey, Curve25519SecretKey};

use crate::channel::Opened;
use crate::group::Group;
use crate::messages::Message;
use crate::user::Env;

/// The number of received chains that a session can keep.
const MAX_RECEIVED: usize = 5;

impl Group {
    /// Lets a thief read what the owner sends: in the present chains, and in the present Megolm session.
    pub(crate) fn steal(&mut self) -> Result<(), Error> {
        let me = self.me();
        self.channels.values_mut().try_for_each(crate::channel::Channel::overhear)?;
        self.keys.read_own(me)
    }

    /// A message that the state's owner has sent.
    pub(crate) fn overhear_owner(
        &mut self,
        owner: &MemberId,
        bytes: &[u8],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = KnownUser { id: *owner, index: self.me() };
        let message = match Message::decode(bytes)? {
            Message::Founders(_) => return Ok(()),
            Message::Megolm(number, message) => return self.take_group_message(me, (number, &message), bytes, env),
            Message::Olm(message) => message,
        };
        let group = self.id;
        let opened = self.channels.values_mut().find_map(|channel| channel.decrypt_own(&message, &group));
        match opened.ok_or(Error::NotAuthentic)? {
            Opened::New(content) => self.process(me, &content, env),
            Opened::Repeated => Ok(()),
        }
    }
}

/// Makes the chain in which a session sends one that it receives too. Returns its ratchet key, or `None` if the session makes
/// a new one with its next message.
pub(crate) fn receive_own(session: &mut Session) -> Result<Option<Curve25519PublicKey>, Error> {
    let mut pickle = Value::serialized(&session.pickle()).map_err(|_| Error::Internal)?;
    let sending = field(&mut pickle, "sending_ratchet")?.clone();
    let Ok(ratchet) = field(&mut sending.clone(), "active_ratchet").cloned() else { return Ok(None) };
    let part = |of: &Value, name| field(&mut of.clone(), name).cloned();
    let secret: [u8; 32] = part(&ratchet, "ratchet_key")?.deserialized().map_err(|_| Error::Internal)?;
    let key = Curve25519PublicKey::from(&Curve25519SecretKey::from_slice(&secret));
    let none = Value::Map(vec![("inner".into(), Value::Array(Vec::new()))]);
    let chain = Value::Map(vec![
        ("ratchet_key".into(), Value::serialized(&key).map_err(|_| Error::Internal)?),
        ("hkdf_ratchet".into(), part(&sending, "symmetric_key_ratchet")?),
        ("skipped_message_keys".into(), none),
        ("ratchet_count".into(), part(&sending, "ratchet_count")?),
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
