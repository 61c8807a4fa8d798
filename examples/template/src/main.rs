//! The command line of the harness, with the backend of this crate beside the others.

harness::main! { template::Boxes }
