//! `drift`: is each day like the training set and the days before?

use super::{Answer, Fresh, bundle_in_use};
use crate::sample::drift::DayDrift;
use crate::serve::ServeState;
use crate::serve::extract::Params;
use crate::store::query;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::Deserialize;

pub(super) fn routes() -> Router<ServeState> {
    Router::new().route("/drift", get(drift))
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct DriftParams {
    reference_sample: Option<String>,
}

/// Every day of every instrument, oldest first; reads the descriptors of all tracks.
async fn drift(State(state): State<ServeState>, Params(wanted): Params<DriftParams>) -> Answer<Vec<DayDrift>> {
    let Some(bundle) = bundle_in_use(&state).await? else { return Ok(Fresh(Vec::new())) };
    Ok(Fresh(query::drift(&state.readers, bundle, wanted.reference_sample.as_deref()).await?))
}
