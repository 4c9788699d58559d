use super::*;
use std::time::Instant;

fn data(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CYTOWATCH_DATA")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"), PathBuf::from);
    let folder = root.join(folder);
    if folder.is_dir() {
        Some(folder)
    } else {
        println!("skipped: no {}", folder.display());
        None
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.is_file() && !path.to_string_lossy().ends_with(".jsonl"));
    files.sort();
    files
}

/// Opens and reads everything; gives (planes read, codes seen).
fn read_all(folder: &Path) -> (usize, std::collections::BTreeMap<&'static str, usize>) {
    let (mut planes, mut codes) = (0, std::collections::BTreeMap::new());
    for path in files(folder) {
        let started = Instant::now();
        let outcome = open(&path).and_then(|mut source| {
            for index in 0..source.planes().len().min(20) {
                source.read(index)?;
                planes += 1;
            }
            Ok(source.completeness().clone())
        });
        let took = started.elapsed();
        let code = match &outcome {
            Ok(Completeness::Complete) => "complete",
            Ok(Completeness::Growing { .. }) => "growing",
            Ok(Completeness::Incomplete(gap)) => gap.code(),
            Err(error) => error.code(),
        };
        println!("{code} {took:?} {}", path.file_name().unwrap().to_string_lossy());
        *codes.entry(code).or_insert(0) += 1;
        assert!(took.as_secs() < 10, "{} took {took:?}", path.display());
        assert_ne!(code, "decoder_panicked", "{}", path.display());
    }
    println!("{planes} planes, {codes:?}");
    (planes, codes)
}

#[test]
fn malformed_files_give_codes() {
    let Some(folder) = data("corrupt") else { return };
    let (_, codes) = read_all(&folder);
    assert!(codes.values().sum::<usize>() >= 60);
}

#[test]
fn tiff_variants_are_read() {
    let Some(folder) = data("formats/tiff_variants") else { return };
    let (planes, codes) = read_all(&folder);
    assert!(planes > 100, "{codes:?}");
}

#[test]
fn each_real_frame_is_one_complete_plane() {
    for (folder, first, size) in [
        ("t98g_nikon_timelapse", "20180101ef002xy01t01.tif", None),
        ("ctc_phc_u373_02/02", "t000.tif", Some((696, 520))),
        ("mda_mb_231_boxes", "081.jpg", None),
    ] {
        let Some(folder) = data(folder) else { return };
        let mut source = open(&folder.join(first)).unwrap();
        println!("{first}: {:?}", source.planes());
        assert_eq!(source.completeness(), &Completeness::Complete);
        assert_eq!(source.planes().len(), 1, "{first}");
        let plane = source.read(0).unwrap();
        if let Some(size) = size {
            assert_eq!((plane.width_px(), plane.height_px()), size);
        }
        assert!(plane.counts().iter().all(|value| value.is_finite()));
    }
}
