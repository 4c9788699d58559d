//! Student's t: how many standard errors an estimate must lie away for a given error share.

use std::f64::consts::PI;

/// Below this argument the logarithm of the gamma function is shifted up before the series is used.
const SERIES_FROM: f64 = 10.0;
/// Largest quantile that is ever returned, standard errors.
const LARGEST: f64 = 1e4;

/// The `t` that a Student variable with `degrees` degrees of freedom exceeds with probability `upper_share`.
///
/// `upper_share` is clamped to 1e-12..=0.5 and `degrees` to at least 0.5, so the result lies in 0..=10 000.
pub fn quantile(upper_share: f64, degrees: f64) -> f64 {
    let share = upper_share.clamp(1e-12, 0.5);
    let degrees = degrees.max(0.5);
    let (mut low, mut high) = (0.0, LARGEST);
    for _ in 0..70 {
        let middle = 0.5 * (low + high);
        if upper_tail(middle, degrees) > share { low = middle } else { high = middle }
    }
    0.5 * (low + high)
}

/// Probability that a Student variable with `degrees` > 0 degrees of freedom exceeds `t` >= 0.
pub fn upper_tail(t: f64, degrees: f64) -> f64 {
    0.5 * incomplete_beta(degrees / (degrees + t * t), degrees / 2.0, 0.5)
}

/// The regularised incomplete beta function of `x` in 0..=1 for `a`, `b` > 0.
fn incomplete_beta(x: f64, a: f64, b: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    if x >= 1.0 {
        return 1.0;
    }
    let front = (ln_gamma(a + b) - ln_gamma(a) - ln_gamma(b) + a * x.ln() + b * (1.0 - x).ln()).exp();
    // The fraction converges fast on this side of the mean; the other side is its mirror image.
    if x < (a + 1.0) / (a + b + 2.0) {
        front * continued_fraction(x, a, b) / a
    } else {
        1.0 - front * continued_fraction(1.0 - x, b, a) / b
    }
}

/// The continued fraction of the incomplete beta function, evaluated forwards (modified Lentz).
fn continued_fraction(x: f64, a: f64, b: f64) -> f64 {
    const TINY: f64 = 1e-300;
    let away = |value: f64| if value.abs() < TINY { TINY } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away(1.0 - (a + b) * x / (a + 1.0));
    let mut result = d;
    for step in 1..=300 {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away(1.0 + even * d);
        c = away(1.0 + even / c);
        result *= d * c;
        d = 1.0 / away(1.0 + odd * d);
        c = away(1.0 + odd / c);
        let change = d * c;
        result *= change;
        if (change - 1.0).abs() < 1e-14 {
            break;
        }
    }
    result
}

/// Logarithm of the gamma function for `x` > 0.
fn ln_gamma(x: f64) -> f64 {
    let mut x = x;
    let mut shift = 0.0;
    while x < SERIES_FROM {
        shift += x.ln();
        x += 1.0;
    }
    let inverse = 1.0 / x;
    let square = inverse * inverse;
    let series = inverse * (1.0 / 12.0 - square * (1.0 / 360.0 - square * (1.0 / 1260.0 - square / 1680.0)));
    (x - 0.5) * x.ln() - x + 0.5 * (2.0 * PI).ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reference values: the table that every statistics book prints.
    #[test]
    fn quantiles_are_those_of_the_table() {
        for (share, degrees, expected) in [
            (0.025, 1.0, 12.706_205),
            (0.025, 2.0, 4.302_653),
            (0.05, 5.0, 2.015_048),
            (0.005, 10.0, 3.169_273),
            (0.025, 30.0, 2.042_272),
            (0.001, 20.0, 3.551_808),
            (0.025, 1e7, 1.959_964),
        ] {
            let found = quantile(share, degrees);
            assert!((found - expected).abs() < 2e-6 * expected.max(1.0), "{share} {degrees}: {found} not {expected}");
        }
    }

    #[test]
    fn tail_and_quantile_are_inverse() {
        for degrees in [0.7, 3.3, 12.0, 250.0] {
            for share in [0.4, 0.1, 0.01, 1e-4, 1e-6] {
                let back = upper_tail(quantile(share, degrees), degrees);
                if quantile(share, degrees) < LARGEST * 0.99 {
                    assert!((back / share - 1.0).abs() < 1e-4, "{degrees} {share} {back}");
                }
            }
        }
    }
}
