//! How a cost grows with the group: the simplest class that fits, and whether it is the one that a backend claims.

use std::fmt;
use std::str::FromStr;

use protocol::crypto::count::{Counted, Counts};
use protocol::operation::{Operation, Role};

use super::cell_costs;
use super::measurement::Who;
use super::statistics::median;
use crate::record::metric::Metric;
use crate::record::sample::Sample;

/// A class of growth in the number of members n.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Not at all.
    Constant,
    /// By a constant for each doubling.
    Logarithmic,
    /// By a constant for each member.
    Linear,
    /// By a constant for each pair of members.
    Quadratic,
}

/// Whose costs are fitted: those of one member of a role (of several members, the median for times and the mean for the rest),
/// and those of everybody together.
pub const WHO: [Who; 4] = [Who::Role(Role::Sender), Who::Role(Role::Recipient), Who::Role(Role::Joiner), Who::Group];

/// What is counted or timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Bytes sent, a broadcast counted once.
    Bytes,
    /// Key agreements, keys, signatures and verifications.
    PublicKey,
    /// All primitives, but for the bytes that are encrypted.
    Primitives,
    /// CPU time.
    Cpu,
}

impl Cost {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 4] = [Self::Bytes, Self::PublicKey, Self::Primitives, Self::Cpu];

    /// The name in tables and claims.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::PublicKey => "public-key",
            Self::Primitives => "primitives",
            Self::Cpu => "cpu",
        }
    }

    /// This cost in a sample. `None` if nobody has the role, or the primitives are not counted.
    #[must_use]
    pub fn of(self, who: Who, sample: &Sample) -> Option<f64> {
        let members = match who {
            Who::Role(role) => cell_costs::cpu_of_all(sample, role).len() as f64,
            Who::Group => 1.0,
        };
        if members == 0.0 {
            return None;
        }
        match self {
            Self::Bytes => {
                let sent = sample.traffic.iter().filter(|traffic| is(who, traffic.role));
                Some(sent.map(|traffic| traffic.bytes_sent).sum::<u64>() as f64 / members)
            }
            Self::PublicKey => count(who, sample, Counted::PublicKey.known(Counts::EACH)).map(|sum| sum / members),
            Self::Primitives => count(who, sample, Counts { aead_bytes: 0, ..Counts::EACH }).map(|sum| sum / members),
            Self::Cpu => {
                let cpu = match who {
                    Who::Role(role) => cell_costs::cpu_of_all(sample, role),
                    Who::Group => cell_costs::Cost::Group.cpu_ns(sample),
                };
                median(&cpu.iter().map(|ns| *ns as f64).collect::<Vec<_>>())
            }
        }
    }
}

fn is(who: Who, role: Role) -> bool {
    who == Who::Group || who == Who::Role(role)
}

/// The sum of the primitives that `which` names. `None` if one of them is not counted.
fn count(who: Who, sample: &Sample, which: Counts) -> Option<f64> {
    let metrics: Vec<Metric> = Metric::named_in(which).collect();
    let mut sum = 0;
    for work in sample.work.iter().filter(|work| is(who, work.role)) {
        for metric in &metrics {
            match work.counts.get(metric) {
                Some(count) => sum += count,
                None if metric.is_left_out_at_zero() => {}
                None => return None,
            }
        }
    }
    Some(sum as f64)
}

/// How a cost grows, as a backend claims. As a text: `update sender bytes linear`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The operation.
    pub operation: Operation,
    /// Whose cost it is.
    pub who: Who,
    /// Which cost.
    pub cost: Cost,
    /// The class.
    pub class: Class,
}

/// A text is not a claim.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no claim of growth; try an operation, a role or `group`, one of bytes, public-key, primitives and cpu, and one of \
     constant, logarithmic, linear and quadratic, as in `update sender bytes linear`"
)]
pub struct BadClaim(pub String);

impl FromStr for Claim {
    type Err = BadClaim;

    fn from_str(text: &str) -> Result<Self, BadClaim> {
        let parse = || {
            let [operation, who, cost, class] = <[&str; 4]>::try_from(text.split(' ').collect::<Vec<_>>()).ok()?;
            Some(Self {
                operation: operation.parse().ok()?,
                who: WHO.into_iter().find(|it| it.name() == who)?,
                cost: Cost::ALL.into_iter().find(|it| it.name() == cost)?,
                class: Class::ALL.into_iter().find(|it| it.name() == class)?,
            })
        };
        parse().ok_or_else(|| BadClaim(text.to_owned()))
    }
}

