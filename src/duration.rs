//! Durations in settings: strings with their unit (`"5s"`, `"2 min"`, `"1h 30m"`), via `#[serde(with = "..")]`.

use jiff::SignedDuration;
use serde::de::Error as _;
use serde::{Deserialize as _, Deserializer, Serializer};
use std::time::Duration;

/// Writes a duration as text that [`deserialize`] reads again.
///
/// # Errors
/// What the format says; a duration beyond 292 billion years cannot be written.
pub fn serialize<S: Serializer>(duration: &Duration, to: S) -> Result<S::Ok, S::Error> {
    let signed = SignedDuration::try_from(*duration).map_err(serde::ser::Error::custom)?;
    to.collect_str(&format_args!("{signed:#}"))
}

/// Reads a duration; refuses a number without a unit and a negative duration.
///
/// # Errors
/// When the text is not a duration.
pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
    let text = String::deserialize(from)?;
    let signed: SignedDuration =
        text.parse().map_err(|error| D::Error::custom(format!("{text:?} is not a duration like \"5s\": {error}")))?;
    Duration::try_from(signed).map_err(|_negative| D::Error::custom(format!("{text:?} is negative")))
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};
    use std::time::Duration;

    #[derive(Serialize, Deserialize)]
    struct Quiet {
        #[serde(with = "super")]
        period: Duration,
    }

    #[test]
    fn durations_are_texts_with_units() {
        for (text, seconds) in [("5s", 5.0), ("2 min", 120.0), ("1h 30m", 5400.0), ("250ms", 0.25)] {
            let quiet: Quiet = serde_json::from_value(serde_json::json!({ "period": text })).unwrap();
            assert!((quiet.period.as_secs_f64() - seconds).abs() < 1e-9, "{text}");
            let again: Quiet = serde_json::from_str(&serde_json::to_string(&quiet).unwrap()).unwrap();
            assert_eq!(again.period, quiet.period);
        }
        for text in ["5", "-3s", "soon", ""] {
            assert!(serde_json::from_value::<Quiet>(serde_json::json!({ "period": text })).is_err(), "{text}");
        }
    }
}
