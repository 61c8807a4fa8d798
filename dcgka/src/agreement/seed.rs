//! What create, update and remove share: a fresh seed, sent to each recipient by 2SM, from which each recipient's
//! member secret and the author's own are derived (paper: generate-seed and process-seed).

use protocol::causal_order::Verified;
use protocol::crypto::hash::Digest;
use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId, MessageId};
use protocol::membership::{KnownUser, MemberSet};
use protocol::wire::envelope::{Kind, Subject};

use super::commitment::commit;
use super::sender::Sender;
use super::state::{Carrier, ControlId, Env, Group, Pending};
use crate::limits::MAX_KEPT_KEYS;
use crate::messages::{ACK, ACK_NONE, Seeded};
use crate::two_party::TwoParty;

/// A seed.
pub(super) struct Seed(Secret);

impl Seed {
    /// A fresh seed.
    pub(super) fn generate(env: &mut Env<'_, '_>) -> Self {
        Self(Secret::random(&mut *env.context.rng))
    }

    /// What its author commits to in its message `number`.
    pub(super) fn commitment(&self, group: &GroupId, number: u32, env: &Env<'_, '_>) -> Option<Digest> {
        let message = MessageId { author: env.user.id, number };
        commit(label::SEED_COMMITMENT, group, &message, &self.0, env.user.rules)
    }

    fn member_secrets(&self) -> Extracted {
        Extracted::new(label::SEED, self.0.expose())
    }
}

fn secret_of(secrets: &Extracted, id: &MemberId) -> Secret {
    secrets.expand(label::MEMBER_SECRET, &id.0)
}

impl Group {
    /// The author's side: a slot for each recipient.
    pub(super) fn send_seed(
        &mut self,
        seed: &Seed,
        recipients: &[KnownUser],
        carrier: &mut Carrier,
        env: &mut Env<'_, '_>,
        body: &mut Vec<u8>,
    ) {
        if recipients.is_empty() {
            return;
        }
        carrier.put_header(env, body);
        self.agree_with_all(recipients, carrier);
        for peer in recipients {
            self.encrypt_to(*peer, &seed.0, carrier, env, body);
        }
    }

    /// UPDATE or REMOVE at its author: a seed for the recipients, and a new verification key. Afterwards the author is
    /// clean.
    pub(super) fn send_seeded(
        &mut self,
        kind: Kind,
        subject: Subject<MemberId>,
        recipients: &[KnownUser],
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let number = self.next_number()?;
        let seed = Seed::generate(env);
        let commitment = seed.commitment(&self.id, number, env);
        let mut body = Seeded::encode_head(commitment.as_ref(), recipients.len(), env.user.rules);
        let mut carrier = self.carrier(number);
        self.send_seed(&seed, recipients, &mut carrier, env, &mut body);
        self.return_my_ratchet(recipients, &mut carrier, env, &mut body)?;
        self.apply_seed(Some(seed), ControlId { author: self.me(), number }, recipients);
        self.dirty = false;
        self.unconfirmed = false;
        let new_key = SigningKey::random(&mut *env.context.rng);
        self.broadcast(kind, subject, &body, Some(new_key), env).map(drop)
    }

    /// What everybody does with a seed: the recipients' member secrets are kept until they acknowledge, and the
    /// author's ratchet steps immediately. A member without the seed has no secrets, and loses the author, whose
    /// ratchet has stepped with one of them. Returns the recipients.
    pub(super) fn apply_seed(&mut self, seed: Option<Seed>, control: ControlId, recipients: &[KnownUser]) -> MemberSet {
        let secrets = seed.map(|seed| seed.member_secrets());
        let author = self.membership.id(control.author);
        if let Some(sender) = self.sender(control.author) {
            match &secrets {
                Some(secrets) => sender.advance(secret_of(secrets, &author).expose()),
                None => *sender = Sender::default(),
            }
        }
        let set: MemberSet = recipients.iter().map(|user| user.index).collect();
        let member_secrets = |secrets: Extracted| -> Vec<_> {
            recipients.iter().map(|user| (user.index, secret_of(&secrets, &user.id))).collect()
        };
        let secrets = secrets.map(member_secrets).into_iter().flatten().collect();
        let waiting = self.waiting_for(&set, control.author);
        self.insert_pending(control, Pending { recipients: set.clone(), secrets, waiting, covered: Vec::new() });
        set
    }

