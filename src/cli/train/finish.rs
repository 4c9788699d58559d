//! After training: the discriminant, the limits, what the model is worth, and the bundle.

use super::{Args, training};
use crate::cells::{CROP_SIDE_PX, Crop};
use crate::cli::{card, model, say};
use crate::evaluate::detector::Detector;
use crate::infer::InferSettings;
use crate::infer::builtin::Builtin;
use crate::infer::bundle::{self, Author, CropRule, Draft, Facts, TestTensors, Training};
use crate::infer::engine::Engine as _;
use crate::infer::onnx_graph;
use crate::learn::autoencoder::Autoencoder;
use crate::learn::bundle::{cells_of, describe, limits, reconstruction_errors, statistics, withheld_share};
use crate::learn::calibrated::{calibrated, features, measured};
use crate::learn::dataset::Pictures;
use crate::learn::discriminant::Linear;
use crate::learn::evaluate::cells_needed::CALL_CELLS;
use crate::learn::evaluate::{self, roc, score_with};
use crate::learn::guard::FramesPlan;
use crate::learn::sketch;
use crate::learn::trainer::{self, Material, State, TrainSettings};
use crate::simulate::Panel;
use crate::units::PixelSize;
use anyhow::{Context as _, ensure};
use std::path::Path;

/// Cells of each class from which the panel's best possible AUC is computed.
const BAYES_CELLS: usize = 60_000;
/// Calls on each sample and day from which the best possible share of right ones is computed.
const BEST_CALLS: usize = 2_000;
/// Standard errors by which the discriminant of a fold draws class differences towards zero.
const THRESHOLD: f64 = 3.0;
/// Fields per day and tumour on whose whole frames the limits on a cell's surroundings are fitted.
const GUARD_FOVS: usize = 1;
/// How cells are found there: as the daemon does by default.
const FINDER: &str = "auto";
/// Largest difference between the exported networks and the trainer's own.
const EXPORT_TOLERANCE: f32 = 1e-4;

/// Writes the bundle of the trained network; `pixel_size` is that of the frames it was trained on.
pub(super) fn write(
    args: &Args,
    state: State,
    material: Material<'_>,
    (settings, pixel_size): (&TrainSettings, PixelSize),
) -> anyhow::Result<()> {
    let mut net = state.best;
    trainer::settle(&mut net, material, settings);
    let pictures = material.pictures;
    let latents = describe(&net, pictures);
    let all = features(&latents);
    let training = cells_of(pictures.origins(), &all, material.training);
    let of = |indices: &[usize]| indices.iter().filter_map(|index| latents.get(*index)).copied().collect::<Vec<_>>();
    let rule = calibrated(&training).context("fit the discriminant")?;
    let statistics = statistics(&of(material.training));
    let errors = reconstruction_errors(&net, pictures, &latents);
    let validity =
        limits((material.training, material.held_out), pictures, &statistics, (latents.as_slice(), errors.as_slice()))?;
    let inside = score_with(&rule, &cells_of(pictures.origins(), &all, material.held_out));
    say(&format!("cells     {} trained on, {} held out", training.len(), inside.len()))?;
    say(&format!("held out  cells of the same tumours and days: auc {:.4}", roc::of_cells(&inside)))?;
    let mut facts = Facts {
        software_version: env!("CARGO_PKG_VERSION").to_owned(),
        network: Some(net.spec()),
        crop: CropRule { pixel_size_um: pixel_size.um(), ..CropRule::default() },
        latent: statistics,
        discriminant: rule.clone().into_bundle().context("the discriminant is not on 56 features")?,
        state: None,
        validity,
        training: Training {
            data: data(args),
            simulated: is_simulated(args),
            split: SPLIT.to_owned(),
            crop_count: material.training.len() as u64,
            cell_count: training.len() as u64,
            command: Some(command()),
        },
        measured: Vec::new(),
    };
    let mut notes = String::new();
    if is_simulated(args) {
        notes = on_another_panel(args, &net, &rule, &mut facts)?;
    } else if args.label_weight <= 0.0 {
        // The network has not seen a label; what it has seen of the pictures it may keep.
        let all = evaluate::pool(pictures.origins(), &all);
        facts.measured = measured(&evaluate::leave_each_out_with(&all, evaluate::unchanged, THRESHOLD)?, FOLDS);
    }
    for line in facts.measured.iter().map(card::line).chain(notes.lines().map(str::to_owned)) {
        say(&line)?;
    }
    let (encoder, decoder) = net.weights();
    let encoder = onnx_graph::encoder(net.spec(), &encoder)?;
    let decoder = onnx_graph::decoder(net.spec(), &decoder)?;
    let tests = tests(&net, pictures, material.held_out, (&encoder, &decoder))?;
    let draft = Draft {
        name: args.name.clone(),
        version: args.model_version.clone(),
        description: DESCRIPTION.to_owned(),
        authors: vec![Author { name: "cytowatch".to_owned() }],
        license: "MIT".to_owned(),
        cite: Vec::new(),
        card: card_of(args, &facts, &notes),
        facts,
        encoder,
        decoder,
        tests,
    };
    bundle::write(&args.out, &draft)?;
    let picture = args.out.with_extension("training.png");
    let drawn = sketch::png(&net, pictures, material.held_out, &state.history)?;
    std::fs::write(&picture, drawn).with_context(|| format!("write {}", picture.display()))?;
    if is_simulated(args) {
        let plan = |panel: &u64| FramesPlan { panel: *panel, fovs: GUARD_FOVS, time_points: 2, stride: 60 };
        let plans: Vec<FramesPlan> = model::GUARD_PANELS.iter().map(plan).collect();
        let detector = Detector::open(Path::new(FINDER), &InferSettings::default())?;
        model::fit_guard(&args.out, &plans, &detector)?;
        model::fit_state(&args.out, model::STATE_FILMS, &detector)?;
    }
    say(&format!("bundle    {}", args.out.display()))?;
    say(&format!("picture   {}", picture.display()))?;
    Ok(())
}

