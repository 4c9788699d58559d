//! Time from a frame's file to tracked cells on one core, with its breakdown: `cargo bench --bench cells`. Where python3 has
//! scikit-image, the same steps (without decoding) are timed there, in the same run.
//!
//! Two times are printed: by the clock, and the processor's. Everything runs on one thread, as with one core, so on an idle machine they are the
//! same; where other jobs want the cores, the processor's time is what the steps cost.

#![expect(
    clippy::print_stdout,
    clippy::indexing_slicing,
    clippy::expect_used,
    reason = "a bench prints, and may stop at a surprise"
)]

use cytowatch::cells::{self, DetectSettings, Sight as _};
use cytowatch::frame::{self, Plane, read};
use cytowatch::id::TimeIndex;
use cytowatch::infer::finder::{FindSettings, Finder};
use cytowatch::infer::{EngineChoice, InferSettings};
use cytowatch::track::link::{LinkSettings, Linker, Observation};
use cytowatch::units::PixelSize;
use std::path::PathBuf;
use std::time::Instant;

const WIDTH: usize = 2560;
const HEIGHT: usize = 2160;
const ROUNDS: usize = 12;

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
    Plane::new(WIDTH, HEIGHT, light.into(), 65535.0).expect("the size fits")
}

/// The plane as a camera's TIFF: 16 bit, one strip, not compressed.
fn tiff(plane: &Plane) -> Vec<u8> {
    let strip: Vec<u8> = plane.counts().iter().flat_map(|&count| (count as u16).to_le_bytes()).collect();
    let entries: [(u16, u16, u32); 8] = [
        (256, 4, WIDTH as u32),
        (257, 4, HEIGHT as u32),
        (258, 3, 16),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, strip.len() as u32),
    ];
    let mut bytes = [b"II\x2a\x00", (8 + strip.len() as u32).to_le_bytes().as_slice()].concat();
    bytes.extend(strip);
    bytes.extend((entries.len() as u16).to_le_bytes());
    for (tag, kind, value) in entries {
        bytes
            .extend([&tag.to_le_bytes()[..], &kind.to_le_bytes(), &1_u32.to_le_bytes(), &value.to_le_bytes()].concat());
    }
    bytes.extend(0_u32.to_le_bytes());
    bytes
}

/// The steps of a frame's way, and the best time of each.
const STEPS: [&str; 6] = [
    "decode a TIFF",
    "correct illumination, focus",
    "bring to the network's scale",
    "network",
    "outline, shape, crops",
    "link",
];

/// Time by the clock and of the processor, ms.
#[derive(Clone, Copy)]
struct Times {
    clock: f64,
    processor: f64,
}

impl Times {
    const NEVER: Self = Self { clock: f64::INFINITY, processor: f64::INFINITY };

    /// Since some moment.
    fn now(start: Instant) -> Self {
        // Giving way makes the kernel bring its account of this thread up to date.
        std::thread::yield_now();
        let threads = std::fs::read_dir("/proc/self/task").expect("the kernel's account of this process");
        let spent_ns = threads.filter_map(|thread| {
            let account = std::fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
            account.split(' ').next()?.parse::<f64>().ok()
        });
        Self { processor: spent_ns.sum::<f64>() / 1e6, clock: start.elapsed().as_secs_f64() * 1e3 }
    }

    fn since(self, begin: Self) -> Self {
        Self { clock: self.clock - begin.clock, processor: self.processor - begin.processor }
    }

    fn best(self, other: Self) -> Self {
        Self { clock: self.clock.min(other.clock), processor: self.processor.min(other.processor) }
    }
}

/// Decodes, finds and follows the cells of a film in `files`; gives every step's best times and the number of cells.
fn follow(files: &[PathBuf], finder: Option<&Finder>) -> ([Times; STEPS.len()], usize) {
    let settings = DetectSettings::new(PixelSize::PAPER);
    let mut linker = Linker::new(LinkSettings::new(PixelSize::PAPER));
    let mut best = [Times::NEVER; STEPS.len()];
    let start = Instant::now();
    let mut count = 0;
    for (time, file) in files.iter().enumerate() {
        let mut begin = Times::now(start);
        let mut done = |step: usize| {
            best[step] = best[step].best(Times::now(start).since(begin));
            begin = Times::now(start);
        };
        let plane = read::open(file).and_then(|mut source| source.read(0)).expect("the file was just written");
        done(0);
        let corrected = frame::correct(plane, PixelSize::PAPER);
        done(1);
        let found = if let Some(finder) = finder {
            let picture = cells::working_picture(&corrected, &settings, finder.view());
            done(2);
            let maps = finder.maps(&picture).expect("the network runs");
            done(3);
            let found = cells::find_in_maps(&corrected, &settings, (&picture, &maps), finder);
            found.expect("the network runs")
        } else {
            (2..4).for_each(&mut done);
            cells::find(&corrected, &settings)
        };
        done(4);
        let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
        linker.link(TimeIndex(time as i64), &seen);
        done(5);
        count = found.cells.len();
    }
    (best, count)
}

fn main() {
    let one = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread");
    one.install(compare);
}

fn compare() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let files: Vec<PathBuf> = (0..ROUNDS)
        .map(|time| {
            let file = folder.path().join(format!("{time}.tif"));
            std::fs::write(&file, tiff(&plane(time))).expect("a file in a temporary folder");
            file
        })
        .collect();
    let auto = FindSettings { model: "auto".into() };
    let mut compared: Vec<String> = Vec::new();
    let mut ways = vec![("classical chain".to_owned(), None)];
    for engine in [EngineChoice::Rten, EngineChoice::Ort] {
        match Finder::choose(&auto, &InferSettings { engine, ..InferSettings::default() }) {
            Ok(Some(finder)) => ways.push((format!("network in {}", finder.engine_name()), Some(finder))),
            Ok(None) => println!("skipped: models/cells is not there"),
            Err(why) => println!("skipped: {why}"),
        }
    }
    for (name, finder) in &ways {
        let (best, count) = follow(&files, finder.as_ref());
        println!("{WIDTH} x {HEIGHT}, {count} cells, best of {ROUNDS}, one core: {name}");
        println!("  {:<29}{:>11}{:>14}", "", "clock", "processor");
        for (step, Times { clock, processor }) in STEPS.iter().zip(best) {
            println!("  {step:<29}{clock:8.1} ms{processor:11.1} ms");
        }
        let clock: f64 = best.iter().map(|times| times.clock).sum();
        let sum: f64 = best.iter().map(|times| times.processor).sum();
        println!("  {:<29}{clock:8.1} ms{sum:11.1} ms", "file to tracked cells");
        // Without decoding, which scikit-image does not do.
        if let Some(finder) = finder {
            compared.push(format!("{}={}", finder.engine_name(), sum - best[0].processor));
        }
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/cells_scikit_image.py");
    let python = std::env::var("CYTOWATCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match std::process::Command::new(python).arg(script).args(&compared).status() {
        Ok(status) if status.success() => {}
        _ => println!("skipped: scikit-image is not there (CYTOWATCH_PYTHON names a python that has it)"),
    }
}
