//! What an eavesdropper sees: no key and nonce encrypt two messages, equal plaintexts do not look alike, and neither
//! plaintexts nor what members draw stand in a message in clear.
//!
//! The check knows every plaintext and every draw, and searches for them at all positions. It needs no knowledge of the
//! messages' layout. A shared keystream shows where message and plaintext, combined by XOR, are the same in two
//! messages. If a plaintext consists of one byte, all positions in it are alike, so each position in a message needs
//! only one comparison.

use std::collections::{BTreeMap, BTreeSet};

use rand_core::Rng as _;

use super::derived;
use super::search::{BLOCK, Keystreams, Known, blocks, repeats};
use super::trial::Trial;
use crate::crypto::tap::Tap;
use crate::member::COMMIT;
use crate::operation::{Operation, PLAINTEXT_LEN, Start};
use crate::stage::recorder::Alters;
use crate::stage::talk::disjoint;
use crate::stage::verdict::{Verdict, ensure};
use crate::stage::world::{Action, Sent, World, stream};

const SIZE: usize = 3;
/// The length of the plaintexts.
const LEN: usize = 96;
/// The byte of the plaintext that is sent again and again. The others are below 128: differences such as 0xff occur in
/// headers.
const SAME: u8 = 0xa5;
const OTHERS: u8 = 128;
/// The number of messages after which a counter of one byte begins again, and some more.
const CHAIN: usize = 260;
/// The number of consecutive bytes by which a plaintext is recognized.
const TELLING: usize = 9;
/// The length of a value that may be public by declaration.
const MAX_PUBLIC: usize = 32;
/// How many draws of an author may be what it encrypts in an operation of a large group. Each is compared with all its
/// messages, and the secrets come before the keys that they are encrypted with.
const FIRST_DRAWS: usize = 4;

pub(super) fn check(trial: &mut Trial<'_>) -> Verdict {
    let mut public = Public { kinds: trial.capabilities().public_randomness, seen: BTreeSet::new() };
    trial.enter("making users", 1);
    let mut rng = stream(trial.seed, 0);
    let user = trial.backend().new_user(SIZE, &mut rng);
    let known = Known::new(BLOCK, rng.draws.iter().map(Vec::as_slice));
    for bytes in user.one_time.iter().chain([&user.bundle]) {
        let found = known.found_in(&without(bytes, &[&user.id.0]));
        public.judge("bundle", &found)?;
    }
    for operation in Operation::ALL {
        if trial.supports(operation, SIZE) {
            trial.enter(operation.name(), SIZE);
            let tap = Tap::start();
            let world = operate(trial.world(operation.start(), 1)?, operation, &mut public)?;
            derived::in_clear(&world, &tap.end())?;
        }
    }
    trial.enter("several operations", SIZE);
    several(trial.world(Start::Conversed, 1)?, trial, &mut public)?;
    in_flight(trial, &mut public)?;
    trial.enter("a long chain", 2);
    chain(trial.world(Start::Conversed, 0)?, &mut public)?;
    trial.enter("two groups", SIZE);
    two_groups(trial.world(Start::Users, 0)?, trial.seed, &mut public)?;
    let void = public.kinds.iter().find(|kind| !public.seen.contains(*kind));
    ensure(void.is_none(), || {
        format!("public randomness is declared for messages of kind `{}`, and none carries any", void.unwrap_or(&""))
    })?;
    Ok(())
}

/// Everything that was sent in a large group so far.
pub(super) fn all_sent(trial: &Trial<'_>, world: &World<'_>) -> Verdict {
    Tape::of(world).judge()?;
    Public { kinds: trial.capabilities().public_randomness, seen: BTreeSet::new() }.clear(world)
}

/// Conversations before and after an operation, and after a restart of all members.
fn operate<'a>(mut world: World<'a>, operation: Operation, public: &mut Public) -> Verdict<World<'a>> {
    let mut tape = Tape::default();
    if operation.start() >= Start::Created {
        tape.converse(&mut world)?;
    }
    let (operator, action) = Action::of(operation, SIZE);
    let before = world.fork()?;
    tape.record(&mut world, |world| world.run(operator, &action).map(drop))?;
    public.clear(&world)?;
    public.matters_not(&before, &world, operation)?;
    tape.converse(&mut world)?;
    let mut world = world.fork()?;
    tape.converse(&mut world)?;
    public.clear(&world)?;
    tape.judge().map(|()| world)
}

