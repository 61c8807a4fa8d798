//! What is seen only in processes of their own: work on other threads, and what members share in memory. This program is its
//! own runner (first argument `runner`, or `only` for one that starts no processes) and repeats parts (`part`). Otherwise it
//! runs the tests below, or those whose name contains the argument.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "the other test program uses the rest")]

#[path = "../faulty/honest_at_first.rs"]
mod honest_at_first;
#[path = "../faulty/layer.rs"]
mod layer;
#[path = "../faulty/other_threads.rs"]
mod other_threads;
#[path = "../faulty/other_threads_uncounted.rs"]
mod other_threads_uncounted;
#[path = "../faulty/second_signature.rs"]
mod second_signature;
#[path = "../faulty/shared_memory.rs"]
mod shared_memory;
#[path = "../faulty/table_in_a_file.rs"]
mod table_in_a_file;
#[path = "../faulty/table_of_plaintexts.rs"]
mod table_of_plaintexts;
#[path = "../faulty/table_of_signatures.rs"]
mod table_of_signatures;
#[path = "../faulty/works_in_restore.rs"]
mod works_in_restore;

use std::collections::BTreeMap;
use std::time::Duration;

use harness::record::program::Program;
use harness::record::sample::{Sample, Status};
use harness::registry::{Constructor, Registry};
use harness::run::cell_protocol::{Request, Verdict};
use harness::run::child::{Answer, Checked, Launch, Runner};
use harness::run::plan::{Choice, Earlier, Plan};
use harness::run::{apart, runner, schedule};
use honest_at_first::HonestAtFirst;
use layer::{Layer, Layered};
use libtest_mimic::{Arguments, Trial};
use other_threads::{OtherThreads, Threads};
use other_threads_uncounted::OtherThreadsUncounted;
use protocol::error::Error;
use protocol::member::{Backend, Description, Member, NewUser};
use protocol::operation::{Expected, Operation};
use rand_core::CryptoRng;
use second_signature::SecondSignature;
use shared_memory::SharedMemory;
use table_in_a_file::TableInAFile;
use table_of_plaintexts::TableOfPlaintexts;
use table_of_signatures::TableOfSignatures;
use works_in_restore::WorksInRestore;

/// More members than in any group of the suite.
const SIZE: u32 = 24;

/// A backend under another name.
struct Named(&'static str, Box<dyn Backend>);

impl Named {
    fn layered<L: Layer>(name: &'static str) -> Box<dyn Backend> {
        Box::new(Self(name, Box::new(Layered::<L>::default())))
    }

    fn threads(name: &'static str, threads: Threads) -> Box<dyn Backend> {
        Box::new(Self(name, Box::new(OtherThreads(threads))))
    }
}

impl Backend for Named {
    fn description(&self) -> Description {
        Description { name: self.0, ..self.1.description() }
    }

    fn new_user(&self, one_time_prekeys: usize, rng: &mut dyn CryptoRng) -> NewUser {
        self.1.new_user(one_time_prekeys, rng)
    }

    fn restore(&self, state: &[u8]) -> Result<Box<dyn Member>, Error> {
        self.1.restore(state)
    }

    fn expected(&self, operation: Operation, group_size: usize) -> Option<Expected> {
        self.1.expected(operation, group_size)
    }
}

const BACKENDS: &[Constructor] = &[
    || Named::layered::<SecondSignature>("signed"),
    || Named::layered::<TableOfPlaintexts<false>>("sealed"),
    || Named::layered::<TableOfSignatures<false>>("table-of-signatures"),
    || Named::layered::<TableOfSignatures<true>>("table-of-uncounted-signatures"),
    || Named::layered::<TableOfPlaintexts<true>>("table-of-plaintexts"),
    || Named::layered::<TableInAFile>("table-in-a-file"),
    || Named::layered::<SharedMemory>("shared-memory"),
    || Named::layered::<HonestAtFirst>("honest-at-first"),
    || Named::layered::<WorksInRestore>("works-in-restore"),
    || Named::layered::<OtherThreadsUncounted>("uncounted-threads"),
    || Named::threads("new-threads", Threads::New),
    || Named::threads("pool", Threads::Pool),
    || Named::threads("declared-threads", Threads::Declared),
];
const REGISTRY: Registry = Registry::new(BACKENDS);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [apart::VERB] => apart::serve(&|name| REGISTRY.find(name)).unwrap(),
        ["ends"] => std::process::exit(7),
        ["runner", "--backend", name, ..] => serve(name, Some(apart::VERB)),
        ["only", "--backend", name, ..] => serve(name, None),
        ["with-ends", "--backend", name, ..] => serve(name, Some("ends")),
        _ => run_tests(),
    }
}

