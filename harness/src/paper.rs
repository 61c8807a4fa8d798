//! The figures that the paper's authors published for their Java prototype; results/paper/README.md names the source.

use std::str::FromStr;

/// Published CPU time of one operation, role and group size.
#[derive(Clone, Debug, PartialEq)]
pub struct Cpu {
    /// The operation.
    pub operation: String,
    /// `sender` or `recipient`, in the paper's sense.
    pub role: String,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// Measured members.
    pub samples: u32,
    /// Milliseconds of thread CPU time.
    pub mean_ms: f64,
    /// Milliseconds.
    pub stddev_ms: f64,
    /// Milliseconds.
    pub median_ms: f64,
}

/// Published traffic of one operation and group size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Traffic {
    /// The operation.
    pub operation: String,
    /// Members before the operation; for create, members created.
    pub group_size: u32,
    /// Bytes of all messages, a broadcast counted once.
    pub sent_bytes: u64,
}

/// All published figures.
#[derive(Clone, Debug, PartialEq)]
pub struct Paper {
    /// CPU time.
    pub cpu: Vec<Cpu>,
    /// Traffic.
    pub traffic: Vec<Traffic>,
}

/// A line of the published figures that does not read as one. They are part of this program, so it is a bug of ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the published {file} is malformed")]
pub struct Malformed {
    /// Which of the files.
    pub file: &'static str,
    /// Its line, from 1.
    pub line: usize,
}

impl Paper {
    /// Reads the figures that this program carries.
    ///
    /// # Errors
    /// [`Malformed`], never in a build that passes its tests.
    pub fn load() -> Result<Self, Malformed> {
        Ok(Self {
            cpu: lines("CPU times", include_str!("../../results/paper/paper-cpu-time.csv"), cpu)?,
            traffic: lines("traffic", include_str!("../../results/paper/paper-traffic.csv"), traffic)?,
        })
    }

    /// The CPU time of `role` (`sender` or `recipient`) where it was published.
    #[must_use]
    pub fn cpu(&self, operation: &str, role: &str, group_size: u32) -> Option<&Cpu> {
        self.cpu.iter().find(|row| row.operation == operation && row.role == role && row.group_size == group_size)
    }

    /// The bytes where they were published.
    #[must_use]
    pub fn sent_bytes(&self, operation: &str, group_size: u32) -> Option<u64> {
        self.traffic
            .iter()
            .find(|row| row.operation == operation && row.group_size == group_size)
            .map(|row| row.sent_bytes)
    }
}

/// The rows below the header.
fn lines<T>(file: &'static str, text: &str, row: fn(&[&str]) -> Option<T>) -> Result<Vec<T>, Malformed> {
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
        operation: (*operation).to_owned(),
        role: (*role).to_owned(),
        group_size: number(group_size)?,
        samples: number(samples)?,
        mean_ms: number(mean_ms)?,
        stddev_ms: number(stddev_ms)?,
        median_ms: number(median_ms)?,
    })
}

fn traffic(fields: &[&str]) -> Option<Traffic> {
    let [operation, group_size, sent_bytes] = fields else { return None };
    Some(Traffic {
        operation: (*operation).to_owned(),
        group_size: number(group_size)?,
        sent_bytes: number(sent_bytes)?,
    })
}

fn number<T: FromStr>(field: &str) -> Option<T> {
    field.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_grid_is_there() {
        let paper = Paper::load().unwrap();
        assert_eq!((paper.cpu.len(), paper.traffic.len()), (90, 45));
        for operation in ["create", "add", "remove", "update", "message"] {
            for size in [8, 11, 16, 22, 32, 45, 64, 90, 128] {
                assert!(paper.sent_bytes(operation, size).is_some(), "{operation} {size}");
                assert!(paper.cpu(operation, "sender", size).is_some(), "{operation} {size}");
                assert!(paper.cpu(operation, "recipient", size).is_some(), "{operation} {size}");
            }
        }
    }

    #[test]
    fn some_figures() {
        let paper = Paper::load().unwrap();
        assert_eq!(paper.sent_bytes("update", 128), Some(40_553));
        assert_eq!(paper.sent_bytes("update-cold", 128), None);
        let update = paper.cpu("update", "recipient", 128).unwrap();
        assert_eq!(
            (update.samples, update.mean_ms, update.stddev_ms, update.median_ms),
            (3175, 66.689, 16.946, 65.479)
        );
    }

    #[test]
    fn a_bad_line_is_named() {
        assert_eq!(lines("traffic", "head\nadd,8,1\nadd,x,1\n", traffic), Err(Malformed { file: "traffic", line: 3 }));
    }
}
