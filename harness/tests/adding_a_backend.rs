//! The example of CONTRIBUTING.md: the file `boxes/mod.rs` is a backend, and the constant `KNOWN` registers it.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod boxes;

use harness::cell::{Bench, Cell};
use harness::randomness::Origin;
use harness::registry::{Constructor, Registry};
use protocol::conformance;
use protocol::operation::Operation;

/// In `harness/src/registry.rs` this element is in the list of backends.
const KNOWN: &[Constructor] = &[|| Box::new(boxes::Boxes)];

#[test]
fn the_example_conforms() {
    let report = conformance::check(&|| Box::new(boxes::Boxes));
    report.unwrap_or_else(|violation| panic!("{violation}"));
}

#[test]
fn the_example_is_measured_and_its_primitive_counts_equal_its_formulas() {
    let backend = Registry::new(KNOWN).find("boxes").unwrap();
    let mut bench = Bench::new(&*backend, 1).unwrap();
    for group_size in [2, 3, 8] {
        for operation in Operation::ALL {
            let supported = backend.expected(operation, group_size).is_some();
            let result = bench.run(&Cell { operation, origin: Origin { seed: 1, group_size, iteration: 0 } });
            let name = operation.name();
            assert_eq!(result.is_ok(), supported, "{name} at {group_size}: {:?}", result.map(|outcome| outcome.proof));
        }
    }
}
