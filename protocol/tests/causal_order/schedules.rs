//! Random histories with messages under tags, forgeries, and users that become known late, in random orders: everything
//! genuine is delivered, also after restarts, and also if the forger is a member who knows the secrets.

use protocol::causal_order::CausalOrder;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::VerificationKey;
use protocol::error::Error;
use protocol::id::{Handle, MemberId, MessageId};
use protocol::wire::codec::Reader;
use protocol::wire::envelope::{Draft, Envelope, Kind, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::{Rng as _, SeedableRng as _};

use crate::{Author, GROUP, encode};

const SCHEDULES: u64 = 300;
const USERS: usize = 6;
/// This number of users is known from the start; each of the others is when its add has been delivered.
const KNOWN: usize = 3;
const ADD: Kind = Kind(2);

fn user(index: usize) -> Author {
    Author::new(10 + index as u64)
}

/// The secret of an acknowledgement, and whether the receiver knows it.
fn secret(by: &MemberId, other: &MemberId, number: u32) -> (Secret, bool) {
    let mix = by.0[0] ^ other.0[0].rotate_left(3) ^ (number as u8).wrapping_mul(37);
    (Secret::new([mix; 32]), mix & 4 == 0)
}

/// An acknowledgement under a tag.
fn tag(by: MemberId, number: u32, (other, acknowledged): (MemberId, u32), secret: &Secret) -> Vec<u8> {
    let subject = Subject::Acknowledged(other, acknowledged);
    let draft = Draft { kind: Kind::TAGGED, sender: by, number, subject, new_key: None, body: &[] };
    draft.tag(&GROUP, (by.handle(), Some(other.handle())), secret).0
}

struct Message {
    author: MemberId,
    bytes: Vec<u8>,
    genuine: bool,
}

/// What the users send.
struct Sent<'a> {
    rng: &'a mut ChaCha20Rng,
    /// Whether some of the forgeries have right tags.
    traitor: bool,
    authors: Vec<Author>,
    introduced: usize,
    /// What each has acknowledged since its last signed message.
    before: Vec<Vec<(Handle, MessageId)>>,
    /// The last message of each that is no acknowledgement.
    control: [u32; USERS],
    messages: Vec<Message>,
}

impl Sent<'_> {
    fn draw(&mut self, below: usize) -> usize {
        self.rng.next_u32() as usize % below
    }

    fn send(&mut self, by: usize, last: bool) {
        let other = self.draw(self.introduced);
        let (author, named) = (self.authors[by].id, (self.authors[other].id, self.control[other]));
        let can_acknowledge = other != by && named.1 > 0;
        let choice = self.draw(6);
        self.authors[by].number += 1;
        let number = self.authors[by].number;
        if !last && can_acknowledge && choice < 3 {
            let bytes = tag(author, number, named, &secret(&author, &named.0, named.1).0);
            self.before[by].push((named.0.handle(), MessageId { author: named.0, number: named.1 }));
            self.messages.push(Message { author, bytes, genuine: true });
            return;
        }
        let adds = !last && choice == 3 && self.introduced < USERS;
        let subject = match can_acknowledge && choice > 3 {
            true => Subject::Acknowledged(named.0, named.1),
            false => Subject::None,
        };
        let next = (self.draw(3) == 0).then(|| Author::new(1000 + self.messages.len() as u64).key);
        let length = self.draw(5);
        let (kind, body) = if adds { (ADD, vec![self.introduced as u8]) } else { (Kind(1), vec![7; length]) };
        self.introduced += usize::from(adds);
        let before = core::mem::take(&mut self.before[by]);
        let new_key = next.as_ref().map(|key| key.verification_key());
        let draft = Draft { kind, sender: author, number, subject, new_key, body: &body };
        let bytes = draft.sign_after(&GROUP, handles(author, &subject), &before, &self.authors[by].key).0;
        self.messages.push(Message { author, bytes, genuine: true });
        if let Some(next) = next {
            self.authors[by].key = next;
        }
        if subject == Subject::None {
            self.control[by] = number;
        }
    }

    /// A forgery with about the number of a genuine message.
    fn forge(&mut self, of: usize) {
        let Message { author, bytes, .. } = &self.messages[of];
        let (author, number) = (*author, Envelope::decode(bytes).unwrap().number);
        let number = (number + self.draw(3) as u32).saturating_sub(1).max(1);
        // One of the users is never known.
        let other = user(self.draw(USERS + 1)).id;
        let most = if self.traitor { 4 } else { self.authors[0].number as usize + 3 };
        let acknowledged = 1 + self.draw(most) as u32;
        let subject = Subject::Acknowledged(other, acknowledged);
        let bytes = if self.draw(2) == 0 {
            let guess = Secret::new([self.draw(3) as u8; 32]);
            let right = secret(&author, &other, acknowledged).0;
            let knows = self.traitor && self.draw(2) == 0;
            tag(author, number, (other, acknowledged), if knows { &right } else { &guess })
        } else {
            let length = self.draw(3).min(number as usize - 1);
            let messages = (0..length).map(|_| user(self.draw(USERS + 1)).id);
            let history: Vec<_> = messages.map(|author| (author.handle(), MessageId { author, number: 1 })).collect();
            let draft = Draft { kind: Kind(1), sender: author, number, subject, new_key: None, body: b"f" };
            draft.sign_after(&GROUP, handles(author, &subject), &history, &Author::new(3).key).0
        };
        let envelope = Envelope::decode(&bytes).unwrap();
        let digest = envelope.digest(&GROUP, &author, &subject);
        let is_right = envelope.has_tag_of(&digest, &secret(&author, &other, acknowledged).0);
        if self.traitor || !is_right {
            self.messages.push(Message { author, bytes, genuine: false });
        }
    }

    /// Brings the messages into an order: any, or one in which none comes much earlier than it was sent.
    fn shuffle(&mut self) {
        let count = self.messages.len();
        let spread = [count, 20, 8][self.draw(3)];
        for place in 0..count {
            let end = count.min(place + spread);
            let other = place + self.draw(end - place);
            self.messages.swap(place, other);
        }
    }
}

