//! A small protocol with no security: a member that changes the group sends fresh key material in the clear, all
//! members acknowledge, and application messages are encrypted under the group's key. It has exact formulas, and some
//! variants are faulty.
#![allow(dead_code, reason = "each test program uses a part of it")]

use protocol::crypto::count::Counted;
use protocol::crypto::count::Counts;
use protocol::crypto::label::{GROUP_ID, Label};
use protocol::crypto::{aead, hash, kdf};
use protocol::error::Error;
use protocol::id::{GroupId, MEMBER_ID_LEN, MemberId};
use protocol::member::{
    Backend, Capabilities, Context, Description, Event, Incoming, Member, NewUser, Ordering, Outgoing, Received,
    Recipients,
};
use protocol::operation::{Expected, Operation, Phase, Role};
use rand_core::CryptoRng;

const KEY: Label = b"toy key";
const ACK: Label = b"toy ack";
const FINGERPRINT: Label = b"toy fingerprint";

/// What is wrong with the protocol. The name of the flaw is the backend's variant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    None,
    /// Shows no fingerprints. This variant is not faulty.
    Hidden,
    /// The member with the smallest id never acknowledges.
    SkipsAck,
    /// Fresh key material is always the same bytes.
    ConstantSecret,
    /// A removal leaves the key as it was.
    KeepsKey,
    /// A removed member still adopts the new key.
    Leaks,
    /// As `KeepsKey`, but there are no fingerprints that show it, and an application message is sent to each member
    /// separately.
    HiddenKeepsKey,
    /// The member with the smallest id derives another key.
    Splits,
    /// Computes one hash more than the formula says, with each new key.
    Wasteful,
    /// The joiner reports its welcome as rejected.
    Rejects,
    /// An update sleeps for an hour.
    Hangs,
    /// An update panics.
    Crashes,
}

impl Flaw {
    pub(crate) const ALL: [Self; 12] = [
        Self::None,
        Self::Hidden,
        Self::SkipsAck,
        Self::ConstantSecret,
        Self::KeepsKey,
        Self::Leaks,
        Self::HiddenKeepsKey,
        Self::Splits,
        Self::Wasteful,
        Self::Rejects,
        Self::Hangs,
        Self::Crashes,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Hidden => "hidden",
            Self::SkipsAck => "skips-ack",
            Self::ConstantSecret => "constant-secret",
            Self::KeepsKey => "keeps-key",
            Self::Leaks => "leaks",
            Self::HiddenKeepsKey => "hidden-keeps-key",
            Self::Splits => "splits",
            Self::Wasteful => "wasteful",
            Self::Rejects => "rejects",
            Self::Hangs => "hangs",
            Self::Crashes => "crashes",
        }
    }

    fn keeps_key(self) -> bool {
        matches!(self, Self::KeepsKey | Self::HiddenKeepsKey)
    }
}

/// The backend `toy`, with one flaw or none.
pub(crate) struct Toy(pub(crate) Flaw);

/// All variants, for a registry.
pub(crate) const VARIANTS: [fn() -> Box<dyn Backend>; 12] = [
    || Box::new(Toy(Flaw::ALL[0])),
    || Box::new(Toy(Flaw::ALL[1])),
    || Box::new(Toy(Flaw::ALL[2])),
    || Box::new(Toy(Flaw::ALL[3])),
    || Box::new(Toy(Flaw::ALL[4])),
    || Box::new(Toy(Flaw::ALL[5])),
    || Box::new(Toy(Flaw::ALL[6])),
    || Box::new(Toy(Flaw::ALL[7])),
    || Box::new(Toy(Flaw::ALL[8])),
    || Box::new(Toy(Flaw::ALL[9])),
    || Box::new(Toy(Flaw::ALL[10])),
    || Box::new(Toy(Flaw::ALL[11])),
];

