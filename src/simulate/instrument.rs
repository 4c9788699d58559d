//! Writes a film the way instruments do: their file names, their order of bytes, their habits.
//!
//! Takes fields of view ([`Fov`]) and [`InstrumentSettings`], gives files in a folder at a given pace until the film ends or
//! somebody asks it to stop; the truth goes beside ([`TruthWriter`]), never into the watched folder.
//!
//! | layout | name |
//! |---|---|
//! | [`Layout::Nikon`] | `<session>/m901xy01t001.tif` |
//! | [`Layout::MicroManager`] | `<session>_m901/img_channel000_position000_time000000000_z000.tif` |
//! | [`Layout::SeriesTime`] | `<session>/m901_s01_t00000.tif` |
//! | [`Layout::OmeGrowing`] | `<session>/m901_s01.ome.tif`, one page more per time point |

use super::scene::{Moment, Scene, SimulatedFrame};
use super::tiff::{self, Growing, Page};
use super::truth::TruthWriter;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};
use thiserror::Error;

/// What a simulated instrument could not do.
#[derive(Debug, Error)]
pub enum SimulateError {
    /// A file or folder could not be written.
    #[error("write {path}: check that the folder exists, is writable and has space")]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Settings that make no film.
    #[error("{what}: {why}")]
    Settings {
        /// The setting.
        what: &'static str,
        /// What to do.
        why: &'static str,
    },
}

impl SimulateError {
    /// The stable name of this error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Write { .. } => "simulate_write",
            Self::Settings { .. } => "simulate_settings",
        }
    }

    /// Turns an I/O error on `path` into this one.
    pub(super) fn write(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Write { path, source }
    }
}

/// How files are named and what one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, clap::ValueEnum)]
pub enum Layout {
    /// One TIFF per frame, named like an export of Nikon's software.
    Nikon,
    /// One TIFF per frame, named like Micro-Manager's single files.
    #[value(name = "micromanager")]
    MicroManager,
    /// One TIFF per frame: sample, series, time.
    #[value(name = "s-t")]
    SeriesTime,
    /// One OME-TIFF per field of view that grows in place.
    #[value(name = "ome-growing")]
    OmeGrowing,
}

/// How a file comes to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WriteStyle {
    /// In one go under its own name.
    Whole,
    /// Half of it, a pause, the rest, under its own name.
    Partial,
    /// Under a temporary name, then renamed.
    Rename,
}

/// How an instrument writes.
#[derive(Debug, Clone, PartialEq)]
pub struct InstrumentSettings {
    /// The folder that is watched.
    pub folder: PathBuf,
    /// Name of the session.
    pub session: String,
    /// File names.
    pub layout: Layout,
    /// How a file comes to be.
    pub style: WriteStyle,
    /// Wall-clock time from one time point to the next; zero = as fast as it goes.
    pub interval: Duration,
    /// Time points; `None` = until asked to stop.
    pub frames: Option<usize>,
    /// Time points that are held back and written at once; 1 = none.
    pub burst: usize,
}

/// A field of view that the instrument visits.
#[derive(Debug, Clone)]
pub struct Fov {
    /// What is in the well.
    pub sample: String,
    /// Number of the field, from 1.
    pub number: u32,
    /// What there is to see.
    pub scene: Scene,
}

/// Asks an instrument to stop; clones ask the same instrument.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    asked: Arc<(Mutex<bool>, Condvar)>,
}

impl Stop {
    /// Asks: the instrument ends after the frame at hand.
    pub fn ask(&self) {
        *self.asked.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.asked.1.notify_all();
    }

