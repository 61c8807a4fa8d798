//! Results in the formats of other programs: the paper's own two files, which its notebook reads unchanged, and the list of
//! figures that github-action-benchmark tracks.

use std::collections::BTreeMap;
use std::io::Write;

use protocol::operation::{Operation, Role};
use serde::Serialize;

use crate::analysis::cell_costs::{Cost, bytes_sent, cpu_of_all};
use crate::analysis::measurement::{self, When, Who};
use crate::record::exposure::Findings;
use crate::record::metric::Metric;
use crate::record::name::join;
use crate::record::sample::{Sample, Status};

/// The paper's name for its protocol.
const FULL: &str = "FULL";
/// The name of the same protocol here.
const DCGKA: &str = "dcgka";
/// The operations that have rows in the paper's files. Create has none: it is the set-up of the others.
const OPERATIONS: [Operation; 4] = [Operation::Add, Operation::Remove, Operation::Update, Operation::Message];

/// Writes time.csv: one row for each member, times in milliseconds, in the paper's sense of sender and recipient. The
/// sender of a message has no time in that sense, so its field is empty. So is that of a set-up that was not measured.
///
/// A recipient's set-up is its part in the create of the same iteration: all samples list the members in the same order,
/// and the removed member is the last of the group.
///
/// # Errors
/// `out` cannot be written to.
pub fn write_time(samples: &[Sample], out: impl Write) -> csv::Result<()> {
    let setups = Setups::new(samples);
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["groupsize", "protocol", "operation", "clientrole", "setuptime", "operationtime"])?;
    for sample in exported(samples) {
        let setup = setups.of(sample);
        let setup_of = |cost: Cost| setup.map(|create| cost.cpu_ns(create)).unwrap_or_default();
        let senders = cpu_of_all(sample, Role::Sender).len();
        let sides = [("SENDER", Cost::SenderAsInPaper, senders), ("RECIPIENT", Cost::Recipient, 0)];
        for (role, cost, at_least) in sides {
            let (times, setup_times) = (cost.cpu_ns(sample), setup_of(cost));
            for member in 0..times.len().max(at_least) {
                writer.write_record([
                    &sample.group_size.to_string(),
                    &protocol_name(sample),
                    &sample.operation.to_string(),
                    role,
                    &milliseconds(setup_times.get(member)),
                    &milliseconds(times.get(member)),
                ])?;
            }
        }
    }
    writer.flush()?;
    Ok(())
}

