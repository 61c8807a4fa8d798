//! The metrics: their names in data and their units.

use std::fmt;
use std::str::FromStr;

use protocol::crypto::count::{Counted, Counts};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The quantity that a figure measures. Metrics are ordered by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// The number of messages. A broadcast counts as one.
    Messages,
    /// Bytes of messages, a broadcast counted once.
    BytesSent,
    /// Bytes of messages, counted once for each receiver.
    BytesDelivered,
    /// The rounds of messages that an operation takes.
    Rounds,
    /// Bytes that the directory handed out.
    BytesFetched,
    /// CPU time in nanoseconds: of a thread, or of the process if the backend needs threads.
    CpuNs,
    /// A primitive count, by its name in [`Counts::named`].
    Primitive(&'static str),
    /// Bytes of a member's exported state.
    StateBytes,
    /// Peak memory of the process that measured one sample.
    PeakBytes,
    /// Instructions, as callgrind counts them.
    Instructions,
    /// The overhead ratio: CPU time over the time that the counted primitives alone would take.
    OverFloor,
}

/// No metric has this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no metric `{0}`")]
pub struct UnknownMetric(pub String);

impl Metric {
    /// The metrics of messages.
    pub const TRAFFIC: [Self; 3] = [Self::Messages, Self::BytesSent, Self::BytesDelivered];

    /// All primitive counts, in the order of [`Counts::named`].
    pub fn primitives() -> impl Iterator<Item = Self> {
        Counts::default().named().into_iter().map(|(name, _)| Self::Primitive(name))
    }

    /// All metrics: of messages, primitive counts, and the others.
    pub fn all() -> impl Iterator<Item = Self> {
        let others = [
            Self::Rounds,
            Self::BytesFetched,
            Self::CpuNs,
            Self::StateBytes,
            Self::PeakBytes,
            Self::Instructions,
            Self::OverFloor,
        ];
        Self::TRAFFIC.into_iter().chain(Self::primitives()).chain(others)
    }

    /// Each primitive count that is known, with its metric, except for zeros that are [left out](Self::is_left_out_at_zero).
    pub fn counted(counts: &Counts, known: Counted) -> impl Iterator<Item = (Self, u64)> + use<> {
        let all = known.known(Counts::EACH).named();
        let known = counts.named().into_iter().zip(all).filter(|(_, (_, known))| *known > 0);
        let counted = known.map(|((name, count), _)| (Self::Primitive(name), count));
        counted.filter(|(metric, count)| *count > 0 || !metric.is_left_out_at_zero())
    }

    /// Whether this count is missing in data where it is zero: few protocols use the primitive, and older data do not
    /// know it.
    #[must_use]
    pub fn is_left_out_at_zero(self) -> bool {
        matches!(self, Self::Primitive(name) if name.starts_with("op.ristretto_") || name.starts_with("op.verify_"))
    }

    /// The primitive counts that are not zero in `which`.
    pub fn named_in(which: Counts) -> impl Iterator<Item = Self> {
        which.named().into_iter().filter(|(_, named)| *named > 0).map(|(name, _)| Self::Primitive(name))
    }

    /// The name in data.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::BytesSent => "bytes_sent",
            Self::BytesDelivered => "bytes_delivered",
            Self::Rounds => "rounds",
            Self::BytesFetched => "bytes_fetched",
            Self::CpuNs => "cpu_ns",
            Self::Primitive(name) => name,
            Self::StateBytes => "state_bytes",
            Self::PeakBytes => "peak_bytes",
            Self::Instructions => "instructions",
            Self::OverFloor => "over_floor",
        }
    }

    /// The unit in data.
    #[must_use]
    pub fn unit(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Rounds => "rounds",
            Self::BytesSent | Self::BytesDelivered | Self::BytesFetched | Self::StateBytes | Self::PeakBytes => "B",
            Self::CpuNs => "ns",
            Self::Primitive("op.aead_bytes") => "B",
            Self::Primitive("op.hash_blocks") => "blocks",
            Self::Primitive(_) => "operations",
            Self::Instructions => "instructions",
            Self::OverFloor => "ratio",
        }
    }
}

impl Ord for Metric {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.name().cmp(other.name())
    }
}

impl PartialOrd for Metric {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        Self::all().find(|metric| metric.name() == name).ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

impl Serialize for Metric {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_metric_is_what_its_name_says() {
        for metric in Metric::all() {
            assert_eq!(metric.name().parse(), Ok(metric));
            let json = serde_json::to_string(&metric).unwrap();
            assert_eq!(json, format!("\"{}\"", metric.name()));
            assert_eq!(serde_json::from_str::<Metric>(&json).unwrap(), metric);
        }
        assert_eq!(Metric::all().filter(|metric| matches!(metric, Metric::Primitive(_))).count(), 13);
        let (some, none) = (Counts { ristretto_mul: 1, ..Counts::NOTHING }, Counts::NOTHING);
        let number = |counts: &Counts, known| Metric::counted(counts, known).count();
        assert_eq!((number(&some, Counted::All), number(&none, Counted::All)), (9, 8));
        assert_eq!((number(&some, Counted::PublicKey), number(&some, Counted::Nothing)), (6, 0));
        assert_eq!("op.magic".parse::<Metric>().unwrap_err().to_string(), "there is no metric `op.magic`");
    }
}
