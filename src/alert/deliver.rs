//! Webhook and dead-man ping: the one door to the HTTP client.
//!
//! A message is sent as it stands in the queue, signed over its bytes; any answer but 2xx is tried again later, with
//! growing pauses, for about three days.

use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

/// First pause after a failed try.
const FIRST_PAUSE: Duration = Duration::from_secs(10);
/// Longest pause between tries.
const LONGEST_PAUSE: Duration = Duration::from_hours(1);
/// After so many tries a message is given up.
const MOST_TRIES: i64 = 80;
/// SHA-256 works on blocks of this many bytes.
const BLOCK_BYTES: usize = 64;

/// Why a message did not arrive, or cannot be sent at all.
#[derive(Debug, Error)]
pub enum DeliverError {
    /// No answer, or not 2xx.
    #[error("post to the webhook: {why}")]
    Post {
        /// What the client said.
        why: String,
    },
    /// The secret cannot be read.
    #[error("read alert.webhook_secret_file {path}")]
    Secret {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl DeliverError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Post { .. } => "webhook_post",
            Self::Secret { .. } => "webhook_secret",
        }
    }
}

/// Where messages go.
#[derive(Clone)]
pub struct Webhook {
    url: String,
    secret: Option<Vec<u8>>,
    agent: ureq::Agent,
}

impl std::fmt::Debug for Webhook {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Webhook").field("signed", &self.secret.is_some()).finish_non_exhaustive()
    }
}

impl Webhook {
    /// A webhook at `url`; every message is signed when there is a secret.
    ///
    /// # Errors
    /// When the secret cannot be read.
    pub fn new(url: &str, secret_file: Option<&Path>, timeout: Duration) -> Result<Self, DeliverError> {
        let secret = secret_file
            .map(|path| {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| DeliverError::Secret { path: path.to_owned(), source })?;
                Ok(text.trim().as_bytes().to_vec())
            })
            .transpose()?;
        Ok(Self { url: url.to_owned(), secret, agent: agent(timeout) })
    }

    /// Posts a message. Blocks: call it off the async threads.
    ///
    /// # Errors
    /// When there is no answer in time, or one that is not 2xx.
    pub fn post(&self, delivery_id: i64, body: &str) -> Result<(), DeliverError> {
        let mut request = self
            .agent
            .post(&self.url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("cytowatch/", env!("CARGO_PKG_VERSION")))
            .header("x-cytowatch-delivery", delivery_id.to_string());
        if let Some(secret) = &self.secret {
            request = request.header("x-cytowatch-signature-256", signature(secret, body.as_bytes()));
        }
        request.send(body).map(drop).map_err(|error| DeliverError::Post { why: error.to_string() })
    }
}

/// Asks for an address, for a dead-man service. Blocks: call it off the async threads.
///
/// # Errors
/// When there is no answer in time, or one that is not 2xx.
pub fn ping(url: &str, timeout: Duration) -> Result<(), DeliverError> {
    agent(timeout).get(url).call().map(drop).map_err(|error| DeliverError::Post { why: error.to_string() })
}

fn agent(timeout: Duration) -> ureq::Agent {
    ureq::Agent::config_builder().timeout_global(Some(timeout)).max_redirects(0).build().into()
}

/// When to try again after `tries` failed tries; `None` to give up.
pub fn pause_after(tries: i64) -> Option<Duration> {
    if tries >= MOST_TRIES {
        return None;
    }
    let doubled = u32::try_from(tries - 1).unwrap_or(0).min(16);
    Some(FIRST_PAUSE.saturating_mul(1 << doubled).min(LONGEST_PAUSE))
}

/// `sha256=<hex>` of the HMAC (RFC 2104) of a message.
pub fn signature(secret: &[u8], message: &[u8]) -> String {
    let mut key = [0_u8; BLOCK_BYTES];
    let short: Vec<u8> = if secret.len() > BLOCK_BYTES { Sha256::digest(secret).to_vec() } else { secret.to_vec() };
    for (into, byte) in key.iter_mut().zip(short) {
        *into = byte;
    }
    let inner = Sha256::new().chain_update(key.map(|byte| byte ^ 0x36)).chain_update(message).finalize();
    let outer = Sha256::new().chain_update(key.map(|byte| byte ^ 0x5c)).chain_update(inner).finalize();
    format!("sha256={}", crate::serve::guard::hex(&outer))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_rfc_4231() {
        let cases: [(&[u8], &[u8], &str); 3] = [
            (&[0x0b; 20], b"Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"),
            (
                b"Jefe",
                b"what do ya want for nothing?",
                "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
            ),
            (
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First",
                "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
            ),
        ];
        for (secret, message, expected) in cases {
            assert_eq!(signature(secret, message), format!("sha256={expected}"));
        }
    }

    #[test]
    fn pauses_grow_and_end() {
        let pauses: Vec<u64> = (1..=12).filter_map(pause_after).map(|pause| pause.as_secs()).collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1280, 2560, 3600, 3600, 3600]);
        assert_eq!(pause_after(MOST_TRIES), None);
        let total: u64 = (1..MOST_TRIES).filter_map(pause_after).map(|pause| pause.as_secs()).sum();
        assert!((60..100).contains(&(total / 3600)), "{} h", total / 3600);
    }
}