/// Conversations between several operations, by several members.
fn several(mut world: World<'_>, trial: &Trial<'_>, public: &mut Public) -> Verdict {
    let (updates, adds) = (trial.capabilities().pcs_update, trial.supports(Operation::Add, SIZE));
    let steps = [
        (updates, 1, Action::Update),
        (updates, 0, Action::Update),
        (adds, 1, Action::Add(SIZE)),
        (trial.supports(Operation::Remove, SIZE), 0, Action::Remove(2)),
        (updates && adds, SIZE, Action::Update),
    ];
    let mut tape = Tape::default();
    for (_, operator, action) in steps.into_iter().filter(|(possible, ..)| *possible) {
        tape.record(&mut world, |world| world.run(operator, &action).map(drop))?;
        tape.converse(&mut world)?;
    }
    public.clear(&world)?;
    tape.judge()
}

/// Messages while an operation, or others, are not yet acknowledged by all.
fn in_flight(trial: &mut Trial<'_>, public: &mut Public) -> Verdict {
    let (updates, adds) = (trial.capabilities().pcs_update, trial.supports(Operation::Add, SIZE));
    let update = (0, Action::Update);
    let crossing = (1, Action::Update);
    for (situation, _, actions) in [
        ("messages of several members in flight", true, vec![]),
        ("messages and an update in flight", updates, vec![update.clone()]),
        ("two updates at once", updates && trial.capabilities().concurrent_operations, vec![update, crossing]),
        ("messages and an add in flight", adds, vec![(0, Action::Add(SIZE))]),
        ("messages and a removal in flight", trial.supports(Operation::Remove, SIZE), vec![(0, Action::Remove(2))]),
    ]
    .into_iter()
    .filter(|(_, possible, _)| *possible)
    {
        trial.enter(situation, SIZE);
        let mut world = trial.world(Start::Conversed, 1)?;
        let mut tape = Tape::default();
        for (operator, action) in actions {
            tape.record(&mut world, |world| world.begin(operator, &action))?;
        }
        tape.talk_at_once(&mut world)?;
        // Another member's answers are still missing.
        tape.record(&mut world, |world| world.settle(Some(SIZE - 1)))?;
        tape.talk_at_once(&mut world)?;
        tape.record(&mut world, |world| world.settle(None))?;
        world.users.iter_mut().for_each(|user| user.hears = user.inside);
        tape.converse(&mut world)?;
        public.clear(&world)?;
        tape.judge()?;
    }
    Ok(())
}

/// Many messages of one sender, in one epoch. All members restart meanwhile.
fn chain(mut world: World<'_>, public: &mut Public) -> Verdict {
    let mut tape = Tape::default();
    for number in 0..CHAIN {
        if number == CHAIN / 2 {
            world = world.fork()?;
        }
        tape.say(&mut world, 1, Text::Random(PLAINTEXT_LEN))?;
    }
    public.clear(&world)?;
    tape.judge()
}

/// The same users, with the same long-term keys, in two groups.
fn two_groups(mut world: World<'_>, seed: u64, public: &mut Public) -> Verdict {
    let mut other = world.fork()?;
    other.redraw(seed, 1 << 25);
    other.plaintexts = stream(seed, 1 << 26);
    let mut tape = Tape::default();
    for world in [&mut world, &mut other] {
        let (operator, action) = Action::of(Operation::Create, SIZE);
        tape.record(world, |world| world.run(operator, &action).map(drop))?;
        // Equal plaintexts are left out: messages of the same number can have the same header in both groups.
        for speaker in world.insiders() {
            tape.say(world, speaker, Text::Random(LEN))?;
            tape.say(world, speaker, Text::Uniform)?;
        }
    }
    public.clear(&world)?;
    tape.judge()
}

/// A plaintext.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Text {
    Random(usize),
    /// Of one byte, unlike all others.
    Uniform,
    /// The same each time.
    Same,
}

