//! `embed --session`: what the database holds of followed cells, as CSV and as Parquet.

use crate::support::*;
use cytowatch::infer::LATENT_LEN;
use std::fs;

const BEFORE: usize = 8;

/// A table as lists of fields, header first.
fn table(path: &std::path::Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn the_cells_of_a_session_come_out_as_the_database_holds_them() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    film().iter().for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    let (csv, parquet) = (site.config().with_file_name("z.csv"), site.config().with_file_name("z.parquet"));
    for out in [&csv, &parquet] {
        output_of(site.command("embed").args(["--session", "all", "--out"]).arg(out));
    }
    let rows = table(&csv);
    let (header, rows) = rows.split_first().unwrap();
    assert_eq!(header.len(), BEFORE + LATENT_LEN + 2);
    assert_eq!(header[..BEFORE].join(","), "bundle_sha256,instrument,session,sample,fov,track,day,time_index");
    let followed = "FROM inferences JOIN cells USING (cell_id) WHERE track_id IS NOT NULL AND withheld IS NULL";
    assert_eq!(rows.len(), site.count(&format!("SELECT count(*) {followed}")));
    assert!(rows.len() > 20, "{}", rows.len());

    // Every descriptor as it is stored: bit for bit, once each.
    let mut written: Vec<Vec<u8>> = rows
        .iter()
        .map(|row| {
            row[BEFORE..BEFORE + LATENT_LEN].iter().flat_map(|z| z.parse::<f32>().unwrap().to_le_bytes()).collect()
        })
        .collect();
    let mut stored: Vec<Vec<u8>> = site.query(&format!("SELECT latent {followed}"));
    written.sort();
    stored.sort();
    assert!(written == stored, "other descriptors");
    let bundle: Vec<String> = site.query("SELECT sha256 FROM bundles");
    assert!(rows.iter().all(|row| row[0] == bundle[0]));

    // The Parquet file holds the same numbers: every column's values follow one another (PLAIN).
    let file = fs::read(&parquet).unwrap();
    assert!(file.starts_with(b"PAR1") && file.ends_with(b"PAR1"));
    for column in (0..header.len()).filter(|&column| column == 5 || column >= 7) {
        let values: Vec<u8> = rows.iter().flat_map(|row| row[column].parse::<f64>().unwrap().to_le_bytes()).collect();
        let name = &header[column];
        assert!(file.windows(values.len()).any(|window| window == values), "{name} is not in the Parquet file");
        assert!(file.windows(name.len()).any(|window| window == name.as_bytes()), "{name} is not named");
    }
}

#[test]
fn one_session_is_taken_by_name_and_an_unknown_one_refused_by_name() {
    let site = Site::new("[instrument]\npixel_size_um = 0.325");
    film().iter().take(8).for_each(|frame| write_whole(&site.folder(), frame));
    site.backfill();
    let name: Vec<String> = site.query("SELECT name FROM sessions");
    let one = output_of(site.command("embed").args(["--session", &name[0]]));
    let all = output_of(site.command("embed").args(["--session", "all"]));
    assert_eq!(one, all, "there is one session");
    let output = site.command("embed").args(["--session", "none such"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("none such"), "{said}");
}
