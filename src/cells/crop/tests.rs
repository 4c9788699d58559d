use super::*;

fn noise_plane(width: usize, height: usize) -> Plane {
    let mut state = 12345_u32;
    let counts = (0..width * height)
        .map(|i| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let wave = ((i % width) as f32 * 0.11).sin() + ((i / width) as f32 * 0.07).cos();
            2000.0 + 600.0 * wave + (state >> 22) as f32
        })
        .collect();
    Plane::new(width, height, counts, 65535.0).unwrap()
}

#[test]
fn the_papers_box_is_217_px() {
    assert_eq!(radius_px(PixelSize::PAPER), 108);
    assert_eq!(2 * radius_px(PixelSize::PAPER) + 1, 217);
}

#[test]
fn crops_are_whole_255ths_within_0_and_1_and_span_them() {
    let crop = cut(&noise_plane(300, 280), PointPx { x: 150.0, y: 140.0 }, PixelSize::PAPER).unwrap();
    assert_eq!(crop.pixels().len(), 256 * 256);
    for value in crop.pixels() {
        let grey = value * 255.0;
        assert!((0.0..=1.0).contains(value) && (grey - grey.round()).abs() < 1e-4, "{value}");
    }
}

#[test]
fn an_unresized_crop_has_minimum_0_and_maximum_1() {
    let mut pixels = noise_plane(217, 217).counts().to_vec();
    normalise(&mut pixels);
    assert!(pixels.iter().copied().fold(f32::INFINITY, f32::min).abs() < f32::EPSILON);
    assert!((pixels.iter().copied().fold(f32::NEG_INFINITY, f32::max) - 1.0).abs() < f32::EPSILON);
}

#[test]
fn a_box_that_leaves_the_frame_gives_no_crop() {
    let plane = noise_plane(300, 217);
    for (x, y, inside) in [
        (150.0, 108.0, true),
        (107.5, 108.0, true),
        (107.4, 108.0, false),
        (191.4, 108.0, true),
        (191.5, 108.0, false),
        (150.0, 108.5, false),
        (150.0, 107.4, false),
        (f64::NAN, 108.0, false),
        (-1e300, 1e300, false),
    ] {
        assert_eq!(cut(&plane, PointPx { x, y }, PixelSize::PAPER).is_some(), inside, "{x} {y}");
    }
}

#[test]
fn one_single_value_gives_zeros() {
    let plane = Plane::new(217, 217, vec![777.0; 217 * 217].into(), 65535.0).unwrap();
    let crop = cut(&plane, PointPx { x: 108.0, y: 108.0 }, PixelSize::PAPER).unwrap();
    assert!(crop.pixels().iter().all(|&v| v == 0.0));
}

#[test]
fn a_coarse_pixel_enlarges_and_a_fine_one_averages() {
    for um in [0.1, 0.65, 1.6, 5.0] {
        let size = PixelSize::new(um).unwrap();
        let side = 2 * radius_px(size) + 1;
        let middle = (side / 2) as f64;
        let ramp = Plane::new(side, side, (0..side * side).map(|i| (i % side) as f32).collect(), 1e6).unwrap();
        let crop = cut(&ramp, PointPx { x: middle, y: middle }, size).unwrap();
        // A ramp stays a ramp: symmetric about the middle and rising.
        for row in crop.pixels().chunks_exact(256) {
            assert!(row.windows(2).all(|pair| pair[0] <= pair[1] + 1e-6), "{um}");
            assert!((row[0] + row[255] - 1.0).abs() < 0.01 && (row[128] - 0.5).abs() < 0.02, "{um}");
        }
    }
}

/// Method.md 13: take the 8-bit result, solve for the 217 px picture it came from, resize that again. What is left over
/// is only the rounding, whose variance is 1/12 grey^2.
#[test]
fn inverting_the_resize_leaves_only_the_rounding() {
    let side = 217;
    let cutter = Cutter::new(PixelSize::PAPER);
    let crop = cut(&noise_plane(side, side), PointPx { x: 108.0, y: 108.0 }, PixelSize::PAPER).unwrap();
    let dense = |output: usize, input: usize| {
        let first = cutter.first[output];
        let within = input.checked_sub(first).filter(|&tap| tap < cutter.taps);
        within.map_or(0.0, |tap| f64::from(cutter.weights[output * cutter.taps + tap]))
    };
    let kernel = nalgebra::DMatrix::from_fn(256, side, dense);
    let grey = nalgebra::DMatrix::from_fn(256, 256, |y, x| f64::from(crop.pixels()[y * 256 + x]) * 255.0);
    // Best fit K S K' to the greys: project rows and columns onto the kernel's range.
    let basis = kernel.qr().q();
    let fitted = &basis * (basis.transpose() * &grey * &basis) * basis.transpose();
    let sum: f64 = grey.iter().zip(fitted.iter()).map(|(g, f)| (g - f).powi(2)).sum();
    // The fit itself takes up one degree of freedom per recovered pixel.
    let variance = sum / (256.0 * 256.0 - (side * side) as f64);
    assert!((0.08..=0.0835).contains(&variance), "{variance}");
}

#[test]
fn no_weight_falls_beyond_the_taps() {
    for step in 0..400 {
        let pixel_size = PixelSize::new(0.05 + 0.01 * f64::from(step)).unwrap();
        let cutter = Cutter::new(pixel_size);
        for (output, weights) in cutter.weights.chunks_exact(cutter.taps).enumerate() {
            let sum: f32 = weights.iter().sum();
            assert!((sum - 1.0).abs() < 1e-5, "{output} of {pixel_size:?}: {sum}");
        }
    }
}
