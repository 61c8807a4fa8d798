//! The suite that every backend must pass before it is measured.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use baselines::{Pairwise, SenderKeys};
use protocol::conformance;
use protocol::member::Backend;

fn conforms<B: Backend + Copy + 'static>(backend: B) {
    let report = conformance::check(&|| Box::new(backend)).unwrap_or_else(|violation| panic!("{violation}"));
    assert!(report.notes.is_empty() && report.not_made.is_empty(), "{report}");
    println!("{report}");
}

#[test]
fn pairwise_conforms() {
    conforms(Pairwise);
}

#[test]
fn sender_keys_eager_conforms() {
    conforms(SenderKeys::EAGER);
}

#[test]
fn sender_keys_lazy_conforms() {
    conforms(SenderKeys::LAZY);
}

#[test]
fn sender_keys_pcs_conforms() {
    conforms(SenderKeys::PCS);
}
