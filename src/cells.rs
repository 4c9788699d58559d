//! Cells in one corrected frame: outlines, shape, crops.
//!
//! Takes a [`CorrectedFrame`](crate::frame::CorrectedFrame), gives [`FoundCells`]; pure and stateless.

mod blur;
mod body;
pub mod busy;
pub mod close_up;
pub mod crop;
mod distance;
mod find;
mod grid;
pub mod maps;
mod mask;
mod membrane;
pub mod outline;
mod protrusion;
pub mod rays;
mod relief;
mod scattering;
mod seeds;
mod segment;
mod shape;
mod sheet;
mod split;
mod texture;
mod verdict;
pub mod working;

#[cfg(any(test, feature = "learn"))]
pub(crate) use find::close_ups;
pub use find::{Sight, find, find_by_network, find_in_maps, measured, working_picture};
pub(crate) use mask::parts;

use crate::units::{PixelSize, PointPx, Um};
use serde::{Deserialize, Serialize};

/// How to look for cells.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DetectSettings {
    /// The frame's pixel size.
    pub pixel_size: PixelSize,
    /// A coarse hint of how wide a typical cell is, um; `docs/detection.md` says what a wrong one costs.
    pub cell_diameter_um: Um,
    /// A frame with more cells than this is too dense to believe.
    pub max_cells: usize,
}

impl DetectSettings {
    /// Settings for frames of `pixel_size` with everything else as shipped.
    pub fn new(pixel_size: PixelSize) -> Self {
        Self { pixel_size, cell_diameter_um: 20.0, max_cells: 2000 }
    }
}

/// Why a frame's cells are or are not to be believed; stored with the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FrameVerdict {
    /// Cells were looked for and can be believed.
    Usable,
    /// Nothing that looks like a cell.
    Empty,
    /// Too blurred to outline cells.
    OutOfFocus,
    /// Cells overlap so much that single outlines would be guesses.
    TooDense,
    /// Not a phase-contrast picture of adherent cells (another modality or kind of object).
    WrongKind,
}

/// Shape and light of one outlined cell.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Shape {
    /// Area inside the outline, um2.
    pub area_um2: f64,
    /// Length of the outline, um.
    pub perimeter_um: f64,
    /// Eccentricity of the ellipse with the same second moments, 0 (circle) ..1.
    pub eccentricity: f64,
    /// Area divided by the area of the convex hull, 0..=1.
    pub solidity: f64,
    /// Full long axis of that ellipse, um.
    pub major_axis_um: f64,
    /// Full short axis of that ellipse, um.
    pub minor_axis_um: f64,
    /// Number of pseudopodial extensions.
    pub protrusion_count: u32,
    /// Their summed length, um.
    pub protrusion_total_um: f64,
    /// The longest, um.
    pub protrusion_longest_um: f64,
    /// Bright, fine-grained light: the area weighted by how bright it is and how fine its grain (`docs/shape.md`), um2.
    pub scattering: f64,
}

/// The model's input: `[256, 256]` values in 0..=1, row after row (method.md 5.6-5.7).
#[derive(Debug, Clone, PartialEq)]
pub struct Crop {
    pixels: Vec<f32>,
}

/// Side of a crop after resizing, px.
pub const CROP_SIDE_PX: usize = 256;

impl Crop {
    /// A crop from `256 * 256` values in 0..=1; `None` for any other length.
    pub fn new(pixels: Vec<f32>) -> Option<Self> {
        (pixels.len() == CROP_SIDE_PX * CROP_SIDE_PX).then_some(Self { pixels })
    }

    /// `[256, 256]` values in 0..=1, row after row.
    pub fn pixels(&self) -> &[f32] {
        &self.pixels
    }
}

/// One detection in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Centre of mass of the outlined area, px.
    pub centroid: PointPx,
    /// The outline: a closed polygon without its repeated first point, px.
    pub outline: Vec<PointPx>,
    /// Shape and light.
    pub shape: Shape,
    /// The outline touches the frame's edge: the cell is only partly seen.
    pub touches_border: bool,
    /// The model's input; `None` when the 70.5 um box does not lie wholly inside the frame.
    pub crop: Option<Crop>,
}

/// Everything found in one frame.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundCells {
    /// Whether `cells` can be believed, and if not, why.
    pub verdict: FrameVerdict,
    /// Whether there are cells although the network is unsure of the middles of what it saw: the instrument may be new to it, or cells much
    /// smaller than the hint. The classical chain never is.
    pub in_doubt: bool,
    /// The cells, ordered by centroid `y`, then `x`, so that the order never depends on the method.
    pub cells: Vec<Cell>,
}

impl FoundCells {
    /// No cells, and why.
    fn none(verdict: FrameVerdict) -> Self {
        Self { verdict, in_doubt: false, cells: Vec::new() }
    }
}
