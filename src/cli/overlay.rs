//! `cytowatch overlay`: draws what is found over the frames it is found in.

use crate::cells::DetectSettings;
use crate::evaluate::{detector::Detector, draw::Overlay, folder};
use crate::frame;
use crate::id::TimeIndex;
use crate::infer::{EngineChoice, InferSettings};
use crate::picture;
use crate::track::link::{LinkSettings, Linker, Observation};
use crate::units::PixelSize;
use anyhow::Context as _;
use std::path::PathBuf;

/// Draws outlines, coloured by track, over a picture or over every picture of a folder, as PNG.
///
/// The pictures of a folder are taken as one field of view, in the order of their names. The command neither reads nor
/// writes the database: it shows what the daemon would find with the same two settings.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A TIFF, PNG or JPEG, or a folder of them.
    pub path: PathBuf,
    /// Folder for the PNG files; made when it is not there.
    #[arg(long)]
    pub out: PathBuf,
    /// Pixel size, um.
    #[arg(long, default_value_t = 0.325)]
    pub pixel_size_um: f64,
    /// Width of a typical cell, um; within a factor of two is good enough.
    #[arg(long, default_value_t = 20.0)]
    pub cell_diameter_um: f64,
    /// Folder of the network that finds cells, `auto` or `none`; by default as the daemon has it.
    #[arg(long, default_value = "auto")]
    pub model: PathBuf,
    /// The engine that runs the network.
    #[arg(long, default_value = "auto")]
    pub engine: EngineChoice,
}

/// Runs the command.
///
/// # Errors
/// When a picture cannot be read or a result cannot be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let pixel_size = PixelSize::new(args.pixel_size_um)?;
    let settings = DetectSettings { cell_diameter_um: args.cell_diameter_um, ..DetectSettings::new(pixel_size) };
    std::fs::create_dir_all(&args.out).with_context(|| format!("make folder {}", args.out.display()))?;
    let detector = Detector::open(&args.model, &InferSettings { engine: args.engine, ..InferSettings::default() })?;
    let mut linker = Linker::new(LinkSettings::new(pixel_size));
    for (time, path) in folder::pictures(&args.path)?.iter().enumerate() {
        let frame = frame::correct(folder::plane(path)?, pixel_size);
        let found = detector.find(&frame, &settings)?;
        let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
        let links = linker.link(TimeIndex(time as i64), &seen);
        let mut overlay = Overlay::of(&frame);
        for (cell, link) in found.cells.iter().zip(&links) {
            overlay.draw(cell, link.number);
        }
        let (width, height, rgb) = overlay.parts();
        let name = path.file_stem().unwrap_or_default();
        let out = args.out.join(name).with_extension("png");
        let png = picture::rgb_png(width, height, rgb)?;
        std::fs::write(&out, png).with_context(|| format!("write {}", out.display()))?;
        super::say(&format!("{}: {} cells, {:?}", out.display(), found.cells.len(), found.verdict))?;
    }
    Ok(())
}
