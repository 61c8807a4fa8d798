//! The statistics that reports state.
//!
//! The values of one sample are not independent: its members handle the same messages on the same machine within
//! milliseconds. Values are therefore grouped by sample, and the interval resamples whole samples.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// The number of resamples in a bootstrap.
const RESAMPLES: usize = 1000;

/// Seed of every bootstrap, so that the same values give the same interval.
const SEED: u64 = 0x6465_6367_6b61;

/// Statistics of a set of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// The number of values.
    pub samples: usize,
    /// The smallest value.
    pub min: f64,
    /// The lower quartile, as [`quantile`] defines it.
    pub p25: f64,
    /// The middle value, or the mean of the middle two.
    pub median: f64,
    /// The upper quartile, as [`quantile`] defines it.
    pub p75: f64,
    /// The largest value.
    pub max: f64,
    /// The arithmetic mean.
    pub mean: f64,
    /// The sample standard deviation (n - 1). `None` for a single value.
    pub stddev: Option<f64>,
    /// The median absolute deviation from the median, not scaled.
    pub mad: f64,
    /// The 95 % bootstrap interval of the median. `None` for a single sample.
    pub interval: Option<(f64, f64)>,
}

impl Summary {
    /// Summarizes the values of several samples, one list for each sample. `None` if there is no value at all.
    #[must_use]
    pub fn of(samples: &[Vec<f64>]) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.iter().flatten().copied().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let median = quantile(&sorted, 0.5)?;
        Some(Self {
            samples: sorted.len(),
            min,
            p25: quantile(&sorted, 0.25)?,
            median,
            p75: quantile(&sorted, 0.75)?,
            max,
            mean: mean(&sorted)?,
            stddev: stddev(&sorted),
            mad: mad(&sorted, median)?,
            interval: bootstrap_median(samples),
        })
    }
}

/// The median. `None` for no values.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    quantile(&sorted, 0.5)
}

/// The quantile of sorted values, interpolated between neighbours (type 7, as in R and NumPy). `None` for no values.
#[must_use]
pub fn quantile(sorted: &[f64], fraction: f64) -> Option<f64> {
    let last = sorted.len().checked_sub(1)?;
    let position = fraction.clamp(0.0, 1.0) * last as f64;
    let below = position.floor() as usize;
    let (low, high) = (sorted.get(below)?, sorted.get((below + 1).min(last))?);
    Some(low + (high - low) * (position - below as f64))
}

/// The arithmetic mean. `None` for no values.
#[must_use]
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// The sample standard deviation (n - 1). `None` for fewer than two values.
#[must_use]
pub fn stddev(values: &[f64]) -> Option<f64> {
    let mean = mean(values)?;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (values.len() - 1) as f64).sqrt())
}

/// The median absolute deviation of `values` from `center`. `None` for no values.
fn mad(values: &[f64], center: f64) -> Option<f64> {
    let mut distances: Vec<f64> = values.iter().map(|value| (value - center).abs()).collect();
    distances.sort_by(f64::total_cmp);
    quantile(&distances, 0.5)
}

/// The 95 % interval of the median of all values, from resampling whole samples with replacement. `None` if fewer than two
/// samples have values.
#[must_use]
pub fn bootstrap_median(samples: &[Vec<f64>]) -> Option<(f64, f64)> {
    let samples: Vec<&Vec<f64>> = samples.iter().filter(|sample| !sample.is_empty()).collect();
    if samples.len() < 2 {
        return None;
    }
    // Each value carries the index of its sample. A resample is then a weight for each sample, and its median takes one pass
    // over the sorted values.
    let mut values: Vec<(f64, usize)> = samples
        .iter()
        .enumerate()
        .flat_map(|(index, sample)| sample.iter().map(move |value| (*value, index)))
        .collect();
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    if let (Some(first), Some(last)) = (values.first(), values.last())
        && first.0 == last.0
    {
        return Some((first.0, last.0));
    }
    let mut rng = ChaCha8Rng::seed_from_u64(SEED);
    let mut medians = Vec::with_capacity(RESAMPLES);
    let mut weights = vec![0; samples.len()];
    for _ in 0..RESAMPLES {
        weights.fill(0);
        let mut total = 0;
        for _ in 0..samples.len() {
            let index = below(&mut rng, samples.len());
            weights[index] += 1;
            total += samples[index].len();
        }
        medians.push(weighted_median(&values, &weights, total)?);
    }
    medians.sort_by(f64::total_cmp);
    Some((quantile(&medians, 0.025)?, quantile(&medians, 0.975)?))
}

/// The median of sorted values, each of which counts as often as its sample was drawn. `total` is the number of values
/// counted in this way.
fn weighted_median(values: &[(f64, usize)], weights: &[usize], total: usize) -> Option<f64> {
    let (lower, upper) = ((total - 1) / 2, total / 2);
    let mut seen = 0;
    let mut low = None;
    for (value, sample) in values {
        seen += weights[*sample];
        if low.is_none() && seen > lower {
            low = Some(*value);
        }
        if seen > upper {
            return low.map(|low| f64::midpoint(low, *value));
        }
    }
    None
}

