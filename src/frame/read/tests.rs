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

/// Whole files cut at many places: either the cut is seen, or nothing that is missing matters to the pixels.
#[test]
fn no_cut_of_a_real_file_passes_for_whole() {
    let scratch = tempfile::tempdir().unwrap();
    let (mut cuts, mut whole_after_all) = (0, 0);
    for folder in ["formats/tiff_variants", "ctc_phc_u373_02/02", "mda_mb_231_boxes"] {
        let Some(folder) = data(folder) else { return };
        for path in files(&folder).into_iter().take(200) {
            let bytes = std::fs::read(&path).unwrap();
            let Ok(mut source) = open(&path) else { continue };
            if bytes.len() > 400_000 || source.completeness() != &Completeness::Complete {
                continue;
            }
            let pixels: Vec<_> = (0..source.planes().len().min(8)).map(|index| source.read(index).ok()).collect();
            if pixels.iter().any(Option::is_none) {
                continue;
            }
            let copy = scratch.path().join(path.file_name().unwrap());
            for tenth in 1..=10 {
                let length = if tenth == 10 { bytes.len() - 1 } else { bytes.len() * tenth / 10 };
                std::fs::write(&copy, &bytes[..length]).unwrap();
                cuts += 1;
                let Ok(mut cut) = open(&copy) else { continue };
                let taken: Vec<usize> = match cut.completeness() {
                    Completeness::Incomplete(_) => continue,
                    Completeness::Growing { complete_planes } => complete_planes.clone(),
                    Completeness::Complete => (0..cut.planes().len()).collect(),
                };
                whole_after_all += 1;
                for index in taken.into_iter().take(8) {
                    let seen = cut.read(index).map_err(|error| format!("{}: {error}", path.display()));
                    assert_eq!(
                        seen.ok().as_ref(),
                        pixels[index].as_ref(),
                        "{} at {length}, plane {index}",
                        path.display()
                    );
                }
            }
            std::fs::remove_file(&copy).unwrap();
        }
    }
    println!("{cuts} cuts, of which {whole_after_all} left every pixel that was taken");
}

/// The order in which the common library writes: a header that points nowhere, the strips, the directory, and then
/// the header anew.
#[test]
fn a_header_that_points_nowhere_yet_is_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.tif");
    let pixels: Vec<u8> = (0..48).collect();
    let mut bytes = b"II*\0\0\0\0\0".to_vec();
    let see = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        open(&path).map(|source| source.completeness().clone())
    };
    let not_whole = |seen: &Result<Completeness, ReadError>| {
        matches!(seen, Ok(Completeness::Incomplete(_)) | Err(ReadError::Truncated { .. } | ReadError::Corrupt { .. }))
    };
    assert!(not_whole(&see(&bytes)), "{:?}", see(&bytes));
    bytes.extend(&pixels);
    assert!(not_whole(&see(&bytes)), "{:?}", see(&bytes));
    let directory = bytes.len() as u32;
    bytes.extend(8_u16.to_le_bytes());
    for (tag, kind, value) in [
        (256_u16, 3_u16, 8_u32),
        (257, 3, 6),
        (258, 3, 8),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (278, 3, 6),
        (279, 4, 48),
    ] {
        bytes.extend(tag.to_le_bytes());
        bytes.extend(kind.to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
        bytes.extend(value.to_le_bytes());
    }
    bytes.extend(0_u32.to_le_bytes());
    assert!(not_whole(&see(&bytes)), "{:?}", see(&bytes));
    bytes[4..8].copy_from_slice(&directory.to_le_bytes());
    assert_eq!(see(&bytes).unwrap(), Completeness::Complete);
    let plane = open(&path).unwrap().read(0).unwrap();
    assert_eq!(plane.counts(), pixels.iter().map(|value| f32::from(*value)).collect::<Vec<_>>());
    assert!((plane.full_scale_counts() - 255.0).abs() < f32::EPSILON);
}
