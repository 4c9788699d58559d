//! How thick a cell is where, and what optical phase that gives.
//!
//! Takes a cell and where it lies on a [`Canvas`], adds its phase there and writes its label where it is thick enough
//! to be seen. The parts: a body (one lobe, or two in a division) whose profile goes from a sphere to a flat lens, with
//! blebs and pseudopods joined by the larger thickness, a nucleus, nucleoli, and granules of a higher (or, as vacuoles,
//! lower) refractive index.

use super::{Kind, SimulatedCell};
use std::f64::consts::TAU;

/// Index difference of nucleoli against the nucleus.
const NUCLEOLUS_INDEX: f64 = 0.016;
/// Usual phase of an organelle, rad.
const ORGANELLE_RAD: f64 = 0.45;
/// A cell counts as there from this thickness on, um.
const VISIBLE_UM: f32 = 0.35;
/// Steps of the outline's table over the full circle.
const OUTLINE_STEPS: usize = 256;
/// Distance of the lenses that make up a pseudopod, um.
const POD_STEP_UM: f64 = 0.35;

/// A map of optical phase with labels: `[height, width]`, margins included.
#[derive(Debug, Clone)]
pub struct Canvas {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Side of a pixel, um.
    pub pixel_um: f64,
    /// Column and row of the field's own first pixel.
    pub margin_px: usize,
    /// Phase, rad.
    pub phase: Vec<f32>,
    /// Which cell is thickest here: its label, 0 for none.
    pub labels: Vec<u16>,
    tops: Vec<f32>,
}

impl Canvas {
    /// A canvas over `phase` (the substrate's own; `width * height` values) without cells.
    pub fn new(width: usize, height: usize, margin_px: usize, pixel_um: f64, phase: Vec<f32>) -> Self {
        let n = width * height;
        Self { width, height, pixel_um, margin_px, phase, labels: vec![0; n], tops: vec![0.0; n] }
    }
}

/// What a drawn cell measures, margins included.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// Centre of mass of the visible area, field px.
    pub x_px: f64,
    /// Centre of mass of the visible area, field px.
    pub y_px: f64,
    /// Visible pixels on the canvas.
    pub area_px: usize,
}

/// A rectangle of heights around a cell.
struct Patch {
    x0: usize,
    y0: usize,
    width: usize,
    height: usize,
    /// Centre of the cell in patch pixels.
    cx: f32,
    cy: f32,
    um: f32,
    heights: Vec<f32>,
    phase: Vec<f32>,
}

impl Patch {
    /// The part of the canvas within `reach_um` of a point; `None` when nothing is left.
    fn around(canvas: &Canvas, x_um: f64, y_um: f64, reach_um: f64) -> Option<Self> {
        let (px, margin) = (canvas.pixel_um, canvas.margin_px as f64);
        let (cx, cy, reach) = (x_um / px + margin, y_um / px + margin, reach_um / px);
        let low = |c: f64, n: usize| (c - reach).floor().clamp(0.0, n as f64) as usize;
        let high = |c: f64, n: usize| (c + reach).ceil().clamp(0.0, n as f64) as usize;
        let (x0, x1) = (low(cx, canvas.width), high(cx, canvas.width));
        let (y0, y1) = (low(cy, canvas.height), high(cy, canvas.height));
        let (width, height) = (x1.checked_sub(x0)?, y1.checked_sub(y0)?);
        (width > 0 && height > 0).then(|| Self {
            x0,
            y0,
            width,
            height,
            cx: (cx - x0 as f64) as f32,
            cy: (cy - y0 as f64) as f32,
            um: px as f32,
            heights: vec![0.0; width * height],
            phase: vec![0.0; width * height],
        })
    }