fn serve(name: &str, part: Option<&str>) {
    let parts = part.map(|verb| Launch::subcommand(verb).unwrap());
    runner::serve(&REGISTRY, name, "", parts.as_ref()).unwrap();
}

fn run_tests() {
    let tests: [(&str, fn()); 10] = [
        ("without_a_fault_parts_are_the_same_in_processes_of_their_own", without_a_fault),
        ("signatures_that_are_looked_up_are_refused", signatures_that_are_looked_up_are_refused),
        ("plaintexts_that_are_looked_up_are_refused", plaintexts_that_are_looked_up_are_refused),
        ("plaintexts_in_a_file_are_refused", plaintexts_in_a_file_are_refused),
        ("messages_that_need_shared_memory_are_refused", messages_that_need_shared_memory_are_refused),
        (
            "the_first_sample_is_not_the_only_one_that_is_inspected",
            the_first_sample_is_not_the_only_one_that_is_inspected,
        ),
        ("work_in_restore_is_refused", work_in_restore_is_refused),
        ("work_on_other_threads_is_refused", work_on_other_threads_is_refused),
        ("declared_threads_are_timed_and_counted", declared_threads_are_timed_and_counted),
        ("what_was_not_made_is_said", what_was_not_made_is_said),
    ];
    let trial = |(name, test): (&str, fn())| {
        Trial::test(name, move || {
            test();
            Ok(())
        })
    };
    libtest_mimic::run(&Arguments::from_args(), tests.into_iter().map(trial).collect()).exit();
}

/// A runner of this program, and what it says of the suite.
fn start(verb: &str, backend: &str) -> (Runner, Verdict) {
    let mut runner = Runner::start(&Launch::subcommand(verb).unwrap(), backend, "", 2, Some(0)).unwrap();
    let Checked::Verdict(verdict) = runner.conformance(Duration::from_secs(120)) else {
        panic!("{backend}: no verdict")
    };
    (runner, verdict)
}

fn ask(runner: &mut Runner, operation: Operation, peak: bool) -> Sample {
    let request = Request {
        run_id: "r".to_owned(),
        operation,
        group_size: SIZE,
        iteration: 1,
        seed: 1,
        peak,
        inspect: false,
        asks: false,
    };
    match runner.ask(&request, Duration::from_secs(120)) {
        Answer::Sample(sample) => *sample,
        other => panic!("{other:?}"),
    }
}

/// What is said of an update of a backend that passes the suite.
fn refusal(backend: &str) -> String {
    let (mut runner, verdict) = start("runner", backend);
    assert!(matches!(verdict, Verdict::Passed(_)), "{backend}: {verdict:?}");
    let sample = ask(&mut runner, Operation::Update, false);
    assert_eq!(sample.status, Status::Refused, "{backend}: {}", sample.validation);
    sample.reason
}

fn without_a_fault() {
    for backend in ["signed", "sealed"] {
        let (mut runner, verdict) = start("runner", backend);
        assert!(matches!(verdict, Verdict::Passed(_)), "{backend}: {verdict:?}");
        for operation in Operation::ALL.into_iter().filter(|operation| *operation != Operation::CreateMesh) {
            let Sample { status, reason, validation, .. } = ask(&mut runner, operation, false);
            assert_eq!(status, Status::Ok, "{backend} {operation}: {reason}");
            assert!(validation.contains(" parts the same in processes of their own"), "{validation}");
            assert!(validation.ends_with("no work outside the timers or on other threads"), "{validation}");
            // What was inspected once is said of each later sample of the cell.
            assert_eq!(ask(&mut runner, operation, false).validation, validation);
            assert!(!ask(&mut runner, operation, true).validation.contains("in processes of their own"));
        }
    }
}

fn signatures_that_are_looked_up_are_refused() {
    let found = refusal("table-of-signatures");
    assert_eq!(found, "sender, alone in another process with the same messages: it counts 46 of op.verify, not 23");
    let found = refusal("table-of-uncounted-signatures");
    assert!(found.contains(", alone in another process with the same messages: it takes "), "{found}");
}

fn plaintexts_that_are_looked_up_are_refused() {
    let found = refusal("table-of-plaintexts");
    assert!(found.starts_with("sender, alone in another process with the same messages: it counts "), "{found}");
}

