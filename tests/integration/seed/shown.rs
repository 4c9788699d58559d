//! What is shown of a seeded session: pictures of its frames and explanations of its cells.

use super::{HEIGHT_PX, Scale, WIDTH_PX, cells_at, noise};
use cytowatch::frame::Plane;
use cytowatch::id::FrameId;
use cytowatch::serve::explanation::{Asked, ExaggeratedOfCell, Explanation, FeatureOfCell, KinOfCell, ShiftOfCell};

/// A phase-contrast-like picture of a seeded frame: dark bodies with bright rims and granules on grey substrate.
pub(crate) fn paint(frame: FrameId, scale: Scale) -> Plane {
    let (fov, time) = (frame.0 % 1000, frame.0 / 1000 - 1);
    let mut counts: Vec<f32> = (0..WIDTH_PX * HEIGHT_PX)
        .map(|at| {
            let (x, y) =
                ((at % WIDTH_PX) as f64 / WIDTH_PX as f64 - 0.5, (at / WIDTH_PX) as f64 / HEIGHT_PX as f64 - 0.5);
            let light = 12_000.0 * (1.0 - 0.25 * (x * x + y * y));
            (light + 420.0 * (noise(at as i64, time, 5, fov) - 0.5)) as f32
        })
        .collect();
    for cell in cells_at(fov, time, scale) {
        let reach = (2.2 * cell.radius_px) as i64;
        for dy in -reach..=reach {
            for dx in -reach..=reach {
                let (x, y) = (cell.x_px as i64 + dx, cell.y_px as i64 + dy);
                if !(0..WIDTH_PX as i64).contains(&x) || !(0..HEIGHT_PX as i64).contains(&y) {
                    continue;
                }
                let (dx, dy) = (dx as f64, dy as f64);
                let distance = dx.hypot(dy);
                let edge = cell.radius_at(dy.atan2(dx));
                let inside = distance / edge;
                let off = (distance - edge) / 4.0;
                let rim = 5200.0 * (-(off - 0.6).powi(2)).exp() + 1600.0 * (-((off - 2.5) / 2.5).powi(2)).exp();
                let body = if inside < 1.0 {
                    let grain = noise((dx / 3.0).floor() as i64, (dy / 3.0).floor() as i64, cell.number, 77);
                    let nucleus = 1500.0 * (-(distance / (0.35 * cell.radius_px)).powi(2)).exp();
                    let bright = if grain > 0.86 { 3600.0 + 900.0 * cell.logit.clamp(-1.0, 2.5) } else { 0.0 };
                    -3100.0 + nucleus + bright * (1.0 - inside)
                } else {
                    0.0
                };
                counts[y as usize * WIDTH_PX + x as usize] += (rim + body) as f32;
            }
        }
    }
    Plane::new(WIDTH_PX, HEIGHT_PX, counts.into(), 65535.0).unwrap()
}

/// An explanation as the daemon would give it, with blobs for pictures: what the page does with it is tested here.
pub(crate) fn explain(asked: &Asked) -> Explanation {
    const SIDE: usize = 256;
    let (width, height) = (7 * (SIDE + 2) - 2, 4 * (SIDE + 2) - 2);
    let gray = |at: usize| {
        let (x, y) = (at % width, at / width);
        let (picture, row) = (x / (SIDE + 2), y / (SIDE + 2));
        let (dx, dy) = ((x % (SIDE + 2)) as f64 - 128.0, (y % (SIDE + 2)) as f64 - 128.0);
        let edge = 52.0 + 5.0 * picture as f64 * (5.0 * dy.atan2(dx)).cos().abs();
        let rim = (-((dx.hypot(dy) - edge) / 7.0).powi(2)).exp();
        if row == 2 { (rim * 60.0 * (picture as f64 - 3.0).max(0.0)) as u8 } else { (40.0 + 200.0 * rim) as u8 }
    };
    let pixels: Vec<u8> = (0..width * height).map(gray).collect();
    let feature = |feature: usize, correlation: f64| {
        let value_sd = f64::from(asked.latent[feature - 1]);
        FeatureOfCell { feature, correlation, value_sd, adds_logit: 0.4 * correlation * value_sd }
    };
    let shift = |shift_sd: f64| {
        let score = 1.0 / (1.0 + (-0.8 * shift_sd).exp());
        ShiftOfCell { shift_sd, score: (shift_sd < 3.0).then_some(score) }
    };
    let kin = |place: usize, shift_sd: f64| KinOfCell {
        place,
        name: format!("reference {place}"),
        high: Some(shift_sd > 0.0),
        shift_sd,
        protrusion_total_um: Some(12.34 + shift_sd),
        scattering_um2: (place == 3).then_some(0.5),
    };
    let exaggerated = |shift_sd: f64| ExaggeratedOfCell {
        protrusions_times: (0.2 * shift_sd).exp(),
        granules_times: (0.3 * shift_sd).exp(),
        shift_sd: 0.3 * shift_sd,
        score: (shift_sd < 3.0).then(|| 1.0 / (1.0 + (-0.3 * shift_sd).exp())),
        protrusion_total_um: Some(12.0 + 2.0 * shift_sd),
        scattering_um2: Some(20.0 + 4.0 * shift_sd),
    };
    Explanation {
        features: vec![feature(31, 0.82), feature(7, -0.55), feature(44, 0.41), feature(2, 0.33), feature(19, -0.30)],
        shifts: [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0].map(shift).to_vec(),
        gain: 3.4,
        exaggerated: [-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0].map(exaggerated).to_vec(),
        kin: vec![kin(1, -2.1), kin(3, 0.1)],
        strip_png: cytowatch::picture::gray_png(width, height, &pixels).unwrap(),
    }
}
