//! The example of CONTRIBUTING.md: the file `boxes/mod.rs` is a backend, and the constant `KNOWN` registers it.

use harness::measure::cell::{Bench, Cell};
use harness::measure::randomness::Origin;
use harness::registry::{Constructor, Registry};
use protocol::conformance;
use protocol::operation::Operation;

use crate::boxes::Boxes;

/// To register a backend, this element goes into the list in `harness/src/registry.rs`.
const KNOWN: &[Constructor] = &[|| Box::new(Boxes)];

#[test]
fn the_example_conforms() {
    let report = conformance::check(&|| Box::new(Boxes));
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
            assert_eq!(
                result.is_ok(),
                supported,
                "{name} at {group_size}: {:?}",
                result.map(|outcome| outcome.validation)
            );
        }
    }
}
