//! 95 % intervals of means over few runs: Student's t distribution.

use crate::scores::Mean;

/// The probability that a t-distributed number is nearer to 0 than its quantile.
const CONFIDENCE: f64 = 0.95;

/// The ends of the 95 % interval of a mean; `None` for a single number.
pub(super) fn interval(mean: &Mean) -> Option<[f64; 2]> {
    let half = half_width(mean)?;
    Some([mean.mean - half, mean.mean + half])
}

fn half_width(mean: &Mean) -> Option<f64> {
    let deviation = mean.deviation?;
    Some(quantile(mean.count.checked_sub(1)?) * deviation / (mean.count as f64).sqrt())
}

/// The number that 95 % of the t distribution with this many degrees of freedom (1 or more) are nearer to 0 than.
///
/// The distribution function has a closed form where the degrees are whole (Abramowitz and Stegun, 26.7.3 and 26.7.4), a sum in the
/// angle of which t is the tangent; it ascends with the angle, so that the quantile is found by halving.
fn quantile(degrees: usize) -> f64 {
    let (mut low, mut high) = (0.0, std::f64::consts::FRAC_PI_2);
    for _ in 0..60 {
        let middle = f64::midpoint(low, high);
        if share_within(middle, degrees) < CONFIDENCE {
            low = middle;
        } else {
            high = middle;
        }
    }
    (degrees as f64).sqrt() * f64::midpoint(low, high).tan()
}

/// The probability of a number nearer to 0 than `sqrt(degrees) * tan(angle)`.
fn share_within(angle: f64, degrees: usize) -> f64 {
    let (sine, cosine) = angle.sin_cos();
    let is_odd = degrees % 2 == 1;
    // The powers of the cosine up to `degrees - 2`, each with the product of the ratios of the numbers up to it.
    let mut term = if is_odd { cosine } else { 1.0 };
    let mut sum = 0.0;
    let mut power = usize::from(is_odd);
    while power + 2 <= degrees {
        sum += term;
        power += 2;
        term *= cosine * cosine * (power - 1) as f64 / power as f64;
    }
    if is_odd {
        std::f64::consts::FRAC_2_PI * (angle + sine * sum)
    } else {
        sine * sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_scipy_s() {
        // python3 -c 'from scipy.stats import t; print(t.ppf(0.975, [1, 2, 3, 4, 5, 9, 10, 30, 100]))'
        let expected = [
            (1, 12.706_204_736),
            (2, 4.302_652_730),
            (3, 3.182_446_305),
            (4, 2.776_445_105),
            (5, 2.570_581_836),
            (9, 2.262_157_163),
            (10, 2.228_138_852),
            (30, 2.042_272_456),
            (100, 1.983_971_519),
        ];
        for (degrees, value) in expected {
            let found = quantile(degrees);
            assert!((found - value).abs() < 2e-9, "{degrees}: {found}");
        }
    }

    #[test]
    fn an_interval_is_scipy_s() {
        // python3 -c 'from scipy import stats as s; x = [2, 4, 4, 5]; print(s.t.interval(0.95, 3, 3.75, s.sem(x)))'
        // (1.7477548, 5.7522452)
        let mean = Mean::of(&[2.0, 4.0, 4.0, 5.0]).unwrap();
        assert!((half_width(&mean).unwrap() - 2.002_245_2).abs() < 1e-6);
        assert_eq!(half_width(&Mean::of(&[1.0]).unwrap()), None);
    }
}