    /// Calls `at(dx_um, dy_um, height, phase)` for every pixel within `r_um` of a point given from the cell's centre, um.
    fn near(&mut self, at_um: (f32, f32), r_um: f32, mut at: impl FnMut(f32, f32, &mut f32, &mut f32)) {
        let (cx, cy) = (self.cx + at_um.0 / self.um, self.cy + at_um.1 / self.um);
        let r = r_um / self.um;
        let low = |c: f32, n: usize| (c - r).ceil().clamp(0.0, n as f32) as usize;
        let high = |c: f32, n: usize| ((c + r).floor() + 1.0).clamp(0.0, n as f32) as usize;
        let (x0, x1, y0, y1) = (low(cx, self.width), high(cx, self.width), low(cy, self.height), high(cy, self.height));
        for y in y0..y1 {
            let dy = (y as f32 - cy) * self.um;
            let row = y * self.width;
            let (Some(heights), Some(phases)) =
                (self.heights.get_mut(row + x0..row + x1), self.phase.get_mut(row + x0..row + x1))
            else {
                continue;
            };
            for (x, (height, phase)) in heights.iter_mut().zip(phases).enumerate() {
                at(((x + x0) as f32 - cx) * self.um, dy, height, phase);
            }
        }
    }

    /// A lens of half width `r_um` and height `top_um`, joined by the larger thickness.
    fn lens(&mut self, at_um: (f32, f32), r_um: f32, top_um: f32) {
        let inverse = 1.0 / (r_um * r_um);
        self.near(at_um, r_um, |dx, dy, height, _| {
            let inside = 1.0 - dx.mul_add(dx, dy * dy) * inverse;
            if inside > 0.0 {
                *height = height.max(top_um * inside.sqrt());
            }
        });
    }

    /// A round blob of `radius_um` that adds `peak` rad in its middle.
    fn blob(&mut self, at_um: (f32, f32), radius_um: f32, peak: f32) {
        let steep = -1.0 / (radius_um * radius_um);
        self.near(at_um, 2.2 * radius_um, |dx, dy, height, phase| {
            if *height > 0.0 {
                *phase += peak * (dx.mul_add(dx, dy * dy) * steep).exp();
            }
        });
    }
}

/// The body's outline: radius relative to its ellipse by direction.
struct Outline {
    radii: Vec<f32>,
}

impl Outline {
    fn of(cell: &SimulatedCell) -> Self {
        let radii = (0..OUTLINE_STEPS)
            .map(|i| {
                let angle = TAU * i as f64 / OUTLINE_STEPS as f64;
                let bulge: f64 = (2..)
                    .zip(&cell.harmonics)
                    .map(|(k, &(a, b))| {
                        let (s, c) = (f64::from(k) * angle).sin_cos();
                        a * c + b * s
                    })
                    .sum();
                (1.0 + bulge).max(0.55) as f32
            })
            .collect();
        Self { radii }
    }

    /// Relative radius in the direction of (u, v).
    fn at(&self, u: f32, v: f32) -> f32 {
        let turn = v.atan2(u) / std::f32::consts::TAU;
        let place = (turn - turn.floor()) * OUTLINE_STEPS as f32;
        let (i, rest) = (place as usize, place.fract());
        let get = |i: usize| self.radii.get(i % OUTLINE_STEPS).copied().unwrap_or(1.0);
        get(i) + (get(i + 1) - get(i)) * rest
    }
}

impl SimulatedCell {
    /// Half phase of all granules together, rad: how granular the cell is (light that it scatters).
    pub fn granularity_rad(&self) -> f64 {
        self.granules.iter().map(|g| self.granule_peak(g).abs()).sum()
    }

    /// Phase in the middle of one granule, rad; more granules show, and each is denser, at a higher drive.
    fn granule_peak(&self, granule: &super::Granule) -> f64 {
        let drive = self.traits.granularity.clamp(-3.0, 3.0);
        let shown = ((drive - granule.threshold) * 2.0).clamp(0.0, 1.0);
        let dead = if self.kind == Kind::Dead { 1.5 } else { 1.0 };
        0.62 * dead * granule.weight * shown * (0.22 * drive).exp()
    }

    /// Adds this cell to the canvas at its place moved by (`dx_um`, `dy_um`); `per_um` gives the phase in rad of 1 um at an
    /// index difference of 1. `None` when nothing of it lies on the canvas.
    pub fn draw(&self, canvas: &mut Canvas, shift_um: (f64, f64), per_um: f64, label: u16) -> Option<Drawn> {
        let at = (self.x_um + shift_um.0, self.y_um + shift_um.1);
        let mut patch = Patch::around(canvas, at.0, at.1, self.reach_um())?;
        self.draw_body(&mut patch);
        self.draw_blebs(&mut patch);
        self.draw_pseudopods(&mut patch);
        self.draw_inside(&mut patch, per_um);
        let cytoplasm = (per_um * self.index_difference) as f32;
        press(&patch, canvas, cytoplasm, label)
    }

