//! What is true of a film, on disk: masks and tracks in the layout of the Cell Tracking Challenge, tables beside.
//!
//! ```text
//!  <folder>/samples.csv                        sample, label
//!  <folder>/cells.csv                          one row per cell and frame: kind, latents, hallmarks
//!  <folder>/events.csv                         divisions, deaths, changes of state, comings and goings
//!  <folder>/frames.csv                         defocus and drift of every frame
//!  <folder>/m901_s01_GT/TRA/man_track0000.tif  masks; values are track numbers
//!  <folder>/m901_s01_GT/TRA/man_track.txt      track, first frame, last frame, parent
//!  <folder>/m901_s01_GT/SEG/man_seg0000.tif    the same masks
//! ```
//!
//! A cell that leaves the frame and comes back is a new track with the old one as its parent, as in the challenge's own
//! reference; the column `cell` of `cells.csv` keeps its identity.

use super::instrument::SimulateError;
use super::panel::Class;
use super::scene::{CellTruth, SimulatedFrame};
use super::tiff::{self, Page};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// A track of the challenge's layout.
#[derive(Debug, Clone, Copy)]
struct Track {
    label: u16,
    cell: u32,
    first: usize,
    last: usize,
    parent: u16,
}

/// Writes the truth of a session, frame by frame; each field's frames in the order of time.
#[derive(Debug)]
pub struct TruthWriter {
    folder: PathBuf,
    tables: BTreeMap<&'static str, fs::File>,
    tracks: BTreeMap<(String, u32), Vec<Track>>,
    masks: bool,
}

impl TruthWriter {
    /// A writer into `folder` (made when absent) for these samples; without `masks` only the tables are written.
    ///
    /// # Errors
    /// [`SimulateError::Write`] when folder or tables cannot be made.
    pub fn new(folder: &Path, samples: &[(String, Class)], masks: bool) -> Result<Self, SimulateError> {
        fs::create_dir_all(folder).map_err(SimulateError::write(folder))?;
        let heads = [
            ("samples.csv", "sample,label"),
            ("cells.csv", CELLS_HEAD),
            ("events.csv", "sample,fov,time_index,cell,event"),
            ("frames.csv", "sample,fov,time_index,defocus_um,drift_x_um,drift_y_um"),
        ];
        let mut writer = Self { folder: folder.to_path_buf(), tables: BTreeMap::new(), tracks: BTreeMap::new(), masks };
        for (name, head) in heads {
            let path = folder.join(name);
            let file = fs::File::create(&path).map_err(SimulateError::write(&path))?;
            writer.tables.insert(name, file);
            writer.row(name, head)?;
        }
        for (sample, class) in samples {
            let label = match class {
                Class::High => "high",
                Class::Low => "low",
            };
            writer.row("samples.csv", &format!("{sample},{label}"))?;
        }
        Ok(writer)
    }

    fn row(&mut self, table: &'static str, row: &str) -> Result<(), SimulateError> {
        let path = self.folder.join(table);
        let Some(file) = self.tables.get_mut(table) else { return Ok(()) };
        writeln!(file, "{row}").map_err(SimulateError::write(&path))
    }

    /// Adds one frame of field `fov` of `sample`.
    ///
    /// # Errors
    /// [`SimulateError::Write`] for the file that could not be written.
    pub fn add(&mut self, sample: &str, fov: u32, frame: &SimulatedFrame) -> Result<(), SimulateError> {
        let (t, truth) = (frame.time_index, &frame.truth);
        self.row(
            "frames.csv",
            &format!("{sample},{fov},{t},{:.3},{:.3},{:.3}", truth.defocus_um, truth.drift_um.0, truth.drift_um.1),
        )?;
        for (cell, event) in &truth.events {
            // The event's name is what serde calls it.
            let name = serde_json::to_string(event).unwrap_or_default();
            self.row("events.csv", &format!("{sample},{fov},{t},{cell},{}", name.trim_matches('"')))?;
        }
        let labels = self.follow(sample, fov, t, &truth.cells);
        for cell in &truth.cells {
            let track = labels.get(&cell.id).copied().unwrap_or(0);
            self.row("cells.csv", &cell_row(&format!("{sample},{fov},{t}"), track, cell))?;
        }
        if self.masks {
            self.write_masks(&format!("{sample}_s{fov:02}"), frame, &labels)?;
        }
        Ok(())
    }

