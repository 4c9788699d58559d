//! Settings of the server, and why it cannot start.

use serde::{Deserialize, Serialize};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;
use thiserror::Error;

/// The table `[serve]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServeSettings {
    /// Address and port. Any other than a loopback address needs `token_file`.
    pub listen: SocketAddr,
    /// File with the token (one line, 16 or more characters) that clients must show: as `Authorization: Bearer ..`, or
    /// once on the page `/login`. Under systemd: `LoadCredential=`.
    pub token_file: Option<PathBuf>,
    /// Names, besides `localhost` and addresses, under which the page may be asked for (without port).
    pub allowed_hosts: Vec<String>,
    /// Requests that are worked on at a time; more are answered 503.
    pub max_requests: usize,
    /// Connections that may be open at a time; more wait.
    pub max_connections: usize,
    /// How long an answer may take.
    #[serde(with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required")]
    pub request_timeout: Duration,
}

impl Default for ServeSettings {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8750)),
            token_file: None,
            allowed_hosts: Vec::new(),
            max_requests: 32,
            max_connections: 256,
            request_timeout: Duration::from_secs(20),
        }
    }
}

/// Why the server cannot start or go on.
#[derive(Debug, Error)]
pub enum ServeError {
    /// Everybody on the network could read the results.
    #[error("serve.listen = {listen} can be reached by others: set serve.token_file, or listen on 127.0.0.1")]
    TokenNeeded {
        /// The address.
        listen: SocketAddr,
    },
    /// The token file cannot be read.
    #[error("read token file {path}")]
    TokenRead {
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// A token that can be guessed.
    #[error("token file {path} must hold one line of 16 to 512 visible ASCII characters: try `openssl rand -hex 32`")]
    TokenWeak {
        /// The file.
        path: PathBuf,
    },
    /// The address is taken or not ours.
    #[error("listen on {listen}: choose another serve.listen, or stop what listens there")]
    Bind {
        /// The address.
        listen: SocketAddr,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl ServeError {
    /// Stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::TokenNeeded { .. } => "serve_token_needed",
            Self::TokenRead { .. } => "serve_token_read",
            Self::TokenWeak { .. } => "serve_token_weak",
            Self::Bind { .. } => "serve_bind",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_loopback_and_unknown_keys_are_refused() {
        let settings: ServeSettings = serde_json::from_str("{}").unwrap();
        assert_eq!(settings, ServeSettings::default());
        assert!(settings.listen.ip().is_loopback());
        assert!(serde_json::from_str::<ServeSettings>(r#"{"lisen": "127.0.0.1:1"}"#).is_err());
    }
}
