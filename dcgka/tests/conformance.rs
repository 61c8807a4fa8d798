//! The suite that every backend must pass before it is measured.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use dcgka::Dcgka;
use protocol::conformance;

#[test]
fn all_variants_conform() {
    for backend in [Dcgka::CORRECTED, Dcgka::PUBLISHED, Dcgka::LEAN_CHANNELS, Dcgka::TAGGED_ACKS, Dcgka::LEAN] {
        let report = conformance::check(&|| Box::new(backend)).unwrap_or_else(|violation| panic!("{violation}"));
        assert!(report.passed.iter().all(|(_, situations)| *situations > 0), "{report}");
        assert!(report.notes.is_empty() && report.not_made.is_empty(), "{report}");
        assert!(!report.attacks.is_empty(), "{report}");
    }
}
