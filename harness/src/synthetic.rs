//! Made-up samples for tests.

use std::collections::BTreeMap;

use protocol::operation::Operation;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::sample::{SCHEMA, Sample, Status, Traffic, Work};

/// The paper's group sizes.
pub(crate) const SIZES: [u32; 9] = [8, 11, 16, 22, 32, 45, 64, 90, 128];

fn empty(backend: &str, operation: &str, group_size: u32, iteration: u32) -> Sample {
    Sample {
        schema: SCHEMA,
        run_id: "run".to_owned(),
        cell_id: format!("{backend}::{operation}:{group_size}:{iteration}"),
        backend: backend.to_owned(),
        variant: String::new(),
        operation: operation.to_owned(),
        group_size,
        iteration,
        seed: 1,
        status: Status::Ok,
        reason: String::new(),
        proof: "proved".to_owned(),
        traffic: Vec::new(),
        work: Vec::new(),
        state_bytes: BTreeMap::new(),
        peak_bytes: None,
        primitive_ns: BTreeMap::new(),
    }
}

pub(crate) fn work(role: &str, phase: &str, counts: &[(&str, u64)], cpu_ns: &[u64]) -> Work {
    Work {
        role: role.to_owned(),
        phase: phase.to_owned(),
        members: u32::try_from(cpu_ns.len()).unwrap(),
        counts: counts.iter().map(|(name, count)| ((*name).to_owned(), *count)).collect(),
        bytes_fetched: 0,
        cpu_ns: cpu_ns.to_vec(),
    }
}

fn traffic(role: &str, phase: &str, kind: &str, messages: u64, bytes_sent: u64, links: u64) -> Traffic {
    Traffic {
        role: role.to_owned(),
        phase: phase.to_owned(),
        kind: kind.to_owned(),
        messages,
        bytes_sent,
        bytes_delivered: bytes_sent * links,
    }
}

/// A removal in a group of four: one sender, two recipients, one removed member.
pub(crate) fn remove() -> Sample {
    let mut sample = empty("toy", "remove", 4, 0);
    sample.traffic =
        vec![traffic("sender", "generate", "remove", 1, 400, 3), traffic("recipient", "process", "ack", 2, 200, 2)];
    sample.work = vec![
        work("sender", "generate", &[("op.dh", 10), ("op.sign", 4)], &[1000]),
        work("sender", "process", &[], &[20]),
        work("sender", "responses", &[("op.verify", 0)], &[300]),
        work("recipient", "process", &[("op.dh", 2)], &[110, 120]),
        work("recipient", "responses", &[("op.dh", 2)], &[250, 260]),
        work("removed", "process", &[("op.dh", 1)], &[90]),
    ];
    sample.primitive_ns = BTreeMap::from([("op.dh".to_owned(), 50.0), ("op.sign".to_owned(), 25.0)]);
    sample.state_bytes = BTreeMap::from([("recipient".to_owned(), vec![1000, 1001])]);
    sample
}

/// A whole grid that grows about as one would expect, with some noise.
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
    let mut sample = empty(backend, &operation.name(), size, iteration);
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
        Operation::ConcurrentUpdates(_) | Operation::PartitionHeal => (230.0 * members, 300.0 * members),
        Operation::Message | Operation::MessageAfterRemove => (30.0, 0.0),
    };
    let sent = match operation {
        Operation::Message => 150,
        Operation::Add => 900 + 110 * n,
        _ => 150 + 120 * n,
    };
    sample.traffic.push(traffic("sender", "generate", &operation.name(), 1, sent, n));
    sample.work.push(work("sender", "generate", &[("op.dh", n)], &[noisy(call, rng)]));
    let receive = if operation == Operation::Message { 70.0 } else { 130.0 };
    let removed = u64::from(operation == Operation::Remove);
    sample.work.push(work("recipient", "process", &[("op.dh", 2 * n)], &others(receive, n - 1 - removed, rng)));
    if operation != Operation::Message {
        sample.traffic.push(traffic("recipient", "process", "ack", n - 1, 130 * (n - 1), n - 1));
        sample.work.push(work("sender", "responses", &[("op.verify", n)], &[noisy(acks, rng)]));
        sample.work.push(work("recipient", "responses", &[("op.verify", n)], &others(acks, n - 1 - removed, rng)));
    }
    if operation == Operation::Remove {
        sample.work.push(work("removed", "process", &[("op.dh", 1)], &[noisy(60.0, rng)]));
    }
    if operation == Operation::Add {
        sample.work.push(work("joiner", "responses", &[("op.verify", n)], &[noisy(220.0 * members, rng)]));
    }
    sample.primitive_ns = BTreeMap::from([("op.dh".to_owned(), 30_000.0), ("op.verify".to_owned(), 25_000.0)]);
    sample
}

/// The same samples of a protocol that has no acknowledgements.
pub(crate) fn without_acks(samples: Vec<Sample>) -> Vec<Sample> {
    let mut samples = samples;
    for sample in &mut samples {
        sample.traffic.retain(|traffic| traffic.kind != "ack");
        sample.work.retain(|work| work.phase != "responses");
    }
    samples
}
