//! What the author of a message commits to: every secret in it that more than one member must know alike.
//!
//! A ciphertext shows its recipient one secret and nobody else anything. So an author could give each recipient another
//! secret, or all of them another than the one that the others know, and the group would fall apart without a sign. The
//! commitment is the same for everybody: a recipient takes a secret only if it fits, and each other member that knows the
//! secret compares too. This also makes up for AES-GCM, under which a ciphertext can be made to open to different
//! plaintexts under different keys.

use protocol::crypto::hash::{self, Digest};
use protocol::crypto::label::Label;
use protocol::crypto::secret::{SECRET_LEN, Secret};
use protocol::id::{GROUP_ID_LEN, GroupId, MEMBER_ID_LEN, MemberId, MessageId};
use protocol::member::Event;

use super::state::{Env, Group};
use crate::rules::Rules;

/// The commitment of a message to a secret; `None` if the rules require none. `what` says which kind of secret it is.
pub(crate) fn commit(
    what: Label,
    group: &GroupId,
    message: &MessageId,
    secret: &Secret,
    rules: Rules,
) -> Option<Digest> {
    let MessageId { author: MemberId(author), number } = message;
    rules.commits().then(|| hash::hash(what, &[&group.0, author, &number.to_be_bytes(), secret.expose()]))
}

/// Hash blocks that a commitment costs.
pub(crate) fn blocks(what: Label) -> u64 {
    hash::blocks_of(what, &[GROUP_ID_LEN, MEMBER_ID_LEN, size_of::<u32>(), SECRET_LEN])
}

impl Group {
    /// Compares a secret that I have, from the message or from before it, with what the message commits to. If they
    /// differ, its author has given another one to others or to me. That is reported. Returns whether they agree, as they
    /// do if the rules require no commitment.
    pub(super) fn compare(
        &self,
        what: Label,
        message: &MessageId,
        secret: &Secret,
        commitment: Option<&Digest>,
        env: &mut Env<'_, '_>,
    ) -> bool {
        let agree = commitment.is_none_or(|theirs| {
            commit(what, &self.id, message, secret, env.user.rules).is_some_and(|mine| mine.matches(theirs))
        });
        if !agree {
            env.events.push(Event::Inconsistent { by: message.author });
        }
        agree
    }
}