impl Backend for Toy {
    fn description(&self) -> Description {
        Description {
            name: "toy",
            variant: self.0.name(),
            summary: "a shared key in the clear",
            capabilities: Capabilities {
                concurrent_operations: false,
                pcs_update: false,
                forward_secrecy: false,
                signed: "nothing",
                ordering: Ordering::Causal,
                deterministic: true,
                public_randomness: &["create", "add", "welcome", "remove", "update"],
                threads: false,
                counted: Counted::All,
            },
            adapts: None,
            caveats: &[],
            growth: &[],
        }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        let id = MemberId(random(rng));
        let member = ToyMember {
            flaw: self.0,
            id,
            group: None,
            members: Vec::new(),
            key: [0; 32],
            acks: 0,
            sent: 0,
            removed: false,
            stolen: None,
        };
        let one_time = (0..one_time_prekeys).map(|_| random::<8>(rng).to_vec()).collect();
        NewUser { id, member: Box::new(member), bundle: vec![1, 2, 3], one_time }
    }

    fn restore(&self, _state: &[u8]) -> Result<Box<dyn Member>, Error> {
        Err(Error::BadExport)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        let n = group_size as u64;
        let key = Counts { hash_blocks: hash::blocks_of(KEY, &[32]), ..Counts::default() };
        let ack = Counts { hash_blocks: hash::blocks_of(ACK, &[32]), ..Counts::default() };
        let group = Counts { hash_blocks: hash::blocks_of(GROUP_ID, &[32, 32]), ..Counts::default() };
        let crypt = Counts { kdf: 2, aead_bytes: 32, ..Counts::default() };
        // The messages, the sender's hashes, and for each role its members and the acks that each receives.
        let (messages, generate, rows) = match operation {
            Operation::Create => (
                vec![("create", 1), ("ack", n - 1)],
                group + key,
                vec![(Role::Sender, 1, n - 1), (Role::Recipient, n - 1, n - 2)],
            ),
            Operation::Add => (
                vec![("add", 1), ("welcome", 1), ("ack", n)],
                key,
                vec![(Role::Sender, 1, n), (Role::Recipient, n - 1, n - 1), (Role::Joiner, 1, n - 1)],
            ),
            Operation::Remove => (
                vec![("remove", 1), ("ack", n - 2)],
                key,
                vec![(Role::Sender, 1, n - 2), (Role::Recipient, n - 2, n - 3.min(n))],
            ),
            Operation::Update => (
                vec![("update", 1), ("ack", n - 1)],
                key,
                vec![(Role::Sender, 1, n - 1), (Role::Recipient, n - 1, n - 2)],
            ),
            Operation::CreateMesh | Operation::UpdateCold => return None,
            Operation::ConcurrentUpdates(_) | Operation::PartitionHeal => return None,
            Operation::PartitionRecovery { .. } | Operation::AddAfter(_) | Operation::UpdateAfter(_) => return None,
            Operation::RemoveTogether | Operation::UpdateTogether => return None,
            Operation::Message | Operation::MessageAfterRemove => {
                let n = n - u64::from(operation == Operation::MessageAfterRemove);
                let counts =
                    vec![(Role::Sender, Phase::Generate, crypt), (Role::Recipient, Phase::Process, (n - 1) * crypt)];
                return Some(Expected::new(vec![("message", 1)], counts));
            }
        };
        let mut counts = vec![(Role::Sender, Phase::Generate, generate)];
        for (role, members, acks) in rows {
            if role != Role::Sender {
                counts.push((role, Phase::Process, members * key));
            }
            counts.push((role, Phase::Responses, (members * acks) * ack));
        }
        Some(Expected::new(messages, counts))
    }
}

#[derive(Clone)]
struct ToyMember {
    flaw: Flaw,
    id: MemberId,
    group: Option<GroupId>,
    members: Vec<MemberId>,
    key: [u8; 32],
    acks: u64,
    sent: u32,
    removed: bool,
    /// Key material that the member received with its own removal.
    stolen: Option<Vec<u8>>,
}

impl ToyMember {
    fn fresh(&self, rng: &mut dyn CryptoRng) -> [u8; 32] {
        let fresh = random(rng);
        match self.flaw {
            Flaw::ConstantSecret => [0; 32],
            _ => fresh,
        }
    }

    fn rekey(&mut self, fresh: &[u8]) {
        self.key = hash::hash(KEY, &[fresh]).0;
        if self.flaw == Flaw::Wasteful {
            let _ = hash::hash(KEY, &[fresh]);
        }
        if self.flaw == Flaw::Splits && self.members.first() == Some(&self.id) {
            self.key[0] ^= 1;
        }
    }

    fn message_key(&self, author: &MemberId, number: u32) -> aead::OneTimeKey {
        let context = [&author.0[..], &number.to_be_bytes()].concat();
        aead::OneTimeKey::new(kdf::derive(KEY, &[], &self.key, &context))
    }

