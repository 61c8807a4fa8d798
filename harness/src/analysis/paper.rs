//! The figures that the paper's authors published for their Java prototype; results/paper/README.md names the source.

use std::str::FromStr;

use protocol::operation::{Operation, Role};

/// Published CPU time of one operation, role and group size.
#[derive(Clone, Debug, PartialEq)]
pub struct Cpu {
    /// Create, add, remove, update or message.
    pub operation: Operation,
    /// Sender or recipient, in the paper's sense.
    pub role: Role,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// The number of values: all measured members in all iterations.
    pub samples: u32,
    /// Mean thread CPU time of a member, in milliseconds.
    pub mean_ms: f64,
    /// Standard deviation in milliseconds.
    pub stddev_ms: f64,
    /// Median in milliseconds.
    pub median_ms: f64,
}

/// Published traffic of one operation and group size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// Create, add, remove, update or message.
    pub operation: Operation,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// Bytes of all messages, a broadcast counted once.
    pub sent_bytes: u64,
}

/// All published figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Paper {
    /// A row for each operation, role and group size.
    pub cpu: Vec<Cpu>,
    /// A row for each operation and group size.
    pub traffic: Vec<Traffic>,
}

/// A line of the published figures cannot be parsed. They are part of this program, so this is a bug in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the published {file} is malformed, which is a bug in this program")]
pub struct Malformed {
    /// `CPU times`, `traffic` or what else was published.
    pub file: &'static str,
    /// Number of the line, from 1. Line 1 is the header.
    pub line: usize,
}

impl Paper {
    /// Parses the figures that this program contains.
    ///
    /// # Errors
    /// [`Malformed`]; never in a build that passes its tests.
    pub fn load() -> Result<Self, Malformed> {
        Ok(Self {
            cpu: lines("CPU times", include_str!("../../../results/paper/paper-cpu-time.csv"), cpu)?,
            traffic: lines("traffic", include_str!("../../../results/paper/paper-traffic.csv"), traffic)?,
        })
    }

    /// The CPU time of a sender or recipient. `None` if it was not published.
    #[must_use]
    pub fn cpu(&self, operation: Operation, role: Role, group_size: u32) -> Option<&Cpu> {
        self.cpu.iter().find(|row| row.operation == operation && row.role == role && row.group_size == group_size)
    }

    /// The bytes of all messages, a broadcast counted once. `None` if they were not published.
    #[must_use]
    pub fn sent_bytes(&self, operation: Operation, group_size: u32) -> Option<u64> {
        self.traffic
            .iter()
            .find(|row| row.operation == operation && row.group_size == group_size)
            .map(|row| row.sent_bytes)
    }
}

/// Parses the rows below the header.
pub(super) fn lines<T>(file: &'static str, text: &str, row: fn(&[&str]) -> Option<T>) -> Result<Vec<T>, Malformed> {
    text.lines()
        .enumerate()
        .skip(1)
        .map(|(index, line)| {
            let fields: Vec<&str> = line.split(',').collect();
            row(&fields).ok_or(Malformed { file, line: index + 1 })
        })
        .collect()
}

fn cpu(fields: &[&str]) -> Option<Cpu> {
    let [operation, role, group_size, samples, mean_ms, stddev_ms, median_ms] = fields else { return None };
    Some(Cpu {
        operation: parsed(operation)?,
        role: parsed(role)?,
        group_size: parsed(group_size)?,
        samples: parsed(samples)?,
        mean_ms: parsed(mean_ms)?,
        stddev_ms: parsed(stddev_ms)?,
        median_ms: parsed(median_ms)?,
    })
}

fn traffic(fields: &[&str]) -> Option<Traffic> {
    let [operation, group_size, sent_bytes] = fields else { return None };
    Some(Traffic { operation: parsed(operation)?, group_size: parsed(group_size)?, sent_bytes: parsed(sent_bytes)? })
}

pub(super) fn parsed<T: FromStr>(field: &str) -> Option<T> {
    field.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_grid_is_there() {
        let paper = Paper::load().unwrap();
        assert_eq!((paper.cpu.len(), paper.traffic.len()), (90, 45));
        for operation in Operation::REPRODUCED.into_iter().filter(|operation| *operation != Operation::UpdateCold) {
            for size in [8, 11, 16, 22, 32, 45, 64, 90, 128] {
                assert!(paper.sent_bytes(operation, size).is_some(), "{operation} {size}");
                assert!(paper.cpu(operation, Role::Sender, size).is_some(), "{operation} {size}");
                assert!(paper.cpu(operation, Role::Recipient, size).is_some(), "{operation} {size}");
            }
        }
    }

    #[test]
    fn figures_are_the_published_ones() {
        let paper = Paper::load().unwrap();
        assert_eq!(paper.sent_bytes(Operation::Update, 128), Some(40_553));
        assert_eq!(paper.sent_bytes(Operation::UpdateCold, 128), None);
        let update = paper.cpu(Operation::Update, Role::Recipient, 128).unwrap();
        assert_eq!(
            (update.samples, update.mean_ms, update.stddev_ms, update.median_ms),
            (3175, 66.689, 16.946, 65.479)
        );
    }

    #[test]
    fn a_malformed_line_is_named() {
        assert_eq!(lines("traffic", "head\nadd,8,1\nadd,x,1\n", traffic), Err(Malformed { file: "traffic", line: 3 }));
    }
}
