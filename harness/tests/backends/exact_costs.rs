//! The exact costs of our own backends: messages, bytes and primitive counts, at every size of the paper's grid. The
//! validation compares messages and counts with the backend's formulas, so a sample that counts equals them.

use dcgka::Dcgka;
use harness::analysis::growth::{Claim, Cost, fit};
use harness::analysis::measurement::Who;
use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use harness::registry::{Registry, full_name};
use protocol::member::{Backend, Description};
use protocol::operation::{Expected, Operation, Role};

const SMALL: [usize; 3] = [2, 3, 8];
const GRID: [usize; 8] = [11, 16, 22, 32, 45, 64, 90, 128];

/// Without the inspection, which does not compare costs.
fn run(bench: &mut Bench<'_>, backend: &dyn Backend, operation: Operation, group_size: usize) -> Outcome {
    let cell = Cell { operation, origin: Origin { seed: 1, group_size, iteration: 0 } };
    let name = full_name(backend);
    bench.run_again(&cell).unwrap_or_else(|refusal| panic!("{name} {} at {group_size}: {refusal}", operation.name()))
}

fn bytes(outcome: &Outcome) -> u64 {
    outcome.traffic.iter().map(|row| row.bytes_sent).sum()
}

/// `sizes` is the paper's grid for backends whose members do not send every other member a message of its own. For the
/// others it is two sizes, since their work grows with the square of the group; the gate compares most operations at 128 members.
fn counts_equal_the_formulas(name: &str, sizes: &[usize]) {
    let backend = Registry::built_in().find(name).unwrap();
    let mut bench = Bench::new(&*backend, 1).unwrap();
    for group_size in sizes.iter().copied() {
        // In iteration 0 of a backend without fingerprints every member sends a probe, which takes too long in large groups.
        let iteration = u32::from(group_size > 32);
        let origin = Origin { seed: 1, group_size, iteration };
        for operation in Operation::ALL {
            let cell = Cell { operation, origin };
            // An inspection takes as long as the operation. In large groups, runs of the program make it.
            let result = if group_size > 32 { bench.run_again(&cell) } else { bench.run(&cell) };
            match backend.expected(operation, group_size) {
                Some(_) => drop(
                    result.unwrap_or_else(|refusal| panic!("{name} {} at {group_size}: {refusal}", operation.name())),
                ),
                None => assert_eq!(result, Err(Refusal::Unsupported)),
            }
        }
    }
}

#[test]
fn counts_of_dcgka_equal_the_formulas() {
    counts_equal_the_formulas("dcgka", &GRID);
}

#[test]
fn counts_of_published_dcgka_equal_the_formulas() {
    counts_equal_the_formulas("dcgka:published", &[32, 128]);
}

#[test]
fn counts_of_dcgka_over_lean_channels_equal_the_formulas() {
    counts_equal_the_formulas("dcgka:lean-channels", &[32, 128]);
}

#[test]
fn counts_of_dcgka_with_tagged_acks_equal_the_formulas() {
    counts_equal_the_formulas("dcgka:tagged-acks", &[32, 128]);
}

#[test]
fn counts_of_lean_dcgka_equal_the_formulas() {
    counts_equal_the_formulas("dcgka:lean", &GRID);
}

#[test]
fn counts_of_pairwise_equal_the_formulas() {
    counts_equal_the_formulas("pairwise", &[32, 64]);
}

#[test]
fn counts_of_eager_sender_keys_equal_the_formulas() {
    counts_equal_the_formulas("sender-keys:eager", &[32, 64]);
}

#[test]
fn counts_of_lazy_sender_keys_equal_the_formulas() {
    counts_equal_the_formulas("sender-keys:lazy", &[32, 64]);
}

#[test]
fn counts_of_sender_keys_with_updates_equal_the_formulas() {
    counts_equal_the_formulas("sender-keys:pcs", &[32, 64]);
}

#[test]
fn counts_of_every_backend_equal_the_formulas_in_small_groups() {
    Registry::built_in().names().for_each(|name| counts_equal_the_formulas(&name, &SMALL));
}

#[test]
fn a_welcome_has_its_length_also_where_numbers_grow_by_a_byte() {
    let mut bench = Bench::new(&Dcgka::CORRECTED, 2).unwrap();
    for group_size in (2..=24).chain([69, 101, 127, 129]) {
        run(&mut bench, &Dcgka::CORRECTED, Operation::Add, group_size);
    }
}

#[test]
fn bytes_of_dcgka_at_128_members_stay_below_their_limits() {
    let mut bench = Bench::new(&Dcgka::CORRECTED, 2).unwrap();
    let limits = [
        (Operation::Create, 35_000),
        (Operation::Add, 40_000),
        (Operation::Remove, 30_300),
        (Operation::Update, 30_500),
        (Operation::Message, 130),
    ];
    for (operation, limit) in limits {
        let bytes = bytes(&run(&mut bench, &Dcgka::CORRECTED, operation, 128));
        assert!(bytes <= limit, "{}: {bytes} bytes, but the limit is {limit}", operation.name());
    }
}

#[test]
fn bytes_and_counts_depend_on_the_seed_alone() {
    let exact = |jobs| {
        let mut bench = Bench::new(&Dcgka::CORRECTED, jobs).unwrap();
        let outcomes = Operation::REPRODUCED.map(|operation| {
            let outcome = run(&mut bench, &Dcgka::CORRECTED, operation, 8);
            let counts: Vec<_> = outcome.work.into_iter().map(|row| (row.role, row.phase, row.counts)).collect();
            (outcome.traffic, counts, outcome.state_bytes)
        });
        outcomes.to_vec()
    };
    assert_eq!(exact(1), exact(1));
    assert_eq!(exact(1), exact(4));
}

/// What the backends of this workspace claim of their growth follows from their formulas.
#[test]
fn claims_of_growth_follow_from_the_formulas() {
    let sizes = [8, 16, 32, 64, 128, 256, 512];
    let mut checked = 0;
    for backend in Registry::built_in().all() {
        let Description { name, variant, growth, .. } = backend.description();
        for claim in growth.iter().map(|claim| claim.parse::<Claim>().unwrap()) {
            let Claim { operation, who, cost: Cost::PublicKey, class } = claim else { continue };
            let points = sizes.map(|size: usize| {
                let Expected { counts, .. } = backend.expected(operation, size).unwrap();
                let counts = counts.iter().filter(|(role, ..)| who == Who::Group || who == Who::Role(*role));
                let all: u64 =
                    counts.flat_map(|(_, _, counts)| counts.public_key().named().map(|(_, count)| count)).sum();
                let members = if who == Who::Role(Role::Recipient) { size - 1 } else { 1 };
                (size as f64, all as f64 / members as f64)
            });
            let fit = fit(&points).unwrap();
            assert!(fit.class == class, "{name}:{variant} {operation}: {fit}, claimed {class:?}");
            checked += 1;
        }
    }
    assert!(checked > 8);
}
