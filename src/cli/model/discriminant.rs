//! `cytowatch model fit-discriminant`.

use crate::cells::Crop;
use crate::cli::{card, say};
use crate::infer::bundle::{self, CARD, Refit};
use crate::infer::{InferSettings, Inference, Latent, Model};
use crate::learn::calibrated::{calibrated, features, measured};
use crate::learn::dataset::{Origin, PanelPlan, Shown, each_of_panel};
use crate::learn::evaluate::cells_needed::CALL_CELLS;
use crate::learn::evaluate::{self, CellFeatures, score_with};
use crate::simulate::Panel;
use anyhow::{Context as _, ensure};
use std::path::PathBuf;

/// Crops that are described at a time.
const AT_ONCE: usize = 32;
/// Cells of each class from which the panel's best possible AUC is computed.
const BAYES_CELLS: usize = 60_000;
/// Calls on each sample and day from which the best possible share of right ones is computed.
const BEST_CALLS: usize = 2_000;
const HELD_OUT: &str = "all tumours and days: measured on another simulated panel";

/// Arguments of `model fit-discriminant`.
///
/// The defaults are the cells that `cytowatch train` fits its discriminant on.
#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// The bundle's folder.
    pub bundle: PathBuf,
    /// Seeds of the simulated panels that it is fitted on.
    #[arg(long, value_delimiter = ',', default_values_t = [1_u64, 3, 4])]
    pub panels: Vec<u64>,
    /// Fields of view per day and tumour.
    #[arg(long, default_value_t = 2)]
    pub fovs: usize,
    /// Time points per field.
    #[arg(long, default_value_t = 2)]
    pub time_points: usize,
    /// Minutes between two time points.
    #[arg(long, default_value_t = 60)]
    pub stride: usize,
    /// Seed of the panel that it is measured on: other tumours, other days, other cells.
    #[arg(long, default_value_t = 21)]
    pub test_panel: u64,
    /// Fields of view per day and tumour of that panel.
    #[arg(long, default_value_t = 4)]
    pub test_fovs: usize,
    /// Time points per field of that panel, half an hour apart.
    #[arg(long, default_value_t = 4)]
    pub test_time_points: usize,
    /// Version of the model from now on.
    #[arg(long)]
    pub model_version: String,
}

/// Minutes between two time points of the panel that is measured on.
const TEST_STRIDE_MIN: usize = 30;

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(!args.panels.contains(&args.test_panel), "panel {} is fitted on: measure on another", args.test_panel);
    let mut model = Model::load(&InferSettings { bundle: args.bundle.clone(), ..InferSettings::default() })?;
    let Args { fovs, time_points, stride, .. } = *args;
    let (mut origins, mut inferences) = (Vec::new(), Vec::new());
    for &seed in &args.panels {
        let (more, described) = described(&mut model, PanelPlan { seed, fovs, time_points, stride })?;
        origins.extend(more);
        inferences.extend(described);
    }
    let cells = cells(&origins, &inferences);
    let rule = calibrated(&cells).context("fit the discriminant")?;
    let reads = rule.weights.iter().filter(|weight| **weight != 0.0).count();
    say(&format!("fitted on {} cells; {reads} features take part", cells.len()))?;
    let (seed, time_points) = (args.test_panel, args.test_time_points);
    let plan = PanelPlan { seed, fovs: args.test_fovs, time_points, stride: TEST_STRIDE_MIN };
    let (origins, inferences) = described(&mut model, plan)?;
    let cells = self::cells(&origins, &inferences);
    let measured = measured(&score_with(&rule, &cells), HELD_OUT);
    let panel = Panel::new(seed);
    let withheld = inferences.iter().filter(|it| it.withheld.is_some()).count();
    let notes = format!(
        "Discriminant fitted by `cytowatch {}`. Measured on {} cells of panel {seed}, {time_points} pictures of each. From the true \
         hallmarks of one cell the best AUC that anyone can reach there is {:.3}, from those of {CALL_CELLS} cells {:.3} of the \
         calls would be right. Of its pictures {:.2} % would be withheld by limits on single crops.\n",
        std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        cells.len(),
        panel.bayes_auc(BAYES_CELLS, 2),
        panel.best_calls(CALL_CELLS, BEST_CALLS, 2),
        100.0 * withheld as f64 / inferences.len().max(1) as f64
    );
    for line in measured.iter().map(card::line).chain(notes.lines().map(str::to_owned)) {
        say(&line)?;
    }
    let section = card::validation(&measured, &notes);
    let refit = Refit {
        version: args.model_version.clone(),
        discriminant: rule.into_bundle().context("the discriminant is not on 56 features")?,
        measured,
    };
    bundle::set_discriminant(&args.bundle, refit, |text| card::with_section(&text, card::VALIDATION, &section))?;
    Ok(say(&format!("bundle    {}, {CARD}", args.bundle.display()))?)
}

/// The pictures of a panel as the bundle describes them.
fn described(model: &mut Model, plan: PanelPlan) -> anyhow::Result<(Vec<Origin>, Vec<Inference>)> {
    let shown = |shown: Shown<'_>| {
        let grey: Vec<u8> = shown.crop.pixels().iter().map(|value| (value * 255.0).round() as u8).collect();
        (shown.origin, grey)
    };
    let (origins, pictures): (Vec<Origin>, Vec<Vec<u8>>) = each_of_panel(plan, shown).into_iter().unzip();
    let mut inferences = Vec::with_capacity(pictures.len());
    for chunk in pictures.chunks(AT_ONCE) {
        let crop = |grey: &Vec<u8>| Crop::new(grey.iter().map(|grey| f32::from(*grey) / 255.0).collect());
        inferences.extend(model.describe(&chunk.iter().filter_map(crop).collect::<Vec<Crop>>())?);
    }
    Ok((origins, inferences))
}

fn cells(origins: &[Origin], inferences: &[Inference]) -> Vec<CellFeatures> {
    let latents: Vec<Latent> = inferences.iter().map(|it| it.latent).collect();
    evaluate::pool(origins, &features(&latents))
}
