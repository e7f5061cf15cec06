//! Axes: the range of their numbers, and their ticks.

/// The mapping from numbers to positions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    Linear,
    /// All decades have the same length.
    Log,
    /// Whole numbers, each with room for its bars.
    Whole,
}

/// One axis of a panel.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub title: String,
    pub scale: Scale,
    pub low: f64,
    pub high: f64,
    /// Ticks at these places, instead of at round numbers.
    given: Vec<Tick>,
}

/// A tick and its label.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// The maximum number of decades on a logarithmic axis, for losses that are nearly 0.
const MAX_DECADES: f64 = 12.0;

/// Up to this ratio of its ends a logarithmic axis has ticks between the decades.
const CLOSE: f64 = 100.0;

impl Axis {
    /// From `low` to `high`, for any data.
    pub(super) fn fixed(title: &str, low: f64, high: f64) -> Self {
        Self {
            title: title.to_owned(),
            scale: Scale::Linear,
            low,
            high,
            given: Vec::new(),
        }
    }

    /// Round numbers around all of `values`; from or to 0 if that is not far away.
    pub(super) fn around(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let (mut low, mut high) = ends(values).unwrap_or((0.0, 1.0));
        let span = high - low;
        if low >= 0.0 && low <= span {
            low = 0.0;
        } else if high <= 0.0 && -high <= span {
            high = 0.0;
        }
        if high - low <= 1e-9 * low.abs().max(high.abs()) {
            let room = if low == 0.0 { 1.0 } else { 0.1 * low.abs() };
            (low, high) = (low - room, high + room);
        }
        let step = tick_step(high - low);
        Self::fixed(title, (low / step + 1e-9).floor() * step, (high / step - 1e-9).ceil() * step)
    }

    /// An axis with a tick at each of these values, which have their own texts. With room at both ends.
    pub(super) fn at_values(title: &str, values: &[(f64, String)], is_log: bool) -> Self {
        let (low, high) = ends(values.iter().map(|(value, _)| *value)).unwrap_or((0.0, 1.0));
        let tick = |(at, label): &(f64, String)| Tick {
            at: *at,
            label: label.clone(),
        };
        let (scale, low, high) = if is_log && low > 0.0 {
            let room = (high / low).powf(0.04).max(1.01);
            (Scale::Log, low / room, high * room)
        } else {
            let room = if high > low { 0.04 * (high - low) } else { 0.5 };
            (Scale::Linear, low - room, high + room)
        };
        Self {
            scale,
            given: values.iter().map(tick).collect(),
            ..Self::fixed(title, low, high)
        }
    }

    /// The text of the tick that was given for `value`.
    pub(super) fn given_label(&self, value: f64) -> Option<&str> {
        let found = self.given.iter().find(|tick| tick.at.total_cmp(&value).is_eq());
        found.map(|tick| tick.label.as_str())
    }

    /// From 0 to a round number that is not below any of `values`.
    pub(super) fn from_zero(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let most = values.filter(|value| value.is_finite()).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let step = tick_step(most);
        Self::fixed(title, 0.0, (most / step - 1e-9).ceil() * step)
    }

    /// Round numbers (1, 2 or 5 times a power of ten) around the positive ones of `values` where these span at most [`CLOSE`], so that
    /// lines fill the panel; else whole decades, down from the greatest for at most [`MAX_DECADES`].
    pub(super) fn log(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let (least, greatest) = ends(values.filter(|value| *value > 0.0)).unwrap_or((1.0, 10.0));
        let round: Vec<f64> = round_numbers(least, greatest).into_iter().map(|(number, _)| number).collect();
        let (low, high) = match round.as_slice() {
            [low, .., high] if is_close(least, greatest) && *low > 0.0 && high.is_finite() => (*low, *high),
            _ => decades(least, greatest),
        };
        Self {
            scale: Scale::Log,
            ..Self::fixed(title, low, high)
        }
    }

    /// The whole numbers from the least to the greatest of `values`, with half a step of room at both ends.
    pub(super) fn whole(title: &str, values: impl Iterator<Item = f64>) -> Self {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(value), high.max(value))
        });
        let (low, high) = if low.is_finite() { (low, high) } else { (0.0, 0.0) };
        Self {
            scale: Scale::Whole,
            ..Self::fixed(title, low - 0.5, high + 0.5)
        }
    }

    /// The position of `value` as a share of the axis. Values beyond the ends are drawn at the ends.
    pub(super) fn position(&self, value: f64) -> f64 {
        let share = match self.scale {
            Scale::Log if value <= 0.0 => 0.0,
            Scale::Log => (value / self.low).log10() / (self.high / self.low).log10(),
            _ => (value - self.low) / (self.high - self.low),
        };
        share.clamp(0.0, 1.0)
    }

    /// The given ticks, or about four at round numbers.
    pub(super) fn ticks(&self) -> Vec<Tick> {
        if !self.given.is_empty() {
            return self.given.clone();
        }
        match self.scale {
            Scale::Linear => ticks_every(tick_step(self.high - self.low), self.low, self.high),
            Scale::Whole => ticks_every(tick_step((self.high - self.low - 1.0) / 2.0).max(1.0), self.low, self.high),
            Scale::Log if is_close(self.low, self.high) => {
                let tick = |(at, label)| Tick { at, label };
                round_numbers(self.low, self.high).into_iter().map(tick).collect()
            }
            Scale::Log => {
                let decades = (self.high / self.low).log10().round() as i32;
                let stride = (decades + 3) / 4;
                let first = self.low.log10().round() as i32;
                let decade = |i: i32| first + i * stride;
                (0..=decades / stride.max(1))
                    .map(|i| Tick {
                        at: 10f64.powi(decade(i)),
                        label: power(decade(i)),
                    })
                    .collect()
            }
        }
    }
}