/// A random number below `bound`, by multiplication. Its bias is below bound / 2^64.
fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// The slope of the least-squares line through the points on log-log axes: the exponent of growth. `None` for fewer than
/// two different sizes, or if a coordinate is not positive.
#[must_use]
pub fn log_log_slope(points: &[(f64, f64)]) -> Option<f64> {
    if points.iter().any(|(x, y)| *x <= 0.0 || *y <= 0.0) {
        return None;
    }
    let logs: Vec<(f64, f64)> = points.iter().map(|(x, y)| (x.ln(), y.ln())).collect();
    let count = logs.len() as f64;
    let (mean_x, mean_y) =
        (logs.iter().map(|p| p.0).sum::<f64>() / count, logs.iter().map(|p| p.1).sum::<f64>() / count);
    let covariance: f64 = logs.iter().map(|(x, y)| (x - mean_x) * (y - mean_y)).sum();
    let variance: f64 = logs.iter().map(|(x, _)| (x - mean_x).powi(2)).sum();
    (variance > 0.0).then(|| covariance / variance)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn statistics_of_eight_values() {
        // The mean is 5 and the sum of squares 32, so the standard deviation is sqrt(32/7). The distances from the median
        // 4.5 are 0.5 0.5 0.5 0.5 0.5 2.5 2.5 4.5.
        let summary = Summary::of(&[vec![2.0, 4.0, 4.0, 4.0], vec![5.0, 5.0, 7.0, 9.0]]).unwrap();
        assert_eq!(summary.samples, 8);
        assert!(close(summary.min, 2.0) && close(summary.max, 9.0));
        assert!(close(summary.p25, 4.0) && close(summary.median, 4.5) && close(summary.p75, 5.5));
        assert!(close(summary.mean, 5.0));
        assert!(close(summary.stddev.unwrap(), (32.0_f64 / 7.0).sqrt()));
        assert!(close(summary.mad, 0.5));
    }

    #[test]
    fn quantiles_interpolate() {
        let values = [1.0, 2.0, 3.0, 4.0];
        assert!(close(quantile(&values, 0.25).unwrap(), 1.75));
        assert!(close(quantile(&values, 0.5).unwrap(), 2.5));
        assert!(close(quantile(&values, 1.0).unwrap(), 4.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    #[test]
    fn a_median_lies_between_the_middle_two() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn no_value_and_one_value() {
        assert_eq!(Summary::of(&[]), None);
        assert_eq!(Summary::of(&[vec![], vec![]]), None);
        let one = Summary::of(&[vec![3.0]]).unwrap();
        assert_eq!((one.median, one.stddev, one.mad, one.interval), (3.0, None, 0.0, None));
    }

    #[test]
    fn interval_of_two_samples_is_the_two_samples() {
        // The draws are aa, ab, ba, bb: a quarter of the medians is 1, half is 1.5, a quarter is 2.
        assert_eq!(bootstrap_median(&[vec![1.0; 3], vec![2.0; 3]]), Some((1.0, 2.0)));
    }

    #[test]
    fn interval_is_by_sample_and_repeats() {
        // Ten samples, each with a level of its own. By sample the interval is wide; from 1000 single values it would be
        // narrow.
        let samples: Vec<Vec<f64>> = (0..10).map(|sample| vec![f64::from(sample); 100]).collect();
        let (low, high) = bootstrap_median(&samples).unwrap();
        assert!(low <= 3.0 && high >= 6.0, "{low} {high}");
        assert_eq!(bootstrap_median(&samples), Some((low, high)));
        assert_eq!(bootstrap_median(&[vec![7.0], vec![7.0], vec![7.0]]), Some((7.0, 7.0)));
    }

    #[test]
    fn weighted_median_counts_values_as_often_as_drawn() {
        let values = [(1.0, 0), (2.0, 1), (3.0, 2)];
        assert_eq!(weighted_median(&values, &[1, 1, 1], 3), Some(2.0));
        assert_eq!(weighted_median(&values, &[2, 0, 1], 3), Some(1.0));
        assert_eq!(weighted_median(&values, &[1, 0, 1], 2), Some(2.0));
    }

    #[test]
    fn slope_is_the_exponent() {
        let points: Vec<(f64, f64)> = [32.0, 64.0, 128.0].iter().map(|n: &f64| (*n, 5.0 * n.powf(1.5))).collect();
        assert!(close(log_log_slope(&points).unwrap(), 1.5));
        // Through (1, 1), (2, 4), (4, 4) on base-2 axes: (0, 0), (1, 2), (2, 2); slope 1.
        assert!(close(log_log_slope(&[(1.0, 1.0), (2.0, 4.0), (4.0, 4.0)]).unwrap(), 1.0));
        assert_eq!(log_log_slope(&[(8.0, 1.0)]), None);
        assert_eq!(log_log_slope(&[(8.0, 1.0), (16.0, 0.0)]), None);
    }
}