    fn leave(&mut self) {
        self.group = None;
        self.members.clear();
        self.key = [0; 32];
        self.removed = true;
    }

    fn ack(&self) -> Vec<Outgoing> {
        if self.flaw == Flaw::SkipsAck && self.members.first() == Some(&self.id) {
            return Vec::new();
        }
        vec![everyone("ack", b"K", &[])]
    }

    fn in_group(&self) -> Result<(), Error> {
        self.group.map(|_| ()).ok_or(Error::NotInGroup)
    }
}

impl Member for ToyMember {
    fn id(&self) -> MemberId {
        self.id
    }

    fn group(&self) -> Option<GroupId> {
        self.group
    }

    fn members(&self) -> Vec<MemberId> {
        self.members.clone()
    }

    fn create(&mut self, others: &[MemberId], context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        for other in others {
            context.directory.one_time(other).ok_or(Error::NoBundle)?;
        }
        let fresh = self.fresh(context.rng);
        self.members = sorted(others.iter().copied().chain([self.id]));
        self.group = Some(GroupId::new(&self.id, &hash::Digest(fresh)));
        self.rekey(&fresh);
        Ok(vec![everyone("create", b"C", &[&fresh, &joined(&self.members)])])
    }

    fn add(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.in_group()?;
        context.directory.one_time(user).ok_or(Error::NoBundle)?;
        let fresh = self.fresh(context.rng);
        self.members = sorted(self.members.iter().copied().chain([*user]));
        self.rekey(&fresh);
        let welcome = everyone("welcome", b"W", &[&fresh, &joined(&self.members)]);
        Ok(vec![Outgoing { to: Recipients::One(*user), ..welcome }, everyone("add", b"A", &[&fresh, &user.0])])
    }

    fn remove(&mut self, user: &MemberId, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.in_group()?;
        let fresh = self.fresh(context.rng);
        self.members.retain(|member| member != user);
        let old = self.key;
        self.rekey(&fresh);
        if self.flaw.keeps_key() {
            self.key = old;
        }
        Ok(vec![everyone("remove", b"R", &[&fresh, &user.0])])
    }

    fn update(&mut self, context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.in_group()?;
        match self.flaw {
            Flaw::Hangs => std::thread::sleep(std::time::Duration::from_secs(3600)),
            #[allow(clippy::panic, reason = "the fault")]
            Flaw::Crashes => panic!("the toy crashes as planned"),
            _ => {}
        }
        let fresh = self.fresh(context.rng);
        self.rekey(&fresh);
        Ok(vec![everyone("update", b"U", &[&fresh])])
    }

    fn send(&mut self, plaintext: &[u8], _context: &mut Context<'_>) -> Result<Vec<Outgoing>, Error> {
        self.in_group()?;
        self.sent = self.sent.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let sealed = self.message_key(&self.id, self.sent).seal(plaintext, &[])?;
        let message = everyone("message", b"M", &[&self.sent.to_be_bytes(), &sealed]);
        if self.flaw == Flaw::HiddenKeepsKey {
            let others = self.members.iter().filter(|member| **member != self.id);
            return Ok(others.map(|other| Outgoing { to: Recipients::One(*other), ..message.clone() }).collect());
        }
        Ok(vec![message])
    }