/// What goes over the network in one call and the answers to it.
struct Heard {
    author: usize,
    text: Option<Text>,
    sent: Vec<Sent>,
    /// What the messages may contain, encrypted.
    plaintexts: Vec<[u8; BLOCK]>,
}

/// Everything that went over the network, and what is known of the plaintexts.
#[derive(Default)]
struct Tape {
    heard: Vec<Heard>,
    uniform: u8,
    rounds: usize,
}

impl Tape {
    /// Everything that those who have made calls in a group have sent.
    fn of(world: &World<'_>) -> Self {
        let mut tape = Self::default();
        let end = (world.log.len(), world.drawn());
        let ends = world.calls.iter().map(|call| (call.sent, &call.drawn)).skip(1).chain([(end.0, &end.1)]);
        for (call, (sent, drawn)) in world.calls.iter().zip(ends) {
            let authors = match &call.action {
                Action::Send(_) => BTreeSet::from([call.author]),
                _ => world.calls.iter().map(|call| call.author).collect(),
            };
            for author in authors {
                let sent = world.log[call.sent..sent].iter().filter(|sent| sent.author == author).cloned().collect();
                let draws = &world.users[author].rng.draws[call.drawn[author]..drawn[author]];
                let plaintexts = match &call.action {
                    Action::Send(plaintext) => plaintext.first_chunk().copied().into_iter().collect(),
                    _ => draws.iter().filter_map(|draw| draw.first_chunk()).take(FIRST_DRAWS).copied().collect(),
                };
                tape.heard.push(Heard { author, text: None, sent, plaintexts });
            }
        }
        tape
    }

    /// Each member sends a random plaintext, one of a single byte, and one that has been sent before. The order changes:
    /// a place in a chain that is written in messages must not be the mark of one kind of plaintext.
    fn converse(&mut self, world: &mut World<'_>) -> Verdict {
        for (number, speaker) in world.insiders().into_iter().enumerate() {
            let mut texts = [Text::Random(LEN), Text::Uniform, Text::Same];
            texts.rotate_left((self.rounds + number) % 3);
            texts.into_iter().try_for_each(|text| self.say(world, speaker, text))?;
        }
        self.rounds += 1;
        Ok(())
    }

    /// Each member sends several messages before any of them arrives. What one that does not know a joiner yet sends is not
    /// for the joiner.
    fn talk_at_once(&mut self, world: &mut World<'_>) -> Verdict {
        for text in [Text::Random(LEN), Text::Uniform, Text::Random(LEN)] {
            for speaker in world.insiders() {
                let known = world.users[speaker].member.members();
                if world.insiders().into_iter().all(|user| known.contains(&world.users[user].id)) {
                    self.send(world, speaker, text, |world, action| world.begin(speaker, action))?;
                }
            }
        }
        Ok(())
    }

    fn say(&mut self, world: &mut World<'_>, speaker: usize, text: Text) -> Verdict {
        self.send(world, speaker, text, |world, action| world.run(speaker, action).map(drop))
    }

    fn send<'a>(
        &mut self,
        world: &mut World<'a>,
        speaker: usize,
        text: Text,
        send: impl FnOnce(&mut World<'a>, &Action) -> Verdict,
    ) -> Verdict {
        let plaintext = match text {
            Text::Random(len) => {
                let mut bytes = vec![0; len];
                world.plaintexts.fill_bytes(&mut bytes);
                bytes
            }
            Text::Uniform => {
                self.uniform = (self.uniform + 1) % OTHERS;
                vec![self.uniform; LEN]
            }
            Text::Same => vec![SAME; LEN],
        };
        let first = world.log.len();
        send(world, &Action::Send(plaintext.clone()))?;
        let mut sent = world.log[first..].to_vec();
        sent.retain(|sent| sent.author == speaker);
        // Equal headers of messages with equal plaintexts would look like a keystream.
        let plaintexts = plaintext.first_chunk().filter(|_| text != Text::Same).into_iter().copied().collect();
        self.heard.push(Heard { author: speaker, text: Some(text), sent, plaintexts });
        Ok(())
    }

