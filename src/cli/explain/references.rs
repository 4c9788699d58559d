//! `cytowatch explain references`: shows a bundle some of the cells that it was trained on, and keeps what it says beside it.

use crate::cells::Crop;
use crate::cells::crop::Cutter;
use crate::cli::model::ModelArgs;
use crate::cli::say;
use crate::explain::hallmarks::{Light, measure};
use crate::explain::read_crop;
use crate::explain::references::{Reference, SHEET, TABLE, write};
use crate::simulate::{Class, CropPlan, Panel, SceneSettings, crops};
use crate::units::{PixelSize, PointPx};
use anyhow::{Context as _, ensure};
use std::path::{Path, PathBuf};

/// Crops that are described at a time.
const AT_ONCE: usize = 32;

/// Arguments of `explain references`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder of 256 x 256 PNG crops that the model was trained on; when absent, simulated cells.
    #[arg(long)]
    crops: Option<PathBuf>,
    /// Seed of the simulated panel that the model was trained on.
    #[arg(long, default_value_t = 1, conflicts_with = "crops")]
    panel: u64,
    /// Simulated fields of view per day and tumour.
    #[arg(long, default_value_t = 1, conflicts_with = "crops")]
    fovs: usize,
    /// Cells that are kept at most, evenly chosen.
    #[arg(long, default_value_t = 240)]
    most: usize,
    /// The model.
    #[command(flatten)]
    model: ModelArgs,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let mut model = args.model.load()?;
    let folder = args.model.bundle_folder()?;
    let all = match &args.crops {
        Some(folder) => of_folder(folder)?,
        None => of_panel(args),
    };
    ensure!(!all.is_empty(), "there are no crops");
    let every = all.len().div_ceil(args.most.max(1));
    let chosen: Vec<Shown> = all.into_iter().step_by(every).collect();
    let box_um = model.bundle().facts.crop.box_um;
    let mut cells = Vec::new();
    for chunk in chosen.chunks(AT_ONCE) {
        let crops: Vec<Crop> = chunk.iter().map(|it| it.crop.clone()).collect();
        let described = model.describe(&crops)?;
        cells.extend(chunk.iter().zip(described).map(|(Shown { name, high, crop, light }, it)| {
            let hallmarks = light.and_then(|light| measure(crop, light, box_um));
            Reference::new(name, *high, crop, it.latent, hallmarks)
        }));
    }
    write(&folder, &model.bundle().identity, &cells)?;
    let (table, sheet) = (folder.join(TABLE), folder.join(SHEET));
    Ok(say(&format!("{} reference cells in {} and {}", cells.len(), table.display(), sheet.display()))?)
}

/// A cell that the model was trained on.
struct Shown {
    name: String,
    high: Option<bool>,
    crop: Crop,
    /// How bright it was; a file does not tell.
    light: Option<Light>,
}

/// The panel's cells at their first time point.
fn of_panel(args: &Args) -> Vec<Shown> {
    let panel = Panel::new(args.panel);
    let cutter = Cutter::new(PixelSize::PAPER);
    let scene = SceneSettings { cells: 16, ..SceneSettings::default() };
    let plan = CropPlan { fovs: args.fovs, time_points: 1, stride: 1, scene, ..CropPlan::default() };
    let cells = crops(&panel, &plan, |window| {
        let middle = (window.plane.width_px() / 2) as f64;
        let middle = PointPx { x: middle, y: middle };
        let crop = cutter.cut(&window.plane, middle)?;
        let light = Light::of(&window.plane, middle, plan.side_px);
        let (day, tumour) = (panel.days.get(window.place.day)?, panel.tumours.get(window.place.tumour)?);
        let name = format!("{} {} s{} cell {}", day.date, tumour.name, window.place.fov, window.truth.id);
        Some(Shown { name, high: Some(window.class == Class::High), crop, light })
    });
    cells.into_iter().flatten().collect()
}

fn of_folder(folder: &Path) -> anyhow::Result<Vec<Shown>> {
    let entries = std::fs::read_dir(folder).with_context(|| format!("list {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|it| Ok(it?.path())).collect::<std::io::Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|it| it.eq_ignore_ascii_case("png")));
    paths.sort();
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let shown = |path: &PathBuf| Ok(Shown { name: name(path), high: None, crop: read_crop(path)?, light: None });
    paths.iter().map(shown).collect()
}
