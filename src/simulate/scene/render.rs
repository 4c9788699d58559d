//! From a scene's present state to camera counts and truth.

use super::{CellTruth, FrameTruth, MARGIN_PX, Scene, SceneSettings, SimulatedFrame, Stand};
use crate::simulate::cell::thickness::{Canvas, Drawn};
use crate::simulate::cell::{SimulatedCell, normal};
use crate::simulate::optics::{Bench, Complex32};
use crate::units::PointPx;
use rand::RngExt as _;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// The frame at the scene's present state.
pub(super) fn frame(scene: &Scene) -> SimulatedFrame {
    let stand = &*scene.stand;
    let settings = &stand.settings;
    let mut canvas = Canvas::new(
        stand.bench.width(),
        stand.bench.height(),
        MARGIN_PX,
        settings.optics.pixel_um,
        moved_substrate(stand, scene.drift_um),
    );
    let per_um = settings.optics.phase_per_um(1.0);
    let drawn: Vec<(&SimulatedCell, Drawn)> = scene
        .cells
        .iter()
        .filter_map(|cell| {
            // Sixteen bits hold more identities than a film has cells.
            let label = u16::try_from(cell.id).unwrap_or(u16::MAX);
            cell.draw(&mut canvas, scene.drift_um, per_um, label).map(|d| (cell, d))
        })
        .collect();
    let defocus_um = settings.day.defocus_um + scene.focus_um;
    let intensity = stand.bench.image(&canvas.phase, defocus_um);
    let counts = expose(scene, &intensity);
    let labels = inner(&canvas.labels, canvas.width, settings);
    let minute = scene.time_index as f64 * settings.interval_min;
    let cells = truths(&labels, settings, &drawn, minute);
    SimulatedFrame {
        counts,
        width_px: settings.width_px,
        height_px: settings.height_px,
        time_index: scene.time_index,
        truth: FrameTruth { labels, cells, events: scene.events.clone(), defocus_um, drift_um: scene.drift_um },
    }
}

/// Camera counts of the frame's part of `intensity`: uneven light, shot and read noise, rounding, saturation.
fn expose(scene: &Scene, intensity: &[f32]) -> Vec<u16> {
    let stand = &*scene.stand;
    let (settings, camera) = (&stand.settings, &stand.settings.camera);
    let mut rng = ChaCha8Rng::seed_from_u64(stand.seed ^ 0x00c0_ffee);
    rng.set_stream(scene.time_index as u64 + 1);
    let scale = (camera.background_counts * settings.day.lamp) as f32;
    let gain = camera.counts_per_electron as f32;
    let read = (camera.read_noise_counts * camera.read_noise_counts) as f32;
    let offset = camera.offset_counts as f32 + 0.5;
    let rows = intensity.chunks_exact(stand.bench.width()).skip(MARGIN_PX).take(settings.height_px);
    rows.zip(stand.light.chunks_exact(settings.width_px))
        .flat_map(|(row, light)| row.iter().skip(MARGIN_PX).zip(light))
        .map(|(&value, &light)| {
            let signal = value * light * scale;
            let deviate: f32 = StandardNormal.sample(&mut rng);
            // A cast to an unsigned integer saturates at both ends, as the camera does.
            deviate.mul_add(gain.mul_add(signal, read).sqrt(), signal + offset) as u16
        })
        .collect()
}

/// The frame's own part of a canvas map.
fn inner(map: &[u16], width: usize, settings: &SceneSettings) -> Vec<u16> {
    map.chunks_exact(width)
        .skip(MARGIN_PX)
        .take(settings.height_px)
        .flat_map(|row| row.iter().skip(MARGIN_PX).take(settings.width_px).copied())
        .collect()
}