    /// Records an operation. What members draw in it may be what they encrypt.
    fn record<'a>(&mut self, world: &mut World<'a>, operation: impl FnOnce(&mut World<'a>) -> Verdict) -> Verdict {
        let (first, drawn) = (world.log.len(), world.drawn());
        operation(world)?;
        for (author, drawn) in drawn.into_iter().enumerate() {
            let sent = world.log[first..].iter().filter(|sent| sent.author == author).cloned().collect();
            let draws = world.users[author].rng.draws[drawn..].iter();
            let plaintexts = draws.filter_map(|draw| draw.first_chunk()).copied().collect();
            self.heard.push(Heard { author, text: None, sent, plaintexts });
        }
        Ok(())
    }

    fn judge(&self) -> Verdict {
        let mut streams = Keystreams::default();
        for (call, heard) in self.heard.iter().enumerate() {
            for plaintext in &heard.plaintexts {
                heard.sent.iter().for_each(|sent| streams.add(call, &sent.bytes, *plaintext));
            }
        }
        ensure(!streams.two_calls_share_one(), || {
            "two messages are encrypted with the same keystream: a key and nonce were used twice".to_owned()
        })?;
        let usual: BTreeSet<u128> = self.all(|text| matches!(text, Text::Random(_))).flat_map(Heard::blocks).collect();
        // Two members may number their messages alike.
        let mut seen = BTreeMap::<usize, BTreeSet<u128>>::new();
        for heard in self.all(|text| text == Text::Same) {
            let new: BTreeSet<u128> = heard.blocks().filter(|block| !usual.contains(block)).collect();
            let seen = seen.entry(heard.author).or_default();
            // A header and the random byte after it may by chance be the same. Equal ciphertexts are many more blocks.
            ensure(new.intersection(seen).count() < BLOCK, || {
                "a plaintext that is sent again looks the same: it is encrypted without a fresh key or nonce".to_owned()
            })?;
            seen.extend(new);
        }
        for heard in self.all(|text| text == Text::Uniform) {
            let random = self.all(|text| matches!(text, Text::Random(_)));
            let usual = random.filter(|other| other.author == heard.author).map(Heard::repeats).max();
            // What a message repeats anyway may by chance be some bytes longer. Equal blocks of the plaintext are many more.
            ensure(heard.repeats() < usual.unwrap_or(0) + BLOCK, || {
                "equal blocks of a plaintext are equal blocks of the message".to_owned()
            })?;
        }
        Ok(())
    }

    fn all(&self, which: impl Fn(Text) -> bool) -> impl Iterator<Item = &Heard> {
        self.heard.iter().filter(move |heard| heard.text.is_some_and(&which))
    }
}

impl Heard {
    fn blocks(&self) -> impl Iterator<Item = u128> {
        self.sent.iter().flat_map(|sent| blocks(&sent.bytes))
    }

    /// Of the messages that can hold a plaintext. A commit may come with the first one, and name its author twice.
    fn repeats(&self) -> usize {
        self.sent.iter().filter(|sent| sent.kind != COMMIT).map(|sent| repeats(&sent.bytes)).max().unwrap_or(0)
    }
}

/// A user, and the position of one of its draws.
type Draw = (usize, usize);

/// The kinds of messages that carry a random value in clear, as declared, and those of them that were seen to.
struct Public {
    kinds: &'static [&'static str],
    seen: BTreeSet<&'static str>,
}

impl Public {
    /// Judges the draws that are in a message of this kind, with how many bytes of each are.
    fn judge<T>(&mut self, kind: &'static str, found: &BTreeMap<T, usize>) -> Verdict {
        let Some(longest) = found.values().max() else { return Ok(()) };
        let what = if kind == "bundle" { "a bundle".to_owned() } else { format!("a message of kind `{kind}`") };
        ensure(self.kinds.contains(&kind), || {
            format!("{what} shows in clear what a member drew: a secret, unless it is declared as public")
        })?;
        ensure(found.len() == 1 && *longest <= MAX_PUBLIC, || {
            format!("{what} shows more in clear than the one value of {MAX_PUBLIC} bytes that may be public")
        })?;
        self.seen.insert(kind);
        Ok(())
    }

