//! A session's account: the certificate adds up, `verify` finds the same bits or names what differs, another bundle's scores
//! stand beside the first, and one cell's story is told in a folder.

use crate::support::*;
use std::path::{Path, PathBuf};
use std::process::Output;

fn site_with(frames: &[(String, Vec<u8>)]) -> Site {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    site
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn change(site: &Site, sql: &'static str) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&site.database);
        let pool = sqlx::SqlitePool::connect_with(options).await.unwrap();
        assert_eq!(sqlx::query(sql).execute(&pool).await.unwrap().rows_affected(), 1);
        pool.close().await;
    });
}

#[test]
fn untouched_session_verifies_to_the_same_bits_and_a_changed_number_is_named() {
    let site = site_with(&film());
    let verify = || site.command("verify").arg("1").output().unwrap();
    let same = verify();
    assert!(same.status.success(), "{}", said(&same));
    let cells = site.count("SELECT count(*) FROM cells");
    assert!(cells > 0);
    assert!(said(&same).contains(&format!("with {cells} cells were recomputed to the same bits")), "{}", said(&same));

    change(&site, "UPDATE cells SET area_um2 = area_um2 + 1e-9 WHERE cell_id = 1");
    let changed = verify();
    assert!(!changed.status.success());
    assert!(said(&changed).contains("area_um2: stored"), "{}", said(&changed));
    assert!(said(&changed).contains("1 differ and 0 could not be recomputed"), "{}", said(&changed));
}

#[test]
fn file_that_is_gone_cannot_be_verified() {
    let frames = film();
    let site = site_with(&frames);
    std::fs::remove_file(site.folder().join(&frames[0].0)).unwrap();
    let gone = site.command("verify").arg("1").output().unwrap();
    assert!(!gone.status.success());
    assert!(said(&gone).contains("1 could not be recomputed"), "{}", said(&gone));
}

#[test]
fn certificate_is_complete_for_a_whole_session_and_names_the_frame_that_never_came() {
    let frames = film();
    let whole = site_with(&frames);
    let text = output_of(whole.command("certify").arg("1"));
    assert!(text.contains(&format!("COMPLETE: all {} expected frames", frames.len())), "{text}");
    let json: serde_json::Value =
        serde_json::from_str(&output_of(whole.command("certify").args(["1", "--format", "json"]))).unwrap();
    assert_eq!(json["total"]["analysed"], frames.len());
    assert_eq!(json["unexplained"], 0);
    assert!(output_of(whole.command("certify").args(["1", "--format", "html"])).starts_with("<!doctype html>"));

    let gap: Vec<_> = frames.iter().enumerate().filter(|(index, _)| *index != 1).map(|(_, it)| it.clone()).collect();
    let with_gap = site_with(&gap);
    let lacking = with_gap.command("certify").arg("1").output().unwrap();
    assert!(!lacking.status.success(), "a script learns it from the exit code");
    assert!(said(&lacking).contains("1 of"), "{}", said(&lacking));
    assert!(said(&lacking).contains("missing 1 at"), "{}", said(&lacking));
}

#[test]
fn configured_number_of_time_points_is_what_a_certificate_expects() {
    let frames = film();
    let site = Site::new("[expected]\ntimes = 25");
    frames.iter().for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    let lacking = site.command("certify").arg("1").output().unwrap();
    assert!(!lacking.status.success());
    assert!(said(&lacking).contains("configured: 25 time points per field"), "{}", said(&lacking));
    assert!(said(&lacking).contains("NOT COMPLETE: 10 of 50"), "{}", said(&lacking));
    assert!(output_of(site.command("certify").args(["1", "--times", "20"])).contains("COMPLETE: all 40"));
}

/// Another small bundle with random weights.
fn other_bundle(folder: &Path) -> PathBuf {
    let bundle = folder.join("other");
    output_of(cytowatch().args(["model", "untrained", "--seed", "2"]).arg(&bundle));
    bundle
}

