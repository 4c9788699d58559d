//! `samples`: the call, the distribution of scores, the score over time.

use super::{Answer, Fresh, bundle_in_use};
use crate::id::{BundleId, SampleId, SessionId};
use crate::serve::ServeState;
use crate::serve::extract::{CursorParam, IdParam, Limit, Nothing, Params, RowId};
use crate::serve::problem::Problem;
use crate::store::query::{self, Page, SampleSummary, TrackLogit, TrendPoint};
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use serde::{Deserialize, Serialize};

/// Bars of a distribution.
const BINS: usize = 20;
/// Points of a trend.
const POINTS: u32 = 80;

pub(super) fn routes() -> Router<ServeState> {
    Router::new()
        .route("/samples", get(samples))
        .route("/samples/{sample_id}", get(sample))
        .route("/samples/{sample_id}/distribution", get(distribution))
        .route("/samples/{sample_id}/trend", get(trend))
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct SampleParams {
    session_id: Option<IdParam>,
    cursor: Option<CursorParam>,
    #[serde(default)]
    limit: Limit,
}

async fn samples(State(state): State<ServeState>, Params(wanted): Params<SampleParams>) -> Answer<Page<SampleSummary>> {
    let bundle = bundle_in_use(&state).await?;
    let session = wanted.session_id.map(|id| SessionId(id.0));
    let after = wanted.cursor.map(|cursor| cursor.0);
    Ok(Fresh(query::samples(&state.readers, bundle, session, after, wanted.limit.into()).await?))
}

async fn known_sample(state: &ServeState, sample: i64) -> Result<(SampleSummary, Option<BundleId>), Problem> {
    let bundle = bundle_in_use(state).await?;
    let found = query::sample(&state.readers, bundle, SampleId(sample)).await?;
    found.map(|sample| (sample, bundle)).ok_or_else(|| Problem::not_found("sample"))
}

async fn sample(
    State(state): State<ServeState>,
    RowId(sample): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<SampleSummary> {
    Ok(Fresh(known_sample(&state, sample).await?.0))
}

/// How the scores of a sample's tracks are spread.
#[derive(Debug, PartialEq, Serialize)]
struct Distribution {
    /// Tracks per bar; bar `i` of `n` spans scores `i/n ..(i+1)/n`.
    track_counts: Vec<u32>,
    /// Tracks with a score.
    scored_tracks: u32,
    /// Tracks without one: withheld throughout.
    unscored_tracks: u32,
    /// Median score over tracks.
    median: Option<f64>,
}

async fn distribution(
    State(state): State<ServeState>,
    RowId(sample): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<Distribution> {
    let (sample, bundle) = known_sample(&state, sample).await?;
    let tracks = match bundle {
        Some(bundle) => query::track_logits(&state.readers, bundle, sample.sample_id).await?,
        None => Vec::new(),
    };
    Ok(Fresh(spread(&tracks)))
}

fn spread(tracks: &[TrackLogit]) -> Distribution {
    let mut scores: Vec<f64> = tracks
        .iter()
        .filter(|track| track.scored_count > 0)
        .map(|track| query::score_of(track.logit_sum / track.scored_count as f64))
        .collect();
    scores.sort_by(f64::total_cmp);
    let mut track_counts = vec![0; BINS];
    for score in &scores {
        let bin = ((score * BINS as f64) as usize).min(BINS - 1);
        if let Some(count) = track_counts.get_mut(bin) {
            *count += 1;
        }
    }
    Distribution {
        track_counts,
        scored_tracks: scores.len() as u32,
        unscored_tracks: (tracks.len() - scores.len()) as u32,
        median: scores.get(scores.len() / 2).copied(),
    }
}

async fn trend(
    State(state): State<ServeState>,
    RowId(sample): RowId,
    Params(Nothing {}): Params<Nothing>,
) -> Answer<Vec<TrendPoint>> {
    let (sample, bundle) = known_sample(&state, sample).await?;
    let Some(bundle) = bundle else { return Ok(Fresh(Vec::new())) };
    Ok(Fresh(query::trend(&state.readers, bundle, sample.sample_id, POINTS).await?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::{FovId, TrackId};

    #[test]
    fn every_scored_track_stands_in_one_bar() {
        let track = |scored_count: i64, logit_sum: f64| TrackLogit {
            session_id: SessionId(1),
            fov_id: FovId(1),
            track_id: TrackId(1),
            scored_count,
            withheld_count: 1,
            logit_sum,
        };
        let spread = spread(&[track(2, -80.0), track(1, 0.1), track(3, 900.0), track(0, 0.0)]);
        assert_eq!((spread.scored_tracks, spread.unscored_tracks), (3, 1));
        assert_eq!(spread.track_counts.iter().sum::<u32>(), 3);
        assert_eq!((spread.track_counts[0], spread.track_counts[10], spread.track_counts[19]), (1, 1, 1));
        assert!((spread.median.unwrap() - query::score_of(0.1)).abs() < 1e-12);
    }
}
