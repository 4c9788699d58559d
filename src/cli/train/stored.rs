//! Crops of the cells that a database holds, cut again from the instrument's frames.

use super::Args;
use crate::cells::crop::Cutter;
use crate::cli::verify::settings_of;
use crate::cli::{block_on, stored};
use crate::id::{FrameId, RunId};
use crate::learn::dataset::{Origin, Pictures, labels};
use crate::pipeline::reread;
use crate::store::places::{PlacedCell, placed_cells};
use crate::store::query::FrameSource;
use crate::store::stored::stored_runs;
use crate::store::{self, Readers};
use crate::units::PixelSize;
use anyhow::{Context as _, bail, ensure};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Pixel sizes further apart than this share are two instruments' magnifications: a model is trained for one.
const PIXEL_SIZE_SHARE: f64 = 0.02;

/// The crops of the followed cells of `database`, labelled by sample, at `side_px`, and the frames' pixel size.
///
/// # Errors
/// When a session is not there, a label names no sample of theirs, a frame is gone or was changed since (each is named), or
/// there is no followed cell.
pub(super) fn pictures(args: &Args, database: &Path, side_px: usize) -> anyhow::Result<(Pictures, PixelSize)> {
    ensure!(database.is_file(), "there is no database {}", database.display());
    let table = args.labels.as_ref().context("--database needs --labels")?;
    let labels = labels::read(table)?;
    let (cells, folders) = block_on(async {
        let readers = store::open_read_only(database).await?;
        let cells = chosen(&readers, &args.sessions).await?;
        let folders = match &args.folder {
            Some(folder) => cells.iter().map(|cell| (cell.run_id, folder.clone())).collect(),
            None => folders(&readers, &cells).await?,
        };
        Ok((cells, folders))
    })?;
    ensure!(
        !cells.is_empty(),
        "the database holds no followed cells: let `cytowatch run` or `backfill` take the frames"
    );
    labels::check(&labels, &cells.iter().map(origin).collect::<Vec<_>>())?;
    let pixel_size = pixel_size(&cells)?;
    let cutter = Cutter::new(pixel_size);
    let mut all = Pictures::new(side_px);
    // Frame by frame, so that each is read once.
    let mut frames: BTreeMap<FrameId, Vec<&PlacedCell>> = BTreeMap::new();
    for cell in spread(&cells, args.per_cell) {
        frames.entry(cell.source.frame_id).or_default().push(cell);
    }
    for cells in frames.values() {
        let Some(first) = cells.first() else { continue };
        let folder = folders.get(&first.run_id).context("a frame was analysed by a run that is not there")?;
        let plane = reread::door(folder.clone())(&first.source)
            .with_context(|| format!("{} (give --folder when it was moved)", first.source.path))?;
        for cell in cells {
            // Boxes that leave the frame are left out, as the daemon leaves them out.
            let Some(crop) = cutter.cut(&plane, cell.centre()) else { continue };
            let mut origin = origin(cell);
            origin.high = labels.get(&origin.sample.to_lowercase()).copied();
            all.push(&crop, origin);
        }
    }
    ensure!(!all.is_empty(), "no cell's box lies wholly inside its frame");
    Ok((all, pixel_size))
}

/// The cells of the named sessions, or of all.
async fn chosen(readers: &Readers, sessions: &[String]) -> anyhow::Result<Vec<PlacedCell>> {
    if sessions.is_empty() {
        return Ok(placed_cells(readers, None).await?);
    }
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for name in sessions {
        let session = stored::session(readers, name).await?;
        if seen.insert(session) {
            all.extend(placed_cells(readers, Some(session)).await?);
        }
    }
    Ok(all)
}

/// The folder that each run watched.
async fn folders(readers: &Readers, cells: &[PlacedCell]) -> anyhow::Result<BTreeMap<RunId, PathBuf>> {
    let sessions: BTreeSet<_> = cells.iter().map(|cell| cell.session_id).collect();
    let mut folders = BTreeMap::new();
    for session in sessions {
        for run in stored_runs(readers, session).await? {
            folders.insert(run.run, settings_of(&run)?.watch.folder);
        }
    }
    Ok(folders)
}

/// Where the file does not tell the day of acquisition the session stands for it: the day on which a frame reached this
/// database may be the same for all.
fn origin(cell: &PlacedCell) -> Origin {
    Origin {
        day: cell.acquired_day.clone().unwrap_or_else(|| format!("{}/{}", cell.instrument, cell.session)),
        sample: cell.sample.clone(),
        fov: format!("{}/{}/{}", cell.instrument, cell.session, cell.fov),
        cell: cell.track_number.to_string(),
        time_index: usize::try_from(cell.time_index).unwrap_or_default(),
        high: None,
    }
}

/// At most `most` cells of every track, evenly over its time; `cells` holds each track in one piece.
fn spread(cells: &[PlacedCell], most: usize) -> impl Iterator<Item = &PlacedCell> {
    let track = |cell: &PlacedCell| (cell.session_id, cell.sample.clone(), cell.fov.clone(), cell.track_number);
    cells.chunk_by(move |a, b| track(a) == track(b)).flat_map(move |track| {
        let kept = most.clamp(1, track.len().max(1));
        (0..kept).filter_map(move |number| track.get((2 * number + 1) * track.len() / (2 * kept)))
    })
}

/// The pixel size of all frames.
fn pixel_size(cells: &[PlacedCell]) -> anyhow::Result<PixelSize> {
    let known = |source: &FrameSource| {
        source.pixel_size_um.with_context(|| format!("the pixel size of {} is not known", source.path))
    };
    let first = cells.first().context("there are no cells")?;
    let um = known(&first.source)?;
    for cell in cells {
        let other = known(&cell.source)?;
        if (other / um - 1.0).abs() > PIXEL_SIZE_SHARE {
            bail!(
                "{} has pixels of {um} um, {} of {other} um: train on sessions of one magnification",
                first.source.path,
                cell.source.path
            );
        }
    }
    Ok(PixelSize::new(um)?)
}