#[test]
fn another_bundle_scores_a_finished_session_and_the_first_result_stays() {
    let site = site_with(&film());
    let folder = tempfile::tempdir().unwrap();
    let other = other_bundle(folder.path());
    let export = |table: &str, more: &[&str]| output_of(site.command("export").arg(table).args(more));
    let certificate = || -> serde_json::Value {
        serde_json::from_str(&output_of(site.command("certify").args(["1", "--format", "json"]))).unwrap()
    };
    let tables = || ["cells", "tracks", "samples", "frames"].map(|table| export(table, &[]));
    let (before, hash) = (tables(), certificate()["results_sha256"].clone());
    let scored = site.count("SELECT count(*) FROM inferences");

    let reprocess = || output_of(site.command("reprocess").arg("1").arg("--bundle").arg(&other));
    let said_first = reprocess();
    assert!(!said_first.starts_with("0 frames") && said_first.contains("0 left out"), "{said_first}");
    assert!(reprocess().starts_with("0 frames"), "a second time there is nothing to do");
    assert_eq!(site.count("SELECT count(*) FROM inferences"), 2 * scored);
    assert_eq!(tables(), before, "what was there is there, to the last digit");
    let after = certificate();
    assert_eq!(after["results_sha256"], hash);
    assert_eq!(after["later_scores"][0]["cells"], scored);
    assert!(!output_of(site.command("status").arg("--json")).is_empty());

    let theirs = export("cells", &["--scored-by", "2"]);
    assert_eq!(theirs.lines().count(), before[0].lines().count());
    assert_ne!(theirs, before[0]);
    let samples = export("samples", &["--scored-by", "2"]);
    assert!(samples.lines().nth(1).unwrap().contains(",undecided,"), "the samples are called, too: {samples}");
    // The sums of a track are those of its cells.
    let wrong = "SELECT count(*) FROM track_scores WHERE abs(logit_sum - (SELECT coalesce(sum(logit), 0.0) FROM cells
        JOIN inferences USING (cell_id) WHERE cells.track_id = track_scores.track_id AND withheld IS NULL
        AND inferences.bundle_id = track_scores.bundle_id)) > 1e-9 OR (score IS NULL) <> (scored_count = 0)";
    assert_eq!(site.count(wrong), 0);

    let verify = |more: &[&str]| site.command("verify").arg("1").args(more).output().unwrap();
    assert!(verify(&[]).status.success() && verify(&["--scored-by", "2"]).status.success());
    change(
        &site,
        "UPDATE inferences SET logit = logit + 1e-9 WHERE bundle_id = 2 AND cell_id = (SELECT min(cell_id) FROM inferences)",
    );
    assert!(verify(&[]).status.success(), "the first bundle's scores are untouched");
    assert!(said(&verify(&["--scored-by", "2"])).contains("logit: stored"));
    let unknown = site.command("export").args(["cells", "--scored-by", "nobody"]).output().unwrap();
    assert!(!unknown.status.success() && said(&unknown).contains("is not in the database"), "{}", said(&unknown));
}

#[test]
fn story_of_a_cell_is_a_folder_with_a_page_its_pictures_and_its_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let own = folder.path().join("bundle");
    output_of(cytowatch().args(["model", "untrained"]).arg(&own));
    let site = Site::with_bundle(&own, "");
    film().iter().for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    let cell = site.count(
        "SELECT cell_id FROM cells JOIN inferences USING (cell_id) JOIN tracks USING (track_id)
         ORDER BY tracks.cell_count DESC, cell_id LIMIT 1",
    );
    let out = folder.path().join("cell");
    let explain = || {
        let mut command = cytowatch();
        command.args(["explain", "cell", &cell.to_string(), "--config"]).arg(site.config());
        output_of(command.arg("--out").arg(&out))
    };
    let story = || -> serde_json::Value {
        serde_json::from_str(&std::fs::read_to_string(out.join("explain.json")).unwrap()).unwrap()
    };
    explain();
    let first = story();
    assert_eq!(first["cell_id"], cell);
    assert!(first["series"].as_array().unwrap().len() > 3 && first["nearest"].as_array().unwrap().is_empty());
    assert_eq!(first["strip"].as_array().unwrap().len(), 9);
    let exaggerated = first["exaggerated"]["pictures"].as_array().unwrap();
    assert_eq!(exaggerated.len(), 9);
    let times: Vec<f64> = exaggerated.iter().map(|it| it["granules_times"].as_f64().unwrap()).collect();
    assert!((times[4] - 1.0).abs() < 1e-9, "the cell as it is stands in the middle: {times:?}");
    assert!(exaggerated.iter().all(|it| out.join(it["file"].as_str().unwrap()).is_file()));
    let page = std::fs::read_to_string(out.join("index.html")).unwrap();
    for part in page.split("src=\"").skip(1) {
        let file = part.split('"').next().unwrap();
        assert!(out.join(file).is_file(), "the page shows {file}, which is not there");
    }
    assert!(page.contains("explain references") && page.contains("simulated cells"), "{page}");

    // With reference cells, the nearest is the cell itself: it is one of them.
    let crops = folder.path().join("crops");
    std::fs::create_dir(&crops).unwrap();
    std::fs::copy(out.join("crop.png"), crops.join("itself.png")).unwrap();
    std::fs::copy(out.join("strip_01.png"), crops.join("another.png")).unwrap();
    output_of(
        cytowatch()
            .args(["explain", "references", "--engine", "rten", "--crops"])
            .arg(&crops)
            .arg("--bundle")
            .arg(&own),
    );
    explain();
    let nearest = &story()["nearest"][0];
    assert_eq!(nearest["name"], "itself");
    assert!(nearest["distance"].as_f64().unwrap() < 1e-3, "{nearest}");
    assert!(output_of(cytowatch().args(["model", "check"]).arg(&own)).contains("sha256"), "the bundle is still whole");
}
