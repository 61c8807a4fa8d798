//! The CPU time of another process, and which processes it has started. The numbers are those of Linux.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use super::load::{self, read};

/// How long a process may take until it is at rest, and how often that is looked at.
const REST: Duration = Duration::from_millis(10);
const POLL: Duration = Duration::from_micros(20);

/// The CPU time of a process so far in nanoseconds, of all its threads, including those that have ended; 0 if it cannot be
/// read. The system adds the time of a thread when it stops running, or at the next tick. So this waits until all of them
/// are at rest. If one is not for 10 milliseconds, its last few may be missing, and count the next time.
#[must_use]
pub fn cpu_ns(id: u32) -> u64 {
    let start = Instant::now();
    while !is_at_rest(id) && start.elapsed() < REST {
        thread::sleep(POLL);
    }
    clock_ns(id).unwrap_or(0)
}

#[cfg(all(feature = "cli", target_os = "linux"))]
fn clock_ns(id: u32) -> Option<u64> {
    let id = nix::unistd::Pid::from_raw(i32::try_from(id).ok()?);
    let now = nix::time::ClockId::pid_cpu_clock_id(id).and_then(nix::time::ClockId::now).ok()?;
    u64::try_from(Duration::from(now).as_nanos()).ok()
}

/// Only the command line measures other processes.
#[cfg(not(all(feature = "cli", target_os = "linux")))]
fn clock_ns(_id: u32) -> Option<u64> {
    None
}

/// Whether no thread of a process runs or waits for a processor.
fn is_at_rest(id: u32) -> bool {
    let runs = |stat: &str| stat.rsplit_once(") ").is_some_and(|(_, fields)| fields.starts_with('R'));
    !of_threads(id, "stat").iter().any(|stat| runs(stat))
}

/// The processes that a process has started and that have not ended. None if the system does not say.
#[must_use]
pub fn children(id: u32) -> Vec<u32> {
    let all = of_threads(id, "children");
    all.iter().flat_map(|children| children.split_whitespace()).filter_map(|child| child.parse().ok()).collect()
}

/// The processes that a process and those that it has started have started.
#[must_use]
pub fn descendants(id: u32) -> Vec<u32> {
    let mut found = children(id);
    let mut next = 0;
    while let Some(child) = found.get(next).copied() {
        next += 1;
        let new: Vec<u32> = children(child).into_iter().filter(|it| *it != id && !found.contains(it)).collect();
        found.extend(new);
    }
    found
}

/// Kills these processes.
pub fn kill(processes: &[u32]) {
    #[cfg(target_os = "linux")]
    for process in processes {
        let process = i32::try_from(*process).ok().and_then(rustix::process::Pid::from_raw);
        // This fails only if the process has ended.
        let _ = process.map(|process| rustix::process::kill_process(process, rustix::process::Signal::KILL));
    }
    #[cfg(not(target_os = "linux"))]
    let _ = processes;
}

/// Lets the [peak memory](peak_bytes) of a process begin anew with what is resident now. Whether the system has done it.
#[must_use]
pub fn reset_peak(id: u32) -> bool {
    // 5 is the peak.
    fs::write(format!("/proc/{id}/clear_refs"), "5").is_ok()
}

/// The peak resident memory of a process in bytes; `None` if the system does not report it.
#[must_use]
pub fn peak_bytes(id: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{id}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kibibytes| kibibytes * 1024)
}

/// Lets a process, the others in its group, and all that it has started stand still. Does nothing on other systems.
pub fn stop(id: u32) {
    #[cfg(target_os = "linux")]
    signal_all(id, rustix::process::Signal::STOP);
    #[cfg(not(target_os = "linux"))]
    let _ = id;
}

/// Lets them go on.
pub fn go_on(id: u32) {
    #[cfg(target_os = "linux")]
    signal_all(id, rustix::process::Signal::CONT);
    #[cfg(not(target_os = "linux"))]
    let _ = id;
}

#[cfg(target_os = "linux")]
fn signal_all(id: u32, signal: rustix::process::Signal) {
    use rustix::process::{Pid, kill_process, kill_process_group};

    let pid = |id: u32| i32::try_from(id).ok().and_then(Pid::from_raw);
    // These fail only if the processes have ended. One that has left the group is still below the process.
    let _ = pid(id).map(|group| kill_process_group(group, signal));
    for process in descendants(id).into_iter().chain([id]).filter_map(pid) {
        let _ = kill_process(process, signal);
    }
}

/// Makes this process the parent of the processes that it and others below it have started, when their own parents end. So
/// none of them gets out of sight.
///
/// # Errors
/// The system refuses it.
pub fn adopt_orphans() -> std::io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    Ok(())
}

/// The CPU time of the children of a process that have ended, in clock ticks.
#[must_use]
pub fn ended_children_ticks(id: u32) -> u64 {
    load::of_children(&read(&format!("/proc/{id}/stat"))).unwrap_or(0)
}

/// A file of each thread of a process.
fn of_threads(id: u32, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{id}/task")).into_iter().flatten().flatten();
    threads.filter_map(|thread| fs::read_to_string(thread.path().join(name)).ok()).collect()
}

#[cfg(test)]
#[cfg(all(feature = "cli", target_os = "linux"))]
mod tests {
    use std::io::{BufRead as _, BufReader, Write as _};
    use std::process::{Child, Stdio};

    use super::*;
    use crate::system::command::command;

    /// A process that runs this script for each line that it gets, and answers.
    fn answering(script: &str) -> Child {
        let script = format!("while read line; do {script}; echo done; done");
        command("sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    fn ask(child: &mut Child) {
        child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut String::new()).unwrap();
    }

    #[test]
    fn the_work_for_an_answer_is_there_right_after_it_and_nothing_comes_later() {
        let mut child = answering("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
        let id = child.id();
        ask(&mut child);
        let start = cpu_ns(id);
        for _ in 0..5 {
            let before = cpu_ns(id);
            ask(&mut child);
            let after = cpu_ns(id);
            thread::sleep(Duration::from_millis(5));
            let later = cpu_ns(id);
            assert!(after - before > 1_000_000, "{}", after - before);
            assert!(later - after < 200_000, "{}", later - after);
        }
        assert!(cpu_ns(id) > start);
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(cpu_ns(id), 0);
    }

    #[test]
    fn what_a_process_and_its_children_have_started_is_killed() {
        let mut child = answering("sh -c 'sleep 600 & sleep 600; :' & :");
        ask(&mut child);
        let becomes = |done: &dyn Fn() -> bool| {
            let start = Instant::now();
            while !done() {
                assert!(start.elapsed() < Duration::from_secs(20));
                thread::sleep(Duration::from_millis(1));
            }
        };
        becomes(&|| descendants(child.id()).len() == 3);
        let started = descendants(child.id());
        child.kill().unwrap();
        kill(&started);
        child.wait().unwrap();
        let runs = |it: &u32| fs::read_to_string(format!("/proc/{it}/stat")).is_ok_and(|stat| !stat.contains(") Z"));
        becomes(&|| !started.iter().any(runs));
    }

    #[test]
    fn processes_that_a_process_has_started_are_seen() {
        let mut child = answering("sleep 600 & :");
        assert_eq!(children(child.id()), [0; 0]);
        ask(&mut child);
        let started = children(child.id());
        assert_eq!(started.len(), 1);
        child.kill().unwrap();
        child.wait().unwrap();
        command("kill").arg(started[0].to_string()).status().unwrap();

        let mut child = answering("sh -c 'i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'");
        assert_eq!(ended_children_ticks(child.id()), 0);
        ask(&mut child);
        assert!(ended_children_ticks(child.id()) > 0);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
