//! What stands in front of every route: security headers, host check, token, bounded concurrency and time.
//!
//! The host check defeats DNS rebinding: a foreign page that resolves its own name to 127.0.0.1 sends that name.

use super::problem::Problem;
use super::settings::{ServeError, ServeSettings};
use super::{ServeState, page};
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Longest request body, bytes: only the login has one.
const BODY_BYTES: usize = 4 << 10;
/// Longest path and query, bytes.
const TARGET_BYTES: usize = 2 << 10;
/// The login's cookie.
const COOKIE: &str = "cytowatch";

/// Scripts, styles, pictures and connections only from this server; nothing inline; never inside another page.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; \
     frame-ancestors 'none'";

/// A token, kept only as its hash.
pub struct Token {
    sha256: [u8; 32],
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Token(..)")
    }
}

impl Token {
    /// The token in a file's only line.
    ///
    /// # Errors
    /// When the file cannot be read, or its line is too short or not plain ASCII.
    pub fn read(path: &Path) -> Result<Self, ServeError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ServeError::TokenRead { path: path.to_owned(), source })?;
        let line = text.trim();
        let sound = (16..=512).contains(&line.len()) && line.bytes().all(|byte| byte.is_ascii_graphic());
        if sound { Ok(Self::of(line)) } else { Err(ServeError::TokenWeak { path: path.to_owned() }) }
    }

    fn of(text: &str) -> Self {
        Self { sha256: Sha256::digest(text.as_bytes()).into() }
    }

    /// Compares in constant time: the hashes are compared as a whole, whatever differs.
    pub fn is(&self, shown: &str) -> bool {
        same(&self.sha256, &Sha256::digest(shown.as_bytes()).into())
    }

    /// What the login's cookie holds: not the token itself, and useless for another server.
    fn cookie(&self) -> String {
        let mut hash = Sha256::new();
        hash.update(b"cytowatch cookie");
        hash.update(self.sha256);
        hex(&hash.finalize())
    }
}

/// Equality without an early exit.
fn same(one: &[u8; 32], other: &[u8; 32]) -> bool {
    one.iter().zip(other).fold(0_u8, |seen, (a, b)| seen | (a ^ b)) == 0
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).unwrap_or('0'));
        }
        text
    })
}

/// Who may ask, how many at a time, for how long.
#[derive(Debug)]
pub struct Access {
    token: Option<Token>,
    hosts: BTreeSet<String>,
    requests: Arc<Semaphore>,
    timeout: Duration,
    loopback_only: bool,
    max_connections: usize,
}

impl Access {
    pub(super) fn new(token: Option<Token>, settings: &ServeSettings) -> Self {
        Self {
            token,
            hosts: settings.allowed_hosts.iter().map(|host| host.to_ascii_lowercase()).collect(),
            requests: Arc::new(Semaphore::new(settings.max_requests.max(1))),
            timeout: settings.request_timeout,
            loopback_only: settings.listen.ip().is_loopback(),
            max_connections: settings.max_connections,
        }
    }

    /// How many connections may be open at a time.
    pub(super) fn max_connections(&self) -> usize {
        self.max_connections
    }

    /// Whether clients must show a token.
    pub(super) fn needs_token(&self) -> bool {
        self.token.is_some()
    }

    /// The cookie for a client that showed the right token.
    pub(super) fn login(&self, shown: &str) -> Option<String> {
        let token = self.token.as_ref().filter(|token| token.is(shown))?;
        Some(format!("{COOKIE}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict", token.cookie()))
    }

    fn knows_host(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        let address: Option<IpAddr> = name.trim_start_matches('[').trim_end_matches(']').parse().ok();
        match address {
            Some(address) => !self.loopback_only || address.is_loopback() || self.hosts.contains(&name),
            None => name == "localhost" || self.hosts.contains(&name),
        }
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(token) = &self.token else { return true };
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        if let Some(shown) = text(header::AUTHORIZATION).strip_prefix("Bearer ") {
            return token.is(shown.trim());
        }
        let expected = Token::of(&token.cookie());
        text(header::COOKIE)
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='))
            .any(|(name, value)| name == COOKIE && expected.is(value))
    }
}

/// A host header without its port.
fn name_of(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|it| it.is_ascii_digit()) && !name.ends_with(':') => name,
        _ => host,
    }
}

/// Puts the guard around `routes`.
pub(super) fn around(routes: Router<ServeState>, state: &ServeState) -> Router<ServeState> {
    routes
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn_with_state(state.clone(), bounded))
        .layer(from_fn_with_state(state.clone(), admitted))
        .layer(from_fn(headers))
}

