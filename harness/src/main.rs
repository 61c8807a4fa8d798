//! The command line, with the backends of this workspace. A protocol of one file can stand beside this one: with `mine.rs`
//! here, the line is `harness::main! { mod mine; mine::Mine }`.

harness::main! {}
