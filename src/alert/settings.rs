//! Settings of the alerts.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// The table `[alert]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertSettings {
    /// How often the rules are looked at.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub period: Duration,
    /// A field of view is stalled when it is silent for this many times its usual pace ..
    pub stall_factor: f64,
    /// .. and for at least this long.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub stall_least: Duration,
    /// The disk is low below this many free bytes ..
    pub disk_low_bytes: u64,
    /// .. or when it is full within this time at the present pace.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub disk_low_time: Duration,
    /// Share of a field's newest frames out of focus that is too much, 0..1.
    pub blurred_share: f64,
    /// Share of a field's newest frames about which the network that finds cells is in doubt that is too much, 0..1.
    pub doubted_share: f64,
    /// Change of a field's background light, as a share of what it was at first, that is too much.
    pub light_change: f64,
    /// Share of withheld scores among the newest frames that is too much, 0..1.
    pub withheld_share: f64,
    /// Share of failed frames among the newest that is too much, 0..1.
    pub failed_share: f64,
    /// Where alerts are posted as JSON (`https://..`); none when absent.
    pub webhook_url: Option<String>,
    /// File with the secret that signs every message (HMAC-SHA256, header `X-Cytowatch-Signature-256`).
    pub webhook_secret_file: Option<PathBuf>,
    /// Messages that may wait for delivery; of more, the oldest are given up.
    pub webhook_queue: u32,
    /// How long one delivery may take.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub webhook_timeout: Duration,
    /// A file that is rewritten every period while all stages move: when it grows old, the daemon is dead.
    pub heartbeat_file: Option<PathBuf>,
    /// An address that is asked for every minute while all stages move (a dead-man service).
    pub ping_url: Option<String>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            period: Duration::from_secs(5),
            stall_factor: 5.0,
            stall_least: Duration::from_mins(2),
            disk_low_bytes: 5_000_000_000,
            disk_low_time: Duration::from_hours(6),
            blurred_share: 0.5,
            doubted_share: 0.5,
            light_change: 0.3,
            withheld_share: 0.5,
            failed_share: 0.2,
            webhook_url: None,
            webhook_secret_file: None,
            webhook_queue: 1000,
            webhook_timeout: Duration::from_secs(10),
            heartbeat_file: None,
            ping_url: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_go_there_and_back_and_unknown_keys_are_refused() {
        let text = serde_json::to_string(&AlertSettings::default()).unwrap();
        assert_eq!(serde_json::from_str::<AlertSettings>(&text).unwrap(), AlertSettings::default());
        assert_eq!(serde_json::from_str::<AlertSettings>("{}").unwrap(), AlertSettings::default());
        assert!(serde_json::from_str::<AlertSettings>(r#"{"webhok_url": "x"}"#).is_err());
    }
}