/// The least and the greatest finite value.
pub(super) fn ends(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let ends = values.filter(|value| value.is_finite()).fold(None, |ends, value| match ends {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    });
    ends.filter(|(low, high)| (high - low).is_finite())
}

/// The ends of whole decades around two positive numbers.
fn decades(least: f64, greatest: f64) -> (f64, f64) {
    let low = least.log10().floor();
    let high = greatest.log10().ceil().max(low + 1.0).min(f64::MAX.log10().floor());
    (10f64.powf(low.max(high - MAX_DECADES)), 10f64.powf(high))
}

fn is_close(low: f64, high: f64) -> bool {
    high / low <= CLOSE * (1.0 + 1e-9)
}

/// 1, 2 and 5 times powers of ten with their labels: from the last one that is not above `least` to the first that is not below
/// `greatest`, but for the last bits.
fn round_numbers(least: f64, greatest: f64) -> Vec<(f64, String)> {
    let (first, last) = (least.log10().floor() as i32, greatest.log10().ceil() as i32);
    let all = (first..=last).flat_map(|decade| ["1", "2", "5"].map(|digit| (digit, decade)));
    let number = |(digit, decade): (&str, i32)| {
        let number: f64 = format!("{digit}e{decade}").parse().ok()?;
        let label = match decade {
            -3..=5 => decimal(number, (-decade).max(0) as usize),
            _ => format!("{digit}e{decade}"),
        };
        Some((number, label))
    };
    let mut numbers: Vec<(f64, String)> = all.filter_map(number).collect();
    let end = numbers.iter().position(|(number, _)| *number >= greatest * (1.0 - 1e-9));
    numbers.truncate(end.map_or(numbers.len(), |end| end + 1));
    let start = numbers.iter().rposition(|(number, _)| *number <= least * (1.0 + 1e-9));
    numbers.split_off(start.unwrap_or(0))
}

/// The step between ticks: 1, 2 or 5 times a power of ten, with four to eight steps in `span`.
fn tick_step(span: f64) -> f64 {
    let rough = span.max(f64::MIN_POSITIVE) / 4.0;
    let power = 10f64.powf(rough.log10().floor());
    let factor = match rough / power {
        ..2.0 => 1.0,
        2.0..5.0 => 2.0,
        _ => 5.0,
    };
    factor * power
}