/// Writes traffic.csv: one row for each sample, with the bytes of all messages, a broadcast counted once.
///
/// # Errors
/// `out` cannot be written to.
pub fn write_traffic(samples: &[Sample], out: impl Write) -> csv::Result<()> {
    let setups = Setups::new(samples);
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["groupsize", "protocol", "operation", "setupsentbytes", "operationsentbytes"])?;
    for sample in exported(samples) {
        writer.write_record([
            &sample.group_size.to_string(),
            &protocol_name(sample),
            &sample.operation.to_string(),
            &setups.of(sample).map(|create| bytes_sent(create).to_string()).unwrap_or_default(),
            &bytes_sent(sample).to_string(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// A figure in the format `customSmallerIsBetter` of github-action-benchmark.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tracked {
    /// The cell and what is measured in it. The figure is tracked under this name.
    pub name: String,
    /// One of `messages`, `B` and `ms`.
    pub unit: &'static str,
    /// The median of all values.
    pub value: f64,
    /// For times, the median absolute deviation from the median. `None` for exact figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// The tracked figures of each cell: messages and bytes sent by the whole group, a broadcast counted once, and the CPU time
/// of one member of each role.
#[must_use]
pub fn tracked(samples: &[Sample]) -> Vec<Tracked> {
    let mut tracked = Vec::new();
    for row in measurement::rows(samples) {
        let (key, Some(summary)) = (&row.key, &row.summary) else { continue };
        if key.when != When::All || key.kind.is_some() {
            continue;
        }
        let (what, unit, scale) = match (key.metric, key.who) {
            (Some(Metric::Messages), Who::Group) => ("messages".to_owned(), "messages", 1.0),
            (Some(Metric::BytesSent), Who::Group) => ("bytes sent".to_owned(), "B", 1.0),
            (Some(Metric::CpuNs), Who::Role(role)) => (format!("CPU time of the {role}"), "ms", 1e6),
            _ => continue,
        };
        let backend = join(&key.backend, &key.variant);
        let range = (unit == "ms").then(|| format!("± {}", measurement::number(summary.mad / scale)));
        let name = format!("{backend}, {} of {} members: {what}", key.operation, key.group_size);
        tracked.push(Tracked { name, unit, value: summary.median / scale, range });
    }
    tracked
}

/// The samples of create, which are the set-up of the other operations, by backend, group size and iteration.
struct Setups<'a>(BTreeMap<(String, u32, u32), &'a Sample>);

impl<'a> Setups<'a> {
    fn new(samples: &'a [Sample]) -> Self {
        let creations =
            samples.iter().filter(|sample| sample.status == Status::Ok && sample.operation == Operation::Create);
        Self(creations.map(|sample| (Self::key(sample), sample)).collect())
    }

    fn of(&self, sample: &Sample) -> Option<&'a Sample> {
        self.0.get(&Self::key(sample)).copied()
    }

    fn key(sample: &Sample) -> (String, u32, u32) {
        (join(&sample.backend, &sample.variant), sample.group_size, sample.iteration)
    }
}

fn exported(samples: &[Sample]) -> impl Iterator<Item = &Sample> {
    samples.iter().filter(|sample| sample.status == Status::Ok && OPERATIONS.contains(&sample.operation))
}

/// `FULL` for the paper's protocol. Others have their own names, in capitals like those of the paper.
fn protocol_name(sample: &Sample) -> String {
    if sample.backend == DCGKA && sample.variant.is_empty() {
        FULL.to_owned()
    } else {
        join(&sample.backend, &sample.variant).to_uppercase().replace([':', '-'], "_")
    }
}

fn milliseconds(nanoseconds: Option<&u64>) -> String {
    nanoseconds.map(|ns| (*ns as f64 / 1e6).to_string()).unwrap_or_default()
}

/// Writes what attackers have read in each situation.
///
/// # Errors
/// The rows cannot be written.
pub fn write_situations(findings: &Findings, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "backend",
        "situation",
        "status",
        "tried",
        "exposed",
        "by_thieves",
        "by_derivation",
        "twin_tried",
        "twin_read",
        "follows",
        "reason",
    ])?;
    for attacked in &findings.backends {
        for played in &attacked.situations {
            let derived = played.by_derivation.map_or_else(String::new, |count| count.to_string());
            writer.write_record([
                &attacked.backend,
                &played.situation,
                played.status.name(),
                &played.tried.to_string(),
                &played.exposed.to_string(),
                &played.by_thieves.to_string(),
                &derived,
                &played.twin_tried.to_string(),
                &played.twin_read.to_string(),
                &played.follows.to_string(),
                &played.reason,
            ])?;
        }
    }
    Ok(writer.flush()?)
}

/// Writes what thefts expose of a conversation, and what it costs.
///
/// # Errors
/// The rows cannot be written.
pub fn write_exposure(findings: &Findings, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "backend",
        "derived",
        "update_every",
        "status",
        "members",
        "messages",
        "bytes",
        "cpu_ns",
        "public_key_operations",
        "thefts",
        "mean_exposed",
        "most_exposed",
        "mean_before",
        "mean_until",
        "reason",
    ])?;
    for attacked in &findings.backends {
        for ran in &attacked.workloads {
            writer.write_record([
                &attacked.backend,
                &attacked.derived.to_string(),
                &ran.update_every.map_or_else(|| "never".to_owned(), |every| every.to_string()),
                ran.status.name(),
                &ran.members.to_string(),
                &ran.messages.to_string(),
                &ran.bytes.to_string(),
                &ran.cpu_ns.to_string(),
                &ran.public_key.map_or_else(String::new, |count| count.to_string()),
                &ran.thefts.len().to_string(),
                &ran.mean_exposed().to_string(),
                &ran.most_exposed().to_string(),
                &ran.mean_before().to_string(),
                &ran.mean_until().to_string(),
                &ran.reason,
            ])?;
        }
    }
    Ok(writer.flush()?)
}

