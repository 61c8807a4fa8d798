//! Attacks on one backend, in this process or in the one that holds it.

use std::io::{self, Write as _};
use std::time::Duration;

use protocol::crypto::count::Counted;
use protocol::member::Backend;
use protocol::security::{self, Absence, Answer, Exposed, Situation, Tried, Workload};

use super::child::Launch;
use crate::measure::meter::Scope;
use crate::record::exposure::{Attacked, Ended, Moment, Order, Played, Ran, Theft};
use crate::registry::full_name;
use crate::system::command::{lines_of, run_within};

/// The hidden subcommand.
pub const VERB: &str = "attack";
/// The option of that subcommand for smaller groups and shorter conversations.
pub const QUICK: &str = "--quick";

/// How long a program may take to attack its backend.
const ENDS_WITHIN: Duration = Duration::from_secs(3600);
/// What it may say, in bytes.
const MAX_ANSWER: u64 = 16 << 20;

/// After how many messages a member updates, from never to often.
const UPDATE_EVERY: [Option<usize>; 5] = [None, Some(200), Some(50), Some(20), Some(10)];
const QUICK_UPDATE_EVERY: [Option<usize>; 3] = [None, Some(50), Some(10)];

/// What makes independent instances of a backend.
pub type Make<'a> = &'a dyn Fn() -> Box<dyn Backend>;

/// Makes all attacks on a backend.
#[must_use]
pub fn attack(make: Make<'_>, order: Order) -> Attacked {
    let situations = security::SITUATIONS.iter().map(|situation| play(make, situation, order)).collect();
    let workloads = workloads(make, order).iter().map(|workload| run(make, workload)).collect();
    let (absence, absence_reason) = absence(make, order);
    let (backend, derived) = (full_name(&*make()), derives(&*make()));
    Attacked { backend, derived, situations, workloads, absence, absence_reason }
}

/// Whether what follows from a state of this backend can be derived.
#[must_use]
pub fn derives(backend: &dyn Backend) -> bool {
    backend.description().capabilities.counted == Counted::All
}

/// Plays a situation.
#[must_use]
pub fn play(make: Make<'_>, situation: &Situation, order: Order) -> Played {
    let empty = Played {
        situation: situation.name.to_owned(),
        status: Ended::Measured,
        reason: String::new(),
        tried: 0,
        exposed: 0,
        by_thieves: 0,
        by_derivation: None,
        twin_tried: 0,
        twin_read: 0,
        follows: true,
    };
    match security::examine(make, situation, order.seed) {
        Answer::Tried(Tried { secret, twin, follows }) => Played {
            tried: secret.tried,
            exposed: secret.read,
            by_thieves: secret.by_thieves,
            by_derivation: secret.by_derivation,
            twin_tried: twin.tried,
            twin_read: twin.read,
            follows,
            ..empty
        },
        Answer::NotPossible(reason) => Played { status: Ended::NotPossible, reason, ..empty },
        Answer::Failed(reason) => Played { status: Ended::Failed, reason, ..empty },
    }
}

/// The workloads that are run with a backend. Without updates there is one.
#[must_use]
pub fn workloads(make: Make<'_>, order: Order) -> Vec<Workload> {
    let Order { seed, quick } = order;
    let every: &[Option<usize>] = if quick { &QUICK_UPDATE_EVERY } else { &UPDATE_EVERY };
    let (members, messages, change_every) = if quick { (16, 200, 100) } else { (32, 1000, 200) };
    let backend = make();
    // Each thief runs the protocol's code through the whole conversation.
    let thefts = match (derives(&*backend), quick) {
        (true, _) => 64,
        (false, true) => 4,
        (false, false) => 8,
    };
    let has = |every: &&Option<usize>| every.is_none() || backend.description().capabilities.pcs_update;
    let workload =
        |every: &Option<usize>| Workload { members, messages, update_every: *every, change_every, thefts, seed };
    every.iter().filter(has).map(workload).collect()
}

/// Runs a workload. It is timed, so nothing else may run meanwhile.
#[must_use]
pub fn run(make: Make<'_>, workload: &Workload) -> Ran {
    let backend = make();
    let scope = Scope::of(&*backend);
    let Workload { members, messages, update_every, .. } = *workload;
    let empty = Ran {
        update_every,
        status: Ended::Measured,
        reason: String::new(),
        messages,
        members,
        bytes: 0,
        cpu_ns: 0,
        public_key: None,
        thefts: Vec::new(),
    };
    match security::expose(make, workload, &|| scope.cpu_ns()) {
        Ok(Exposed { bytes, busy, counts, thefts, .. }) => {
            let counted = backend.description().capabilities.counted != Counted::Nothing;
            let public_key = counts.public_key().named().iter().map(|(_, count)| count).sum();
            let theft =
                |it: security::Theft| Theft { moment: it.moment, before: it.before, after: it.after, until: it.until };
            let thefts = thefts.into_iter().map(theft).collect();
            Ran { bytes, cpu_ns: busy, public_key: counted.then_some(public_key), thefts, ..empty }
        }
        Err(reason) => Ran { status: Ended::Failed, reason, ..empty },
    }
}

/// Lets a member be away. Returns what was found, or why nothing was.
#[must_use]
pub fn absence(make: Make<'_>, order: Order) -> (Vec<Moment>, String) {
    let Order { seed, quick } = order;
    let (members, update_every, moments) =
        if quick { (8, 10, vec![0, 20, 50, 100]) } else { (16, 25, vec![0, 50, 100, 200, 400]) };
    let moment = |away: security::Away| Moment {
        messages: away.messages,
        // Of what was said meanwhile: what is said later says nothing of the absence.
        absent: away.absent.before,
        present: away.present.before,
        absent_state: away.absent.state_bytes,
        largest_state: away.largest_state,
    };
    match security::absent(make, &Absence { members, update_every, moments, seed }) {
        Ok(found) => (found.into_iter().map(moment).collect(), String::new()),
        Err(reason) => (Vec::new(), reason),
    }
}

/// Lets the program of a backend make the attacks.
///
/// # Errors
/// The reason why it does not, in words.
pub fn ask(launch: &Launch, (backend, variant): (&str, &str), order: Order) -> Result<Attacked, String> {
    let mut command = launch.command();
    command.args(["--backend", backend, "--variant", variant, "--seed", &order.seed.to_string()]);
    if order.quick {
        command.arg(QUICK);
    }
    let ended =
        run_within(command, ENDS_WITHIN, MAX_ANSWER).map_err(|error| format!("it cannot be started: {error}"))?;
    let ended = ended.ok_or_else(|| format!("no answer within {ENDS_WITHIN:?}"))?;
    if !ended.status.success() {
        let complaint = String::from_utf8_lossy(&ended.stderr);
        let lines: Vec<&str> = lines_of(&complaint).take(3).collect();
        return Err(format!("{}: {}", ended.status, lines.join("; ")));
    }
    serde_json::from_slice(&ended.stdout).map_err(|error| format!("it does not say what it has found: {error}"))
}

/// Makes the attacks, and writes what was found to standard output in one line of JSON.
///
/// # Errors
/// Standard output cannot be written.
pub fn serve(make: Make<'_>, order: Order) -> io::Result<()> {
    // A panic is a finding like any other.
    std::panic::set_hook(Box::new(|_| {}));
    let found = attack(make, order);
    let mut output = io::stdout().lock();
    writeln!(output, "{}", serde_json::to_string(&found)?)?;
    output.flush()
}
