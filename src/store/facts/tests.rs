use super::*;
use crate::cells::{Cell, FrameVerdict, Shape};
use crate::frame::FrameQuality;
use crate::id::{BundleId, RunId, TimeIndex};
use crate::infer::LATENT_LEN;
use crate::sample::certificate::{Expectation, certify};
use crate::store::Store;
use crate::store::alerts::NewAlert;
use crate::store::ledger::{Early, EarlyFrame, FrameFacts, Place, SourceStamp};
use crate::store::record::{CellRecord, CellScore, CellTrack, FrameRecord};
use crate::units::{PixelSize, PointPx};

fn cell(x: f64) -> Cell {
    let corner = |dx: f64, dy: f64| PointPx { x: x + dx, y: 100.0 + dy };
    Cell {
        centroid: corner(0.0, 0.0),
        outline: vec![corner(-5.0, -5.0), corner(5.0, -5.0), corner(0.0, 5.0)],
        shape: Shape { area_um2: 80.0, solidity: 0.9, ..Shape::default() },
        touches_border: false,
        crop: None,
    }
}

fn score(logit: f64, withheld: Option<&'static str>) -> CellScore {
    CellScore { latent: [0.25; LATENT_LEN], logit, score: 0.5, distance: 7.0, withheld }
}

/// Enters `path` into the ledger; gives its identities.
async fn enter(
    store: &Store,
    path: &str,
    place: Option<&Place>,
    (time, state): (i64, Early),
) -> crate::store::ledger::LedgerRow {
    let facts = FrameFacts { time: Some(TimeIndex(time)), ..FrameFacts::default() };
    let stamp = SourceStamp { size_bytes: 10, modified_unix_ns: 1 };
    let frame = EarlyFrame { path, stamp, place, facts: &facts, state, again: false };
    store.enter(&[frame], 1000 + time).await.unwrap()[0]
}

/// Where the third cell stands, px from its first place.
const MOVES_PX: [f64; 4] = [0.0, 3.0, 1.0, 5.0];

/// Two fields; times 0..4 of field `1` and 0..3 of field `2` analysed, with one withheld score per frame.
async fn filled(store: &Store) -> (BundleId, RunId) {
    let bundle = store.register_bundle(&"b".repeat(64), "simulated", "1.0.0", 500).await.unwrap();
    let facts = crate::store::runs::RunFacts {
        started_unix_ms: 900,
        host: "scope".to_owned(),
        settings_json: "{}".to_owned(),
        settings_sha256: "5".repeat(64),
        bundle,
        engine: "ort".to_owned(),
        purpose: crate::store::runs::Purpose::Frames,
    };
    let run = store.begin_run(&facts).await.unwrap();
    for (fov, times) in [("1", 4), ("2", 3)] {
        let place = Place {
            instrument: "ti-e".to_owned(),
            session: "150312".to_owned(),
            sample: "m481".to_owned(),
            fov: fov.to_owned(),
        };
        for time in 0..times {
            let path = format!("s{fov}_t{time}.tif");
            let row = enter(store, &path, Some(&place), (time, Early::Ready(1000))).await;
            store.start(&[row.frame], run).await.unwrap();
            let track = |number| Some(CellTrack { number, parent: None });
            let cells = vec![
                CellRecord { cell: cell(50.0), score: Some(score(0.5 + time as f64, None)), track: track(1) },
                CellRecord { cell: cell(150.0), score: Some(score(9.0, Some("out_of_domain"))), track: track(2) },
                CellRecord { cell: cell(250.0 + MOVES_PX[time as usize]), score: None, track: track(3) },
            ];
            let quality = FrameQuality { background_counts: 900.0, evenness: 0.9, focus: 1.0, saturated_share: 0.0 };
            let record = FrameRecord {
                frame: row.frame,
                fov: row.fov.unwrap(),
                time: TimeIndex(time),
                bundle,
                run,
                size_px: (640, 480),
                pixel_size: PixelSize::PAPER,
                quality,
                verdict: FrameVerdict::Usable,
                in_doubt: time == 1,
                cells,
                linker_state: Some("{}".to_owned()),
            };
            store.record(&record, 2000 + time).await.unwrap();
        }
    }
    (bundle, run)
}