/// Writes what states expose while a member is away.
///
/// # Errors
/// The rows cannot be written.
pub fn write_absence(findings: &Findings, out: impl Write) -> csv::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record([
        "backend",
        "derived",
        "messages",
        "absent_exposes",
        "present_exposes",
        "absent_state",
        "largest_state",
        "reason",
    ])?;
    for attacked in &findings.backends {
        let backend = || [attacked.backend.clone(), attacked.derived.to_string()].into_iter();
        if !attacked.absence_reason.is_empty() {
            let figures = std::iter::repeat_n(String::new(), 5);
            writer.write_record(backend().chain(figures).chain([attacked.absence_reason.clone()]))?;
        }
        for moment in &attacked.absence {
            let figures = [moment.messages, moment.absent, moment.present, moment.absent_state, moment.largest_state];
            let figures = figures.map(|figure| figure.to_string());
            writer.write_record(backend().chain(figures).chain([String::new()]))?;
        }
    }
    Ok(writer.flush()?)
}

#[cfg(test)]
mod tests {
    use protocol::operation::Phase;

    use super::*;
    use crate::synthetic;

    fn create() -> Sample {
        let mut create = synthetic::remove();
        create.operation = Operation::Create;
        create.work.iter_mut().filter(|work| work.role == Role::Removed).for_each(|work| {
            work.role = Role::Recipient;
            work.phase = Phase::Generate;
            work.cpu_ns = vec![0, 0, 500];
        });
        create
    }

    #[test]
    fn time_has_a_row_for_each_member() {
        let mut text = Vec::new();
        write_time(&[synthetic::remove(), create()], &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "groupsize,protocol,operation,clientrole,setuptime,operationtime\n\
             4,TOY,remove,SENDER,0.0003,0.0003\n\
             4,TOY,remove,RECIPIENT,0.00036,0.00036\n\
             4,TOY,remove,RECIPIENT,0.00038,0.00038\n\
             4,TOY,remove,RECIPIENT,0.0005,0.00009\n"
        );
    }

    #[test]
    fn the_sender_of_a_message_has_a_row_without_a_time() {
        let mut message = synthetic::remove();
        message.operation = Operation::Message;
        message.backend = "dcgka".to_owned();
        let mut text = Vec::new();
        write_time(&[message], &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert_eq!(text.lines().nth(1), Some("4,FULL,message,SENDER,,"));
    }

    #[test]
    fn what_is_tracked_is_named_by_its_cell_and_has_a_unit() {
        let tracked = tracked(&[synthetic::remove(), synthetic::remove()]);
        let json = serde_json::to_value(&tracked).unwrap();
        let named = |name: &str| {
            let named = json.as_array().unwrap().iter().find(|entry| entry["name"] == name);
            named.unwrap_or_else(|| panic!("no {name} in {json}"))
        };
        let bytes = named("toy, remove of 4 members: bytes sent");
        assert_eq!(
            (bytes["unit"].as_str(), bytes["value"].as_f64(), bytes.get("range")),
            (Some("B"), Some(600.0), None)
        );
        let time = named("toy, remove of 4 members: CPU time of the recipient");
        assert_eq!((time["unit"].as_str(), time["value"].as_f64()), (Some("ms"), Some(0.00037)));
        assert_eq!(time["range"], "± 0.00001");
        assert_eq!(tracked.len(), 2 + 3, "two of the group, and one of each role");
    }

    #[test]
    fn traffic_has_a_row_for_each_sample() {
        let mut text = Vec::new();
        let mut cold = synthetic::remove();
        cold.operation = Operation::UpdateCold;
        write_traffic(&[synthetic::remove(), create(), cold], &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "groupsize,protocol,operation,setupsentbytes,operationsentbytes\n4,TOY,remove,600,600\n"
        );
    }
}
