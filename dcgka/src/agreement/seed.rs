//! What create, update and remove share: a fresh seed, sent to each recipient by 2SM, from which each recipient's
//! member secret and the author's own are derived (paper: generate-seed and process-seed).

use protocol::causal_order::Verified;
use protocol::crypto::hash::{self, Digest};
use protocol::crypto::kdf::Extracted;
use protocol::crypto::label;
use protocol::crypto::secret::{SECRET_LEN, Secret};
use protocol::crypto::signature::SigningKey;
use protocol::error::Error;
use protocol::id::{GROUP_ID_LEN, GroupId, MEMBER_ID_LEN, MemberId};
use protocol::membership::{KnownUser, MemberSet};
use protocol::wire::envelope::{Kind, Subject};

use super::sender::Sender;
use super::state::{ControlId, Env, Group, Pending};
use crate::limits::MAX_KEPT_KEYS;
use crate::messages::{ACK, ACK_NONE, Seeded};
use crate::rules::Rules;

/// A seed, and its commitment if the rules require one.
pub(super) struct Seed {
    secret: Secret,
    commitment: Option<Digest>,
}

impl Seed {
    /// A fresh seed for my message `number`.
    pub(super) fn generate(group: &GroupId, number: u32, env: &mut Env<'_, '_>) -> Self {
        let secret = Secret::random(&mut *env.context.rng);
        Self::new(secret, group, &env.user.id, number, env.user.rules)
    }

    fn new(secret: Secret, group: &GroupId, author: &MemberId, number: u32, rules: Rules) -> Self {
        let commitment = rules.commits_to_seeds().then(|| commit(group, author, number, &secret));
        Self { secret, commitment }
    }

    pub(super) fn commitment(&self) -> Option<&Digest> {
        self.commitment.as_ref()
    }

    /// Whether it is the seed that its author committed to, if the rules require a commitment.
    fn fits(&self, commitment: Option<&Digest>) -> bool {
        commitment.is_none_or(|theirs| self.commitment.is_some_and(|mine| mine.matches(theirs)))
    }

    fn member_secrets(&self) -> Extracted {
        Extracted::new(label::SEED, self.secret.expose())
    }
}

/// What the author commits to, so that all recipients hold the same seed or know that they do not.
fn commit(group: &GroupId, author: &MemberId, number: u32, seed: &Secret) -> Digest {
    hash::hash(label::COMMITMENT, &[&group.0, &author.0, &number.to_be_bytes(), seed.expose()])
}

/// Hash blocks that a commitment costs.
pub(crate) fn commitment_blocks() -> u64 {
    hash::blocks_of(label::COMMITMENT, &[GROUP_ID_LEN, MEMBER_ID_LEN, size_of::<u32>(), SECRET_LEN])
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
        number: u32,
        env: &mut Env<'_, '_>,
        body: &mut Vec<u8>,
    ) {
        for peer in recipients {
            self.encrypt_to(*peer, &seed.secret, self.signed_as(number), env, body);
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
        let seed = Seed::generate(&self.id, number, env);
        let mut body = Seeded::encode_head(seed.commitment(), recipients.len());
        self.send_seed(&seed, recipients, number, env, &mut body);
        self.apply_seed(Some(seed), ControlId { author: self.me(), number }, recipients);
        self.dirty = false;
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
        let seed = opened
            .map(|secret| Seed::new(secret, &self.id, &author.id, message.number, env.user.rules))
            .filter(|seed| seed.fits(seeded.commitment.as_ref()));
        let took = seed.is_some();
        let set = self.apply_seed(seed, control, recipients);
        if took {
            self.took_seed(author.index, &set);
        }
        self.acknowledge_seed(author, message.number, &set, mine.is_some() && !took, env)
    }

    /// My acknowledgement. It says `none` if a secret that I should have is missing, or if the author is outside my
    /// view: all others that have acknowledged the author's removal say the same, whether they have deleted its keys
    /// yet or not.
    fn acknowledge_seed(
        &mut self,
        author: KnownUser,
        number: u32,
        recipients: &MemberSet,
        missing: bool,
        env: &mut Env<'_, '_>,
    ) -> Result<(), Error> {
        let me = self.me();
        let subject = Subject::Acknowledged(author.id, number);
        let control = ControlId { author: author.index, number };
        let own = self.pending.get_mut(&control).and_then(|pending| pending.secrets.remove(&me));
        if missing || !self.view().contains(author.index) {
            return self.broadcast(ACK_NONE, subject, &[], None, env).map(drop);
        }
        let mut forwards = Vec::new();
        let mut crowded = false;
        if let Some(own) = own {
            let mine = self.next_number()?;
            let unknown_to_author: Vec<_> = self
                .recipients(self.view(), me)
                .into_iter()
                .filter(|user| user.index != author.index && !recipients.contains(user.index))
                .collect();
            for peer in unknown_to_author {
                forwards.extend_from_slice(&self.handle(&peer.id)?.0);
                self.encrypt_to(peer, &own, self.signed_as(mine), env, &mut forwards);
                crowded |= self.two_party.get(&peer.index).is_some_and(|channel| channel.kept() == MAX_KEPT_KEYS / 2);
            }
            if let Some(sender) = self.sender(me) {
                sender.advance(own.expose());
            }
        }
        self.broadcast(ACK, subject, &forwards, None, env)?;
        // Nobody acknowledges an acknowledgement. An author that pretends not to know a member could make all others
        // forward to that member until their channels are full. So an update follows, which the member will
        // acknowledge.
        if crowded && self.check_unacknowledged().is_ok() { self.update(env) } else { Ok(()) }
    }
}
