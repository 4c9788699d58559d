//! The cell of an explanation from low to high: its pictures as files, and what they say.

use crate::cells::Crop;
use crate::explain::exaggerate::exaggerate;
use crate::explain::hallmarks::{Hallmarks, Light};
use crate::explain::story::{ExaggeratedPicture, ExaggeratedStory, Rise};
use crate::explain::strip;
use crate::infer::Model;
use crate::infer::exaggerator::Exaggerator;
use anyhow::Context as _;
use std::fs;
use std::path::Path;

/// Pictures either way from the cell as it is.
const STEPS: u16 = 4;

/// Exaggerates the cell of `crop` along `feature` and writes the pictures into `out`.
pub(super) fn exaggerated(
    out: &Path,
    (model, exaggerator): (&mut Model, &Exaggerator),
    (crop, light): (&Crop, Light),
    feature: usize,
) -> anyhow::Result<ExaggeratedStory> {
    let box_um = model.bundle().facts.crop.box_um;
    let way = exaggerate((model, exaggerator), (crop, light, box_um), feature, STEPS)?;
    let measured: Vec<(f64, Hallmarks)> =
        way.pictures.iter().filter_map(|it| Some((it.shift, it.hallmarks?))).collect();
    let mut pictures = Vec::new();
    for (number, it) in (1..).zip(&way.pictures) {
        let file = format!("exaggerated_{number:02}.png");
        let shown = it.shown(light).context("nothing was drawn")?;
        let path = out.join(&file);
        fs::write(&path, strip::png(&[vec![&shown]])?).with_context(|| format!("write {}", path.display()))?;
        pictures.push(ExaggeratedPicture {
            file,
            protrusions_times: it.protrusions_times,
            granules_times: it.granules_times,
            shift: it.shift,
            score: it.score,
            hallmarks: it.hallmarks,
        });
    }
    Ok(ExaggeratedStory { answer: way.answer, pictures, rise: Rise::along(&measured) })
}