/// Security headers on every answer, also on errors.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    crate::metrics::http_answered(response.status().as_u16());
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()"),
    ];
    for (name, value) in fixed {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Host, length of the target, token.
async fn admitted(State(state): State<ServeState>, request: Request, next: Next) -> Response {
    let access = &state.access;
    let host = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    if !host.is_some_and(|host| access.knows_host(host)) {
        return Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            "host_not_allowed",
            "this server does not answer to that name: add it to serve.allowed_hosts",
        )
        .into_response();
    }
    let target_bytes = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    if target_bytes > TARGET_BYTES {
        return Problem::new(StatusCode::BAD_REQUEST, "target_too_long", "the address is too long").into_response();
    }
    let path = request.uri().path();
    if !page::is_open(path) && !access.admits(request.headers()) {
        if request.method() == Method::GET && path == "/" {
            return (StatusCode::SEE_OTHER, [(header::LOCATION, "/login")]).into_response();
        }
        return Problem::new(
            StatusCode::UNAUTHORIZED,
            "token_needed",
            "show the token: `Authorization: Bearer ..`, or sign in on /login",
        )
        .into_response();
    }
    next.run(request).await
}

/// No more requests at a time, and no longer, than the settings say.
async fn bounded(State(state): State<ServeState>, request: Request, next: Next) -> Response {
    let Ok(_permit) = state.access.requests.try_acquire() else {
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too many requests at a time: try again soon")
            .into_response();
    };
    match tokio::time::timeout(state.access.timeout, next.run(request)).await {
        Ok(response) => response,
        Err(_late) => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "timed_out",
            "the answer took too long: ask for less, or see whether the disk is slow",
        )
        .into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::SocketAddr;

    fn access(listen: &str, hosts: &[&str]) -> Access {
        let settings = ServeSettings {
            listen: listen.parse::<SocketAddr>().unwrap(),
            allowed_hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
            ..ServeSettings::default()
        };
        Access::new(Some(Token::of("0123456789abcdef")), &settings)
    }

    #[test]
    fn loopback_answers_to_loopback_names_only() {
        let access = access("127.0.0.1:0", &["scope.example.org"]);
        for host in ["localhost", "LOCALHOST:8750", "127.0.0.1:8750", "[::1]:8750", "[::1]", "scope.example.org:80"] {
            assert!(access.knows_host(host), "{host}");
        }
        for host in ["", "evil.example", "evil.example:8750", "192.168.0.4:8750", "localhost.evil.example", ":8750"] {
            assert!(!access.knows_host(host), "{host}");
        }
    }

    #[test]
    fn other_addresses_answer_to_addresses_and_named_hosts() {
        let access = access("0.0.0.0:0", &["scope"]);
        for host in ["192.168.0.4:8750", "scope:8750", "localhost"] {
            assert!(access.knows_host(host), "{host}");
        }
        assert!(!access.knows_host("evil.example:8750"));
    }

    #[test]
    fn tokens_are_taken_from_header_or_cookie() {
        let access = access("0.0.0.0:0", &[]);
        let with = |name: HeaderName, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, HeaderValue::from_str(value).unwrap());
            headers
        };
        assert!(access.admits(&with(header::AUTHORIZATION, "Bearer 0123456789abcdef")));
        for wrong in ["Bearer 0123456789abcdee", "Bearer ", "Basic 0123456789abcdef", ""] {
            assert!(!access.admits(&with(header::AUTHORIZATION, wrong)), "{wrong}");
        }
        let cookie = access.login("0123456789abcdef").unwrap();
        let pair = cookie.split(';').next().unwrap();
        assert!(access.admits(&with(header::COOKIE, &format!("other=1; {pair}"))));
        assert!(!access.admits(&with(header::COOKIE, "cytowatch=0123456789abcdef")));
        assert!(access.login("wrong").is_none());
    }

    #[test]
    fn equality_looks_at_every_byte() {
        let one = [7; 32];
        assert!(same(&one, &one));
        for at in 0..32 {
            let mut other = one;
            other[at] ^= 1;
            assert!(!same(&one, &other));
        }
    }

    #[test]
    fn weak_tokens_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        for (text, sound) in [("short", false), ("0123456789abcdef\n", true), ("0123456789 abcdef", false), ("", false)]
        {
            std::fs::write(&path, text).unwrap();
            assert_eq!(Token::read(&path).is_ok(), sound, "{text:?}");
        }
        assert!(matches!(Token::read(&folder.path().join("none")), Err(ServeError::TokenRead { .. })));
    }
}