/// Measures on a panel of its own, puts the figures into `facts`, and gives the model card's notes on it.
fn on_another_panel(args: &Args, net: &Autoencoder, rule: &Linear, facts: &mut Facts) -> anyhow::Result<String> {
    let plan = training::test_plan(args);
    let test = Pictures::of_panels(&[plan], net.spec().working_side_px())?;
    let latents = describe(net, &test);
    let cells = evaluate::pool(test.origins(), &features(&latents));
    facts.measured = measured(&score_with(rule, &cells), HELD_OUT);
    let panel = Panel::new(plan.seed);
    let (bayes, calls) = (panel.bayes_auc(BAYES_CELLS, 2), panel.best_calls(CALL_CELLS, BEST_CALLS, 2));
    let errors = reconstruction_errors(net, &test, &latents);
    let (shares, all) = withheld_share(facts, &test, (&latents, &errors))?;
    let shares: Vec<String> = shares.iter().map(|(why, share)| format!("{why} {:.2} %", 100.0 * share)).collect();
    Ok(format!(
        "Measured on {} cells of panel {}, {} pictures of each. From the true hallmarks of one cell the best AUC that anyone \
         can reach there is {bayes:.3}, from those of {CALL_CELLS} cells {calls:.3} of the calls would be right. Of its \
         pictures {:.2} % would be withheld: {}.\n",
        cells.len(),
        plan.seed,
        plan.time_points,
        100.0 * all,
        shares.join(", ")
    ))
}

const DESCRIPTION: &str = "Adversarial autoencoder and linear discriminant for label-free phase-contrast crops of single \
    cells, trained on simulated cells. Not a diagnostic.";
const SPLIT: &str = "autoencoder and discriminant on the first fields of view of every day and tumour; early stop and \
    distance limit on the last fields";
const FOLDS: &str = "one sample and its days at a time, by a discriminant fitted on the others; the network has seen all \
    pictures, but no label";
const HELD_OUT: &str = "all tumours and days: measured on another simulated panel";

