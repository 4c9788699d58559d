//! The page: its files are part of the binary, found by name in a fixed list. Nothing is read from disk.

use super::ServeState;
use super::problem::Problem;
use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal as $kind:expr),* $(,)?) => {
        &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("assets/", $name)) }),*]
    };
}

const SCRIPT: &str = "text/javascript; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";

const ASSETS: &[Asset] = assets! {
    "base.css" as STYLE,
    "page.css" as STYLE,
    "icon.svg" as "image/svg+xml",
    "app.js" as SCRIPT,
    "api.js" as SCRIPT,
    "dom.js" as SCRIPT,
    "words.js" as SCRIPT,
    "scale.js" as SCRIPT,
    "plot.js" as SCRIPT,
    "viewer.js" as SCRIPT,
    "overview.js" as SCRIPT,
    "field.js" as SCRIPT,
    "samples.js" as SCRIPT,
    "cell.js" as SCRIPT,
    "health.js" as SCRIPT,
    "login.js" as SCRIPT,
};

const INDEX: &str = include_str!("assets/index.html");
const LOGIN: &str = include_str!("assets/login.html");

/// What can be seen without the token: the login and what it is drawn with; the probes.
pub(super) fn is_open(path: &str) -> bool {
    matches!(path, "/login" | "/healthz" | "/readyz")
        || matches!(path, "/assets/base.css" | "/assets/login.js" | "/assets/icon.svg")
}

pub(super) fn routes() -> Router<ServeState> {
    Router::new()
        .route("/", get(index))
        .route("/login", get(login_page).post(login))
        .route("/assets/{name}", get(asset))
}

async fn index() -> Response {
    html(INDEX)
}

async fn login_page() -> Response {
    html(LOGIN)
}

fn html(text: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HTML), (header::CACHE_CONTROL, "no-cache")], text).into_response()
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ASSETS.iter().find(|asset| asset.name == name) else {
        return Problem::not_found("file of the page").into_response();
    };
    let tag = format!("\"{}\"", super::guard::hex(&Sha256::digest(asset.bytes)));
    let unchanged = headers.get(header::IF_NONE_MATCH).is_some_and(|shown| shown.as_bytes() == tag.as_bytes());
    let fixed = [(header::CACHE_CONTROL, "no-cache".to_owned()), (header::ETAG, tag)];
    if unchanged {
        return (StatusCode::NOT_MODIFIED, fixed).into_response();
    }
    (fixed, [(header::CONTENT_TYPE, asset.kind)], asset.bytes).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shown {
    token: String,
}

/// Gives the cookie to who shows the token.
async fn login(State(state): State<ServeState>, body: Bytes) -> Response {
    if !state.access.needs_token() {
        return StatusCode::NO_CONTENT.into_response();
    }
    let Ok(shown) = serde_json::from_slice::<Shown>(&body) else {
        return Problem::invalid("send {\"token\": \"..\"}").into_response();
    };
    match state.access.login(shown.token.trim()) {
        Some(cookie) => (StatusCode::NO_CONTENT, [(header::SET_COOKIE, cookie)]).into_response(),
        None => {
            Problem::new(StatusCode::UNAUTHORIZED, "token_wrong", "that is not this server's token").into_response()
        }
    }
}
