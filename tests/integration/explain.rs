//! `embed` and `explain` as a user runs them: crops in PNG files, a bundle, tables and pictures out.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use cytowatch::cells::{CROP_SIDE_PX, Crop};
use cytowatch::explain::interpolate::{interpolate, mix};
use cytowatch::explain::rank::rank;
use cytowatch::explain::traverse::{shifts, traverse};
use cytowatch::explain::{latent, mean_squared_difference, read_crop, reconstruct};
use cytowatch::infer::architecture::AutoencoderSpec;
use cytowatch::infer::untrained::{synthetic_crops, write_bundle};
use cytowatch::infer::{LATENT_LEN, Model, settings_for};
use cytowatch::picture;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use tempfile::TempDir;

/// A folder with a small bundle and three crops, one of them with an openLCH name.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(&folder.path().join("bundle"), AutoencoderSpec::new(2, 2).unwrap(), 11).unwrap();
    let names = ["150312_m610_s19_t60_x1999_y675_t184_t7Ready_f00080.png", "a.png", "b.png"];
    for (crop, name) in synthetic_crops(3, 4).iter().zip(names) {
        let gray: Vec<u8> = crop.pixels().iter().map(|value| (value * 255.0).round() as u8).collect();
        let png = picture::gray_png(CROP_SIDE_PX, CROP_SIDE_PX, &gray).unwrap();
        fs::write(folder.path().join(name), png).unwrap();
    }
    folder
}

fn model(folder: &Path) -> Model {
    Model::load(&settings_for(&folder.join("bundle"))).unwrap()
}

fn cytowatch(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cytowatch"));
    command.args(arguments).args(["--bundle", "bundle", "--engine", "rten"]).current_dir(folder);
    command.env_remove("CYTOWATCH_CONFIG").output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn table(path: &Path) -> Vec<Vec<String>> {
    let text = fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split(',').map(str::to_owned).collect()).collect()
}

#[test]
fn embed_names_what_it_writes() {
    let folder = workplace();
    let output = cytowatch(folder.path(), &["embed", ".", "--out", "z.csv"]);
    assert!(output.status.success(), "{}", said(&output));
    let rows = table(&folder.path().join("z.csv"));
    let (header, rows) = rows.split_first().unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(header.len(), 8 + LATENT_LEN + 4);
    let column = |name: &str| header.iter().position(|title| title == name).unwrap();
    let named = rows.iter().find(|row| row[0].contains("m610")).unwrap();
    assert_eq!(named[column("date")..=column("film_frame")], ["2015-03-12", "m610", "19", "60", "139"]);
    let mut model = model(folder.path());
    assert!(rows.iter().all(|row| row[column("bundle_sha256")] == model.bundle().identity));
    let crop = read_crop(&folder.path().join(&named[0])).unwrap();
    let expected = &model.describe(&[crop]).unwrap()[0];
    for (feature, value) in expected.latent.iter().enumerate() {
        assert_eq!(named[column("z01") + feature].parse::<f32>().unwrap(), *value, "written without loss");
    }
    assert_eq!(named[column("score")].parse::<f64>().unwrap(), expected.score);
}

#[test]
fn a_crops_numbers_do_not_depend_on_the_list() {
    let folder = workplace();
    for (list, out) in [(vec!["a.png", "b.png", "a.png"], "one.csv"), (vec!["a.png"], "two.csv")] {
        let output = cytowatch(folder.path(), &[&["embed", "--out", out], list.as_slice()].concat());
        assert!(output.status.success(), "{}", said(&output));
    }
    let (one, two) = (table(&folder.path().join("one.csv")), table(&folder.path().join("two.csv")));
    assert_eq!((&one[1], &one[3]), (&two[1], &two[1]));
}