    /// Whether anybody asked.
    pub fn is_asked(&self) -> bool {
        *self.asked.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for `time` or until asked; says whether asked.
    pub fn wait(&self, time: Duration) -> bool {
        let (asked, changed) = &*self.asked;
        let waited =
            changed.wait_timeout_while(asked.lock().unwrap_or_else(PoisonError::into_inner), time, |asked| !*asked);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

/// What an instrument has written so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Written {
    /// Frames on disk, whole.
    pub frames: usize,
    /// Time points begun.
    pub time_points: usize,
}

/// A simulated microscope with its camera and its computer.
#[derive(Debug)]
pub struct Instrument {
    settings: InstrumentSettings,
    fovs: Vec<Fov>,
    growing: Vec<Growing>,
    truth: Option<TruthWriter>,
}

/// Pause in the middle of a partial write, as a share of the interval, and at most this long.
const PARTIAL_SHARE: f64 = 0.3;
const PARTIAL_MOST: Duration = Duration::from_millis(400);

impl Instrument {
    /// An instrument over these fields; makes its folders.
    ///
    /// # Errors
    /// - [`SimulateError::Settings`] without a field, with a burst of no time points, or for a growing OME-TIFF of unknown
    ///   length.
    /// - [`SimulateError::Write`] when a folder cannot be made.
    pub fn new(
        settings: InstrumentSettings,
        fovs: Vec<Fov>,
        truth: Option<TruthWriter>,
    ) -> Result<Self, SimulateError> {
        if fovs.is_empty() {
            return Err(SimulateError::Settings { what: "fields", why: "give at least one field of view" });
        }
        if settings.burst == 0 {
            return Err(SimulateError::Settings { what: "burst", why: "give 1 to write every time point at once" });
        }
        if settings.layout == Layout::OmeGrowing && settings.frames.is_none() {
            return Err(SimulateError::Settings {
                what: "frames",
                why: "an OME-TIFF declares its length: say how many",
            });
        }
        let mut instrument = Self { settings, fovs, growing: Vec::new(), truth };
        for i in 0..instrument.fovs.len() {
            let path = instrument.path(i, 0);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).map_err(SimulateError::write(folder))?;
            }
            if instrument.settings.layout == Layout::OmeGrowing {
                instrument.growing.push(Growing::create(&path).map_err(SimulateError::write(&path))?);
            }
        }
        Ok(instrument)
    }

    /// The file that holds the frame of field number `i` (from 0) at `time_index`.
    fn path(&self, i: usize, time_index: usize) -> PathBuf {
        let session = &self.settings.session;
        let (sample, number) = self.fovs.get(i).map_or(("", 0), |f| (f.sample.as_str(), f.number));
        let relative = match self.settings.layout {
            Layout::Nikon => format!("{session}/{sample}xy{number:02}t{:03}.tif", time_index + 1),
            Layout::MicroManager => format!(
                "{session}_{sample}/img_channel000_position{:03}_time{time_index:09}_z000.tif",
                number.saturating_sub(1)
            ),
            Layout::SeriesTime => format!("{session}/{sample}_s{number:02}_t{time_index:05}.tif"),
            Layout::OmeGrowing => format!("{session}/{sample}_s{number:02}.ome.tif"),
        };
        self.settings.folder.join(relative)
    }

    /// Writes until the film ends or `stop` is asked; `seen` hears after every frame. The truth's tables are closed
    /// in either case.
    ///
    /// # Errors
    /// [`SimulateError::Write`] for the file that could not be written.
    pub fn run(&mut self, stop: &Stop, seen: &mut dyn FnMut(Written)) -> Result<Written, SimulateError> {
        let begun = Instant::now();
        let mut written = Written::default();
        let mut held: Vec<SimulatedFrame> = Vec::new();
        while self.settings.frames.is_none_or(|n| written.time_points < n) {
            let due = self.settings.interval.saturating_mul(u32::try_from(written.time_points).unwrap_or(u32::MAX));
            if stop.wait(due.saturating_sub(begun.elapsed())) {
                break;
            }
            let time_index = written.time_points;
            let moments: Vec<Moment> = self
                .fovs
                .iter_mut()
                .map(|fov| {
                    fov.scene.go_to(time_index);
                    fov.scene.moment()
                })
                .collect();
            held.extend(moments.par_iter().map(Moment::render).collect::<Vec<_>>());
            written.time_points += 1;
            let last = self.settings.frames == Some(written.time_points);
            if written.time_points.is_multiple_of(self.settings.burst) || last {
                self.write_all(&std::mem::take(&mut held), stop, &mut written, seen)?;
            }
        }
        self.write_all(&held, stop, &mut written, seen)?;
        if let Some(truth) = &mut self.truth {
            truth.finish()?;
        }
        Ok(written)
    }

