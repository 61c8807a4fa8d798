//! Who must read nothing, or speak for nobody: the network, which knows all constants; a thief of a state; and a member
//! that invites another. Each can do it where nothing prevents it.

use protocol::crypto::aead::OneTimeKey;
use protocol::crypto::dh::PublicKey;
use protocol::crypto::hash::{DIGEST_LEN, Digest};
use protocol::crypto::kdf::{self, Extracted};
use protocol::crypto::label;
use protocol::crypto::secret::Secret;
use protocol::crypto::signature::SigningKey;
use protocol::directory::Directory as _;
use protocol::id::MemberId;
use protocol::member::{Backend as _, Context, Event, Incoming};
use protocol::wire::codec::Reader;
use protocol::wire::envelope::{Envelope, Subject};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

use super::common::{COLD, COMMITMENT, World, carry, says_none};
use super::malicious::{ACK_NONE, ADD_ACK, Invitation, MESSAGE, Malicious, UPDATE};

/// A step of a ratchet: the update secret, and the next ratchet.
fn step(ratchet: &Secret, input: &[u8]) -> (Secret, Secret) {
    kdf::split(&kdf::derive::<64>(label::RATCHET, ratchet.expose(), input, &[]))
}

/// The key of the first message after a step with this update secret.
fn first_key(update_secret: &Secret) -> OneTimeKey {
    OneTimeKey::new(Extracted::new(&[0; DIGEST_LEN], update_secret.expose()).expand(label::MESSAGE_KEY, &[]))
}

/// Whether the network reads a message: with the ratchet that everybody begins with, and its step at an add.
fn network_reads(bytes: &[u8]) -> bool {
    let envelope = Envelope::decode(bytes).unwrap();
    let (update_secret, _) = step(&Secret::new([0; DIGEST_LEN]), label::ADD_STEP);
    first_key(&update_secret).open(envelope.body, envelope.header).is_ok()
}

/// The next one-time prekey of a user that the directory hands out is not the user's. It is not signed.
fn spoil_prekey(world: &World, user: usize) {
    let (id, bundle) = (world.id(user), world.directory.bundle(&world.id(user)).unwrap());
    let spoilt = [&77_u32.to_be_bytes()[..], &world.directory.one_time(&id).unwrap()[4..]].concat();
    world.directory.publish(id, bundle, vec![spoilt]);
}

#[test]
fn who_lost_its_first_secret_never_speaks_under_a_key_that_everybody_knows() {
    let founder = {
        let mut world = World::new(5, 480);
        spoil_prekey(&world, 3);
        world.create(0, &[1, 2, 3]);
        world
    };
    let joiner = {
        let mut world = World::with_group(3, 5, 481);
        spoil_prekey(&world, 3);
        world.add(0, 3);
        world
    };
    // Nobody is malicious: the directory cannot be reached while the joiner processes its add.
    let outage = {
        let mut world = World::with_group(3, 5, 482);
        let (id, bundle) = (world.id(0), world.directory.bundle(&world.id(0)).unwrap());
        let add = world.add(0, 3);
        world.directory.withdraw(&id);
        carry(&mut world, &[&add], &[3]);
        world.directory.publish(id, bundle, Vec::new());
        world
    };
    for mut world in [founder, joiner, outage] {
        world.settle();
        assert!((0..world.sent.len()).any(|place| says_none(&world, place) && world.sent[place].author == 3));
        // Its answer to an add steps its ratchet.
        world.add(1, 4);
        world.settle();
        let said = world.say(3, "secret");
        assert_eq!(world.kinds(&said), ["update", "message"]);
        assert!(!network_reads(&world.sent[said[1]].bytes));
        world.settle();
        assert!([0, 1, 2, 4].into_iter().all(|user| world.has_read(user, 3, "secret")));
    }
    // The network could read a message under that key.
    let world = World::with_group(3, 3, 483);
    let member = Malicious::rob(&world, 0);
    let header = member.draft(MESSAGE, &[]).header(member.id.handle());
    let (update_secret, _) = step(&Secret::new([0; DIGEST_LEN]), label::ADD_STEP);
    let body = first_key(&update_secret).seal(b"secret", &header).unwrap();
    assert!(network_reads(&member.sign(&world, &member.draft(MESSAGE, &body))));
}

/// How many messages of a user a thief reads, of those from a place on. It hears everything.
fn thief_reads(world: &World, state: &[u8], from: usize, author: usize) -> usize {
    let mut thief = crate::VARIANT.steal(state).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(9);
    let mut read = 0;
    for sent in &world.sent[from..] {
        let mut context = Context { rng: &mut rng, directory: &world.directory, confirm_inviter: &|_| true };
        let incoming = Incoming { group: world.group, author: world.id(sent.author), bytes: &sent.bytes };
        let events = thief.receive_one(&incoming, &mut context).unwrap_or_default().events;
        let from_author = |event: &&Event| matches!(event, Event::Message { from, .. } if *from == world.id(author));
        read += events.iter().filter(from_author).count();
    }
    read
}