#[test]
fn a_file_that_is_no_crop_is_named_and_may_be_skipped() {
    let folder = workplace();
    fs::write(folder.path().join("small.png"), picture::gray_png(10, 10, &[0; 100]).unwrap()).unwrap();
    fs::write(folder.path().join("text.png"), "no picture").unwrap();
    for (name, complaint) in
        [("small.png", "10 x 10 px"), ("text.png", "decode text.png"), ("none.png", "read none.png")]
    {
        let output = cytowatch(folder.path(), &["embed", name, "--out", "z.csv"]);
        assert!(!output.status.success() && said(&output).contains(complaint), "{}", said(&output));
    }
    let output = cytowatch(folder.path(), &["embed", ".", "--skip-bad", "--out", "z.csv"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(table(&folder.path().join("z.csv")).len(), 4);
}

#[test]
fn the_way_between_two_cells_ends_at_their_reconstructions() {
    let folder = workplace();
    let mut model = model(folder.path());
    let crops = ["a.png", "b.png"].map(|name| read_crop(&folder.path().join(name)).unwrap());
    let [a, b] = &crops;
    let way = interpolate(&mut model, a, b, 5).unwrap();
    let ends = reconstruct(&mut model, &crops).unwrap();
    let near = |one: &Crop, other: &Crop| mean_squared_difference(one, other) < 1e-10;
    assert!(near(&way[0].picture, &ends[0].picture) && near(&way[4].picture, &ends[1].picture));
    assert_eq!((way[0].distance_to_a, way[4].distance_to_b), (0.0, 0.0));
    assert!((way[0].distance_to_b - way[4].distance_to_a).abs() < 1e-6);
    assert!(way.is_sorted_by(|one, next| one.distance_to_a < next.distance_to_a));
    assert_eq!(interpolate(&mut model, a, b, 1).unwrap_err().code(), "too_few_steps");
    let latents = [latent(&mut model, a).unwrap(), latent(&mut model, b).unwrap()];
    assert_eq!(mix(&latents[0], &latents[1], 0.0), latents[1], "openLCH: l = 0 gives image 2");
    assert_eq!(mix(&latents[0], &latents[1], 1.0), latents[0], "and l = 1 gives image 1");
}

#[test]
fn shifting_a_feature_moves_the_logit_by_its_weight() {
    let folder = workplace();
    let mut model = model(folder.path());
    let latent = latent(&mut model, &read_crop(&folder.path().join("a.png")).unwrap()).unwrap();
    let found = traverse(&mut model, &latent, 3, &shifts(2.0, 1.0).unwrap()).unwrap();
    let weight = model.bundle().facts.discriminant.weights[2];
    for pair in found.windows(2) {
        assert!((pair[1].logit - pair[0].logit - weight).abs() < 1e-6);
    }
    let unshifted = &found[2];
    assert!(unshifted.shift.abs() < 1e-12 && unshifted.mean_difference < 1e-6, "compared with the reconstruction");
    assert!(unshifted.brighter.pixels().iter().all(|value| *value < 1e-5));
    assert!(found[0].mean_difference > 1e-4 && found[4].mean_difference > 1e-4);
    assert_eq!(traverse(&mut model, &latent, 57, &[0.0]).unwrap_err().code(), "feature");
}

#[test]
fn the_ranking_is_what_the_training_descriptors_would_show() {
    let folder = workplace();
    let mut model = model(folder.path());
    // The bundle's covariance is shrunk, so its own correlations are compared: draw descriptors with that covariance.
    let facts = model.bundle().facts.clone();
    let drives = rank(&facts);
    assert_eq!(drives.len(), LATENT_LEN);
    assert!(drives.is_sorted_by(|one, next| one.correlation.abs() >= next.correlation.abs()));
    let strongest = drives[0];
    let row = &facts.latent.covariance[strongest.feature - 1];
    let with_logit: f64 = row.iter().zip(&facts.discriminant.weights).map(|(c, w)| c * w).sum();
    assert_eq!(with_logit > 0.0, strongest.correlation > 0.0);
    assert!(drives.iter().all(|drive| drive.correlation.abs() <= 1.0));
    // Correlated features apart, what drives the logit of real crops is what the ranking says.
    let seen = model.describe(&synthetic_crops(64, 11)).unwrap();
    let column = |feature: usize| seen.iter().map(|it| f64::from(it.latent[feature - 1])).collect::<Vec<_>>();
    let logits: Vec<f64> = seen.iter().map(|inference| inference.logit).collect();
    let measured: Vec<f64> = drives.iter().map(|drive| pearson(&column(drive.feature), &logits)).collect();
    let predicted: Vec<f64> = drives.iter().map(|drive| drive.correlation).collect();
    assert!(pearson(&measured, &predicted) > 0.9, "{}", pearson(&measured, &predicted));
}

fn pearson(one: &[f64], other: &[f64]) -> f64 {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (a, b) = (mean(one), mean(other));
    let sum = |f: fn(f64, f64) -> f64| one.iter().zip(other).map(|(x, y)| f(x - a, y - b)).sum::<f64>();
    sum(|x, y| x * y) / (sum(|x, _| x * x) * sum(|_, y| y * y)).sqrt()
}

#[test]
fn the_commands_write_pictures_of_the_right_size_and_tables() {
    let folder = workplace();
    let cases = [
        (vec!["explain", "reconstruct", "a.png", "b.png", "--out", "out"], "reconstruct", (2, 2), 3),
        (vec!["explain", "interpolate", "a.png", "b.png", "--steps", "4", "--out", "out"], "interpolate", (6, 1), 5),
        (vec!["explain", "traverse", "a.png", "-f", "1", "-f", "56", "--out", "out"], "traverse", (15, 4), 31),
    ];
    for (arguments, name, (columns, rows), lines) in cases {
        let output = cytowatch(folder.path(), &arguments);
        assert!(output.status.success(), "{}", said(&output));
        let png = fs::read(folder.path().join("out").join(format!("{name}.png"))).unwrap();
        assert_eq!(picture::size_px(&png).unwrap(), (258 * columns - 2, 258 * rows - 2), "{name}");
        assert_eq!(table(&folder.path().join("out").join(format!("{name}.csv"))).len(), lines, "{name}");
    }
    let output = cytowatch(folder.path(), &["explain", "rank"]);
    assert_eq!(String::from_utf8_lossy(&output.stdout).lines().count(), 1 + LATENT_LEN, "{}", said(&output));
}