async fn facts_of(store: &Store) -> SessionFacts {
    let named = sessions_named(store.readers(), "150312").await.unwrap();
    assert_eq!(named.len(), 1);
    session_facts(store.readers(), named[0].session_id, Results::Hashed, 9000).await.unwrap().unwrap()
}

#[tokio::test]
async fn facts_of_a_session_become_its_certificate() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
    let (_, run) = filled(&store).await;
    enter(&store, "notes.txt", None, (0, Early::Failed("not_a_picture", "no reader".to_owned()))).await;
    let alert = NewAlert { rule: "stall", subject: "1", severity: "warning", text: "no frame for 10 min" };
    store.raise_alert(alert, 1500, None).await.unwrap();
    let facts = facts_of(&store).await;
    assert_eq!((facts.cells.cells, facts.cells.scored, facts.cells.without_score), (21, 7, 7));
    assert_eq!(facts.cells.withheld.get("out_of_domain"), Some(&7));
    assert_eq!(facts.cells.frame_verdicts.get("usable"), Some(&7));
    let doubted = sqlx::query_scalar("SELECT count(*) FROM ledger_view WHERE in_doubt = 1");
    assert_eq!(doubted.fetch_one(store.readers()).await.ok(), Some(2_i64), "the second frame of either field");
    assert_eq!((facts.runs.len(), facts.runs[0].run, facts.runs[0].frames), (1, run.0, 7));
    assert_eq!(facts.runs[0].bundle.as_ref().map(|it| it.name.as_str()), Some("simulated"));
    assert_eq!((facts.unplaced.len(), facts.unplaced[0].reason.as_str()), (1, "not_a_picture"));
    assert_eq!(facts.alerts.len(), 1);
    let certificate = certify(facts, Expectation::Seen, 9000);
    assert_eq!((certificate.total.expected, certificate.total.analysed), (8, 7));
    assert_eq!(certificate.unexplained, 1, "field 2 has no time 3");
    store.close().await;
}

#[tokio::test]
async fn tracks_tell_how_fast_and_how_directly_a_cell_went() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
    filled(&store).await;
    let motion =
        "SELECT path_um, net_um, um_per_frame, directness FROM tracks_view WHERE fov = '1' AND track_number = ";
    let read = |number: u32| {
        let sql = sqlx::AssertSqlSafe(format!("{motion}{number}"));
        let readers = store.readers().clone();
        async move { sqlx::query_as::<_, (f64, f64, f64, Option<f64>)>(sql).fetch_one(&readers).await.unwrap() }
    };
    let (path, net, speed, directness) = read(3).await;
    let um = PixelSize::PAPER.um();
    for (found, wanted) in [(path, 9.0 * um), (net, 5.0 * um), (speed, 3.0 * um), (directness.unwrap(), 5.0 / 9.0)] {
        assert!((found - wanted).abs() < 1e-9, "{found} {wanted}");
    }
    assert_eq!(read(2).await, (0.0, 0.0, 0.0, None), "a cell that has not moved has no direction");
    store.close().await;
}

#[tokio::test]
async fn hash_of_the_results_follows_the_results_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let one = Store::open(&folder.path().join("one.db")).await.unwrap();
    let two = Store::open(&folder.path().join("two.db")).await.unwrap();
    filled(&one).await;
    // Another bundle and another run first: other row numbers, same results.
    two.register_bundle(&"a".repeat(64), "older", "0.9.0", 100).await.unwrap();
    filled(&two).await;
    let hash = facts_of(&one).await.results_sha256;
    assert_eq!(hash, facts_of(&two).await.results_sha256);
    sqlx::query("UPDATE inferences SET logit = logit + 1e-12 WHERE cell_id = 1").execute(two.writer()).await.unwrap();
    assert_ne!(hash, facts_of(&two).await.results_sha256);
    one.close().await;
    two.close().await;
}

#[tokio::test]
async fn unknown_session_is_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("cytowatch.db")).await.unwrap();
    assert!(sessions_named(store.readers(), "none").await.unwrap().is_empty());
    assert!(session_facts(store.readers(), SessionId(7), Results::Counted, 0).await.unwrap().is_none());
    store.close().await;
}