    /// Searches all messages for plaintexts and draws, and the fingerprints for draws.
    fn clear(&mut self, world: &World<'_>) -> Verdict {
        let plaintexts = Known::new(TELLING, world.plaintexts.draws.iter().map(Vec::as_slice));
        for Sent { kind, bytes, .. } in &world.log {
            ensure(plaintexts.found_in(bytes).is_empty(), || {
                format!("a message of kind `{kind}` shows a plaintext in clear")
            })?;
        }
        for (sent, draws) in shown(world, 0) {
            self.judge(sent.kind, &draws)?;
        }
        let (known, _) = draws(world);
        let fingerprints = world.agree()?.unwrap_or_default();
        ensure(fingerprints.iter().all(|(_, shown)| known.found_in(shown).is_empty()), || {
            "a fingerprint shows what a member drew, and no hash of it".to_owned()
        })
    }

    /// What is public must not be what makes keys secret: if everybody draws otherwise, the public values excepted, all
    /// key material must be new. `world` is the outcome of the operation in the group `before`.
    fn matters_not(&self, before: &World<'_>, world: &World<'_>, operation: Operation) -> Verdict {
        let all_new = matches!(
            operation,
            Operation::Create | Operation::CreateMesh | Operation::Remove | Operation::Update | Operation::UpdateCold
        );
        let declared = |sent: &Sent| self.kinds.contains(&sent.kind);
        let shown = shown(world, before.log.len()).into_iter().filter(|(sent, _)| declared(sent));
        let public: BTreeSet<Draw> = shown.flat_map(|(_, draws)| draws.into_keys()).collect();
        // Of a longer draw in parts, the rest may be secret.
        let whole = public.iter().all(|(user, at)| world.users[*user].rng.draws[*at].len() <= MAX_PUBLIC);
        if public.is_empty() || !whole || !all_new {
            return Ok(());
        }
        let mut other = before.fork()?;
        for (number, user) in other.users.iter_mut().enumerate() {
            let kept = public.iter().filter(|(user, _)| *user == number).map(|(_, at)| *at).collect();
            user.rng = user.rng.clone().altering(Alters::AllBut(kept));
        }
        let (operator, action) = Action::of(operation, SIZE);
        other.run(operator, &action)?;
        ensure(disjoint(&other.agree()?, &world.agree()?), || {
            "a value that is declared as public decides key material".to_owned()
        })
    }
}

/// All draws, to be found, and whose they are.
fn draws(world: &World<'_>) -> (Known, Vec<Draw>) {
    let places = |user: usize| (0..world.users[user].rng.draws.len()).map(move |at| (user, at));
    let all: Vec<Draw> = (0..world.users.len()).flat_map(places).collect();
    (Known::new(BLOCK, all.iter().map(|(user, at)| &world.users[*user].rng.draws[*at][..])), all)
}

/// The messages from `first` on that show draws, with these draws and how many bytes of each. Ids are public, even if
/// they were drawn.
fn shown<'a>(world: &'a World<'_>, first: usize) -> Vec<(&'a Sent, BTreeMap<Draw, usize>)> {
    let (known, all) = draws(world);
    let mut ids: Vec<&[u8]> = world.users.iter().map(|user| &user.id.0[..]).collect();
    ids.push(&world.group.0);
    let found = |bytes: &[u8]| {
        // Mostly there is nothing.
        let mut found = known.found_in(bytes);
        if !found.is_empty() {
            found = known.found_in(&without(bytes, &ids));
        }
        found.into_iter().map(|(which, len)| (all[which], len)).collect()
    };
    let messages = world.log[first..].iter().map(|sent| (sent, found(&sent.bytes)));
    messages.filter(|(_, draws): &(_, BTreeMap<Draw, usize>)| !draws.is_empty()).collect()
}

/// These bytes, with zeros in the place of each of the others.
fn without(bytes: &[u8], others: &[&[u8]]) -> Vec<u8> {
    let mut out = bytes.to_vec();
    for other in others {
        let places: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at..].starts_with(other)).collect();
        places.into_iter().for_each(|at| out[at..at + other.len()].fill(0));
    }
    out
}
