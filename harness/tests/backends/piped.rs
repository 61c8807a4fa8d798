//! A backend behind a pipe: the toy in Python, as it is and with faults.

use std::any::Any;
use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::measure::cell::{Bench, Cell, Outcome};
use harness::measure::randomness::Origin;
use harness::measure::validation::Refusal;
use harness::pipe::{Pipe, PipeError};
use protocol::conformance;
use protocol::operation::{Operation, Phase, Role};

const TOY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../backends/python-toy/src/toy.py");
/// Where a call begins, and where an answer has been written.
const CALL: &str = "    call, number = request[\"call\"], request.get(\"member\")\n";
const ANSWERED: &str = "            write({\"id\": request[\"id\"], \"ok\": handle(request)})\n";

/// Whether there is a Python. Without it, these tests show nothing.
pub(crate) fn python() -> bool {
    let found = Command::new("python3").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    let found = found.is_ok_and(|status| status.success());
    if !found {
        println!("SKIPPED: there is no python3, so nothing is tested here");
    }
    found
}

/// The toy, with these lines after one of its lines.
fn altered(test: &str, after: &str, lines: &str) -> PathBuf {
    let text = fs::read_to_string(TOY).unwrap();
    assert_eq!(text.matches(after).count(), 1);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{test}.py"));
    fs::write(&path, text.replace(after, &format!("{after}{lines}"))).unwrap();
    path
}

fn start(program: &Path) -> Result<Pipe, PipeError> {
    let program = program.to_owned();
    Pipe::start("python-toy", "python-toy 1", move || {
        let mut command = Command::new("python3");
        command.arg("-B").arg(&program);
        command
    })
}

fn measured(program: &Path, operation: Operation) -> Result<Outcome, Refusal> {
    let pipe = start(program).unwrap();
    let backend = pipe.find("python-toy").unwrap();
    let origin = Origin { seed: 1, group_size: 3, iteration: 1 };
    Bench::new(&*backend, 1).unwrap().run(&Cell { operation, origin })
}

/// What a program that fails has done.
fn failure(program: &Path) -> String {
    let failed = catch_unwind(AssertUnwindSafe(|| measured(program, Operation::Create)));
    let said: Box<dyn Any + Send> = failed.unwrap_err();
    *said.downcast().unwrap()
}

/// The CPU time of the sender in its call, in milliseconds.
fn sender_ms(outcome: &Outcome) -> u64 {
    let row = outcome.work.iter().find(|row| (row.role, row.phase) == (Role::Sender, Phase::Generate));
    row.unwrap().cpu_ns[0] / 1_000_000
}

#[test]
fn a_program_in_python_is_measured_in_every_operation() {
    if !python() {
        return;
    }
    let pipe = start(Path::new(TOY)).unwrap();
    let backend = pipe.find("python-toy").unwrap();
    let mut bench = Bench::new(&*backend, 1).unwrap();
    let origin = Origin { seed: 1, group_size: 3, iteration: 0 };
    let mut operations = 0;
    for operation in Operation::ALL.into_iter().filter(|operation| backend.supports(*operation, 3)) {
        let outcome = bench.run(&Cell { operation, origin }).unwrap_or_else(|refusal| panic!("{operation}: {refusal}"));
        assert!(outcome.validation.ends_with("no work outside the timers or in a third process, by time alone"));
        // In microseconds: no call is as short as a clock read.
        assert!(outcome.work.iter().flat_map(|row| &row.cpu_ns).all(|ns| *ns == 0 || *ns > 1_000));
        operations += 1;
    }
    assert_eq!(operations, 7);
    assert_eq!(pipe.find("python-toy:other").err().unwrap().known, ["python-toy"]);
}

#[test]
fn work_in_a_call_is_timed_and_sleep_is_not() {
    if !python() {
        return;
    }
    let spin = "    end = time.process_time() + 0.05\n    while call == \"send\" and time.process_time() < end: pass\n";
    let spins = altered("piped-spins", CALL, &format!("    import time\n{spin}"));
    let worked = sender_ms(&measured(&spins, Operation::Message).unwrap());
    assert!((50..65).contains(&worked), "{worked}");
    // Other threads of the program count too.
    let thread = "    if call == \"send\": other = threading.Thread(target=spin); other.start(); other.join()\n";
    let spin =
        "    def spin():\n        end = time.thread_time() + 0.05\n        while time.thread_time() < end: pass\n";
    let threads = altered("piped-threads", CALL, &format!("    import threading, time\n{spin}{thread}"));
    let worked = sender_ms(&measured(&threads, Operation::Message).unwrap());
    assert!((50..65).contains(&worked), "{worked}");
    let sleeps = altered("piped-sleeps", CALL, "    import time\n    if call == \"send\": time.sleep(0.05)\n");
    let slept = sender_ms(&measured(&sleeps, Operation::Message).unwrap());
    assert!(slept < 10, "{slept}");
}