    /// From the cell's own axes (um along, um across) to the field's directions.
    fn turned(&self, along: f64, across: f64) -> (f32, f32) {
        let (s, c) = self.axis.sin_cos();
        ((along * c - across * s) as f32, (along * s + across * c) as f32)
    }

    fn draw_body(&self, patch: &mut Patch) {
        let (a, b) = self.half_axes_um();
        let outline = Outline::of(self);
        // Sphere: sqrt(1 - r^2). Flat: a lens with a thin margin.
        let power = 0.5 + 0.5 * self.flatness;
        let mut top_um = self.volume_um3 * (power + 1.0) / (std::f64::consts::PI * a * b);
        let apart = self.lobe_distance_um();
        let lobes: &[f64] = if apart > 0.0 { &[1.0, -1.0] } else { &[0.0] };
        // Two lobes share the volume.
        let shrink = if apart > 0.0 { 1.0 - 0.206 * (apart / self.sphere_radius_um() / 0.85) } else { 1.0 };
        top_um *= shrink;
        let (a, b) = ((a * shrink) as f32, (b * shrink) as f32);
        let pointed = if self.kind == Kind::Spindle { 1.55_f32 } else { 2.0 };
        let (s, c) = (self.axis.sin() as f32, self.axis.cos() as f32);
        for &side in lobes {
            let centre = self.turned(side * apart, 0.0);
            patch.near(centre, a * 1.45, |dx, dy, height, _| {
                let (u, v) = ((dx * c + dy * s) / a, (dy * c - dx * s) / b);
                let plain = u.mul_add(u, v * v);
                if plain > 2.2 {
                    return;
                }
                let r2 = if pointed < 2.0 {
                    (u.abs().powf(pointed) + v.abs().powf(pointed)).powf(2.0 / pointed)
                } else {
                    plain
                };
                let radius = outline.at(u, v);
                let inside = 1.0 - r2 / (radius * radius);
                if inside > 0.0 {
                    *height = height.max(top_um as f32 * inside.powf(power as f32));
                }
            });
        }
    }

    fn draw_blebs(&self, patch: &mut Patch) {
        let (a, b) = self.half_axes_um();
        for bleb in &self.blebs {
            let grown = (bleb.age_min / bleb.life_min * std::f64::consts::PI).sin().max(0.0).sqrt();
            let radius = bleb.radius_um * grown;
            if radius < 0.4 {
                continue;
            }
            let (s, c) = bleb.angle.sin_cos();
            let out = 1.0 + 0.22 * grown;
            let centre = self.turned((a - 0.75 * bleb.radius_um) * out * c, (b - 0.75 * bleb.radius_um) * out * s);
            patch.lens(centre, radius as f32, 1.7 * radius as f32);
        }
    }

    fn draw_pseudopods(&self, patch: &mut Patch) {
        let (a, b) = self.half_axes_um();
        for pod in &self.pseudopods {
            if pod.length_um < 0.2 {
                continue;
            }
            let (s, c) = pod.angle.sin_cos();
            // Foot on the ellipse, direction along its normal.
            let foot = (a * c * 0.93, b * s * 0.93);
            let normal = (b * c, a * s);
            let size = normal.0.hypot(normal.1).max(1e-6);
            let (nx, ny) = (normal.0 / size, normal.1 / size);
            let short = (pod.length_um / 4.0).min(1.0);
            let lenses = ((pod.length_um + 1.5) / POD_STEP_UM).ceil() as usize;
            for i in 0..=lenses {
                let share = i as f64 / lenses as f64;
                // From a little inside the body, so that the foot is joined to it.
                let way = share * (pod.length_um + 1.5) - 1.5;
                let aside = pod.bend * pod.length_um * share * share;
                let centre = self.turned(foot.0 + way * nx - aside * ny, foot.1 + way * ny + aside * nx);
                let half_width =
                    pod.half_width_um * short.sqrt() * (0.95 + 0.85 * (1.0 - share).powi(2) - 0.45 * share);
                patch.lens(centre, half_width as f32, (2.0 * half_width).min(3.4) as f32);
            }
        }
    }