    /// Carries the field's tracks on by one frame; gives the track number of every cell that shows.
    fn follow(&mut self, sample: &str, fov: u32, t: usize, cells: &[CellTruth]) -> BTreeMap<u32, u16> {
        let tracks = self.tracks.entry((sample.to_owned(), fov)).or_default();
        let mut labels = BTreeMap::new();
        for cell in cells {
            let newest = |id: u32, tracks: &[Track]| tracks.iter().rposition(|track| track.cell == id);
            let own = newest(cell.id, tracks);
            if let Some(track) = own.and_then(|i| tracks.get_mut(i)).filter(|track| track.last + 1 >= t) {
                track.last = t;
                labels.insert(cell.id, track.label);
                continue;
            }
            let before = own.or_else(|| newest(cell.parent?, tracks));
            let parent = before.and_then(|i| tracks.get(i)).map_or(0, |track| track.label);
            let label = u16::try_from(tracks.len() + 1).unwrap_or(u16::MAX);
            tracks.push(Track { label, cell: cell.id, first: t, last: t, parent });
            labels.insert(cell.id, label);
        }
        labels
    }

    fn write_masks(
        &self,
        name: &str,
        frame: &SimulatedFrame,
        labels: &BTreeMap<u32, u16>,
    ) -> Result<(), SimulateError> {
        let counts: Vec<u16> = frame
            .truth
            .labels
            .iter()
            .map(|&id| if id == 0 { 0 } else { labels.get(&u32::from(id)).copied().unwrap_or(0) })
            .collect();
        let page = Page { width_px: frame.width_px, counts: &counts, pixel_um: 1.0, description: None, packed: true };
        let bytes = tiff::single(&page);
        for (part, stem) in [("TRA", "man_track"), ("SEG", "man_seg")] {
            let folder = self.folder.join(format!("{name}_GT")).join(part);
            fs::create_dir_all(&folder).map_err(SimulateError::write(&folder))?;
            let path = folder.join(format!("{stem}{:04}.tif", frame.time_index));
            fs::write(&path, &bytes).map_err(SimulateError::write(&path))?;
        }
        Ok(())
    }

    /// Writes the tables of tracks; call it after the last frame (calling it earlier as well does no harm).
    ///
    /// # Errors
    /// [`SimulateError::Write`] for the file that could not be written.
    pub fn finish(&mut self) -> Result<(), SimulateError> {
        for ((sample, fov), tracks) in self.tracks.iter().filter(|_| self.masks) {
            let folder = self.folder.join(format!("{sample}_s{fov:02}_GT")).join("TRA");
            let path = folder.join("man_track.txt");
            let lines: Vec<String> =
                tracks.iter().map(|t| format!("{} {} {} {}", t.label, t.first, t.last, t.parent)).collect();
            let text = lines.join("\n") + "\n";
            fs::create_dir_all(&folder).map_err(SimulateError::write(&folder))?;
            fs::write(&path, text).map_err(SimulateError::write(&path))?;
        }
        Ok(())
    }
}

const CELLS_HEAD: &str = "sample,fov,time_index,track,cell,parent,x_px,y_px,area_px,touches_border,kind,efficiency,\
                          resting_efficiency,transition_share,protrusion_drive,granularity_drive,protrusion_count,\
                          protrusion_total_um,granularity_rad";

fn cell_row(place: &str, track: u16, cell: &CellTruth) -> String {
    let kind = serde_json::to_string(&cell.kind).unwrap_or_default();
    format!(
        "{place},{track},{},{},{:.2},{:.2},{},{},{},{:.4},{:.4},{},{:.4},{:.4},{},{:.2},{:.2}",
        cell.id,
        cell.parent.map(|p| p.to_string()).unwrap_or_default(),
        cell.centroid.x,
        cell.centroid.y,
        cell.area_px,
        u8::from(cell.touches_border),
        kind.trim_matches('"'),
        cell.traits.efficiency,
        cell.resting_efficiency,
        cell.transition_share.map(|s| format!("{s:.3}")).unwrap_or_default(),
        cell.traits.protrusion,
        cell.traits.granularity,
        cell.protrusion_count,
        cell.protrusion_total_um,
        cell.granularity_rad,
    )
}