    fn receive_one(&mut self, message: &Incoming<'_>, _context: &mut Context<'_>) -> Result<Received, Error> {
        let (check, bytes) = message.bytes.split_last().ok_or(Error::Malformed)?;
        if *check != check_byte(bytes) {
            return Err(Error::NotAuthentic);
        }
        let (tag, body) = bytes.split_first().ok_or(Error::Malformed)?;
        let removed_reader = self.flaw == Flaw::Leaks && self.members.is_empty() && *tag == b'M';
        // An acknowledgement may be there before what it acknowledges.
        let early = *tag == b'K' && !self.removed;
        if !matches!(tag, b'C' | b'W') && !early && self.group.is_none() && !removed_reader {
            // The joiner receives its own add before or after its welcome.
            return if *tag == b'A' { Ok(Received::default()) } else { Err(Error::NotInGroup) };
        }
        let by = message.author;
        let mut received = Received::default();
        if by == self.id {
            return Ok(received);
        }
        match tag {
            b'C' | b'W' => {
                let (fresh, members) = body.split_at_checked(32).ok_or(Error::Malformed)?;
                if self.flaw == Flaw::Rejects && *tag == b'W' {
                    let rule = protocol::member::Rule::Form;
                    received.events.push(Event::Rejected { from: by, rule });
                }
                let (members, []) = members.as_chunks::<MEMBER_ID_LEN>() else { return Err(Error::Malformed) };
                self.members = members.iter().copied().map(MemberId).collect();
                self.group = Some(message.group);
                self.rekey(fresh);
                received.outgoing = self.ack();
                received.events.push(Event::Joined { inviter: by });
            }
            b'A' => {
                let (fresh, user) = key_and_user(body)?;
                if user != self.id {
                    self.members = sorted(self.members.iter().copied().chain([user]));
                    self.rekey(fresh);
                    received.outgoing = self.ack();
                    received.events.push(Event::Added { by, user });
                }
            }
            b'R' => {
                let (fresh, user) = key_and_user(body)?;
                let old = self.key;
                if user == self.id {
                    if self.flaw == Flaw::Leaks {
                        self.stolen = Some(fresh.to_vec());
                    }
                    self.leave();
                } else {
                    self.members.retain(|member| *member != user);
                    self.rekey(fresh);
                    if self.flaw.keeps_key() {
                        self.key = old;
                    }
                    received.outgoing = self.ack();
                }
                received.events.push(Event::Removed { by, user });
            }
            b'U' => {
                self.rekey(body);
                received.outgoing = self.ack();
                received.events.push(Event::Updated { by });
            }
            b'K' => {
                self.acks += u64::from(hash::hash(ACK, &[&by.0]).0[0] | 1);
                received.events.push(Event::Acked { by });
            }
            b'M' => {
                if let Some(fresh) = self.stolen.take() {
                    self.rekey(&fresh);
                }
                let (number, sealed) = body.split_at_checked(4).ok_or(Error::Malformed)?;
                let number = u32::from_be_bytes(number.try_into().map_err(|_| Error::Malformed)?);
                let plaintext = self.message_key(&by, number).open(sealed, &[])?.expose().to_vec();
                received.events.push(Event::Message { from: by, plaintext });
            }
            _ => return Err(Error::Malformed),
        }
        Ok(received)
    }

    fn fingerprints(&self) -> Option<Vec<(MemberId, [u8; 32])>> {
        if matches!(self.flaw, Flaw::Hidden | Flaw::HiddenKeepsKey) {
            return None;
        }
        let print = |member: &MemberId| (*member, hash::hash(FINGERPRINT, &[&self.key, &member.0]).0);
        Some(self.members.iter().map(print).collect())
    }

    fn export(&self) -> Vec<u8> {
        [&self.key[..], &joined(&self.members), &self.acks.to_be_bytes()].concat()
    }

    fn duplicate(&self) -> Box<dyn Member> {
        Box::new(self.clone())
    }
}

fn everyone(kind: &'static str, tag: &[u8], parts: &[&[u8]]) -> Outgoing {
    let mut bytes = [tag, &parts.concat()].concat();
    bytes.push(check_byte(&bytes));
    Outgoing { to: Recipients::Everyone, kind, bytes }
}

/// The last byte of a message, which replaces a signature: costs no counted primitive, and reveals every single altered byte.
fn check_byte(body: &[u8]) -> u8 {
    body.iter().fold(0, |sum, byte| sum ^ byte)
}

fn key_and_user(body: &[u8]) -> Result<(&[u8], MemberId), Error> {
    let (fresh, user) = body.split_at_checked(32).ok_or(Error::Malformed)?;
    Ok((fresh, MemberId(user.try_into().map_err(|_| Error::Malformed)?)))
}

fn sorted(members: impl Iterator<Item = MemberId>) -> Vec<MemberId> {
    let mut members: Vec<MemberId> = members.collect();
    members.sort_unstable();
    members
}

fn joined(members: &[MemberId]) -> Vec<u8> {
    members.iter().flat_map(|member| member.0).collect()
}

fn random<const N: usize>(rng: &mut dyn CryptoRng) -> [u8; N] {
    let mut bytes = [0; N];
    rng.fill_bytes(&mut bytes);
    bytes
}