fn handles(by: MemberId, subject: &Subject<MemberId>) -> (Handle, Option<Handle>) {
    (by.handle(), subject.name().map(|id| id.handle()))
}

struct Receiver {
    order: CausalOrder,
    delivered: usize,
    traitor: bool,
    taken: usize,
}

impl Receiver {
    fn receive(&mut self, message: &Message) {
        let Message { author: id, bytes, genuine } = message;
        let envelope = Envelope::decode(bytes).unwrap();
        if let Some(tagged) = self.order.arrives(id, &GROUP, &envelope) {
            let (secret, known) = secret(id, &tagged.acknowledged.author, tagged.acknowledged.number);
            if known && tagged.is_authentic(&secret) {
                assert!(self.traitor || *genuine);
                self.order.taken(id);
                self.taken += 1;
            }
        } else {
            let receipt = self.order.receive_decoded(id, &GROUP, &envelope, None);
            let full = envelope.is_tagged() && receipt == Err(Error::QueueFull);
            assert!(receipt.is_ok() || !genuine || full, "{receipt:?}");
        }
        loop {
            self.settle();
            if let Some((id, message)) = self.order.deliver(|_, _, _| true) {
                assert!(
                    message.subject.acknowledged().is_none_or(|on| self.order.has_delivered(&on.author, on.number))
                );
                assert!(self.order.frontier(&id).map(|(number, _)| number) == Some(message.number));
                self.delivered += 1;
                if message.kind.0 & 0x0f == ADD.0 {
                    let added = user(message.body[0].into());
                    self.order.introduce(added.id, added.key.verification_key(), 0, &GROUP);
                }
            } else {
                break;
            }
        }
        assert!(self.order.take_contradicting().is_empty());
    }

    fn settle(&mut self) {
        while let Some((id, candidates)) = self.order.due(&GROUP) {
            let is_authentic = candidates.iter().any(|tagged| {
                let (secret, known) = secret(&id, &tagged.acknowledged.author, tagged.acknowledged.number);
                known && tagged.is_authentic(&secret)
            });
            if is_authentic {
                self.order.taken(&id);
                self.taken += 1;
            }
        }
    }

    fn restart(&mut self) {
        let state = encode(&self.order);
        self.order = CausalOrder::with_tags().read(&mut Reader::new(&state)).unwrap();
        assert!(encode(&self.order) == state);
    }
}

/// What came of a schedule.
struct Outcome {
    genuine: usize,
    delivered: usize,
    /// How many acknowledgements were taken by their tags.
    taken: usize,
    /// Whether every author has been followed to its last message, and under its last key.
    followed: bool,
}

fn run(seed: u64, traitor: bool) -> Outcome {
    let mut rng = ChaCha20Rng::seed_from_u64(seed);
    let (count, flood) = (10 + rng.next_u32() as usize % 50, rng.next_u32() as usize % 4);
    let mut sent = Sent {
        rng: &mut rng,
        traitor,
        authors: (0..USERS).map(user).collect(),
        introduced: KNOWN,
        before: vec![Vec::new(); USERS],
        control: [0; USERS],
        messages: Vec::new(),
    };
    for _ in 0..count {
        let by = sent.draw(sent.introduced);
        sent.send(by, false);
    }
    // In the end everybody signs.
    (0..sent.introduced).for_each(|by| sent.send(by, true));
    let genuine = sent.messages.len();
    (0..genuine * flood).for_each(|index| sent.forge(index % genuine));
    sent.shuffle();
    let mut receiver = Receiver { order: CausalOrder::with_tags(), delivered: 0, traitor, taken: 0 };
    let key = |index: usize| -> VerificationKey { user(index).key.verification_key() };
    (0..KNOWN).for_each(|index| receiver.order.introduce(user(index).id, key(index), 0, &GROUP));
    let restarts = sent.draw(3) == 0;
    for place in 0..sent.messages.len() {
        receiver.receive(&sent.messages[place]);
        if restarts && sent.draw(10) == 0 {
            receiver.restart();
        }
    }
    let follows = |author: &Author| {
        let last = (author.number, *author.key.verification_key().as_bytes());
        receiver.order.frontier(&author.id) == Some(last)
    };
    let followed = sent.authors[..sent.introduced].iter().all(follows);
    Outcome { genuine, delivered: receiver.delivered, taken: receiver.taken, followed }
}

#[test]
fn everything_genuine_is_delivered_once_in_any_order_among_forgeries() {
    let mut taken = [0, 0];
    for traitor in [false, true] {
        for seed in 0..SCHEDULES {
            let outcome = run(seed, traitor);
            let Outcome { genuine, delivered, followed, .. } = outcome;
            assert_eq!((delivered, followed), (genuine, true), "seed {seed}, a member forges: {traitor}");
            taken[usize::from(traitor)] += outcome.taken;
        }
    }
    // Tags are taken, and forged ones are.
    assert!(taken[0] > 200 && taken[1] > taken[0] + 50, "{taken:?}");
}
