use super::*;

const GB: u64 = 1_000_000_000;
const MINUTE: Duration = Duration::from_mins(1);

fn fov(name: &str, silent_s: u64) -> FovFacts {
    FovFacts {
        name: name.to_owned(),
        silent: Duration::from_secs(silent_s),
        pace: Some((MINUTE, 19)),
        blurred: (0, 10),
        doubted: (0, 10),
        light: Some(1.0),
        done: 100,
    }
}

/// Follows the open alerts through a series of facts; gives what was raised (+) and cleared (-).
fn follow(series: &[Facts]) -> Vec<String> {
    let settings = AlertSettings::default();
    let mut open = BTreeSet::new();
    let mut told = Vec::new();
    for facts in series {
        for change in changes(facts, &settings, &open) {
            match change {
                Change::Raise(key, text) => {
                    assert!(text.ends_with('.') && text.len() > 10, "{text}");
                    told.push(format!("+{} {}", key.0.name(), key.1));
                    assert!(open.insert(key), "raised twice");
                }
                Change::Clear(key) => {
                    told.push(format!("-{} {}", key.0.name(), key.1));
                    assert!(open.remove(&key), "cleared twice");
                }
            }
        }
    }
    told
}

fn with_fovs(fovs: &[FovFacts]) -> Facts {
    Facts { fovs: fovs.to_vec(), ..Facts::default() }
}

#[test]
fn one_silent_field_is_named_once_and_cleared_when_it_moves() {
    let series: Vec<Facts> =
        [10, 200, 301, 330, 250, 310, 20].map(|silent| with_fovs(&[fov("s01", 5), fov("s03", silent)])).to_vec();
    assert_eq!(follow(&series), ["+stalled s03", "-stalled s03"]);
}

#[test]
fn when_all_are_silent_one_alert_speaks_for_all() {
    let at = |silent: u64| with_fovs(&[fov("s01", silent), fov("s02", silent + 3), fov("s03", silent + 6)]);
    assert_eq!(follow(&[at(10), at(320), at(4000), at(10)]), ["+stalled ", "-stalled "]);
}

#[test]
fn a_field_without_a_known_pace_is_not_judged() {
    let unknown = FovFacts { pace: Some((MINUTE, 2)), ..fov("s01", 9_999) };
    assert!(follow(&[with_fovs(&[unknown, FovFacts { pace: None, ..fov("s02", 9_999) }])]).is_empty());
}

#[test]
fn a_value_that_trembles_around_the_limit_gives_one_alert() {
    let share = |share: f64| Facts { withheld_share: Some(share), ..Facts::default() };
    let series: Vec<Facts> = [0.49, 0.51, 0.49, 0.51, 0.40, 0.52, 0.30, 0.40].map(share).to_vec();
    assert_eq!(follow(&series), ["+withheld_high ", "-withheld_high "]);
}

#[test]
fn focus_light_and_failures_have_their_limits() {
    let blurred = |blurred: i64| with_fovs(&[FovFacts { blurred: (blurred, 10), ..fov("s01", 5) }]);
    assert_eq!(follow(&[blurred(4), blurred(5), blurred(4), blurred(2)]), ["+focus_lost s01", "-focus_lost s01"]);
    let doubted = |doubted: i64| with_fovs(&[FovFacts { doubted: (doubted, 10), ..fov("s01", 5) }]);
    assert_eq!(follow(&[doubted(4), doubted(5), doubted(4), doubted(2)]), ["+finder_doubts s01", "-finder_doubts s01"]);
    let light = |light: f64| with_fovs(&[FovFacts { light: Some(light), ..fov("s01", 5) }]);
    assert_eq!(follow(&[light(1.2), light(0.69), light(0.76), light(0.9)]), ["+drift s01", "-drift s01"]);
    let young = with_fovs(&[FovFacts { light: Some(0.2), done: 10, ..fov("s01", 5) }]);
    assert!(follow(&[young]).is_empty());
    let failed = |failed: i64, ended: i64| Facts { failed: (failed, ended), ..Facts::default() };
    let series = [failed(2, 4), failed(2, 8), failed(10, 50), failed(8, 50), failed(1, 50)];
    assert_eq!(follow(&series), ["+failures_rising ", "-failures_rising "]);
}

#[test]
fn the_disk_counts_in_bytes_and_in_time_left() {
    let disk = |free_bytes: u64, rate: Option<f64>| Facts {
        free_bytes: Some(free_bytes),
        filling_bytes_per_s: rate,
        ..Facts::default()
    };
    assert_eq!(
        follow(&[disk(50 * GB, None), disk(4 * GB, None), disk(6 * GB, None), disk(90 * GB, None)]),
        ["+disk_low ", "-disk_low "]
    );
    // 100 GB at 10 MB/s are 2.8 h.
    assert_eq!(follow(&[disk(100 * GB, Some(1e7)), disk(1000 * GB, Some(1e7))]), ["+disk_low ", "-disk_low "]);
}

#[test]
fn folder_stage_and_call_speak_at_once() {
    let facts = Facts {
        folder_fault: Some("not mounted".to_owned()),
        silent_stages: vec![("infer".to_owned(), MINUTE)],
        called: vec![("m405".to_owned(), "high".to_owned(), "high: score 0.74".to_owned())],
        ..Facts::default()
    };
    let turned = Facts { called: vec![("m405".to_owned(), "low".to_owned(), "low".to_owned())], ..Facts::default() };
    assert_eq!(
        follow(&[facts, turned]),
        [
            "+folder_gone ",
            "+stage_silent infer",
            "+call_reached m405: high",
            "-folder_gone ",
            "-stage_silent infer",
            "-call_reached m405: high",
            "+call_reached m405: low",
        ]
    );
}

#[test]
fn names_are_frozen() {
    let names: Vec<&str> = Rule::ALL.iter().map(|rule| rule.name()).collect();
    assert_eq!(
        names,
        [
            "stalled",
            "folder_gone",
            "disk_low",
            "focus_lost",
            "finder_doubts",
            "drift",
            "withheld_high",
            "failures_rising",
            "stage_silent",
            "call_reached"
        ]
    );
}
