//! An update in a group of 128, by role, and one acknowledgement of it. For developers only: recorded figures come from
//! the harness.

#![allow(clippy::unwrap_used, reason = "a bench fails by panicking")]

use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use dcgka::Dcgka;
use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{Backend as _, Context, Event, Incoming, Member, Outgoing, Received};
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

const MEMBERS: usize = 128;
const SENDER: usize = 0;
const RECIPIENT: usize = 1;

/// A message and the place of its author.
type Sent = (usize, Vec<u8>);

/// The members of one group. The first has created it.
struct Group {
    members: Vec<Box<dyn Member>>,
    ids: Vec<MemberId>,
    directory: InMemoryDirectory,
}

impl Group {
    /// Everybody has delivered the creation and all acknowledgements of it.
    fn created() -> Self {
        let mut rng = rng();
        let mut group = Self { members: Vec::new(), ids: Vec::new(), directory: InMemoryDirectory::default() };
        for _ in 0..MEMBERS {
            // The creator uses it. Nobody else opens a channel here.
            let user = Dcgka::CORRECTED.new_user(1, &mut rng);
            group.directory.publish(user.id, user.bundle, user.one_time);
            group.ids.push(user.id);
            group.members.push(user.member);
        }
        let others = group.ids[1..].to_vec();
        let create = group.act(SENDER, &mut rng, |member, context| member.create(&others, context));
        let acks = group.carry(&create, &mut rng);
        assert_eq!(acks.len(), MEMBERS - 1, "all acknowledge the creation");
        assert!(group.carry(&acks, &mut rng).is_empty(), "the creation has settled");
        group
    }

    /// Lets a member act. Returns what it sent.
    fn act(
        &mut self,
        author: usize,
        rng: &mut ChaCha20Rng,
        action: impl FnOnce(&mut dyn Member, &mut Context<'_>) -> Result<Vec<Outgoing>, Error>,
    ) -> Vec<Sent> {
        let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
        let outgoing = action(self.members[author].as_mut(), &mut context).unwrap();
        outgoing.into_iter().map(|outgoing| (author, outgoing.bytes)).collect()
    }

    /// Carries to everybody what others have sent. Returns the answers.
    fn carry(&mut self, sent: &[Sent], rng: &mut ChaCha20Rng) -> Vec<Sent> {
        let mut answers = Vec::new();
        for reader in 0..MEMBERS {
            let batch = self.batch(sent, reader);
            let received = receive(self.members[reader].as_mut(), &batch, &self.directory, rng);
            let outgoing = received.into_iter().flat_map(|received| received.unwrap().outgoing);
            answers.extend(outgoing.map(|outgoing| (reader, outgoing.bytes)));
        }
        answers
    }

    /// What others than the reader have sent, as the network carries it to the reader.
    fn batch<'a>(&self, sent: &'a [Sent], reader: usize) -> Vec<Incoming<'a>> {
        // Before it has delivered the creation, a member does not know the group.
        let group = self.members[SENDER].group().unwrap();
        let others = sent.iter().filter(|(author, _)| *author != reader);
        others.map(|(author, bytes)| Incoming { group, author: self.ids[*author], bytes }).collect()
    }
}

fn rng() -> ChaCha20Rng {
    ChaCha20Rng::seed_from_u64(1)
}

fn receive(
    member: &mut dyn Member,
    batch: &[Incoming<'_>],
    directory: &InMemoryDirectory,
    rng: &mut ChaCha20Rng,
) -> Vec<Result<Received, Error>> {
    let mut context = Context { rng, directory, confirm_inviter: &|_| true };
    batch.iter().map(|message| member.receive_one(message, &mut context)).collect()
}

fn update(criterion: &mut Criterion) {
    let mut rng = rng();
    let mut group = Group::created();

    let mut bench = criterion.benchmark_group(format!("update/{MEMBERS}"));
    let before = group.members[SENDER].duplicate();
    bench.bench_function("sender/generate", |bencher| {
        on_copies(bencher, before.as_ref(), |member| {
            let directory = &group.directory;
            member.update(&mut Context { rng: &mut rng, directory, confirm_inviter: &|_| true }).unwrap()
        });
    });

    let update = group.act(SENDER, &mut rng, |member, context| member.update(context));
    let updated = group.members[SENDER].duplicate();
    let before = group.members[RECIPIENT].duplicate();
    let batch = group.batch(&update, RECIPIENT);
    bench.bench_function("recipient/process", |bencher| {
        on_copies(bencher, before.as_ref(), |member| receive(member, &batch, &group.directory, &mut rng));
    });

    let acks = group.carry(&update, &mut rng);
    assert_eq!(acks.len(), MEMBERS - 1, "all acknowledge the update");
    let processed = group.members[RECIPIENT].duplicate();
    // The sender processes all acknowledgements, a recipient all but its own.
    let responses = [("sender", updated, SENDER), ("recipient", processed, RECIPIENT)]
        .map(|(role, member, reader)| (role, member, group.batch(&acks, reader)));
    for (role, member, batch) in &responses {
        let results = receive(member.duplicate().as_mut(), batch, &group.directory, &mut rng);
        let acked = |result: Result<Received, Error>| matches!(result.unwrap().events[..], [Event::Acked { .. }]);
        assert!(results.into_iter().all(acked), "what is measured is an acknowledgement that counts");
        bench.throughput(Throughput::Elements(batch.len() as u64));
        bench.bench_function(format!("{role}/responses"), |bencher| {
            on_copies(bencher, member.as_ref(), |member| receive(member, batch, &group.directory, &mut rng));
        });
        bench.bench_function(format!("{role}/responses together"), |bencher| {
            let directory = &group.directory;
            on_copies(bencher, member.as_ref(), |member| {
                member.receive(batch, &mut Context { rng: &mut rng, directory, confirm_inviter: &|_| true })
            });
        });
    }
    bench.finish();

    // A single acknowledgement: `responses` divided by their number would hide a cost that does not grow with it.
    let mut bench = criterion.benchmark_group(format!("ack/{MEMBERS}"));
    for (role, member, batch) in &responses {
        bench.bench_function(*role, |bencher| {
            on_copies(bencher, member.as_ref(), |member| receive(member, &batch[..1], &group.directory, &mut rng));
        });
    }
    bench.finish();
}

/// Times a call on copies of a member, which are made and dropped outside the timer, and one at a time: each holds the
/// keys of 127 channels.
fn on_copies<T>(bencher: &mut Bencher<'_>, member: &dyn Member, mut call: impl FnMut(&mut dyn Member) -> T) {
    bencher.iter_batched_ref(|| member.duplicate(), |copy| call(copy.as_mut()), BatchSize::PerIteration);
}

criterion_group!(benches, update);
criterion_main!(benches);
