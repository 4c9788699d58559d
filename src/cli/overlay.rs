//! `cytowatch overlay`: draws what is found over the frames it is found in.

use crate::cells::DetectSettings;
use crate::evaluate::{detector::Detector, draw::Overlay, folder, sets};
use crate::frame;
use crate::id::TimeIndex;
use crate::infer::{EngineChoice, InferSettings};
use crate::picture;
use crate::track::link::{LinkSettings, Linker, Observation};
use crate::units::{PixelSize, Um};
use anyhow::Context as _;
use std::path::{Path, PathBuf};

/// Draws outlines, coloured by track, over a picture or over every picture of a folder, as PNG.
///
/// The pictures of a folder are taken as one field of view, in the order of their names. The command neither reads nor
/// writes the database: it shows what the daemon would find with the same two settings.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A TIFF, PNG or JPEG, or a folder of them.
    #[arg(required_unless_present = "data", conflicts_with = "data")]
    pub path: Option<PathBuf>,
    /// Folder of the public sets of `evaluate cells`: some pictures of each are drawn, with its own pixel size and width of a
    /// cell.
    #[arg(long)]
    pub data: Option<PathBuf>,
    /// Pictures of each set.
    #[arg(long, default_value_t = 5)]
    pub most: usize,
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
    let detector = Detector::open(&args.model, &InferSettings { engine: args.engine, ..InferSettings::default() })?;
    super::say(&format!("cells are found by {}", detector.name()))?;
    if let Some(path) = &args.path {
        let pixel_size = PixelSize::new(args.pixel_size_um)?;
        return draw(&folder::pictures(path)?, pixel_size, |_| args.cell_diameter_um, &detector, &args.out);
    }
    let data = args.data.as_deref().context("say which pictures: a path, or --data with the public sets")?;
    for set in sets::SETS {
        if !data.join(set.name).is_dir() {
            super::say(&format!("{}: not there", set.name))?;
            continue;
        }
        let mut pictures = sets::pictures(set, data)?;
        pictures.truncate(args.most);
        let pixel_size = PixelSize::new(set.pixel_size_um)?;
        draw(&pictures, pixel_size, |picture| set.hint_um(picture), &detector, &args.out.join(set.name))?;
    }
    Ok(())
}

/// Draws over `pictures`, a film in time order, whose cells are about `hint_um` wide, into the folder `out`.
fn draw(
    pictures: &[PathBuf],
    pixel_size: PixelSize,
    hint_um: impl Fn(&Path) -> Um,
    detector: &Detector,
    out: &Path,
) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("make folder {}", out.display()))?;
    let mut linker = Linker::new(LinkSettings::new(pixel_size));
    for (time, path) in pictures.iter().enumerate() {
        let frame = frame::correct(folder::plane(path)?, pixel_size);
        let settings = DetectSettings { cell_diameter_um: hint_um(path), ..DetectSettings::new(pixel_size) };
        let found = detector.find(&frame, &settings)?;
        let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
        let links = linker.link(TimeIndex(time as i64), &seen);
        let mut overlay = Overlay::of(&frame);
        for (cell, link) in found.cells.iter().zip(&links) {
            overlay.draw(cell, link.number);
        }
        let (width, height, rgb) = overlay.parts();
        // The stills of a set bear one name in folders of their own.
        let name = format!("{time:03}_{}.png", path.file_stem().unwrap_or_default().to_string_lossy());
        let out = out.join(name);
        let png = picture::rgb_png(width, height, rgb)?;
        std::fs::write(&out, png).with_context(|| format!("write {}", out.display()))?;
        let doubt = if found.in_doubt { ", in doubt" } else { "" };
        super::say(&format!("{}: {} cells, {:?}{doubt}", out.display(), found.cells.len(), found.verdict))?;
    }
    Ok(())
}