#[test]
fn an_update_heals_a_member_that_loses_its_seed_only_with_the_next_one() {
    for (updates, spoilt, read) in [(0, false, 2), (1, false, 0), (1, true, 2), (2, true, 0)] {
        let mut world = World::with_group(4, 4, 484);
        let (stolen, from) = (world.users[1].member.export(), world.sent.len());
        if spoilt {
            spoil_prekey(&world, 3);
        }
        for _ in 0..updates {
            world.update(1);
            world.settle();
        }
        assert_eq!(spoilt, (from..world.sent.len()).any(|place| says_none(&world, place)));
        world.say(3, "one");
        world.say(3, "two");
        assert_eq!(thief_reads(&world, &stolen, from, 3), read, "updates: {updates}, spoilt: {spoilt}");
    }
}

#[test]
fn a_thief_keeps_the_prekeys_that_their_owner_deletes() {
    let mut world = World::with_group(4, 4, 485);
    let (id, bundle) = (world.id(3), world.directory.bundle(&world.id(3)).unwrap());
    let prekey = world.directory.one_time(&id).unwrap();
    world.directory.publish(id, bundle, vec![prekey.clone(), prekey]);
    let (stolen, from) = (world.users[3].member.export(), world.sent.len());
    for updater in [1, 2] {
        world.update(updater);
        world.settle();
    }
    // The owner has lost user 2, and the thief has not.
    world.say(2, "hello");
    world.settle();
    assert!(!world.has_read(3, 2, "hello"));
    assert_eq!(thief_reads(&world, &stolen, from, 2), 1);
}

/// How the liar encrypts to the fresh key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answers {
    /// To that key alone.
    Anonymously,
    /// With its own identity.
    AsItself,
    /// With the identity of the other member, whose device it has robbed.
    AsTheOther,
}

#[test]
fn an_inviter_cannot_return_a_ratchet_in_another_members_name() {
    const OTHER: usize = 0;
    const LIAR: usize = 2;
    const JOINER: usize = 3;
    for answers in [Answers::Anonymously, Answers::AsItself, Answers::AsTheOther] {
        let mut world = World::with_group(3, 4, 486);
        let update = world.update(OTHER)[0];
        world.settle();
        let key = Envelope::decode(&world.sent[update].bytes).unwrap().new_key.unwrap();
        // The liar's welcome names a key of its own for the other member. Only the joiner gets it.
        let [liar, mut other] = [LIAR, OTHER].map(|user| Malicious::rob(&world, user));
        other.key = SigningKey::random(&mut other.rng);
        if answers != Answers::AsTheOther {
            other.prekeys = liar.prekeys.clone();
        }
        let [add, welcome] = world.add(LIAR, JOINER)[..] else { panic!("an add and a welcome") };
        let mut invitation = Invitation::of(&world, add, welcome);
        let at = invitation.state.windows(32).position(|it| *it == key).unwrap();
        invitation.state[at..at + 32].copy_from_slice(other.key.verification_key().as_bytes());
        let digest = Digest(Envelope::decode(&world.sent[welcome].bytes).unwrap().body[..32].try_into().unwrap());
        world.sent[welcome].bytes = invitation.sign_welcome(&world, &liar, &digest, &liar.identity);
        carry(&mut world, &[&[add, welcome]], &[JOINER]);

        // In the other's name, a useless answer to the add, so that the joiner asks.
        let subject = Subject::Acknowledged(liar.id, invitation.number);
        let useless = [&[1][..], &[0; COLD - 1], &[0; COMMITMENT]].concat();
        let answer = other.post(&mut world, ADD_ACK, subject, &useless);
        let asked = carry(&mut world, &[&[answer]], &[JOINER]);
        let mut reader = Reader::new(Envelope::decode(&world.sent[*asked.last().unwrap()].bytes).unwrap().body);
        let fresh = (reader.varint().unwrap(), PublicKey(reader.array().unwrap()));
        // And an update that returns a ratchet.
        let (seed, ratchet) = (other.secret(), other.secret());
        let (first, second) = (other.payload(&seed), other.payload(&ratchet));
        let slot = match answers {
            Answers::Anonymously => other.hpke_slot(&world, JOINER, fresh, &first),
            Answers::AsItself | Answers::AsTheOther => other.fresh_slot(&world, JOINER, fresh, &first),
        };
        let mut body = other.seeded(&world, &seed, &[(1, vec![0]), (LIAR, vec![0]), (JOINER, slot)]);
        body.extend(other.commitment(&world, label::RATCHET_COMMITMENT, &ratchet));
        body.extend_from_slice(&world.id(JOINER).handle().0);
        body.extend(other.slot(&world, JOINER, &second));
        let update = other.post(&mut world, UPDATE, Subject::None, &body);
        let taken = carry(&mut world, &[&[update]], &[JOINER]);
        assert_eq!(says_none(&world, taken[0]), answers != Answers::AsTheOther, "{answers:?}");

        let member_secret =
            |id: &MemberId| Extracted::new(label::SEED, seed.expose()).expand(label::MEMBER_SECRET, &id.0);
        let secret: Secret = member_secret(&other.id);
        let header = other.draft(MESSAGE, &[]).header(other.id.handle());
        let body = first_key(&step(&ratchet, secret.expose()).0).seal(b"pay the liar", &header).unwrap();
        let message = other.post(&mut world, MESSAGE, Subject::None, &body);
        carry(&mut world, &[&[message]], &[JOINER]);
        let fooled = world.has_read(JOINER, OTHER, "pay the liar");
        assert_eq!(fooled, answers == Answers::AsTheOther, "{answers:?}");
    }
}

