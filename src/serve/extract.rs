//! Parameters of requests, checked: anything unknown or out of range is a problem, never a guess.

use super::problem::Problem;
use crate::store::query::{Cursor, LARGEST_PAGE};
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Rows on a page when the client does not say.
const USUAL_PAGE: u32 = 100;
/// The largest id: what JavaScript can still count.
const LARGEST_ID: i64 = (1 << 53) - 1;

/// A row's id from the path: digits only, 1 ..= 2^53 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowId(pub i64);

impl<S: Send + Sync> FromRequestParts<S> for RowId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let text = path.map_err(|error| Problem::invalid(error.body_text()))?.0;
        row_id(&text).map(Self).ok_or_else(|| Problem::invalid("an id is a whole number from 1"))
    }
}

fn row_id(text: &str) -> Option<i64> {
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|id| (1..=LARGEST_ID).contains(id))
}

/// A query's parameters; unknown ones are refused when `T` says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        match Query::<T>::try_from_uri(&parts.uri) {
            Ok(Query(params)) => Ok(Self(params)),
            Err(error) => Err(Problem::invalid(error.body_text())),
        }
    }
}

/// No parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// `limit` as it came: 1 ..= 500.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct Limit(u32);

impl TryFrom<String> for Limit {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        row_id(&text)
            .and_then(|limit| u32::try_from(limit).ok())
            .filter(|limit| *limit <= LARGEST_PAGE)
            .map(Self)
            .ok_or("limit is a whole number from 1 to 500")
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self(USUAL_PAGE)
    }
}

impl From<Limit> for u32 {
    fn from(limit: Limit) -> Self {
        limit.0
    }
}

/// An id among the parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct IdParam(pub i64);

impl TryFrom<String> for IdParam {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        row_id(&text).map(Self).ok_or("an id is a whole number from 1")
    }
}

/// Where a list goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct CursorParam(pub Cursor);

impl TryFrom<String> for CursorParam {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Cursor::parse(&text).map(Self).ok_or("cursor is not one that this server gave")
    }
}

/// Parameters of a plain list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListParams {
    /// Where to go on.
    pub cursor: Option<CursorParam>,
    /// How many rows.
    #[serde(default)]
    pub limit: Limit,
}

impl ListParams {
    /// Where to go on.
    pub fn after(self) -> Option<Cursor> {
        self.cursor.map(|cursor| cursor.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_digits_in_range() {
        assert_eq!(row_id("17"), Some(17));
        for text in ["0", "-1", "+1", " 1", "1.0", "", "9007199254740992", "99999999999999999999", "٣"] {
            assert_eq!(row_id(text), None, "{text}");
        }
    }
}
