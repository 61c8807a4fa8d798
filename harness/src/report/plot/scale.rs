//! Logarithmic axes: their range, and the numbers beside them.

/// The most numbers beside a horizontal axis.
const MOST_ACROSS: usize = 7;

/// A logarithmic axis.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct LogScale {
    low: f64,
    high: f64,
    /// The values whose number is written beside the axis.
    pub(super) labels: Vec<f64>,
    /// The values at which a faint line is drawn.
    pub(super) lines: Vec<f64>,
}

impl LogScale {
    /// The axis of group sizes. Its numbers are powers of two, thinned out if there are many. A single size is its own
    /// number.
    pub(super) fn sizes(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (low, high) = range(values)?;
        let mut labels: Vec<f64> = (0..32).map(|power| 2_f64.powi(power)).filter(|n| *n >= low && *n <= high).collect();
        while labels.len() > 7 {
            labels = labels.into_iter().rev().step_by(2).collect();
            labels.reverse();
        }
        if labels.is_empty() {
            labels = if low < high { vec![low, high] } else { vec![low] };
        }
        Some(Self { low: low / 1.2, high: high * 1.2, lines: labels.clone(), labels })
    }

    /// The axis of values: from a round number below the smallest to one above the largest, with lines at the decades.
    pub(super) fn values(values: impl Iterator<Item = f64>) -> Option<Self> {
        let (smallest, largest) = range(values)?;
        let steps: Vec<f64> =
            (-12..=15).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power))).collect();
        let low = steps.iter().rev().find(|step| **step <= smallest / 1.2).copied()?;
        let high = steps.iter().find(|step| **step >= largest * 1.2).copied()?;
        let inside = |step: &&f64| **step >= low * 0.999 && **step <= high * 1.001;
        let decades: Vec<f64> = steps.iter().step_by(3).filter(inside).copied().collect();
        // Fewer than three decades would be too few numbers, so twice and five times a decade are written too.
        let labels = if decades.len() < 3 { steps.iter().filter(inside).copied().collect() } else { decades };
        Some(Self { low, high, lines: labels.clone(), labels })
    }

    /// The same as a horizontal axis: with more numbers if there are few, and without those at its ends, which would run into
    /// those of a panel beside it.
    pub(super) fn horizontal(self) -> Self {
        let steps = (-12..=15).flat_map(|power| [1.0, 2.0, 5.0].map(|digit| digit * 10_f64.powi(power)));
        let inside = |step: &f64| (0.02..=0.98).contains(&self.place(*step));
        let all: Vec<f64> = steps.filter(inside).collect();
        let decades = self.labels.iter().copied().filter(|label| inside(label)).collect();
        Self { labels: if all.len() <= MOST_ACROSS { all } else { decades }, ..self }
    }

    /// The value at the lower end.
    pub(super) fn low(&self) -> f64 {
        self.low
    }

    /// The place of a value on the axis: 0 at the lower end, 1 at the upper end.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value / self.low).ln() / (self.high / self.low).ln()
    }
}

fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| *value > 0.0).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// A number beside an axis: `0.01`, `5`, `10,000`.
pub(super) fn label(value: f64) -> String {
    if value < 1.0 {
        let digits = (-value.log10().floor()).max(0.0) as usize;
        return format!("{value:.digits$}");
    }
    thousands(value)
}

/// A whole number with commas between the thousands.
pub(crate) fn thousands(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_powers_of_two() {
        let scale = LogScale::sizes([8.0, 11.0, 128.0].into_iter()).unwrap();
        assert_eq!(scale.labels, [8.0, 16.0, 32.0, 64.0, 128.0]);
        assert!(scale.place(8.0) > 0.0 && scale.place(128.0) < 1.0);
        assert_eq!(LogScale::sizes([11.0].into_iter()).unwrap().labels, [11.0]);
        assert_eq!(LogScale::sizes([2.0, 1024.0].into_iter()).unwrap().labels, [4.0, 16.0, 64.0, 256.0, 1024.0]);
    }

    #[test]
    fn values_end_at_round_numbers_outside() {
        let scale = LogScale::values([0.03, 60.0].into_iter()).unwrap();
        assert_eq!((scale.low, scale.high), (0.02, 100.0));
        assert_eq!(scale.labels, [0.1, 1.0, 10.0, 100.0]);
        let narrow = LogScale::values([300.0, 900.0].into_iter()).unwrap();
        assert_eq!(narrow.labels, [200.0, 500.0, 1000.0, 2000.0]);
        assert_eq!(narrow.horizontal().labels, [500.0, 1000.0]);
        let wide = LogScale::values([30.0, 900_000.0].into_iter()).unwrap();
        assert_eq!(wide.horizontal().labels, [100.0, 1000.0, 10_000.0, 100_000.0, 1_000_000.0]);
        assert_eq!(LogScale::values([0.0].into_iter()), None);
    }

    #[test]
    fn numbers() {
        assert_eq!([0.01, 0.5, 1.0, 10_000.0, 1e6].map(label), ["0.01", "0.5", "1", "10,000", "1,000,000"]);
    }
}
