//! A whole group driven by bytes. Each input is a schedule of `protocol::simulation`, with crashes, partitions,
//! repeated and damaged messages. All that must hold there must hold. The last bit chooses the variant.

#![no_main]

use dcgka::Dcgka;
use dcgka::audit::Auditor;
use libfuzzer_sys::fuzz_target;
use protocol::simulation::{self, Counterexample, Schedule, Subject};

/// The greatest number of steps: longer schedules take longer than they are worth.
const MAX_STEPS: usize = 48;

fuzz_target!(|bytes: &[u8]| {
    let mut schedule = Schedule::from_bytes(bytes);
    schedule.steps.truncate(MAX_STEPS);
    let subject = match bytes.last().is_some_and(|last| last & 1 == 1) {
        false => Subject { backend: &Dcgka::CORRECTED, audit: Some(Auditor::boxed) },
        true => Subject { backend: &Dcgka::LEAN, audit: Some(Auditor::lean) },
    };
    if let Err(failure) = simulation::run(subject, &schedule) {
        panic!("{}", Counterexample { schedule, failure });
    }
});
