//! The exact figures of a cell, and their names in the baseline.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use protocol::operation::{Operation, Phase, Role};

use crate::record::metric::Metric;
use crate::record::sample::Sample;

/// The exact figures of cells, by cell name. `None` if the backend does not have the operation.
pub type Cells = BTreeMap<String, Option<Figures>>;

/// The exact figures of one cell. Zeros are left out.
pub type Figures = BTreeMap<Key, u64>;

/// The name of a cell: `backend/operation/group size`.
#[must_use]
pub fn cell_name(backend: &str, operation: Operation, group_size: u32) -> String {
    format!("{backend}/{operation}/{group_size}")
}

/// The exact metrics: the seed alone fixes them, so they are the same on every machine.
pub fn metrics() -> impl Iterator<Item = Metric> {
    Metric::TRAFFIC.into_iter().chain([Metric::BytesFetched]).chain(Metric::primitives())
}

/// What a figure is about. Its name is `metric/kind` or `metric/role/phase`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// One of [`metrics`].
    pub metric: Metric,
    /// Messages of one kind, or members of one role in one phase.
    pub of: Of,
}

/// The messages or members over which a figure is a sum.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Of {
    /// All messages of this kind.
    Kind(String),
    /// All members of this role, in this phase.
    Members(Role, Phase),
}

/// A cost: a metric of one kind of message or of one role. The phase does not matter: work that moves to another phase of
/// the same role costs the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost<'a> {
    /// An exact metric, instructions or CPU time.
    pub metric: Metric,
    /// A kind of message, or the name of a role.
    pub of: &'a str,
}

impl Key {
    /// The cost that the figure is a part of.
    #[must_use]
    pub fn cost(&self) -> Cost<'_> {
        let of = match &self.of {
            Of::Kind(kind) => kind,
            Of::Members(role, _) => role.name(),
        };
        Cost { metric: self.metric, of }
    }
}

impl fmt::Display for Cost<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.metric, self.of)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cost().fmt(f)?;
        match self.of {
            Of::Kind(_) => Ok(()),
            Of::Members(_, phase) => write!(f, "/{phase}"),
        }
    }
}

/// No exact figure has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric `{0}`")]
pub struct UnknownKey(String);

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(name: &str) -> Result<Self, UnknownKey> {
        let parts: Vec<&str> = name.splitn(3, '/').collect();
        let metric = metrics().find(|metric| parts.first() == Some(&metric.name()));
        let of = match (metric, parts.as_slice()) {
            (Some(metric), [_, kind]) if Metric::TRAFFIC.contains(&metric) => Some(Of::Kind((*kind).to_owned())),
            (Some(metric), [_, role, phase]) if !Metric::TRAFFIC.contains(&metric) => {
                role.parse().ok().zip(phase.parse().ok()).map(|(role, phase)| Of::Members(role, phase))
            }
            _ => None,
        };
        metric.zip(of).map(|(metric, of)| Self { metric, of }).ok_or_else(|| UnknownKey(name.to_owned()))
    }
}

/// The exact figures of a sample. It must be one that counts.
#[must_use]
pub fn figures(sample: &Sample) -> Figures {
    let mut figures = Figures::new();
    let mut add = |metric: Metric, of: Of, amount: u64| {
        if amount > 0 {
            *figures.entry(Key { metric, of }).or_default() += amount;
        }
    };
    for traffic in &sample.traffic {
        for metric in Metric::TRAFFIC {
            add(metric, Of::Kind(traffic.kind.clone()), traffic.amount(metric));
        }
    }
    for work in &sample.work {
        let members = || Of::Members(work.role, work.phase);
        work.counts.iter().for_each(|(metric, count)| add(*metric, members(), *count));
        add(Metric::BytesFetched, members(), work.bytes_fetched);
    }
    figures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    #[test]
    fn figures_are_by_kind_or_by_role_and_phase_and_names_parse_back() {
        let figures = figures(&synthetic::remove());
        let named: BTreeMap<String, u64> = figures.iter().map(|(key, value)| (key.to_string(), *value)).collect();
        assert_eq!(named["bytes_sent/ack"], 200);
        assert_eq!(named["bytes_delivered/remove"], 1200);
        assert_eq!(named["op.dh/recipient/process"], 2);
        assert!(!named.contains_key("op.verify/sender/responses"), "zeros are left out");
        assert!(figures.keys().all(|key| key.to_string().parse().as_ref() == Ok(key)));
        for name in
            ["op.magic/sender/process", "messages", "op.dh/sender", "op.dh/sander/process", "messages/ack/process"]
        {
            assert_eq!(name.parse::<Key>(), Err(UnknownKey(name.to_owned())));
        }
    }
}