/// A class that has been fitted to figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// The simplest class that fits hardly worse than the best one.
    pub class: Class,
    /// The root mean square of the deviations from the fitted curve, each relative to its figure.
    pub deviation: f64,
}

/// Classes are fitted to figures of at least this number of group sizes, of which the largest is at least this number of times
/// the smallest. Otherwise any curve fits.
const SIZES: usize = 4;
const RANGE: f64 = 8.0;
/// A simpler class is taken if its deviation is at most this large, or at most this number of times that of the best class.
const NEGLIGIBLE: f64 = 0.02;
const HARDLY_WORSE: f64 = 1.25;
/// Beyond this deviation, no class fits.
const UNCLEAR: f64 = 0.05;

impl Class {
    /// All classes, the simplest first.
    pub const ALL: [Self; 4] = [Self::Constant, Self::Logarithmic, Self::Linear, Self::Quadratic];

    fn of(self, n: f64) -> f64 {
        match self {
            Self::Constant => 0.0,
            Self::Logarithmic => n.log2(),
            Self::Linear => n,
            Self::Quadratic => n * n,
        }
    }

    /// The deviation of the best curve a + b * class(n), with b not negative.
    fn deviation(self, points: &[(f64, f64)]) -> f64 {
        // Least squares of relative deviations: with y = 1 everywhere, of a * u + b * v, where u = 1 / y and v = class / y.
        let terms = || points.iter().map(|(n, y)| (1.0 / y, self.of(*n) / y));
        let sum = |of: fn((f64, f64)) -> f64| terms().map(of).sum::<f64>();
        let (uu, uv, vv) = (sum(|(u, _)| u * u), sum(|(u, v)| u * v), sum(|(_, v)| v * v));
        let (u1, v1) = (sum(|(u, _)| u), sum(|(_, v)| v));
        let determinant = uu * vv - uv * uv;
        let slope = if determinant > f64::EPSILON * uu * vv { (uu * v1 - uv * u1) / determinant } else { 0.0 };
        let slope = slope.max(0.0);
        let offset = (u1 - slope * uv) / uu;
        let squares: f64 = terms().map(|(u, v)| (offset * u + slope * v - 1.0).powi(2)).sum();
        (squares / points.len() as f64).sqrt()
    }

    /// The name in tables and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Logarithmic => "logarithmic",
            Self::Linear => "linear",
            Self::Quadratic => "quadratic",
        }
    }
}

impl Fit {
    /// Whether the class fits well enough to say that the cost grows so.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.deviation <= UNCLEAR
    }
}

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (class, percent) = (self.class.name(), 100.0 * self.deviation);
        if self.is_clear() {
            write!(f, "{class} (±{percent:.1} %)")
        } else {
            write!(f, "unclear: {class} ±{percent:.0} %")
        }
    }
}