/// How an inviter deceives its joiner about a user that has not joined.
#[derive(Clone, Copy, Debug)]
struct Deceit {
    /// It has the user's keys. Otherwise its welcome names a key of its own for the user.
    robbed: bool,
    /// In the user's name, it sends the joiner the first state. Otherwise it sends nothing.
    sealed: bool,
    /// Another member has added the user too, and knows the joiner.
    known: bool,
}

/// Whether a joiner takes a message for one of a user that its welcome names as not joined. Everybody knows that user's first
/// state.
fn is_deceived(deceit: Deceit) -> bool {
    const LIAR: usize = 0;
    const INNOCENT: usize = 1;
    const OTHER: usize = 2;
    const JOINER: usize = 3;
    let mut world = World::with_group(2, 4, 487);
    let number = |world: &World, place: usize| Envelope::decode(&world.sent[place].bytes).unwrap().number;
    let known =
        if deceit.known { [world.add(INNOCENT, JOINER), world.add(INNOCENT, OTHER)].concat() } else { Vec::new() };
    let adds = world.add(LIAR, OTHER);
    let [liar, mut other] = [LIAR, OTHER].map(|user| Malicious::rob(&world, user));
    let [add, welcome] = world.add(LIAR, JOINER)[..] else { panic!("an add and a welcome") };
    let mut invitation = Invitation::of(&world, add, welcome);
    if deceit.robbed {
        other.key = other.identity.clone();
    } else {
        other.key = SigningKey::random(&mut other.rng);
        other.prekeys = liar.prekeys.clone();
        // The other comes last in the state: it has sent nothing, and its key is its id.
        let flag = invitation.state.len() - 1;
        assert_eq!(invitation.state[flag - 1..], [0, 0]);
        invitation.state[flag] = 1;
        invitation.state.extend_from_slice(other.key.verification_key().as_bytes());
    }
    let digest = Digest(Envelope::decode(&world.sent[welcome].bytes).unwrap().body[..32].try_into().unwrap());
    world.sent[welcome].bytes = invitation.sign_welcome(&world, &liar, &digest, &liar.identity);
    carry(&mut world, &[&[add, welcome], &known], &[JOINER]);
    assert!(world.is_inside(JOINER));

    // The other joins without a secret, answers the joiner's add, and speaks.
    other.number = 0;
    let joins_by = match known[..] {
        [.., add, _welcome] => Subject::Acknowledged(world.id(INNOCENT), number(&world, add)),
        _ => Subject::Acknowledged(liar.id, number(&world, adds[0])),
    };
    let none = other.post(&mut world, ACK_NONE, joins_by, &[]);
    let first = Secret::new([0; DIGEST_LEN]);
    let mut body = vec![0];
    if deceit.sealed {
        let payload = other.payload(&first);
        body = other.slot(&world, JOINER, &payload);
        body.extend(other.commitment(&world, label::RATCHET_COMMITMENT, &first));
    }
    let answer = other.post(&mut world, ADD_ACK, Subject::Acknowledged(liar.id, invitation.number), &body);
    let header = other.draft(MESSAGE, &[]).header(other.id.handle());
    let (update_secret, _) = step(&first, label::ADD_STEP);
    let body = first_key(&update_secret).seal(b"pay the liar", &header).unwrap();
    let message = other.post(&mut world, MESSAGE, Subject::None, &body);
    carry(&mut world, &[&[none, answer, message]], &[JOINER]);
    world.has_read(JOINER, OTHER, "pay the liar")
}

#[test]
fn an_inviter_cannot_speak_for_a_member_that_its_welcome_names_as_not_joined() {
    for (robbed, sealed, known) in
        [(false, false, false), (false, true, false), (false, false, true), (true, true, false), (true, false, true)]
    {
        let deceit = Deceit { robbed, sealed, known };
        assert_eq!(is_deceived(deceit), robbed, "{deceit:?}");
    }
}