/// A held-out crop and what the exported networks make of it, which must be what the trainer's own make of it.
fn tests(
    net: &Autoencoder,
    pictures: &Pictures,
    held_out: &[usize],
    (encoder, decoder): (&[u8], &[u8]),
) -> anyhow::Result<TestTensors> {
    let index = held_out.first().copied().unwrap_or_default();
    let picture = pictures.batch(&[index]);
    let crop = whole(&picture, pictures.side_px()).context("a picture has the wrong size")?;
    let mut engine = Builtin::from_bytes(encoder.to_vec(), decoder.to_vec())?;
    let latents = engine.embed(std::slice::from_ref(&crop))?;
    let mut alone = Pictures::new(pictures.side_px());
    alone.push(&crop, pictures.origins().first().cloned().context("there are no pictures")?);
    let ours = net.describe(&alone, &[0]);
    let largest = ours.iter().flatten().zip(latents.iter().flatten()).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    ensure!(largest <= EXPORT_TOLERANCE, "the exported encoder differs from the trainer's own by {largest}");
    say(&format!("export    differs from the trainer's own descriptor by at most {largest:.1e}"))?;
    let drawn = engine.decode(&latents)?;
    let latent = latents.first().copied().context("the encoder gave nothing")?;
    let reconstruction = drawn.into_iter().next().context("the decoder gave nothing")?;
    Ok(TestTensors { crop, latent, reconstruction })
}

/// The picture at 256 px: at half resolution every pixel doubled, so that its 2 x 2 means are the picture again.
fn whole(picture: &[f32], side: usize) -> Option<Crop> {
    let factor = CROP_SIDE_PX / side;
    let pixel = |index: usize| {
        let (x, y) = (index % CROP_SIDE_PX / factor, index / CROP_SIDE_PX / factor);
        picture.get(y * side + x).copied().unwrap_or_default()
    };
    Crop::new((0..CROP_SIDE_PX * CROP_SIDE_PX).map(pixel).collect())
}

fn is_simulated(args: &Args) -> bool {
    args.crops.is_none() && args.database.is_none()
}

fn data(args: &Args) -> String {
    match (&args.crops, &args.database) {
        (Some(_), _) => "crops of labelled samples".to_owned(),
        (None, Some(_)) => format!("followed cells of labelled samples, at most {} crops of each", args.per_cell),
        (None, None) => format!(
            "simulated cells: {} panels of 8 tumours over 6 days each (seeds {}), {} fields per day and tumour, {} time \
             points {} minutes apart",
            args.panels.len(),
            args.panels.iter().map(u64::to_string).collect::<Vec<_>>().join(", "),
            args.fovs,
            args.time_points,
            args.stride
        ),
    }
}

/// The command line as it was given, without the program's folder.
fn command() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    format!("cytowatch {}", arguments.join(" "))
}

fn card_of(args: &Args, facts: &Facts, notes: &str) -> String {
    let warning = if facts.training.simulated {
        "**Trained on simulated cells. Whatever it says, it says about simulated cells. It is not a diagnostic.**"
    } else {
        "**For research only. It is not a diagnostic.**"
    };
    format!(
        "# {}\n\n{warning}\n\nCrop of a phase-contrast frame (70.5 um, 256 x 256, each scaled from its darkest to its \
         brightest pixel) -> descriptor of 56 numbers -> score of metastatic efficiency, 0..1, high = 1.\n\n\
         ## Training\n\n{}; {} crops of {} cells. Split: {}.\n\nMade by\n\n```\n{}\n```\n\n\
         {}\n## Limits\n\nScores of crops farther from the training set than {:.2} (Mahalanobis distance of the \
         descriptor) are withheld. Cells of another objective, pixel size, modality or kind of cell are outside what it \
         was trained on.\n",
        args.name,
        facts.training.data,
        facts.training.crop_count,
        facts.training.cell_count,
        facts.training.split,
        facts.training.command.as_deref().unwrap_or_default(),
        card::validation(&facts.measured, notes),
        facts.validity.distance_limit.unwrap_or_default()
    )
}
