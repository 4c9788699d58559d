//! The model's thread: crops in, descriptors and scores out, frame by frame.

use super::analyse::panic_text;
use super::job::{Analysed, Found, Outcome, Scored};
use crate::cells::Crop;
use crate::infer::engine::BATCHES;
use crate::infer::{Inference, Model, Withheld};
use crate::status::{Stage, Status, monotonic_now};
use async_channel::{Receiver, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Crops between two signs of life: some seconds for the largest network in the slower engine, however crowded the frame. A multiple
/// of the largest batch, so that crops meet in the same batches as if all were described at once.
const CROPS_PER_BEAT: usize = 2 * BATCHES[0];

/// Takes frames from `found` until the queue is closed; owns the model and runs on a thread of its own.
pub fn score(mut model: Model, found: &Receiver<Analysed>, scored: &Sender<Scored>, status: &Status) {
    while let Ok(Analysed { job, outcome }) = found.recv_blocking() {
        status.begin(Stage::Infer);
        let began = monotonic_now();
        let outcome = match outcome {
            Outcome::Result(mut found) => match describe(&mut model, &mut found, || status.beat(Stage::Infer)) {
                Ok(inferences) => Outcome::Result((found, inferences)),
                Err((code, reason)) => Outcome::Failed { code, reason },
            },
            Outcome::Failed { code, reason } => Outcome::Failed { code, reason },
            Outcome::Again { reason } => Outcome::Again { reason },
        };
        status.add_work(Stage::Infer, began.elapsed(), 1);
        if !status.hand_on(Stage::Infer, || scored.send_blocking(Scored { job, outcome }).is_ok()) {
            return;
        }
    }
}

/// One entry for each cell of the frame, `None` where it has no crop. The crops are taken out of the cells: they are the only large
/// thing in them and nobody needs them afterwards. `beat` hears of every part of a crowded frame that is done.
pub(super) fn describe(
    model: &mut Model,
    found: &mut Found,
    beat: impl Fn(),
) -> Result<Vec<Option<Inference>>, (&'static str, String)> {
    let cells = &mut found.cells.cells;
    let has_crop: Vec<bool> = cells.iter().map(|cell| cell.crop.is_some()).collect();
    let crops: Vec<Crop> = cells.iter_mut().filter_map(|cell| cell.crop.take()).collect();
    let began = monotonic_now();
    let mut described = Vec::with_capacity(crops.len());
    for part in crops.chunks(CROPS_PER_BEAT) {
        let inferences = catch_unwind(AssertUnwindSafe(|| model.describe(part)))
            .map_err(|panic| ("defect", panic_text(panic.as_ref())))?
            .map_err(|error| (error.code(), super::chain(&error)))?;
        described.extend(inferences);
        beat();
    }
    if !crops.is_empty() {
        crate::metrics::batch_ran(crops.len(), began.elapsed());
    }
    let mut described = described.into_iter();
    let mut inferences: Vec<Option<Inference>> =
        has_crop.into_iter().map(|has| if has { described.next() } else { None }).collect();
    model.judge_frame(cells, found.pixel_size, &mut inferences);
    if found.pixel_size_contradicted {
        inferences.iter_mut().flatten().for_each(|inference| inference.withheld = Some(Withheld::PixelSize));
    }
    Ok(inferences)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cells::{Cell, FoundCells, FrameVerdict, Shape};
    use crate::frame::FrameQuality;
    use crate::infer::architecture::AutoencoderSpec;
    use crate::infer::{EngineChoice, InferSettings, untrained};
    use crate::units::{PixelSize, PointPx};
    use std::cell::Cell as Counter;

    #[test]
    fn a_crowded_frame_gives_signs_of_life_and_the_same_bits() {
        let folder = tempfile::tempdir().unwrap();
        untrained::write_bundle(folder.path(), AutoencoderSpec::new(4, 2).unwrap(), 3).unwrap();
        let settings = InferSettings {
            bundle: folder.path().to_owned(),
            engine: EngineChoice::Rten,
            threads: 1,
            ..InferSettings::default()
        };
        let mut model = Model::load(&settings).unwrap();
        let crops = untrained::synthetic_crops(41, 5);
        let at_once = model.describe(&crops).unwrap();
        let cell = |crop: &Crop| Cell {
            centroid: PointPx { x: 0.0, y: 0.0 },
            outline: Vec::new(),
            shape: Shape::default(),
            touches_border: false,
            crop: Some(crop.clone()),
        };
        let mut found = Found {
            size_px: (10, 10),
            pixel_size: PixelSize::PAPER,
            pixel_size_contradicted: false,
            quality: FrameQuality { background_counts: 1000.0, evenness: 1.0, focus: 1.0, saturated_share: 0.0 },
            cells: FoundCells {
                verdict: FrameVerdict::Usable,
                in_doubt: false,
                cells: crops.iter().map(cell).collect(),
            },
        };
        let beats = Counter::new(0);
        let in_parts = describe(&mut model, &mut found, || beats.set(beats.get() + 1)).unwrap();
        assert_eq!(beats.get(), 3);
        let latents = |all: &[Inference]| all.iter().map(|one| one.latent.map(f32::to_bits)).collect::<Vec<_>>();
        let in_parts: Vec<Inference> = in_parts.into_iter().flatten().collect();
        assert_eq!(latents(&in_parts), latents(&at_once));
    }
}