    /// The receiver's side, after the membership change if there is one. Sends the acknowledgement.
    pub(super) fn process_seed(
        &mut self,
        author: KnownUser,
        message: &Verified,
        recipients: &[KnownUser],
        seeded: &Seeded<'_>,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = self.me();
        let control = ControlId { author: author.index, number: message.number };
        let mine = recipients.iter().zip(&seeded.slots).find(|(user, _)| user.index == me);
        let opened = mine.and_then(|(_, slot)| self.decrypt_from(author, (message.number, &message.key), slot, env));
        let (id, commitment) = (MessageId { author: author.id, number: message.number }, seeded.commitment.as_ref());
        let seed = opened.filter(|seed| self.compare(label::SEED_COMMITMENT, &id, seed, commitment, env)).map(Seed);
        let took = seed.is_some();
        let lost = self.take_returned_ratchet(author, message, &seeded.ratchets, env);
        let set = self.apply_seed(seed, control, recipients);
        if took {
            self.took_seed(author.index, &set);
        }
        self.acknowledge_seed(author, message.number, &set, mine.is_some() && !took, env)?;
        // Without the seed, my answer has asked.
        if lost && took { self.ask(author, env) } else { Ok(()) }
    }

    /// My acknowledgement. It says `none` if a secret that I should have is missing, and then asks for what I have lost.
    /// It also says `none` if the author is outside my view: all others that have acknowledged the author's removal say
    /// the same, whether they have deleted its keys yet or not.
    fn acknowledge_seed(
        &mut self,
        author: KnownUser,
        number: u32,
        recipients: &MemberSet,
        missing: bool,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        if self.stolen {
            return Ok(());
        }
        let me = self.me();
        let subject = Subject::Acknowledged(author.id, number);
        let control = ControlId { author: author.index, number };
        let own = self.pending.get_mut(&control).and_then(|pending| pending.secrets.remove(&me));
        let inside = self.view().contains(author.index);
        if missing || !inside {
            let fresh = if missing && inside { self.fresh_key(author.index, env) } else { Vec::new() };
            return self.broadcast(ACK_NONE, subject, &fresh, None, env).map(drop);
        }
        let tag = own.as_ref().filter(|_| !self.order.must_sign(&author.id)).cloned();
        let mut forwards = Vec::new();
        let mut crowded = false;
        if let Some(own) = own {
            let mine = self.next_number()?;
            let unknown_to_author: Vec<_> = self
                .recipients(self.view(), me)
                .into_iter()
                .filter(|user| user.index != author.index && !recipients.contains(user.index))
                .collect();
            let what = label::MEMBER_SECRET_COMMITMENT;
            if !unknown_to_author.is_empty() {
                let mut carrier = self.carrier(mine);
                self.put_copies(what, &own, &unknown_to_author, &mut carrier, env, &mut forwards)?;
            }
            crowded = unknown_to_author.iter().any(|peer| {
                let kept = self.two_party.get(&peer.index).map_or(0, TwoParty::kept);
                kept >= MAX_KEPT_KEYS / 2 && !self.awaits_answer_of(peer.index)
            });
            if let Some(sender) = self.sender(me) {
                sender.advance(own.expose());
            }
        }
        match tag {
            Some(own) if forwards.is_empty() => self.broadcast_tagged((author.id, number), &own, env)?,
            _ => self.broadcast(ACK, subject, &forwards, None, env).map(drop)?,
        }
        // Nobody acknowledges an acknowledgement. An author that pretends not to know a member could make all others
        // forward to that member until their channels are full. So an update follows, which the member will
        // acknowledge.
        if crowded && self.check_unacknowledged().is_ok() { self.update(env) } else { Ok(()) }
    }
}
