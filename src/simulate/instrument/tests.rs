use super::*;
use crate::simulate::panel::Class;
use crate::simulate::scene::SceneSettings;

fn scene(seed: u64) -> Scene {
    Scene::new(SceneSettings { width_px: 160, height_px: 128, cells: 3, ..SceneSettings::default() }, seed)
}

fn fovs() -> Vec<Fov> {
    (1..=2).map(|number| Fov { sample: "m901".to_owned(), number, scene: scene(u64::from(number)) }).collect()
}

fn settings(folder: &Path, layout: Layout) -> InstrumentSettings {
    InstrumentSettings {
        folder: folder.to_path_buf(),
        session: "260105".to_owned(),
        layout,
        style: WriteStyle::Whole,
        interval: Duration::ZERO,
        frames: Some(3),
        burst: 1,
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(at) = left.pop() {
        for entry in fs::read_dir(at).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                left.push(path);
            } else {
                found.push(path.strip_prefix(folder).unwrap().to_string_lossy().into_owned());
            }
        }
    }
    found.sort();
    found
}

#[test]
fn every_layout_writes_the_promised_names() {
    let expected = [
        (Layout::Nikon, "260105/m901xy02t003.tif", 6),
        (Layout::MicroManager, "260105_m901/img_channel000_position001_time000000002_z000.tif", 6),
        (Layout::SeriesTime, "260105/m901_s02_t00002.tif", 6),
        (Layout::OmeGrowing, "260105/m901_s02.ome.tif", 2),
    ];
    for (layout, last, n) in expected {
        let folder = tempfile::tempdir().unwrap();
        let mut instrument = Instrument::new(settings(folder.path(), layout), fovs(), None).unwrap();
        let written = instrument.run(&Stop::default(), &mut |_| {}).unwrap();
        assert_eq!(written, Written { frames: 6, time_points: 3 });
        let names = names(folder.path());
        assert_eq!((names.last().map(String::as_str), names.len()), (Some(last), n), "{names:?}");
    }
}

#[test]
fn same_seed_same_bytes_in_every_style() {
    let bytes = |style: WriteStyle, burst: usize| {
        let folder = tempfile::tempdir().unwrap();
        let settings = InstrumentSettings { style, burst, ..settings(folder.path(), Layout::SeriesTime) };
        Instrument::new(settings, fovs(), None).unwrap().run(&Stop::default(), &mut |_| {}).unwrap();
        names(folder.path()).iter().map(|n| (n.clone(), fs::read(folder.path().join(n)).unwrap())).collect::<Vec<_>>()
    };
    let whole = bytes(WriteStyle::Whole, 1);
    assert_eq!(whole.len(), 6);
    assert_eq!(whole, bytes(WriteStyle::Partial, 1));
    assert_eq!(whole, bytes(WriteStyle::Rename, 2));
}

#[test]
fn asked_to_stop_it_stops_and_closes_the_truth() {
    let folder = tempfile::tempdir().unwrap();
    let truth_folder = tempfile::tempdir().unwrap();
    let truth = TruthWriter::new(truth_folder.path(), &[("m901".to_owned(), Class::High)], true).unwrap();
    let settings = InstrumentSettings { frames: None, ..settings(folder.path(), Layout::Nikon) };
    let stop = Stop::default();
    let mut instrument = Instrument::new(settings, fovs(), Some(truth)).unwrap();
    let written = instrument
        .run(&stop, &mut |written| {
            if written.frames == 4 {
                stop.ask();
            }
        })
        .unwrap();
    assert_eq!(written.frames, 4);
    let names = names(truth_folder.path());
    for name in ["samples.csv", "m901_s01_GT/TRA/man_track.txt", "m901_s02_GT/SEG/man_seg0001.tif"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
    let tracks = fs::read_to_string(truth_folder.path().join("m901_s01_GT/TRA/man_track.txt")).unwrap();
    assert!(tracks.lines().next().unwrap().starts_with("1 0 1 0"), "{tracks}");
}