#[test]
fn work_between_calls_and_in_other_processes_is_refused() {
    if !python() {
        return;
    }
    let after = "            import time\n            end = time.process_time() + 0.03\n            \
                 while time.process_time() < end: pass\n";
    let refusal = measured(&altered("piped-between", ANSWERED, after), Operation::Message).unwrap_err();
    assert!(matches!(refusal, Refusal::BetweenCalls { us } if us > 10_000), "{refusal}");
    // It works when it has been asked nothing for a while.
    let later = "    import threading, time\n    global timer\n    def late():\n        end = time.thread_time() + 0.02\n        \
                 while time.thread_time() < end: pass\n    try: timer.cancel()\n    except NameError: pass\n    \
                 if call == \"receive\": timer = threading.Timer(0.004, late); timer.daemon = True; timer.start()\n";
    let refusal = measured(&altered("piped-at-rest", CALL, later), Operation::Message).unwrap_err();
    assert!(matches!(refusal, Refusal::AtRest { .. } | Refusal::BetweenCalls { .. }), "{refusal}");
    // It ends with the toy, which holds the other end of its input.
    let other = "    import subprocess\n    global other\n    if call == \"hello\": other = subprocess.Popen([\"cat\"], \
                 stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)\n";
    let refusal = measured(&altered("piped-process", CALL, other), Operation::Message).unwrap_err();
    assert_eq!(refusal, Refusal::OtherProcesses);
}

#[test]
fn a_program_that_breaks_the_protocol_is_ended_with_the_reason() {
    if !python() {
        return;
    }
    for (test, lines, reason) in [
        ("crash", "sys.exit(3)", "in `create`: it has ended: exit status: 3"),
        ("closes", "os.close(1); time.sleep(60)", "in `create`: it has closed its output"),
        ("garbage", "print(\"nonsense\", flush=True)", "in `create`: its line is no answer: expected"),
        ("id", "write({\"id\": 1, \"ok\": {}})", "in `create`: it has answered request 1, and was asked "),
        ("field", "return {\"outgoing\": 3}", "in `create`: its answer to `create` is wrong: invalid type: integer"),
        (
            "kind",
            "return {\"outgoing\": [{\"to\": None, \"kind\": \"x\", \"bytes\": \"\"}]}",
            "message of kind `x`, which",
        ),
        ("error", "raise Refused(\"tired\")", "in `create`: it knows no error `tired`"),
        ("long", "write(\"x\" * (20 << 20))", "in `create`: it has written a line of more than 16777216 bytes"),
    ] {
        let lines = format!("    import os, time\n    if call == \"create\": {lines}\n");
        let said = failure(&altered(&format!("piped-{test}"), CALL, &lines));
        assert!(said.starts_with("the program has failed ") && said.contains(reason), "{test}: {said}");
    }
}

#[test]
fn a_program_that_is_not_what_is_declared_is_not_used() {
    if !python() {
        return;
    }
    let said = |test: &str, change: &str| {
        let path = altered(test, CALL, &format!("    {change}\n"));
        start(&path).err().unwrap().to_string()
    };
    let version = said("piped-version", "HELLO[\"protocol\"] = 2");
    assert_eq!(version, "the program speaks version 2 of the member protocol, and this one version 1");
    let name = said("piped-name", "HELLO[\"name\"] = \"other\"");
    assert_eq!(name, "the program is the backend `other`, and `python-toy` is declared");
    let none = said("piped-none", "sys.exit(0)");
    assert_eq!(none, "the program has failed: it has ended: exit status: 0");
}

/// The suite goes on after a failure, with a program that is started again.
#[test]
fn a_program_that_crashes_fails_the_checks_in_which_it_does() {
    if !python() {
        return;
    }
    let path = altered("piped-suite", CALL, "    if call == \"create\": sys.exit(3)\n");
    let pipe = start(&path).unwrap();
    let make = pipe.constructor("python-toy").unwrap();
    let report = conformance::check(&make).unwrap();
    assert!(report.failed.len() > 8, "{:?}", report.failed);
    let reason = "the program has failed in `create`: it has ended: exit status: 3";
    assert!(report.failed.iter().all(|violation| violation.what.ends_with(reason)), "{:?}", report.failed);
    // And one that does so only once fails one.
    let mark = path.with_extension("mark");
    let _ = fs::remove_file(&mark);
    let less = "    HELLO[\"variants\"][0].update(operations=[\"create\", \"message\"], pcs_update=False)\n";
    let once = format!(
        "    mark = {mark:?}\n    if call == \"create\" and not os.path.exists(mark): open(mark, \"w\"); sys.exit(3)\n"
    );
    let path = altered("piped-once", CALL, &format!("    import os\n{less}{once}"));
    let pipe = start(&path).unwrap();
    let make = pipe.constructor("python-toy").unwrap();
    let failed = conformance::check(&make).unwrap().failed;
    assert_eq!(failed.iter().map(|violation| violation.check).collect::<Vec<_>>(), ["operations"], "{failed:?}");
}
