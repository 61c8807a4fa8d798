//! The suite that every backend must pass before it is measured.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use dcgka::Dcgka;
use protocol::conformance;

#[test]
fn dcgka_conforms() {
    let report = conformance::check(&|| Box::new(Dcgka)).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(report.passed.iter().all(|(_, count)| *count > 0), "{report}");
    assert!(report.notes.is_empty(), "{report}");
    println!("{report}");
}
