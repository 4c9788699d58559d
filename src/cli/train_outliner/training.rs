//! What `cytowatch train-outliner` does when it was built to train.

use super::Args;
use crate::cli::say;
use crate::evaluate::{labelled, sets};
use crate::infer::InferSettings;
use crate::infer::finder::Finder;
use crate::learn::outliner::example::{Example, Truth, examples};
use crate::learn::outliner::{OutlinerSettings, Source, bundle, train};
use crate::simulate::culture::{Culture, culture, field};
use crate::units::PixelSize;
use anyhow::Context as _;
use rayon::prelude::*;
use std::time::Instant;

/// The finder is given hints that are so many times the usual width, in turn: what it finds shall be outlined whatever the hint.
const HINTS: [f64; 3] = [1.0, 0.8, 1.25];

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    anyhow::ensure!(args.shares.len() == 3, "--shares takes three numbers: of fields, of cultures, of sets");
    let began = Instant::now();
    // A folder that is taught anew may still hold the outliner of another finder.
    let finder = Finder::alone(&args.finder, &InferSettings::default())?;
    let seed = args.seed.wrapping_mul(1_000_000);
    let fields = simulated(args.fields, &finder, |number| field(seed + number))?;
    // Cameras that see no more than the finder does, too.
    let any = |number: u64| culture(seed + number)?.binned(if number % 5 < 3 { 1 } else { 2 });
    let cultures = simulated(args.cultures, &finder, any)?;
    let mut real = Vec::new();
    for name in &args.sets {
        real.extend(of_set(name, args, &finder)?);
    }
    let seconds = began.elapsed().as_secs_f64();
    let counts = (fields.len(), cultures.len(), real.len());
    say(&format!("cells     {} of fields, {} of cultures, {} real in {seconds:.0} s", counts.0, counts.1, counts.2))?;
    let sources = [fields, cultures, real].into_iter().zip(&args.shares);
    let sources: Vec<Source> = sources.map(|(examples, &share)| Source { examples, share }).collect();
    let Args { width, steps, batch, learning_rate, seed, .. } = *args;
    let settings = OutlinerSettings { width, steps, batch, learning_rate, seed };
    let began = Instant::now();
    let mut last = f32::NAN;
    let onnx = train(&sources, &settings, |step, loss| {
        last = loss;
        let seconds = began.elapsed().as_secs_f64();
        Ok(say(&format!("step {step:>6}: cross-entropy {loss:.4}, {seconds:.0} s"))?)
    })?;
    let first = sources.iter().find_map(|source| source.examples.first()).context("there are no cells")?;
    bundle::write(&args.finder, &onnx, first, &card(args, counts, last))
}

fn simulated(
    count: u64,
    finder: &Finder,
    make: impl Fn(u64) -> Option<Culture> + Sync,
) -> anyhow::Result<Vec<Example>> {
    let cells = |number: u64| {
        let Some(culture) = make(number) else { return Ok(Vec::new()) };
        let hint = HINTS.iter().cycle().nth(number as usize % HINTS.len()).copied().unwrap_or(1.0);
        let Culture { plane, labels, diameter_px, pixel_um } = culture;
        let (pixel_size, diameter_px) = (PixelSize::new(pixel_um)?, hint * diameter_px);
        Ok(examples(Truth { plane, labels: &labels, pixel_size, diameter_px, border_px: 0 }, finder)?)
    };
    let found = (0..count).into_par_iter().map(cells).collect::<anyhow::Result<Vec<Vec<Example>>>>()?;
    Ok(found.into_iter().flatten().collect())
}

/// The cells of a public set with outlines.
fn of_set(name: &str, args: &Args, finder: &Finder) -> anyhow::Result<Vec<Example>> {
    let set = sets::named(name)?;
    let found = labelled::pictures(set, args.data.as_deref().context("say where the sets are (--data)")?)?;
    anyhow::ensure!(!found.is_empty(), "the set {name} has no outlines");
    let pixel_size = PixelSize::new(set.pixel_size_um)?;
    let mut cells = Vec::new();
    for one in &found {
        for hint in HINTS {
            let diameter_px = hint * pixel_size.px_from_um(one.cell_diameter_um);
            let (plane, labels, border_px) = (one.plane.clone(), one.truth.labels.as_slice(), one.border_px);
            cells.extend(examples(Truth { plane, labels, pixel_size, diameter_px, border_px }, finder)?);
        }
    }
    Ok(cells)
}

/// The model card.
fn card(args: &Args, cells: (usize, usize, usize), loss: f32) -> String {
    let sets = if args.sets.is_empty() { "none".to_owned() } else { args.sets.join(", ") };
    let Args { fields, cultures, width, steps, batch, learning_rate, seed, .. } = args;
    format!(
        "# cytowatch outliner

Draws the outline of a cell that the cell finder of the folder above has found: a U-Net of {width} channels, on the \
frame at twice the finder's resolution round that cell. It is told what the finder gave to the cell and to others, and gives for every pixel the \
logit that it lies inside: the finder sees bodies, pseudopods are for this network.

- Trained on what that finder found: {} cells in {fields} fields of the simulated microscope, {} in {cultures} simulated cultures, {} in real sets with outlines: {sets}.
- Adam, {steps} steps of {batch} pictures of 48 x 48 places of 2 x 2 px, longest step {learning_rate}, seed {seed}; mean cross-entropy of the last steps {loss:.4}.
- Made by `cytowatch train-outliner`. What both networks reach together, set by set, stands in `docs/detection.md`.
- It belongs to this finder and is refused with another one.
",
        cells.0, cells.1, cells.2
    )
}
