//! Messages and operation counts of our own backends equal their formulas, at every size of the paper's grid. The proof of
//! a run compares them; so a run that is accepted has them.

use harness::cell::{Bench, Cell};
use harness::randomness::Origin;
use harness::registry::{Registry, full_name};
use protocol::operation::Operation;

const GRID: [usize; 9] = [8, 11, 16, 22, 32, 45, 64, 90, 128];

#[test]
fn counts_equal_the_formulas_at_every_size() {
    for backend in Registry::built_in().all() {
        let mut bench = Bench::new(&*backend, 2).unwrap();
        for group_size in [2, 3].into_iter().chain(GRID) {
            for operation in Operation::ALL {
                let cell = Cell { operation, origin: Origin { seed: 1, group_size, iteration: 0 } };
                if let Err(refusal) = bench.run(&cell) {
                    panic!("{} {} at {group_size}: {refusal}", full_name(&*backend), operation.name());
                }
            }
        }
    }
}
