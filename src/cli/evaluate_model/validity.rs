//! How much the guard withholds: of good cells, and of crops on which no score may be shown.

use crate::cells::{Crop, DetectSettings, FrameVerdict};
use crate::evaluate::detector::Detector;
use crate::evaluate::folder;
use crate::frame::{self, CorrectedFrame};
use crate::infer::{Inference, Model, Withheld};
use crate::learn::guard::{FramesPlan, each_field};
use crate::learn::report::Guarded;
use crate::learn::strange::{self, Field};
use crate::units::PixelSize;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Fields of each simulated strange kind.
const FIELDS: u64 = 6;
/// Crops that are described at a time.
const AT_ONCE: usize = 32;

/// Good cells of the panel, found and judged in their frames, then the simulated strange kinds and the pictures of `paths`: a row for
/// each of them.
pub(super) fn measure(
    model: &mut Model,
    detector: &Detector,
    panel: FramesPlan,
    paths: &[PathBuf],
) -> anyhow::Result<Vec<Guarded>> {
    let good = each_field(&panel, |frame| judged_frame(model, detector, frame))?;
    let good: Vec<Option<&'static str>> = good.into_iter().flatten().flatten().collect();
    let mut rows = vec![row("good cells of the panel, found in their frames", &good)];
    for kind in strange::ALL {
        let mut all = Vec::new();
        for field in (0..FIELDS).filter_map(|seed| kind.field(seed)) {
            all.extend(judged_field(model, detector, &field)?);
        }
        rows.push(row(&format!("simulated: {}", kind.name()), &all));
    }
    for path in paths {
        let mut all = Vec::new();
        for file in files(path)? {
            all.extend(judged_field(model, detector, &Field::of(folder::plane(&file)?))?);
        }
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        rows.push(row(&name, &all));
    }
    Ok(rows)
}

/// As the daemon judges a frame and its cells; those without a crop are left out.
fn judged_frame(
    model: &mut Model,
    detector: &Detector,
    frame: &CorrectedFrame,
) -> anyhow::Result<Vec<Option<&'static str>>> {
    let found = detector.find(frame, &DetectSettings::new(PixelSize::PAPER))?;
    let mut inferences: Vec<Option<Inference>> = Vec::with_capacity(found.cells.len());
    for chunk in found.cells.chunks(AT_ONCE) {
        let crops: Vec<Crop> = chunk.iter().filter_map(|cell| cell.crop.clone()).collect();
        let mut described = model.describe(&crops)?.into_iter();
        inferences.extend(chunk.iter().map(|cell| cell.crop.as_ref().and_then(|_| described.next())));
    }
    model.judge_frame(&found.cells, PixelSize::PAPER, &mut inferences);
    let why = |inference: Inference| of_frame(found.verdict).or(inference.withheld.map(Withheld::code));
    Ok(inferences.into_iter().flatten().map(why).collect())
}

/// Why no score of a frame of this verdict is shown.
fn of_frame(verdict: FrameVerdict) -> Option<&'static str> {
    match verdict {
        FrameVerdict::Usable | FrameVerdict::Empty => None,
        FrameVerdict::OutOfFocus => Some("frame_out_of_focus"),
        FrameVerdict::TooDense => Some("frame_too_dense"),
        FrameVerdict::WrongKind => Some("frame_wrong_kind"),
    }
}

/// As the daemon judges the cells of a frame; where it finds none, crops are cut anyway and judged by themselves.
fn judged_field(model: &mut Model, detector: &Detector, field: &Field) -> anyhow::Result<Vec<Option<&'static str>>> {
    let judged = judged_frame(model, detector, &frame::correct(field.plane.clone(), PixelSize::PAPER))?;
    if !judged.is_empty() {
        return Ok(judged);
    }
    let mut all = Vec::new();
    for chunk in field.crops().chunks(AT_ONCE) {
        all.extend(model.describe(chunk)?.into_iter().map(|inference| inference.withheld.map(Withheld::code)));
    }
    Ok(all)
}

/// What became of the crops called `name`.
pub(super) fn row(name: &str, judged: &[Option<&'static str>]) -> Guarded {
    let mut reasons: BTreeMap<&'static str, usize> = BTreeMap::new();
    for why in judged.iter().flatten() {
        *reasons.entry(why).or_default() += 1;
    }
    Guarded { name: name.to_owned(), crops: judged.len(), reasons }
}

/// The pictures of a folder and the folders in it, sorted; a file stands for itself.
fn files(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let read = || format!("read folder {}", path.display());
    let entries = std::fs::read_dir(path).and_then(Iterator::collect::<Result<Vec<_>, _>>).with_context(read)?;
    let mut inside: Vec<PathBuf> = entries.iter().map(std::fs::DirEntry::path).collect();
    inside.sort();
    let mut all = Vec::new();
    for entry in inside {
        let picture = entry.extension().and_then(|e| e.to_str()).map(str::to_lowercase);
        if entry.is_dir() {
            all.extend(files(&entry)?);
        } else if picture.is_some_and(|e| ["png", "jpg", "jpeg", "tif", "tiff"].contains(&e.as_str())) {
            all.push(entry);
        }
    }
    Ok(all)
}
