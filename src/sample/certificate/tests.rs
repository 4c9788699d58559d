use super::*;
use proptest::prelude::*;

fn done(time_index: i64) -> TimeFacts {
    TimeFacts { time_index, received: 1, analysed: 1, failed: 0, skipped: 0 }
}

fn fov(name: &str, times: Vec<TimeFacts>) -> FovFacts {
    FovFacts { fov: name.to_owned(), sample: "m481".to_owned(), times, untimed: 0, scored: 0, withheld: 0 }
}

fn session(fovs: Vec<FovFacts>) -> SessionFacts {
    SessionFacts {
        instrument: "ti-e".to_owned(),
        session: "150312".to_owned(),
        first_seen_unix_ms: 1_426_118_400_000,
        last_committed_unix_ms: Some(1_426_132_800_000),
        fovs,
        reasons: Vec::new(),
        unplaced: Vec::new(),
        cells: CellFacts::default(),
        alerts: Vec::new(),
        runs: Vec::new(),
        later_scores: Vec::new(),
        results_sha256: Some("0".repeat(64)),
    }
}

#[test]
fn whole_session_is_complete() {
    let certificate = certify(
        session(vec![fov("1", (0..5).map(done).collect()), fov("2", (0..5).map(done).collect())]),
        Expectation::Seen,
        0,
    );
    assert!(certificate.complete);
    assert_eq!((certificate.total.expected, certificate.total.analysed, certificate.unexplained), (10, 10, 0));
    assert!(certificate.to_text().contains("COMPLETE: all 10 expected"));
}

#[test]
fn gap_a_short_field_and_an_open_frame_are_unexplained() {
    let mut holes: Vec<TimeFacts> = [0, 1, 4, 5, 7].map(done).to_vec();
    holes[1] = TimeFacts { time_index: 1, received: 1, analysed: 0, failed: 0, skipped: 0 };
    let short = fov("2", (0..6).map(done).collect());
    let certificate = certify(session(vec![fov("1", holes), short]), Expectation::Seen, 0);
    assert!(!certificate.complete);
    assert_eq!(certificate.total.expected, 16);
    assert_eq!(certificate.fovs[0].gaps, [(2, 3), (6, 6)]);
    assert_eq!(certificate.fovs[1].gaps, [(6, 7)]);
    assert_eq!((certificate.total.missing, certificate.total.open, certificate.unexplained), (5, 1, 6));
    assert!(certificate.to_text().contains("missing 3 at 2-3, 6"), "{}", certificate.to_text());
}

#[test]
fn failed_and_skipped_frames_are_explained() {
    let mut times: Vec<TimeFacts> =
        (0..4).map(|time_index| TimeFacts { time_index, received: 2, analysed: 1, failed: 0, skipped: 1 }).collect();
    times[2] = TimeFacts { time_index: 2, received: 2, analysed: 0, failed: 1, skipped: 1 };
    let certificate = certify(session(vec![fov("1", times)]), Expectation::Seen, 0);
    assert!(certificate.complete);
    let total = certificate.total;
    assert_eq!((total.expected, total.analysed, total.failed, total.skipped), (8, 3, 1, 4));
}

#[test]
fn missing_plane_of_a_time_index_is_missing_and_the_same_frame_twice_is_surplus() {
    let planes = |time_index, received| TimeFacts { time_index, received, analysed: received, failed: 0, skipped: 0 };
    let certificate = certify(
        session(vec![fov("1", vec![planes(0, 2), planes(1, 1), planes(2, 2), planes(3, 3)])]),
        Expectation::Seen,
        0,
    );
    assert_eq!((certificate.total.expected, certificate.total.missing, certificate.total.surplus), (8, 1, 1));
    assert_eq!(certificate.fovs[0].gaps, [(1, 1)]);
}

#[test]
fn configured_number_finds_what_names_cannot() {
    let configured = Expectation::Configured { times: 6, fovs: Some(3) };
    let certificate = certify(
        session(vec![fov("1", (1..=6).map(done).collect()), fov("2", (1..4).map(done).collect())]),
        configured,
        0,
    );
    assert_eq!((certificate.total.expected, certificate.total.missing, certificate.missing_fovs), (18, 9, 1));
    assert_eq!(certificate.fovs[0].account.missing, 0, "the count begins at 1 as the instrument does");
    assert_eq!(certificate.fovs[1].gaps, [(4, 6)]);
}

#[test]
fn files_without_a_session_and_frames_without_a_time_are_not_hidden() {
    let mut facts = session(vec![fov("1", (0..3).map(done).collect())]);
    facts.fovs[0].untimed = 2;
    facts.unplaced.push(Reason {
        state: "waiting".to_owned(),
        reason: "name fits no template".to_owned(),
        frames: 4,
        first_path: "notes & <b>.tif".to_owned(),
    });
    let certificate = certify(facts, Expectation::Seen, 0);
    assert_eq!(certificate.unexplained, 6);
    let html = certificate.to_html();
    assert!(html.contains("notes &amp; &lt;b&gt;.tif") && !html.contains("<b>"), "names are no markup");
}

#[test]
fn certificate_is_json_that_can_be_read_back() {
    let certificate =
        certify(session(vec![fov("1", (0..3).map(done).collect())]), Expectation::Seen, 1_700_000_000_000);
    let text = serde_json::to_string(&certificate).unwrap();
    assert_eq!(serde_json::from_str::<Certificate>(&text).unwrap(), certificate);
    assert!(certificate.to_text().contains("issued 2023-11-14 22:13:20 UTC"));
}

proptest! {
    /// Whatever was received, the account adds up.
    #[test]
    fn account_adds_up(
        times in prop::collection::btree_map(-3_i64..40, (0_u32..4, 0_u32..3, 0_u32..3, 0_u32..3), 0..30),
        configured in prop::option::of(1_u32..50),
        untimed in 0_u32..3,
    ) {
        let times: Vec<TimeFacts> = times
            .into_iter()
            .map(|(time_index, (open, analysed, failed, skipped))| TimeFacts {
                time_index, received: open + analysed + failed + skipped, analysed, failed, skipped,
            })
            .collect();
        let mut facts = session(vec![fov("1", times)]);
        facts.fovs[0].untimed = untimed;
        let expectation = configured.map_or(Expectation::Seen, |times| Expectation::Configured { times, fovs: None });
        let total = certify(facts, expectation, 0).total;
        prop_assert_eq!(total.received, total.analysed + total.failed + total.skipped + total.open);
        prop_assert_eq!(total.expected + total.surplus, total.received + total.missing);
    }
}
