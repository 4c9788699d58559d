//! A session's account: the certificate adds up, and `verify` finds the same bits or names what differs.

use crate::support::*;
use std::process::Output;

fn site_with(frames: &[(String, Vec<u8>)]) -> Site {
    let site = Site::new("");
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
