//! Benches for developers: primitives, two-party channels, and an update of 128 members by role. Recorded figures come from the harness.
//!
//! They are a package of their own, so that the tests of the workspace do not compile criterion.
