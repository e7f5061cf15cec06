//! Sizes and durations as people write them.

use std::time::Duration;

/// `500MB`, `1.5 GB`, `0`: in thousands, as disks are sold.
pub(super) fn size(text: &str) -> Result<u64, String> {
    let units = [("", 0), ("B", 0), ("kB", 1), ("MB", 2), ("GB", 3), ("TB", 4)];
    let (number, unit) = split(text);
    let power = units
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(unit))
        .map(|(_, power)| *power);
    let bytes = number.zip(power).map(|(number, power)| number * 1000f64.powi(power));
    bytes
        .filter(|bytes| (0.0..1e18).contains(bytes))
        .map(|bytes| bytes as u64)
        .ok_or_else(|| "write a number and a unit: `500MB`, `1.5GB`, `2TB`".to_owned())
}

/// `45s`, `30m`, `12h`, `30d`, `2w`.
pub(super) fn duration(text: &str) -> Result<Duration, String> {
    let units = [("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0), ("w", 604_800.0)];
    let (number, unit) = split(text);
    let seconds = units.iter().find(|(name, _)| *name == unit).map(|(_, seconds)| *seconds);
    let time = number.zip(seconds).map(|(number, seconds)| number * seconds);
    time.filter(|seconds| (0.0..1e10).contains(seconds))
        .map(Duration::from_secs_f64)
        .ok_or_else(|| "write a number and a unit: `30m`, `12h`, `30d`, `2w`".to_owned())
}

fn split(text: &str) -> (Option<f64>, &str) {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    (text[..end].parse().ok(), text[end..].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_durations_are_read_as_they_are_written() {
        assert_eq!(
            ["0", "7B", "1.5 GB", "2tb"].map(size),
            [Ok(0), Ok(7), Ok(1_500_000_000), Ok(2_000_000_000_000)]
        );
        assert_eq!(
            ["45s", "1.5h", "30d"].map(duration).map(|time| time.unwrap().as_secs()),
            [45, 5400, 2_592_000]
        );
        for wrong in ["", "GB", "-1GB", "1XB", "1.2.3kB", "nan"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        for wrong in ["", "5", "d", "1y", "-1d", "99999999w"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
