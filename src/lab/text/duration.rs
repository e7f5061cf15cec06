//! Durations for people.

/// A duration in seconds as `0.4s`, `41.2s`, `2m10s`, `3h05m` or `2d04h`: at most two units, rounded to the last one.
///
/// `?` for a number that is no duration: negative, infinite or not a number.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    if seconds < 59.95 {
        return format!("{seconds:.1}s");
    }
    let whole = seconds.round() as u64;
    let minutes = (seconds / 60.0).round() as u64;
    let hours = (seconds / 3600.0).round() as u64;
    if whole < 3600 {
        format!("{}m{:02}s", whole / 60, whole % 60)
    } else if minutes < 24 * 60 {
        format!("{}h{:02}m", minutes / 60, minutes % 60)
    } else {
        format!("{}d{:02}h", hours / 24, hours % 24)
    }
}

#[cfg(test)]
mod tests {
    use super::duration;

    #[test]
    fn two_units_at_most() {
        let cases = [
            (0.0, "0.0s"),
            (0.04, "0.0s"),
            (41.24, "41.2s"),
            (59.94, "59.9s"),
            (59.96, "1m00s"),
            (130.0, "2m10s"),
            (3599.4, "59m59s"),
            (3599.6, "1h00m"),
            (11_100.0, "3h05m"),
            (86_390.0, "1d00h"),
            (187_200.0, "2d04h"),
            (f64::NAN, "?"),
            (-1.0, "?"),
        ];
        for (seconds, text) in cases {
            assert_eq!(duration(seconds), text, "{seconds}");
        }
    }
}