fn truths(labels: &[u16], settings: &SceneSettings, drawn: &[(&SimulatedCell, Drawn)], minute: f64) -> Vec<CellTruth> {
    let highest = drawn.iter().map(|(c, _)| c.id as usize).max().unwrap_or(0);
    let mut areas = vec![0_usize; highest + 1];
    let mut at_edge = vec![false; highest + 1];
    let (width, height) = (settings.width_px, settings.height_px);
    for (y, row) in labels.chunks_exact(width).enumerate() {
        for (x, &label) in row.iter().enumerate() {
            if label == 0 {
                continue;
            }
            if let (Some(area), Some(edge)) = (areas.get_mut(label as usize), at_edge.get_mut(label as usize)) {
                *area += 1;
                *edge |= x == 0 || y == 0 || x + 1 == width || y + 1 == height;
            }
        }
    }
    let mut cells: Vec<CellTruth> = drawn
        .iter()
        .filter_map(|(cell, drawn)| {
            let area_px = areas.get(cell.id as usize).copied().unwrap_or(0);
            (area_px > 0).then(|| CellTruth {
                id: cell.id,
                parent: cell.parent,
                centroid: PointPx { x: drawn.x_px, y: drawn.y_px },
                area_px,
                touches_border: at_edge.get(cell.id as usize).copied().unwrap_or(false),
                kind: cell.kind,
                traits: cell.traits,
                resting_efficiency: cell.resting.efficiency,
                transition_share: cell.transition.map(|t| t.share(minute)),
                protrusion_count: cell.protrusion_count(),
                protrusion_total_um: cell.protrusion_total_um(),
                protrusion_longest_um: cell.protrusion_longest_um(),
                granularity_rad: cell.granularity_rad(),
            })
        })
        .collect();
    cells.sort_by_key(|c| c.id);
    cells
}

/// The substrate's phase: a random relief of fibres and gel, `rms_rad` strong, the same for the whole film.
pub(super) fn substrate(bench: &Bench, rms_rad: f64, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let n = bench.width() * bench.height();
    let mut relief: Vec<Complex32> = (0..n).map(|_| Complex32::new(StandardNormal.sample(rng), 0.0)).collect();
    bench.filter(&mut relief, &|k| {
        let rough = 1.0 / (1.0 + (k / 0.09).powi(2)).powf(0.9);
        Complex32::new(if k < 0.004 { 0.0 } else { rough / n as f32 }, 0.0)
    });
    let square: f32 = relief.iter().map(|v| v.re * v.re).sum::<f32>() / n as f32;
    let scale = rms_rad as f32 / square.max(1e-20).sqrt();
    relief.iter().map(|v| v.re * scale).collect()
}

/// The substrate where the stage has taken it: whole pixels, around the canvas' edges.
fn moved_substrate(stand: &Stand, drift_um: (f64, f64)) -> Vec<f32> {
    let (width, height) = (stand.bench.width(), stand.bench.height());
    let whole = |um: f64, n: usize| (um / stand.settings.optics.pixel_um).round().rem_euclid(n as f64) as usize % n;
    let (dx, dy) = (whole(drift_um.0, width), whole(drift_um.1, height));
    let mut moved = Vec::with_capacity(width * height);
    for y in 0..height {
        let from = (y + height - dy) % height * width;
        if let Some((left, right)) = stand.substrate.get(from..from + width).map(|row| row.split_at(width - dx)) {
            moved.extend_from_slice(right);
            moved.extend_from_slice(left);
        }
    }
    moved
}

/// Uneven light: tilt, vignetting and dust out of focus; `[height, width]`, at most about 1.
pub(super) fn light(settings: &SceneSettings, rng: &mut ChaCha8Rng) -> Vec<f32> {
    let (width, height) = (settings.width_px, settings.height_px);
    let day = &settings.day;
    let specks: Vec<(f64, f64, f64, f64)> = (0..5)
        .map(|_| {
            let (x, y): (f64, f64) = (rng.random(), rng.random());
            (x * width as f64, y * height as f64, 9.0 + 5.0 * normal(rng).abs(), 0.02 + 0.015 * normal(rng).abs())
        })
        .collect();
    let mut map: Vec<f32> = (0..height)
        .flat_map(|y| {
            let v = 2.0 * y as f64 / height as f64 - 1.0;
            (0..width).map(move |x| {
                let u = 2.0 * x as f64 / width as f64 - 1.0;
                (1.0 + 0.5 * (day.tilt.0 * u + day.tilt.1 * v) - 0.5 * day.vignetting * (u * u + v * v)) as f32
            })
        })
        .collect();
    for (cx, cy, radius, depth) in specks {
        shade(&mut map, width, (cx, cy, radius), depth);
    }
    map
}

/// A speck of dust far from focus: a ring of `radius` px that takes away `depth` of the light.
fn shade(map: &mut [f32], width: usize, (cx, cy, radius): (f64, f64, f64), depth: f64) {
    let low = |c: f64| (c - 2.5 * radius).max(0.0) as usize;
    for (y, row) in map.chunks_exact_mut(width).enumerate().skip(low(cy)).take(5 * radius as usize + 5) {
        for (x, value) in row.iter_mut().enumerate().skip(low(cx)).take(5 * radius as usize + 5) {
            let r = (x as f64 - cx).hypot(y as f64 - cy) / radius;
            *value *= (1.0 - depth * (-(r - 1.0).powi(2) * 6.0).exp()) as f32;
        }
    }
}
