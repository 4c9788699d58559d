//! The model's thread: crops in, descriptors and scores out, frame by frame.

use super::analyse::panic_text;
use super::job::{Analysed, Found, Outcome, Scored};
use crate::cells::Crop;
use crate::infer::{Inference, Model, Withheld};
use crate::status::{Stage, Status, monotonic_now};
use async_channel::{Receiver, Sender};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Takes frames from `found` until the queue is closed; owns the model and runs on a thread of its own.
pub fn score(mut model: Model, found: &Receiver<Analysed>, scored: &Sender<Scored>, status: &Status) {
    while let Ok(Analysed { job, outcome }) = found.recv_blocking() {
        status.begin(Stage::Infer);
        let began = monotonic_now();
        let outcome = match outcome {
            Outcome::Result(mut found) => match describe(&mut model, &mut found) {
                Ok(inferences) => Outcome::Result((found, inferences)),
                Err((code, reason)) => Outcome::Failed { code, reason },
            },
            Outcome::Failed { code, reason } => Outcome::Failed { code, reason },
            Outcome::Again { reason } => Outcome::Again { reason },
        };
        status.add_work(Stage::Infer, began.elapsed(), 1);
        let began = monotonic_now();
        if scored.send_blocking(Scored { job, outcome }).is_err() {
            return;
        }
        status.add_blocked(Stage::Infer, began.elapsed());
    }
}

/// One entry for each cell of the frame, `None` where it has no crop. The crops are taken out of the cells: they are the only large
/// thing in them and nobody needs them afterwards.
pub(super) fn describe(model: &mut Model, found: &mut Found) -> Result<Vec<Option<Inference>>, (&'static str, String)> {
    let cells = &mut found.cells.cells;
    let has_crop: Vec<bool> = cells.iter().map(|cell| cell.crop.is_some()).collect();
    let crops: Vec<Crop> = cells.iter_mut().filter_map(|cell| cell.crop.take()).collect();
    let began = monotonic_now();
    let described = catch_unwind(AssertUnwindSafe(|| model.describe(&crops)))
        .map_err(|panic| ("defect", panic_text(panic.as_ref())))?
        .map_err(|error| (error.code(), super::chain(&error)))?;
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