    fn draw_inside(&self, patch: &mut Patch, per_um: f64) {
        let (a, b) = self.half_axes_um();
        let alive = !matches!(self.kind, Kind::Dead | Kind::Dividing);
        if alive {
            // In a flat cell the nucleus lifts the surface; everywhere it is a little less dense than the cytoplasm.
            let radius = (a.min(b * 1.5) * self.nucleus.size).min(b * 0.8).min(6.5);
            let centre = self.turned(self.nucleus.u * a, self.nucleus.v * b);
            let lift = 2.6 * self.flatness;
            let thinner = 0.006 * per_um * radius;
            patch.near(centre, radius as f32, |dx, dy, height, phase| {
                let inside = 1.0 - (dx * dx + dy * dy) / (radius * radius) as f32;
                if inside > 0.0 && *height > 0.0 {
                    *height += (lift * f64::from(inside)) as f32;
                    *phase -= (thinner * f64::from(inside.sqrt())) as f32;
                }
            });
            for &(u, v) in &self.nucleus.nucleoli {
                let at = (centre.0 + (u * radius) as f32, centre.1 + (v * radius) as f32);
                patch.blob(at, 0.9, (NUCLEOLUS_INDEX * per_um * 1.8) as f32);
            }
        } else if self.kind == Kind::Dividing && self.lobe_distance_um() <= 0.0 && self.kind_age_min > 6.0 {
            // The metaphase plate stands across the axis.
            for i in -3..=3 {
                let centre = self.turned(0.0, f64::from(i) * 0.2 * self.sphere_radius_um());
                patch.blob(centre, 1.3, (0.02 * per_um * 2.0) as f32);
            }
        }
        for organelle in &self.organelles {
            let centre = self.turned(organelle.u * a * 0.97, organelle.v * b * 0.97);
            patch.blob(centre, organelle.radius_um as f32, (ORGANELLE_RAD * organelle.weight) as f32);
        }
        for granule in &self.granules {
            let peak = self.granule_peak(granule);
            if peak.abs() > 0.02 {
                let centre = self.turned(granule.u * a * 0.95, granule.v * b * 0.95);
                patch.blob(centre, granule.radius_um as f32, peak as f32);
            }
        }
    }
}

/// Adds the patch to the canvas: phase everywhere, the label where this cell is the thickest.
fn press(patch: &Patch, canvas: &mut Canvas, cytoplasm: f32, label: u16) -> Option<Drawn> {
    let (mut n, mut sx, mut sy) = (0_usize, 0.0_f64, 0.0_f64);
    for y in 0..patch.height {
        let row = (patch.y0 + y) * canvas.width + patch.x0;
        let from = y * patch.width..(y + 1) * patch.width;
        let to = row..row + patch.width;
        let (Some(heights), Some(phases)) = (patch.heights.get(from.clone()), patch.phase.get(from)) else { continue };
        let (Some(phase), Some(labels), Some(tops)) =
            (canvas.phase.get_mut(to.clone()), canvas.labels.get_mut(to.clone()), canvas.tops.get_mut(to))
        else {
            continue;
        };
        for (x, (&height, &extra)) in heights.iter().zip(phases).enumerate() {
            if height <= 0.0 {
                continue;
            }
            if let Some(p) = phase.get_mut(x) {
                *p += cytoplasm * height + extra;
            }
            if height < VISIBLE_UM {
                continue;
            }
            n += 1;
            sx += (patch.x0 + x) as f64;
            sy += (patch.y0 + y) as f64;
            if let (Some(top), Some(owner)) = (tops.get_mut(x), labels.get_mut(x))
                && height > *top
            {
                *top = height;
                *owner = label;
            }
        }
    }
    let margin = canvas.margin_px as f64;
    (n > 0).then(|| Drawn { x_px: sx / n as f64 - margin, y_px: sy / n as f64 - margin, area_px: n })
}
