//! Sizes for people. `learn` cannot use `lab`: `learn::engine::Bytes` is its own, and changes with this one.

/// A size in bytes as `830 B`, `1.2 kB` or `3.4 GB`, in powers of 1000.
pub fn bytes(count: u64) -> String {
    let units = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    let mut size = count as f64 / 1000.0;
    let mut unit = units[0];
    for next in &units[1..] {
        if size < 999.95 {
            break;
        }
        size /= 1000.0;
        unit = next;
    }
    format!("{size:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_for_people() {
        let texts = [0, 999, 1000, 999_949, 999_950, 3_400_000_000].map(bytes);
        assert_eq!(texts, ["0 B", "999 B", "1.0 kB", "999.9 kB", "1.0 MB", "3.4 GB"]);
    }
}
