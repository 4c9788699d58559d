//! Errors of the API: `application/problem+json` (RFC 9457) with a stable `code`.

use crate::serve::explanation::ExplanationFault;
use crate::serve::picture::PictureFault;
use crate::store::StoreError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// An answer that is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// Names the kind of problem; never changes.
    #[serde(rename = "type")]
    kind: String,
    /// The status code's words.
    title: &'static str,
    /// HTTP status code.
    #[serde(serialize_with = "status_number")]
    status: StatusCode,
    /// Stable, for programs.
    code: &'static str,
    /// What happened and what to do, for people.
    detail: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature is serde's")]
fn status_number<S: serde::Serializer>(status: &StatusCode, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_u16(status.as_u16())
}

impl Problem {
    /// A problem with its status, stable code and words for people.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:cytowatch:problem:{code}"),
            title: status.canonical_reason().unwrap_or("error"),
            status,
            code,
            detail: detail.into(),
        }
    }

    /// Nothing by that id.
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", format!("there is no such {what}"))
    }

    /// A parameter that cannot be understood.
    pub fn invalid(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_parameter", detail)
    }

    /// Stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).unwrap_or_default();
        let mut response = (self.status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"cytowatch\""));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        tracing::error!(error.code = error.code(), error = ?error, "a query failed");
        Self::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), error.to_string())
    }
}

impl From<PictureFault> for Problem {
    fn from(fault: PictureFault) -> Self {
        let status = match fault {
            PictureFault::Gone { .. } => StatusCode::GONE,
            PictureFault::Changed { .. } => StatusCode::CONFLICT,
            PictureFault::Busy => StatusCode::SERVICE_UNAVAILABLE,
            PictureFault::Read { .. } | PictureFault::Encode { .. } => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self::new(status, fault.code(), fault.to_string())
    }
}

impl From<ExplanationFault> for Problem {
    fn from(fault: ExplanationFault) -> Self {
        let status = match fault {
            ExplanationFault::Off | ExplanationFault::NotScored => StatusCode::NOT_FOUND,
            ExplanationFault::Withheld { .. } | ExplanationFault::OtherBundle => StatusCode::CONFLICT,
            ExplanationFault::Failed { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            ExplanationFault::Busy => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, fault.code(), fault.to_string())
    }
}
