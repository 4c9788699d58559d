//! Time from a frame's pixels to tracked cells on one core, with its breakdown:
//! `cargo bench --bench cells`. Where python3 has scikit-image, the same steps are timed there, in the same run.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a bench prints, and may stop at a surprise"
)]

use cytowatch::cells::{self, DetectSettings};
use cytowatch::frame::{self, Plane};
use cytowatch::id::TimeIndex;
use cytowatch::track::link::{LinkSettings, Linker, Observation};
use cytowatch::units::PixelSize;
use std::time::Instant;

const WIDTH: usize = 2560;
const HEIGHT: usize = 2160;
const ROUNDS: usize = 5;

/// Fifty dark, grainy cells with bright halos, 20 um wide, that crawl a little with `time`.
fn plane(time: usize) -> Plane {
    let mut light = vec![1.0_f32; WIDTH * HEIGHT];
    for cell in 0..50 {
        let (cx, cy) = (200 + 240 * (cell % 10) + 3 * time, 220 + 420 * (cell / 10) + 2 * time);
        for y in cy - 80..cy + 80 {
            for x in cx - 80..cx + 80 {
                let (dx, dy) = (x as f32 - cx as f32, y as f32 - cy as f32);
                let beyond = dx.hypot(0.8 * dy) - 30.0 - 5.0 * (3.0 * dy.atan2(dx) + cell as f32).sin();
                let inside = 1.0 / (1.0 + beyond.exp());
                let grain = 0.12 * (0.9 * x as f32).sin() * (0.8 * y as f32).cos();
                light[y * WIDTH + x] += inside * (grain - 0.25) + (1.0 - inside) * 0.3 * (-beyond.max(0.0) / 5.0).exp();
            }
        }
    }
    let mut state = 1_u32;
    for value in &mut light {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *value = *value * 8000.0 + (state >> 25) as f32;
    }
    Plane::new(WIDTH, HEIGHT, light, 65535.0).expect("the size fits")
}

fn main() {
    let settings = DetectSettings::new(PixelSize::PAPER);
    let mut linker = Linker::new(LinkSettings::new(PixelSize::PAPER));
    let mut best = [f64::INFINITY; 3];
    let mut count = 0;
    let ms = |since: Instant| since.elapsed().as_secs_f64() * 1e3;
    for time in 0..ROUNDS {
        let plane = plane(time);
        let begin = Instant::now();
        let corrected = frame::correct(plane, PixelSize::PAPER);
        best[0] = best[0].min(ms(begin));
        let begin = Instant::now();
        let found = cells::find(&corrected, &settings);
        best[1] = best[1].min(ms(begin));
        let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
        let begin = Instant::now();
        linker.link(TimeIndex(time as i64), &seen);
        best[2] = best[2].min(ms(begin));
        count = found.cells.len();
    }
    println!("{WIDTH} x {HEIGHT}, {count} cells, best of {ROUNDS}, one core");
    println!("correct illumination, focus    {:8.1} ms", best[0]);
    println!("find, outline, shape, crops    {:8.1} ms", best[1]);
    println!("link                           {:8.1} ms", best[2]);
    println!("pixels to tracked cells        {:8.1} ms", best.iter().sum::<f64>());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cells_scikit_image.py");
    let python = std::env::var("CYTOWATCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match std::process::Command::new(python).arg(script).arg(best.iter().sum::<f64>().to_string()).status() {
        Ok(status) if status.success() => {}
        _ => println!("skipped: scikit-image is not there (CYTOWATCH_PYTHON names a python that has it)"),
    }
}
