//! How a cost grows with the group: the simplest class that fits.

use std::fmt;

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

impl fmt::Display for Fit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (±{:.1} %)", self.class.name(), 100.0 * self.deviation)
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
    fn too_few_sizes_have_no_class() {
        assert_eq!(fit(&[(8.0, 1.0), (16.0, 2.0), (32.0, 4.0)]), None);
        assert_eq!(fit(&[(8.0, 1.0), (9.0, 2.0), (10.0, 4.0), (11.0, 4.0)]), None);
        assert_eq!(fit(&N.map(|n| (n, n - 8.0))), None);
    }
}