fn plaintexts_in_a_file_are_refused() {
    // Without the suite, which would fill the file.
    let _ = std::fs::remove_file(table_in_a_file::FILE);
    let mut runner = Runner::start(&Launch::subcommand("runner").unwrap(), "table-in-a-file", "", 2, None).unwrap();
    let found = ask(&mut runner, Operation::Update, false).reason;
    assert!(found.starts_with("sender, alone in another process with the same messages: it counts "), "{found}");
    std::fs::remove_file(table_in_a_file::FILE).unwrap();
}

fn messages_that_need_shared_memory_are_refused() {
    let found = refusal("shared-memory");
    assert_eq!(found, "sender, alone in another process with the same messages: the message is not authentic");
}

fn the_first_sample_is_not_the_only_one_that_is_inspected() {
    let choice = Choice { backend: "honest-at-first".to_owned(), variant: String::new() };
    let plan = Plan {
        backends: vec![choice],
        iterations: [(Operation::Update, 2)].into(),
        large_groups: None,
        sizes: vec![SIZE],
        seed: 1,
        jobs: 2,
        // In its large group, the suite would be the first to measure.
        conformance: false,
        timeout: Duration::from_secs(120),
        peak: false,
        out: None,
        earlier: Earlier::Refuse,
        launch: Launch::subcommand("runner").unwrap(),
        external: BTreeMap::new(),
        growth: BTreeMap::new(),
        left_out: BTreeMap::new(),
        program: Program::HARNESS,
        argv: Vec::new(),
    };
    let samples = schedule::measure(&plan, &mut |_| ()).unwrap().samples;
    let [first, second] = <[Sample; 2]>::try_from(samples).unwrap();
    assert_eq!(first.status, Status::Ok, "{}", first.reason);
    assert_eq!(second.status, Status::Refused, "{}", second.validation);
    assert!(second.reason.ends_with("it counts 46 of op.verify, not 23"), "{}", second.reason);
}

fn work_in_restore_is_refused() {
    let found = refusal("works-in-restore");
    let said =
        "sender, alone in another process with the same messages: restoring the member from its export uses op.sign";
    assert_eq!(found, said);
}

fn work_on_other_threads_is_refused() {
    for backend in ["new-threads", "pool"] {
        let (mut runner, verdict) = start("runner", backend);
        let Verdict::Violated(reason) = verdict else { panic!("{backend} passes the suite") };
        let said = "operations: a call uses primitives on another thread, and the backend does not declare";
        assert!(reason.starts_with(said), "{backend}: {reason}");
        // Also without the suite.
        let reason = ask(&mut runner, Operation::Update, false).reason;
        assert!(
            reason.starts_with("primitives are used on another thread, where no timer runs"),
            "{backend}: {reason}"
        );
    }
    let found = refusal("uncounted-threads");
    assert!(
        found.starts_with("the process has worked ") && found.contains(" microseconds on other threads"),
        "{found}"
    );
}

fn declared_threads_are_timed_and_counted() {
    let (mut runner, verdict) = start("runner", "declared-threads");
    assert!(matches!(verdict, Verdict::Passed(_)), "{verdict:?}");
    let sample = ask(&mut runner, Operation::Update, false);
    assert_eq!(sample.status, Status::Ok, "{}", sample.reason);
    assert!(sample.validation.contains(" as expected, members agreed on by 24"), "{}", sample.validation);
    assert!(sample.validation.ends_with("timed and counted on all threads"), "{}", sample.validation);
    let verified: u64 = sample
        .work
        .iter()
        .flat_map(|row| &row.counts)
        .filter(|(metric, _)| metric.name() == "op.verify")
        .map(|(_, count)| count)
        .sum();
    assert!(verified > 500, "{verified}");
    assert!(sample.work.iter().flat_map(|row| &row.cpu_ns).sum::<u64>() > verified * 10_000);
}

fn what_was_not_made_is_said() {
    for (verb, said) in [
        ("only", "parts in processes of their own not made: this program does not say how to start them"),
        ("with-ends", "parts in processes of their own not made: the process ended: exit status: 7"),
    ] {
        let (mut runner, _) = start(verb, "signed");
        let sample = ask(&mut runner, Operation::Update, false);
        assert_eq!(sample.status, Status::Ok, "{}", sample.reason);
        assert!(sample.validation.contains(said), "{}", sample.validation);
    }
}
