//! How busy the machine is: load averages, clock frequency, and what other processes take of its processors.
//!
//! The numbers are those of Linux (proc(5)). Where the system does not report them, they are empty or `None`.

/// The three load averages, as the system writes them; empty if they are unknown.
#[must_use]
pub fn averages() -> String {
    read("/proc/loadavg").split_whitespace().take(3).collect::<Vec<_>>().join(" ")
}

/// The clock frequency of the fastest processor at this moment, in MHz. `None` if it is unknown.
#[must_use]
pub fn frequency_mhz() -> Option<f64> {
    let text = read("/proc/cpuinfo");
    let values = text.lines().filter_map(|line| line.strip_prefix("cpu MHz")?.split_once(':')?.1.trim().parse().ok());
    values.max_by(f64::total_cmp)
}

/// How much the processors have worked so far, in clock ticks: for all processes, and for this one and its children.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticks {
    /// Of one processor, idle or not.
    elapsed: u64,
    /// Of all processors together, idle time left out. What a hypervisor takes for other machines is included.
    busy: u64,
    /// Of this process and its children.
    own: u64,
}

impl Ticks {
    /// The ticks until now. The system adds the work of a child to that of this process only when the child has ended, so
    /// those that still run are `living`, by number. `None` if the system does not report the ticks.
    #[must_use]
    pub fn now(living: impl IntoIterator<Item = u32>) -> Option<Self> {
        let living = living.into_iter().map(|id| read(&format!("/proc/{id}/stat"))).collect::<Vec<_>>();
        Self::parse(&read("/proc/stat"), &read("/proc/self/stat"), &living)
    }

    fn parse(system: &str, process: &str, living: &[String]) -> Option<Self> {
        let all = system.lines().find_map(|line| line.strip_prefix("cpu "))?;
        // user, nice, system, idle, iowait, irq, softirq, steal; guests are part of user.
        let all: Vec<u64> = all.split_whitespace().take(8).map_while(|field| field.parse().ok()).collect();
        let [user, nice, kernel, idle, waiting, irq, softirq, steal] = all[..] else { return None };
        let processors = system.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
        let busy = user + nice + kernel + irq + softirq + steal;
        let elapsed = (busy + idle + waiting).checked_div(processors as u64)?;
        let own = of_process(process)? + living.iter().filter_map(|child| of_process(child)).sum::<u64>();
        Some(Self { elapsed, busy, own })
    }

    /// How many processors other processes kept busy between two moments, on average. `None` if no time has passed.
    #[must_use]
    pub fn others_busy_since(self, start: Self) -> Option<f64> {
        let elapsed = self.elapsed.checked_sub(start.elapsed).filter(|elapsed| *elapsed > 0)?;
        let own = self.own.saturating_sub(start.own);
        let others = self.busy.saturating_sub(start.busy).saturating_sub(own);
        Some((others as f64 / elapsed as f64 * 100.0).round() / 100.0)
    }
}

/// The ticks of a process and those of its children that have ended.
fn of_process(stat: &str) -> Option<u64> {
    times(stat).map(|times| times.iter().sum())
}

/// The ticks of the children of a process that have ended.
pub(super) fn of_children(stat: &str) -> Option<u64> {
    times(stat).map(|[_, _, user, system]| user + system)
}

/// The ticks of a process as user and system, and those of its children that have ended.
fn times(stat: &str) -> Option<[u64; 4]> {
    // The name of the program is in brackets and may hold spaces. Field 3 follows it; the times are fields 14 to 17.
    let fields = stat.rsplit_once(')')?.1;
    let times: Vec<u64> = fields.split_whitespace().skip(11).take(4).map_while(|field| field.parse().ok()).collect();
    times.try_into().ok()
}

/// The text of a file that only some systems have; empty if it cannot be read.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEFORE: &str = "cpu  100 0 20 1000 10 0 5 15 7 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n";
    const AFTER: &str = "cpu  400 0 20 1690 10 0 5 25 7 0\ncpu0 1 2\ncpu1 1 2\nintr 5\n";

    fn process(user: u64) -> String {
        format!("42 (a (strange) name) S 1 42 42 0 -1 4194304 100 0 0 0 {user} 3 50 6 20 0 3 0 100 1000\n")
    }

    #[test]
    fn what_others_take_is_all_work_less_our_own() {
        let start = Ticks::parse(BEFORE, &process(10), &[]).unwrap();
        let end = Ticks::parse(AFTER, &process(220), &[]).unwrap();
        // 1000 ticks of two processors, of which 310 were work: 210 of it our own.
        assert_eq!(end.others_busy_since(start), Some(0.2));
        assert_eq!(start.others_busy_since(start), None);
        assert_eq!(Ticks::parse("", &process(1), &[]), None);
        assert_eq!(Ticks::parse(BEFORE, "42", &[]), None);
        // The same work, but most of it by a child that still runs. One that has ended meanwhile counts nothing.
        let end = Ticks::parse(AFTER, &process(20), &[process(141), String::new()]).unwrap();
        assert_eq!(end.others_busy_since(start), Some(0.2));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_work_of_a_child_that_still_runs_is_our_own() {
        let mut child = crate::system::command::command("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let start = std::time::Instant::now();
        let counts = || Ticks::now([child.id()]).unwrap().own > Ticks::now([]).unwrap().own + 4;
        while !counts() && start.elapsed().as_secs() < 20 {
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        let counted = counts();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(counted);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_system_reports_its_ticks() {
        assert!(Ticks::now([]).is_some());
        assert_eq!(averages().split(' ').count(), 3);
    }
}
