//! Cells per second of each engine, in one run: `cargo bench --bench infer [-- WIDTH DOWNSAMPLE THREADS [openvino]]`.
//!
//! With `openvino`, its build of ONNX Runtime takes the plain one's place: a process can load one only.
//! Rounds go over all engines and batch sizes in turn, so that a busy machine slows all of them alike; the median round
//! counts. The ratios are what to compare between machines.
#![expect(clippy::print_stdout, reason = "printing is what a bench is for")]

use cytowatch::cells::Crop;
use cytowatch::infer::architecture::AutoencoderSpec;
use cytowatch::infer::bundle::Bundle;
use cytowatch::infer::engine::{Engine, choose};
use cytowatch::infer::untrained::{synthetic_crops, write_bundle};
use cytowatch::infer::{Cause, EngineChoice, InferSettings};
use std::time::{Duration, Instant};

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_millis(400);
const BATCHES: [usize; 2] = [1, 8];

fn main() -> Result<(), Cause> {
    let numbers: Vec<usize> = std::env::args().filter_map(|argument| argument.parse().ok()).collect();
    let number = |index: usize, default| numbers.get(index).copied().unwrap_or(default);
    let spec = AutoencoderSpec::new(number(0, 16), number(1, 2))?;
    let threads = number(2, 0);
    let folder = tempfile::tempdir()?;
    write_bundle(folder.path(), spec, 1)?;
    let bundle = Bundle::read(folder.path())?;
    let crops = synthetic_crops(8, 2);
    let gmac = spec.encoder_macs() as f64 / 1e9;
    println!("width {}, {} px, {gmac:.4} GMAC per cell", spec.width(), spec.working_side_px());

    let mut cases = Vec::new();
    let with_openvino = std::env::args().any(|argument| argument == "openvino");
    let library = if with_openvino { EngineChoice::Openvino } else { EngineChoice::Ort };
    for engine in [EngineChoice::Rten, library] {
        for batch in BATCHES {
            let bundle_folder = folder.path().to_owned();
            let settings = InferSettings { bundle: bundle_folder, engine, threads, ..InferSettings::default() };
            match choose(&settings, &bundle) {
                Ok((engine, _)) => cases.push((engine, batch, Vec::new())),
                Err(why) => println!("skipped: {engine:?} batch {batch}: {why}"),
            }
        }
    }
    for _ in 0..ROUNDS {
        for (engine, batch, rates) in &mut cases {
            rates.push(cells_per_s(engine.as_mut(), crops.get(..*batch).unwrap_or_default())?);
        }
    }
    println!("{:<10}{:>6}{:>12}{:>12}{:>12}", "engine", "batch", "cells/s", "GFLOP/s", "x rten b1");
    let mut first = None;
    for (engine, batch, rates) in &mut cases {
        rates.sort_by(f64::total_cmp);
        let rate = rates.get(ROUNDS / 2).copied().unwrap_or_default();
        let ratio = rate / *first.get_or_insert(rate);
        println!("{:<10}{batch:>6}{rate:>12.0}{:>12.1}{ratio:>12.2}", engine.name(), 2.0 * gmac * rate);
    }
    Ok(())
}

fn cells_per_s(engine: &mut dyn Engine, crops: &[Crop]) -> Result<f64, Cause> {
    engine.embed(crops)?;
    let (began, mut cells) = (Instant::now(), 0);
    while began.elapsed() < ROUND {
        cells += engine.embed(crops)?.len();
    }
    Ok(cells as f64 / began.elapsed().as_secs_f64())
}
