//! What `cytowatch train-finder` does when it was built to train.

use super::Args;
use crate::cli::say;
use crate::evaluate::labelled;
use crate::evaluate::sets;
use crate::learn::finder::bundle;
use crate::learn::finder::page::Page;
use crate::learn::finder::{self, FinderSettings};
use crate::simulate::culture::{Culture, culture, field, grown_together, soiled};
use crate::units::PixelSize;
use anyhow::Context as _;
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::time::Instant;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let began = Instant::now();
    let mut real = Vec::new();
    for name in &args.sets {
        let set = sets::named(name)?;
        let data = args.data.as_deref().context("say where the sets are (--data)")?;
        let found = labelled::pictures(set, data)?;
        anyhow::ensure!(!found.is_empty(), "the set {name} has no outlines");
        let pixel_size = PixelSize::new(set.pixel_size_um)?;
        let page = |one: &labelled::Labelled| {
            let diameter_px = pixel_size.px_from_um(one.cell_diameter_um);
            Page::new(one.plane.clone(), pixel_size, &one.truth.labels, diameter_px, one.border_px)
        };
        real.extend(found.par_iter().map(page).collect::<Vec<_>>());
    }
    let seed = args.seed.wrapping_mul(1_000_000);
    let is_one_in = |many: u64, number: u64| many > 0 && number.is_multiple_of(many);
    let seen = |number: u64| {
        let make = match () {
            () if is_one_in(args.colonies, number) => grown_together,
            () if is_one_in(args.soiled, number) => soiled,
            () => culture,
        };
        let culture = make(seed + number)?;
        let culture = if is_one_in(args.coarse, number) { culture.binned(2)? } else { culture };
        if is_one_in(args.compressed, number) { culture.compressed(seed + number) } else { Some(culture) }
    };
    let cultures = (0..args.cultures).into_par_iter().filter_map(|number| page(seen(number)?));
    let fields = (0..args.fields).into_par_iter().filter_map(|number| page(field(seed + number)?));
    let simulated: Vec<Page> = cultures.chain(fields).collect();
    let seconds = began.elapsed().as_secs_f64();
    say(&format!("pages     {} real, {} simulated in {seconds:.0} s", real.len(), simulated.len()))?;
    let settings = FinderSettings {
        width: args.width,
        steps: args.steps,
        batch: args.batch,
        learning_rate: args.learning_rate,
        real_share: args.real_share,
        seed: args.seed,
        from: args.from.iter().map(|folder| bundle::read(folder)).collect::<anyhow::Result<_>>()?,
    };
    let began = Instant::now();
    let shown = if simulated.is_empty() { &real } else { &simulated };
    let picture = finder::test_picture(shown, args.seed);
    let write = |onnx: &[u8], step: u32, loss: f32| bundle::write(&args.out, onnx, &picture, &card(args, step, loss));
    let mut last = (0, f32::NAN);
    let onnx = finder::train(&real, &simulated, &settings, |progress, network| {
        let seconds = began.elapsed().as_secs_f64();
        say(&format!("step {:>6}: cross-entropy {:.4}, {seconds:.0} s", progress.step, progress.loss))?;
        last = (progress.step, progress.loss);
        write(&network()?, progress.step, progress.loss)
    })?;
    write(&onnx, last.0, last.1)
}

fn page(culture: Culture) -> Option<Page> {
    let pixel_size = PixelSize::new(culture.pixel_um).ok()?;
    Some(Page::new(culture.plane, pixel_size, &culture.labels, culture.diameter_px, 0))
}

/// The model card.
fn card(args: &Args, step: u32, loss: f32) -> String {
    format!(
        "# cytowatch cell finder

Finds cells in phase-contrast frames: a U-Net of {width} channels after its first convolution, on the frame's relative light \
brought to one scale and one contrast. It gives, for every pixel, the logit that it lies inside a cell and the logit of how \
deep it lies there; cells are the hills of the second inside the first.

{taught}- Made by `cytowatch train-finder`. What it reaches, set by set, stands in `docs/detection.md`.
- It knows phase contrast of adherent cells. Other modalities and other organisms are not what it was made for.
",
        width = args.width,
        taught = if args.steps == 0 { mean_of(&args.from) } else { taught(args, step, loss) },
    )
}

/// How a network was taught: lines of its model card.
fn taught(args: &Args, step: u32, loss: f32) -> String {
    let sets = if args.sets.is_empty() { "none".to_owned() } else { args.sets.join(", ") };
    let begun = match args.from.as_slice() {
        [] => "Begun from random weights.".to_owned(),
        [folder] => format!("Begun from a trained network, {}.", name(folder)),
        folders => format!("Begun from the mean of trained networks, {}.", names(folders)),
    };
    let kinds = [
        (args.coarse, "by a camera with pixels twice as wide"),
        (args.compressed, "compressed to a JPEG of 8 bits"),
        (args.colonies, "grown together to colonies"),
        (args.soiled, "soiled, some of its cells rounded up on others"),
    ];
    let kinds = kinds.iter().filter(|(many, _)| *many > 0).map(|(many, how)| format!("one in {many} {how}"));
    let kinds = kinds.collect::<Vec<_>>().join("; ");
    let kinds = if kinds.is_empty() { kinds } else { format!(" ({kinds})") };
    let Args { cultures, fields, real_share, steps, batch, learning_rate, seed, .. } = args;
    format!(
        "- Trained on {cultures} simulated cultures{kinds} and {fields} fields of the simulated microscope (seed {seed}); real sets with outlines: {sets} (share {real_share} of the pictures).
- {begun}
- Adam, {step} of {steps} steps of {batch} pictures of 96 x 96, longest step {learning_rate}; mean cross-entropy of the last steps {loss:.4}.
"
    )
}

/// That a network is the mean of others, and what their cards say of how they were taught.
fn mean_of(folders: &[PathBuf]) -> String {
    let mut lines =
        vec![format!("- The mean of the weights of the networks {}, not taught after that.", names(folders))];
    for folder in folders {
        let card = std::fs::read_to_string(folder.join("README.md")).unwrap_or_default();
        let told = |line: &&str| ["- Trained on", "- Begun", "- Adam"].iter().any(|start| line.starts_with(start));
        lines.push(format!("- {}:", name(folder)));
        lines.extend(card.lines().filter(told).map(|line| format!("  {line}")));
    }
    lines.join("\n") + "\n"
}

fn name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().display().to_string()
}

fn names(folders: &[PathBuf]) -> String {
    folders.iter().map(|folder| name(folder)).collect::<Vec<_>>().join(", ")
}
