//! `cytowatch overlay`: draws what is found over the frames it is found in.

use crate::cells::{self, DetectSettings, outline};
use crate::evaluate::picture;
use crate::frame;
use crate::id::TimeIndex;
use crate::track::link::{LinkSettings, Linker, Observation};
use crate::units::PixelSize;
use anyhow::Context as _;
use std::path::PathBuf;

/// Draws outlines, coloured by track, over every frame of a folder (or over one frame) as PNG.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A picture, or a folder of pictures of one field of view; their names in order are their order in time.
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
}

/// Runs the command.
///
/// # Errors
/// When a picture cannot be read or the result not be written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let pixel_size = PixelSize::new(args.pixel_size_um)?;
    let settings = DetectSettings { cell_diameter_um: args.cell_diameter_um, ..DetectSettings::new(pixel_size) };
    std::fs::create_dir_all(&args.out).with_context(|| format!("make folder {}", args.out.display()))?;
    let mut linker = Linker::new(LinkSettings::new(pixel_size));
    for (time, path) in picture::listed(&args.path)?.iter().enumerate() {
        let frame = frame::correct(picture::read_plane(path)?, pixel_size);
        let found = cells::find(&frame, &settings);
        let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
        let links = linker.link(TimeIndex(time as i64), &seen);
        let mut picture = picture::Rgb::of(&frame);
        for (cell, link) in found.cells.iter().zip(&links) {
            picture.draw_outline(&cell.outline, picture::colour(link.number));
        }
        let name = path.file_stem().unwrap_or_default();
        let out = args.out.join(name).with_extension("png");
        picture.save(&out)?;
        tracing::info!(frame = %path.display(), cells = found.cells.len(), verdict = ?found.verdict, focus = frame.quality.focus, "overlay written");
        let _ = outline::length_px(&[]);
    }
    Ok(())
}
