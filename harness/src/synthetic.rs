//! Made-up samples for tests.

use std::collections::BTreeMap;

use protocol::operation::{Operation, Phase, Role};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::record::metric::Metric;
use crate::record::name::cell_id;
use crate::record::sample::{Sample, Status, Traffic, Work};
use crate::record::version::SCHEMA;

/// The paper's group sizes.
pub(crate) const SIZES: [u32; 9] = [8, 11, 16, 22, 32, 45, 64, 90, 128];

fn empty(backend: &str, operation: Operation, group_size: u32, iteration: u32) -> Sample {
    Sample {
        schema: SCHEMA,
        run_id: "run".to_owned(),
        cell_id: cell_id(backend, "", operation, group_size, iteration),
        backend: backend.to_owned(),
        variant: String::new(),
        operation,
        group_size,
        iteration,
        seed: 1,
        status: Status::Ok,
        reason: String::new(),
        validation: "validated".to_owned(),
        traffic: Vec::new(),
        work: Vec::new(),
        state_bytes: BTreeMap::new(),
        rounds: None,
        peak_bytes: None,
        primitive_ns: BTreeMap::new(),
    }
}

fn metric(name: &str) -> Metric {
    name.parse().unwrap()
}

pub(crate) fn work(role: Role, phase: Phase, counts: &[(&str, u64)], cpu_ns: &[u64]) -> Work {
    let none = Metric::primitives().map(|metric| (metric, 0));
    Work {
        role,
        phase,
        members: u32::try_from(cpu_ns.len()).unwrap(),
        counts: none.chain(counts.iter().map(|(name, count)| (metric(name), *count))).collect(),
        bytes_fetched: 0,
        cpu_ns: cpu_ns.to_vec(),
    }
}

fn traffic(role: Role, phase: Phase, kind: &str, messages: u64, bytes_sent: u64, links: u64) -> Traffic {
    Traffic { role, phase, kind: kind.to_owned(), messages, bytes_sent, bytes_delivered: bytes_sent * links }
}

/// A removal in a group of four: one sender, two recipients, one removed member.
pub(crate) fn remove() -> Sample {
    let mut sample = empty("toy", Operation::Remove, 4, 0);
    sample.traffic = vec![
        traffic(Role::Sender, Phase::Generate, "remove", 1, 400, 3),
        traffic(Role::Recipient, Phase::Process, "ack", 2, 200, 2),
    ];
    sample.work = vec![
        work(Role::Sender, Phase::Generate, &[("op.dh", 10), ("op.sign", 4)], &[1000]),
        work(Role::Sender, Phase::Process, &[], &[20]),
        work(Role::Sender, Phase::Responses, &[("op.verify", 0)], &[300]),
        work(Role::Recipient, Phase::Process, &[("op.dh", 2)], &[110, 120]),
        work(Role::Recipient, Phase::Responses, &[("op.dh", 2)], &[250, 260]),
        work(Role::Removed, Phase::Process, &[("op.dh", 1)], &[90]),
    ];
    sample.primitive_ns = BTreeMap::from([(metric("op.dh"), 50.0), (metric("op.sign"), 25.0)]);
    sample.state_bytes = BTreeMap::from([(Role::Recipient, vec![1000, 1001])]);
    sample
}

/// Samples of the whole grid. Their costs grow with the group size about as in a real protocol, with some noise.
pub(crate) fn grid(backend: &str, scale: f64, iterations: u32) -> Vec<Sample> {
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let mut samples = Vec::new();
    for iteration in 0..iterations {
        for size in SIZES {
            for operation in Operation::REPRODUCED {
                samples.push(grown(backend, scale, operation, size, iteration, &mut rng));
            }
        }
    }
    samples
}

fn grown(backend: &str, scale: f64, operation: Operation, size: u32, iteration: u32, rng: &mut ChaCha8Rng) -> Sample {
    let mut sample = empty(backend, operation, size, iteration);
    let n = u64::from(size);
    let noisy = |micros: f64, rng: &mut ChaCha8Rng| {
        let noise = 1.0 + (rng.next_u32() % 1000) as f64 / 5000.0;
        (micros * scale * noise * 1000.0) as u64
    };
    let others = |micros: f64, count: u64, rng: &mut ChaCha8Rng| -> Vec<u64> {
        (0..count).map(|_| noisy(micros, rng)).collect()
    };
    let members = size as f64;
    let (call, acks) = match operation {
        Operation::Create | Operation::CreateMesh => (160.0 * members, 90.0 * members),
        Operation::Add => (120.0, 100.0 * members),
        Operation::Remove | Operation::Update => (110.0 * members, 95.0 * members),
        Operation::UpdateCold => (230.0 * members, 97.0 * members),
        // No test draws the others.
        _ if operation.is_concurrent() => (230.0 * members, 300.0 * members),
        _ => (30.0, 0.0),
    };
    let sent = match operation {
        Operation::Message => 150,
        Operation::Add => 900 + 110 * n,
        _ => 150 + 120 * n,
    };
    sample.traffic.push(traffic(Role::Sender, Phase::Generate, &operation.name(), 1, sent, n));
    sample.work.push(work(Role::Sender, Phase::Generate, &[("op.dh", n)], &[noisy(call, rng)]));
    let receive = if operation == Operation::Message { 70.0 } else { 130.0 };
    let removed = u64::from(operation == Operation::Remove);
    sample.work.push(work(
        Role::Recipient,
        Phase::Process,
        &[("op.dh", 2 * n)],
        &others(receive, n - 1 - removed, rng),
    ));
    if operation != Operation::Message {
        sample.traffic.push(traffic(Role::Recipient, Phase::Process, "ack", n - 1, 130 * (n - 1), n - 1));
        sample.work.push(work(Role::Sender, Phase::Responses, &[("op.verify", n)], &[noisy(acks, rng)]));
        sample.work.push(work(
            Role::Recipient,
            Phase::Responses,
            &[("op.verify", n)],
            &others(acks, n - 1 - removed, rng),
        ));
    }
    if operation == Operation::Remove {
        sample.work.push(work(Role::Removed, Phase::Process, &[("op.dh", 1)], &[noisy(60.0, rng)]));
    }
    if operation == Operation::Add {
        sample.work.push(work(Role::Joiner, Phase::Responses, &[("op.verify", n)], &[noisy(220.0 * members, rng)]));
    }
    sample.primitive_ns = BTreeMap::from([(metric("op.dh"), 30_000.0), (metric("op.verify"), 25_000.0)]);
    sample
}

/// The same samples as if the protocol had no acknowledgements.
pub(crate) fn without_acks(samples: Vec<Sample>) -> Vec<Sample> {
    let mut samples = samples;
    for sample in &mut samples {
        sample.traffic.retain(|traffic| traffic.kind != "ack");
        sample.work.retain(|work| work.phase != Phase::Responses);
    }
    samples
}