fn ticks_every(step: f64, low: f64, high: f64) -> Vec<Tick> {
    let decimals = (-step.log10().floor()).max(0.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    let tick = |i: i64| Tick {
        at: i as f64 * step,
        label: short_decimal(i as f64 * step, decimals),
    };
    (first..=last).map(tick).collect()
}

/// Ten to the power of `decade`: `0.001`, `100`, and if that is long, `1e-5`.
fn power(decade: i32) -> String {
    match decade {
        -3..=5 => decimal(10f64.powi(decade), (-decade).max(0) as usize),
        _ => format!("1e{decade}"),
    }
}

/// `2,500`, `0.25`; with an exponent what would be too long beside an axis: `2.5e7`, `2.0e-7`.
fn short_decimal(number: f64, decimals: usize) -> String {
    match number.abs() {
        size if size >= 1e6 => format!("{number:e}").replace('-', "−"),
        size if decimals > 5 && size > 0.0 => format!("{number:.1e}"),
        _ if decimals > 5 => "0".to_owned(),
        _ => decimal(number, decimals),
    }
}

/// `2,500`, `0.25`.
fn decimal(number: f64, decimals: usize) -> String {
    let text = format!("{:.decimals$}", number.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if number < 0.0 { "−" } else { "" };
    format!("{sign}{grouped}{rest}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<String> {
        axis.ticks().into_iter().map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_numbers() {
        assert_eq!(labels(&Axis::fixed("", 0.0, 100.0)), ["0", "20", "40", "60", "80", "100"]);
        assert_eq!(
            labels(&Axis::from_zero("", [0.31, 2.6].into_iter())),
            ["0.0", "0.5", "1.0", "1.5", "2.0", "2.5", "3.0"]
        );
        assert_eq!(
            labels(&Axis::from_zero("", [6300.0].into_iter())),
            ["0", "1,000", "2,000", "3,000", "4,000", "5,000", "6,000", "7,000"]
        );
        assert_eq!(labels(&Axis::whole("", [1.0, 3.0].into_iter())), ["1", "2", "3"]);
        assert_eq!(labels(&Axis::whole("", [0.0].into_iter())), ["0"]);
        assert_eq!(
            labels(&Axis::log("", [0.004, 2.0].into_iter())),
            ["0.001", "0.01", "0.1", "1", "10"].map(String::from)[..].to_vec()
        );
        assert_eq!(labels(&Axis::log("", [0.000_004, 0.2].into_iter())), ["1e-6", "1e-4", "0.01", "1"]);
        assert_eq!(labels(&Axis::log("", [f64::MIN_POSITIVE, f64::MAX].into_iter())).len(), 5);
    }

    #[test]
    fn a_logarithmic_axis_of_close_values_ends_near_them() {
        for (values, expected) in [
            ([0.11, 1.6], ["0.1", "0.2", "0.5", "1", "2"].as_slice()),
            ([1.1, 2.3], &["1", "2", "5"]),
            ([0.2, 5.0], &["0.2", "0.5", "1", "2", "5"]),
            ([0.01, 1.0], &["0.01", "0.02", "0.05", "0.1", "0.2", "0.5", "1"]),
            ([2e-6, 3e-6], &["2e-6", "5e-6"]),
            ([1500.0, 12_000.0], &["1,000", "2,000", "5,000", "10,000", "20,000"]),
            // One number alone: its decade.
            ([0.2, 0.2], &["0.1", "0.2", "0.5", "1"]),
            ([1.0, 1.0], &["1", "2", "5", "10"]),
        ] {
            let axis = Axis::log("", values.into_iter());
            assert_eq!(labels(&axis), expected, "{values:?}");
            assert!(axis.low <= values[0] && values[1] <= axis.high, "{axis:?}");
        }
    }

    #[test]
    fn ticks_of_an_axis_of_values_are_the_values() {
        let values = [(1e-5, "1e-5".to_owned()), (1e-4, "0.0001".to_owned()), (1e-3, "0.001".to_owned())];
        let axis = Axis::at_values("lr", &values, true);
        assert_eq!(labels(&axis), ["1e-5", "0.0001", "0.001"]);
        assert!((axis.position(1e-4) - 0.5).abs() < 1e-9 && axis.position(1e-5) > 0.0, "{axis:?}");
        assert_eq!((axis.given_label(1e-4), axis.given_label(0.5)), (Some("0.0001"), None));
        let linear = Axis::at_values("width", &[(16.0, "16".to_owned()), (32.0, "32".to_owned())], false);
        assert_eq!(linear.scale, Scale::Linear);
        assert!((linear.position(24.0) - 0.5).abs() < 1e-9, "{linear:?}");
    }

    #[test]
    fn an_axis_around_values_has_round_ends() {
        let of = |values: &[f64]| {
            let axis = Axis::around("", values.iter().copied());
            (axis.low, axis.high)
        };
        assert_eq!(of(&[12.0, 87.0]), (0.0, 100.0));
        assert_eq!(of(&[91.0, 94.0, f64::NAN]), (91.0, 94.0));
        assert_eq!(of(&[-3.0, 4.5]), (-3.0, 5.0));
        let (low, high) = of(&[5.0]);
        assert!(low < 5.0 && 5.0 < high, "{low} {high}");
        assert_eq!(
            labels(&Axis::around("", [0.0, 3e7].into_iter()))[..4],
            ["0", "5e6", "1e7", "1.5e7"].map(String::from)
        );
        assert_eq!(
            labels(&Axis::around("", [0.0, 3e-8].into_iter()))[..2],
            ["0", "5.0e-9"].map(String::from)
        );
    }

    #[test]
    fn axes_without_data_are_axes_too() {
        for axis in [
            Axis::around("", std::iter::empty()),
            Axis::around("", [0.0, 0.0].into_iter()),
            Axis::around("", [f64::MAX, f64::MIN].into_iter()),
            Axis::at_values("", &[], true),
            Axis::at_values("", &[(3.0, "3".to_owned())], true),
            Axis::from_zero("", [f64::NAN].into_iter()),
            Axis::log("", [0.0, -1.0].into_iter()),
            Axis::whole("", std::iter::empty()),
        ] {
            assert!(axis.low < axis.high && !axis.ticks().is_empty(), "{axis:?}");
        }
    }

    #[test]
    fn places_run_from_end_to_end() {
        let axis = Axis::log("", [0.01, 1.0].into_iter());
        assert_eq!(
            [0.01, 0.1, 1.0, 0.0, 5.0].map(|value| axis.position(value)),
            [0.0, 0.5, 1.0, 0.0, 1.0]
        );
        assert_eq!(Axis::fixed("", 0.0, 4.0).position(1.0), 0.25);
    }
}
