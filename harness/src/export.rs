//! Results in the forms of other programs: the paper's own two files, so that its notebook reads them unchanged, and the
//! list that github-action-benchmark keeps track of.

use std::collections::BTreeMap;
use std::io::Write;

use protocol::operation::{Operation, Role};
use serde::Serialize;

use crate::cell_costs::{Cost, bytes_sent, cpu_of_all};
use crate::measurement::{self, ALL, GROUP};
use crate::registry::join;
use crate::sample::{Sample, Status};

/// The paper's name for its protocol.
const FULL: &str = "FULL";
/// Our name for it.
const DCGKA: &str = "dcgka";
/// The operations that the paper's files have rows for. Create has none of its own: it is the set-up of the others.
const OPERATIONS: [Operation; 4] = [Operation::Add, Operation::Remove, Operation::Update, Operation::Message];

/// Writes time.csv: one row for each member, times in milliseconds, in the paper's sense of sender and recipient. The
/// sender of a message has no time in that sense: its field is empty, as is a set-up that was not measured.
///
/// A recipient's set-up is its part in the creation of that iteration: samples list the members in the same order, and
/// the removed one is the last of the group.
///
/// # Errors
/// As the writer fails.
pub fn write_time(samples: &[Sample], out: impl Write) -> csv::Result<()> {
    let setups = Setups::new(samples);
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["groupsize", "protocol", "operation", "clientrole", "setuptime", "operationtime"])?;
    for sample in exported(samples) {
        let setup = setups.of(sample);
        let setup_of = |cost: Cost| setup.map(|create| cost.cpu_ns(create)).unwrap_or_default();
        let senders = cpu_of_all(sample, Role::Sender.name()).len();
        let sides = [("SENDER", Cost::SenderAsInPaper, senders), ("RECIPIENT", Cost::Recipient, 0)];
        for (role, cost, at_least) in sides {
            let (times, setup_times) = (cost.cpu_ns(sample), setup_of(cost));
            for member in 0..times.len().max(at_least) {
                writer.write_record([
                    &sample.group_size.to_string(),
                    &protocol_name(sample),
                    &sample.operation,
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

/// Writes traffic.csv: one row for each run, all messages, a broadcast counted once.
///
/// # Errors
/// As the writer fails.
pub fn write_traffic(samples: &[Sample], out: impl Write) -> csv::Result<()> {
    let setups = Setups::new(samples);
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(["groupsize", "protocol", "operation", "setupsentbytes", "operationsentbytes"])?;
    for sample in exported(samples) {
        writer.write_record([
            &sample.group_size.to_string(),
            &protocol_name(sample),
            &sample.operation,
            &setups.of(sample).map(|create| bytes_sent(create).to_string()).unwrap_or_default(),
            &bytes_sent(sample).to_string(),
        ])?;
    }
    writer.flush()?;
    Ok(())
}

/// A figure as github-action-benchmark takes it, in its form `customSmallerIsBetter`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Tracked {
    /// What it is of: the name under which it is tracked.
    pub name: String,
    /// Its unit.
    pub unit: &'static str,
    /// The figure; of times, the median.
    pub value: f64,
    /// Of times, the median distance from the median.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub range: Option<String>,
}

/// Of each cell: messages, and bytes with a broadcast counted once, of the whole group; CPU time of a member of each role.
#[must_use]
pub fn tracked(samples: &[Sample]) -> Vec<Tracked> {
    let mut tracked = Vec::new();
    for row in measurement::rows(samples) {
        let (key, Some(summary)) = (&row.key, &row.summary) else { continue };
        if key.phase != ALL || !key.kind.is_empty() {
            continue;
        }
        let (what, unit, scale) = match (key.metric.as_str(), key.role == GROUP) {
            ("messages", true) => ("messages".to_owned(), "messages", 1.0),
            ("bytes_sent", true) => ("bytes sent".to_owned(), "B", 1.0),
            ("cpu_ns", false) => (format!("CPU time of the {}", key.role), "ms", 1e6),
            _ => continue,
        };
        let backend = join(&key.backend, &key.variant);
        let range = (unit == "ms").then(|| format!("± {}", measurement::number(summary.mad / scale)));
        let name = format!("{backend}, {} of {} members: {what}", key.operation, key.group_size);
        tracked.push(Tracked { name, unit, value: summary.median / scale, range });
    }
    tracked
}

/// The creations that stand as set-up, by backend, group size and iteration.
struct Setups<'a>(BTreeMap<(String, u32, u32), &'a Sample>);

impl<'a> Setups<'a> {
    fn new(samples: &'a [Sample]) -> Self {
        let creations =
            samples.iter().filter(|sample| sample.status == Status::Ok && sample.operation == Operation::Create.name());
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
    let asked = |name: &str| OPERATIONS.iter().any(|operation| operation.name() == name);
    samples.iter().filter(move |sample| sample.status == Status::Ok && asked(&sample.operation))
}

/// `FULL` for the paper's protocol; any other by its own name, in capitals as the paper's are.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    fn create() -> Sample {
        let mut create = synthetic::remove();
        create.operation = "create".to_owned();
        create.work.iter_mut().filter(|work| work.role == "removed").for_each(|work| {
            work.role = "recipient".to_owned();
            work.phase = "generate".to_owned();
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
        message.operation = "message".to_owned();
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
    fn traffic_has_a_row_for_each_run() {
        let mut text = Vec::new();
        let mut cold = synthetic::remove();
        cold.operation = "update-cold".to_owned();
        write_traffic(&[synthetic::remove(), create(), cold], &mut text).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "groupsize,protocol,operation,setupsentbytes,operationsentbytes\n4,TOY,remove,600,600\n"
        );
    }
}
