//! `overlay` as a user runs it: pictures with outlines, and a word about who found them.

use crate::support::*;
use std::fs;

#[test]
fn outlines_are_drawn_over_frames_and_it_says_who_found_the_cells() {
    let folder = tempfile::tempdir().unwrap();
    let (frames, out) = (folder.path().join("frames"), folder.path().join("out"));
    fs::create_dir(&frames).unwrap();
    for (number, (_, bytes)) in film().iter().step_by(2).take(2).enumerate() {
        fs::write(frames.join(format!("{number}.tif")), bytes).unwrap();
    }
    for (model, who) in [("none", "the classical chain"), ("auto", "the network")] {
        let said = output_of(cytowatch().arg("overlay").arg(&frames).arg("--out").arg(&out).args(["--model", model]));
        assert!(said.starts_with(&format!("cells are found by {who}")), "{said}");
        assert_eq!(said.lines().filter(|line| line.contains(" cells, Usable")).count(), 2, "{said}");
        let drawn = files_below(&out);
        assert_eq!(drawn.iter().map(|file| file.0.as_str()).collect::<Vec<_>>(), ["000_0.png", "001_1.png"]);
        for (name, png) in &drawn {
            let rgb = image::load_from_memory(png).unwrap().to_rgb8();
            assert_eq!(rgb.dimensions(), (480, 400));
            let coloured = rgb.pixels().filter(|pixel| pixel.0.iter().any(|value| *value != pixel.0[0])).count();
            assert!(coloured > 200, "{name}: {coloured} coloured pixels");
        }
    }
    let nothing = cytowatch().args(["overlay", "--out"]).arg(&out).output().unwrap();
    assert!(!nothing.status.success() && String::from_utf8_lossy(&nothing.stderr).contains("<PATH>"));
}
