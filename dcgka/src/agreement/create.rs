//! CREATE: a user creates a group of several users.

use protocol::causal_order::Verified;
use protocol::crypto::hash::Digest;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::VerificationKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Event, Rule};
use protocol::membership::{KnownUser, Membership};
use protocol::wire::envelope::{Envelope, Subject};

use super::seed::Seed;
use super::sender::Sender;
use super::state::{ControlId, Env, Group, Stop, User};
use crate::limits::MAX_MEMBERS;
use crate::messages::{CREATE, Copies, Create, Seeded};
use crate::two_party::Slot;

/// The number of CREATE: it is its author's first message.
const CREATE_NUMBER: u32 = 1;

impl Group {
    /// The creator's side.
    pub(crate) fn create(others: &[MemberId], env: &mut Env<'_, '_>) -> Result<Self, Error> {
        let mut sorted = others.to_vec();
        sorted.sort_unstable();
        if sorted.windows(2).any(|pair| pair[0] == pair[1]) || sorted.contains(&env.user.id) {
            return Err(Error::AlreadyAMember);
        }
        if sorted.len() >= MAX_MEMBERS {
            return Err(Error::GroupSize);
        }
        let nonce = Digest(*Secret::random(&mut *env.context.rng).expose());
        let id = GroupId::new(&env.user.id, &nonce);
        let mut group = Self::founded(id, env.user, env.user.id, &sorted).map_err(|_| Error::NoBundle)?;
        let recipients = group.recipients(group.view(), group.me());
        // Before the directory hands out a one-time prekey, which would be wasted if another user's bundle is missing.
        for peer in &recipients {
            group.two_party.entry(peer.index).or_default().fetch_bundle(&peer.id, env.context.directory)?;
        }
        let seed = Seed::generate(env);
        let commitment = seed.commitment(&id, CREATE_NUMBER, env);
        let mut body = Create::encode_head(&nonce, commitment.as_ref(), &sorted, env.user.rules);
        let mut carrier = group.carrier(CREATE_NUMBER);
        group.send_seed(&seed, &recipients, &mut carrier, env, &mut body);
        // A bundle or one-time prekey that is signed, but that nobody can encrypt to.
        if Create::decode(&body, env.user.rules)?.slots.iter().any(|slot| matches!(slot, Slot::Empty)) {
            return Err(Error::NoBundle);
        }
        group.apply_seed(Some(seed), ControlId { author: group.me(), number: CREATE_NUMBER }, &recipients);
        group.broadcast(CREATE, Subject::None, &body, None, env)?;
        Ok(group)
    }

    /// Whether a message can have created this group: by its number, and by the creator and nonce that the group's id
    /// is a hash of.
    pub(crate) fn is_created_by(group: &GroupId, creator: &MemberId, envelope: &Envelope<'_>) -> bool {
        let nonce = envelope.body.first_chunk().map(|nonce| Digest(*nonce));
        envelope.number == CREATE_NUMBER && nonce.is_some_and(|nonce| GroupId::new(creator, &nonce) == *group)
    }

    /// A founder's side: the state before CREATE is processed. CREATE is then delivered in causal order like any
    /// message, as the creator's first.
    ///
    /// Fails with [`Error::NotAMember`] if the message does not name me.
    pub(crate) fn invited(
        group_id: GroupId,
        creator: MemberId,
        create: &Create<'_>,
        user: &User,
    ) -> Result<Self, Error> {
        if create.others.contains(&creator) {
            return Err(Error::Malformed);
        }
        Self::founded(group_id, user, creator, &create.others)
    }

    /// CREATE at a founder.
    pub(super) fn process_create(
        &mut self,
        creator: KnownUser,
        message: &Verified,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Stop> {
        // The creator's first message alone creates the group.
        let first = message.number == CREATE_NUMBER && self.membership.recorded(creator.index, CREATE_NUMBER).is_some();
        let create = Create::decode(&message.body, env.user.rules).ok().filter(|_| first).ok_or(Rule::GroupExists)?;
        env.events.push(Event::Joined { inviter: creator.id });
        let recipients = self.recipients(self.view(), creator.index);
        let seeded = Seeded { commitment: create.commitment, slots: create.slots, ratchets: Copies::default() };
        Ok(self.process_seed(creator, message, &recipients, &seeded, env)?)
    }

    /// The state before the first seed. Fails if an id is no verification key.
    fn founded(id: GroupId, user: &User, creator: MemberId, others: &[MemberId]) -> Result<Self, Error> {
        let founders = core::iter::once(creator).chain(others.iter().copied());
        let membership = Membership::found(user.id, creator, founders)?;
        let mut group = Self::empty(id, membership, user);
        for member in group.membership.everybody() {
            let id = group.membership.id(member);
            group.introduce(id, VerificationKey::from_bytes(&id.0)?, 0, Sender::initial());
        }
        Ok(group)
    }
}