/// Fits a class to figures, given as (members, figure). `None` if there are too few group sizes, or if a figure is not
/// positive, unless all are zero.
#[must_use]
pub fn fit(points: &[(f64, f64)]) -> Option<Fit> {
    let (min, max) = points.iter().fold((f64::INFINITY, 0.0_f64), |(min, max), (n, _)| (min.min(*n), max.max(*n)));
    if points.len() < SIZES || max < RANGE * min {
        return None;
    }
    if points.iter().all(|(_, y)| *y == 0.0) {
        return Some(Fit { class: Class::Constant, deviation: 0.0 });
    }
    if points.iter().any(|(_, y)| *y <= 0.0) {
        return None;
    }
    let fits = Class::ALL.map(|class| Fit { class, deviation: class.deviation(points) });
    let best = fits.iter().map(|fit| fit.deviation).fold(f64::INFINITY, f64::min);
    fits.into_iter().find(|fit| fit.deviation <= NEGLIGIBLE.max(HARDLY_WORSE * best))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synthetic;

    const N: [f64; 7] = [8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

    fn class(of: impl Fn(f64) -> f64) -> Option<Class> {
        fit(&N.map(|n| (n, of(n)))).map(|fit| fit.class)
    }

    #[test]
    fn a_cost_has_the_class_by_which_it_grows() {
        use Class::{Constant, Linear, Logarithmic, Quadratic};
        assert_eq!(class(|_| 123.0), Some(Constant));
        assert_eq!(class(|_| 0.0), Some(Constant));
        assert_eq!(class(|n| 200.0 + 90.0 * n.log2()), Some(Logarithmic));
        assert_eq!(class(|n| 300.0 + 232.0 * n), Some(Linear));
        // All pairs, and with them something for each member.
        assert_eq!(class(|n| n * (n - 1.0)), Some(Quadratic));
        assert_eq!(class(|n| 40.0 * n + 3.0 * n * n), Some(Quadratic));
        // What falls is none of them, and small changes are noise.
        assert_eq!(class(|n| 100.0 + 2.0 * (n.log2() % 2.0)), Some(Constant));
    }

    #[test]
    fn noise_does_not_change_the_class() {
        let noisy = |n: f64| 1.0 + 0.08 * (n.log2() * 2.7).sin();
        assert_eq!(class(|n| (10.0 + 7.0 * n) * noisy(n)), Some(Class::Linear));
        assert_eq!(class(|n| (5.0 + 9.0 * n.log2()) * noisy(n)), Some(Class::Logarithmic));
        assert_eq!(class(|n| n * n * noisy(n)), Some(Class::Quadratic));
    }

    #[test]
    fn a_class_that_fits_badly_is_unclear() {
        let fitted = |noise: f64| fit(&N.map(|n| (n, n * (1.0 + noise * (n.log2() * 2.7).sin())))).unwrap();
        assert_eq!(fitted(0.01).to_string(), "linear (±0.7 %)");
        assert_eq!((fitted(0.3).is_clear(), &fitted(0.3).to_string()[..9]), (false, "unclear: "));
    }

    #[test]
    fn too_few_sizes_have_no_class() {
        assert_eq!(fit(&[(8.0, 1.0), (16.0, 2.0), (32.0, 4.0)]), None);
        assert_eq!(fit(&[(8.0, 1.0), (9.0, 2.0), (10.0, 4.0), (11.0, 4.0)]), None);
        assert_eq!(fit(&N.map(|n| (n, n - 8.0))), None);
    }

    #[test]
    fn a_claim_is_what_its_text_says() {
        let claim: Claim = "update sender bytes linear".parse().unwrap();
        let (who, cost, class) = (Who::Role(Role::Sender), Cost::Bytes, Class::Linear);
        assert_eq!(claim, Claim { operation: Operation::Update, who, cost, class });
        assert_eq!("create group cpu quadratic".parse::<Claim>().unwrap().who, Who::Group);
        for wrong in
            ["", "update sender bytes", "update sender bytes cubic", "updates sender bytes linear", "a b c d e"]
        {
            assert_eq!(wrong.parse::<Claim>(), Err(BadClaim(wrong.to_owned())));
        }
    }

    #[test]
    fn costs_of_a_role_are_those_of_one_member() {
        let sample = synthetic::remove();
        let of = |cost: Cost, who| cost.of(who, &sample);
        let (sender, recipient) = (Who::Role(Role::Sender), Who::Role(Role::Recipient));
        // The sender: 10 key agreements and 4 signatures. Two recipients: 2 key agreements in each of two phases, together.
        assert_eq!(of(Cost::PublicKey, sender), Some(14.0));
        assert_eq!(of(Cost::PublicKey, recipient), Some(2.0));
        assert_eq!(of(Cost::Cpu, recipient), Some(370.0));
        assert_eq!(of(Cost::Cpu, Who::Role(Role::Joiner)), None);
        let mut uncounted = sample.clone();
        uncounted.work.iter_mut().for_each(|work| work.counts.clear());
        assert_eq!(Cost::PublicKey.of(sender, &uncounted), None);
        let mut public_key = sample.clone();
        public_key.work.iter_mut().for_each(|work| drop(work.counts.split_off(&Metric::Primitive("op.kdf"))));
        assert_eq!(Cost::Primitives.of(sender, &public_key), None);
    }
}