    /// Writes frames in the order of time, then field; a multiple of the number of fields.
    fn write_all(
        &mut self,
        frames: &[SimulatedFrame],
        stop: &Stop,
        written: &mut Written,
        seen: &mut dyn FnMut(Written),
    ) -> Result<(), SimulateError> {
        for (k, frame) in frames.iter().enumerate() {
            let i = k % self.fovs.len();
            self.write(i, frame, stop)?;
            if let (Some(truth), Some(fov)) = (&mut self.truth, self.fovs.get(i)) {
                truth.add(&fov.sample, fov.number, frame)?;
            }
            written.frames += 1;
            seen(*written);
        }
        Ok(())
    }

    fn write(&mut self, i: usize, frame: &SimulatedFrame, stop: &Stop) -> Result<(), SimulateError> {
        let path = self.path(i, frame.time_index);
        let settings = &self.settings;
        let pixel_um = self.fovs.get(i).map_or(1.0, |f| f.scene.settings().optics.pixel_um);
        let description = (settings.layout == Layout::OmeGrowing && frame.time_index == 0)
            .then(|| ome_xml((frame.width_px, frame.height_px), settings.frames.unwrap_or(1), pixel_um));
        let description = description.as_deref();
        let page = Page { width_px: frame.width_px, counts: &frame.counts, pixel_um, description, packed: false };
        let pause = settings.interval.mul_f64(PARTIAL_SHARE).min(PARTIAL_MOST);
        let mut halfway = || {
            if settings.style == WriteStyle::Partial {
                stop.wait(pause);
            }
        };
        match self.growing.get_mut(i) {
            Some(growing) => growing.append(&page, &mut halfway).map_err(SimulateError::write(&path)),
            None => write_file(&path, &tiff::single(&page), settings.style, &mut halfway),
        }
    }
}

/// Writes a whole file in the given style.
fn write_file(path: &Path, bytes: &[u8], style: WriteStyle, halfway: &mut dyn FnMut()) -> Result<(), SimulateError> {
    let by_steps = |at: &Path, halfway: &mut dyn FnMut()| -> io::Result<()> {
        let mut file = fs::File::create(at)?;
        let (first, second) = bytes.split_at(bytes.len() / 2);
        file.write_all(first)?;
        file.flush()?;
        halfway();
        file.write_all(second)?;
        file.flush()
    };
    match style {
        WriteStyle::Whole | WriteStyle::Partial => by_steps(path, halfway),
        WriteStyle::Rename => {
            let mut temporary = path.as_os_str().to_owned();
            temporary.push(".part");
            let temporary = PathBuf::from(temporary);
            by_steps(&temporary, halfway).and_then(|()| fs::rename(&temporary, path))
        }
    }
    .map_err(SimulateError::write(path))
}

/// The OME-XML of a film of `size_t` planes of this width and height.
pub(super) fn ome_xml((width, height): (usize, usize), size_t: usize, pixel_um: f64) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><OME xmlns=\"http://www.openmicroscopy.org/Schemas/OME/2016-06\">\
         <Image ID=\"Image:0\"><Pixels ID=\"Pixels:0\" DimensionOrder=\"XYCZT\" Type=\"uint16\" BigEndian=\"false\" \
         SizeX=\"{width}\" SizeY=\"{height}\" SizeC=\"1\" SizeZ=\"1\" SizeT=\"{size_t}\" PhysicalSizeX=\"{pixel_um}\" \
         PhysicalSizeXUnit=\"\u{b5}m\" PhysicalSizeY=\"{pixel_um}\" PhysicalSizeYUnit=\"\u{b5}m\">\
         <Channel ID=\"Channel:0:0\" Name=\"Phase contrast\" SamplesPerPixel=\"1\"/>\
         <TiffData/></Pixels></Image></OME>"
    )
}

#[cfg(test)]
mod tests;
