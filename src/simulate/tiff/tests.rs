use super::*;
use crate::frame::read;

fn unpack(packed: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), packed);
    while let [head, tail @ ..] = rest {
        let n = i32::from(*head as i8);
        if n >= 0 {
            let (plain, after) = tail.split_at(n as usize + 1);
            out.extend_from_slice(plain);
            rest = after;
        } else {
            out.extend(std::iter::repeat_n(tail[0], (1 - n) as usize));
            rest = &tail[1..];
        }
    }
    out
}

#[test]
fn packed_rows_unpack_to_themselves() {
    for row in [vec![0_u16; 700], (0..400).collect(), vec![7, 7, 7, 300, 300, 0, 0, 0, 0, 1], vec![5; 129]] {
        let bytes: Vec<u8> = row.iter().flat_map(|c: &u16| c.to_le_bytes()).collect();
        assert_eq!(unpack(&pack_row(&row)), bytes);
    }
}

fn page(counts: &[u16]) -> Page<'_> {
    Page { width_px: 40, counts, pixel_um: 0.325, description: None, packed: false }
}

fn pattern(k: u16) -> Vec<u16> {
    (0..40 * 30).map(|i| i * 7 + 1000 * k).collect()
}

#[test]
fn a_single_file_reads_back_and_every_cut_of_it_is_evidently_unfinished() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("one.tif");
    let bytes = single(&page(&pattern(1)));
    std::fs::write(&path, &bytes).unwrap();
    let mut source = read::open(&path).unwrap();
    assert_eq!(source.completeness(), &read::Completeness::Complete);
    assert!((source.planes()[0].pixel_size_um.unwrap() - 0.325).abs() < 1e-4);
    let plane = source.read(0).unwrap();
    let expected: Vec<f32> = pattern(1).iter().map(|&c| f32::from(c)).collect();
    assert_eq!((plane.width_px(), plane.height_px(), plane.counts()), (40, 30, expected.as_slice()));
    for length in (0..bytes.len()).step_by(97).chain([bytes.len() - 5]) {
        std::fs::write(&path, &bytes[..length]).unwrap();
        let whole = read::open(&path).is_ok_and(|source| !source.whole_planes().0.is_empty());
        assert!(!whole, "{length} of {} bytes pass for a whole file", bytes.len());
    }
}

#[test]
fn a_growing_file_holds_exactly_the_finished_pages_at_every_moment() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("grows.ome.tif");
    let frames = 4_u16;
    let description = crate::simulate::instrument::ome_xml((40, 30), frames as usize, 0.325);
    let mut growing = Growing::create(&path).unwrap();
    let whole = |path: &Path| read::open(path).map_or(0, |source| source.whole_planes().0.len());
    for k in 0..frames {
        let counts = pattern(k);
        let page = Page { description: (k == 0).then_some(description.as_str()), ..page(&counts) };
        let mut halfway = None;
        growing.append(&page, &mut || halfway = Some(whole(&path))).unwrap();
        assert_eq!(halfway, Some(k as usize), "in the middle of page {k}");
        assert_eq!(whole(&path), k as usize + 1, "after page {k}");
    }
    let mut source = read::open(&path).unwrap();
    assert_eq!(source.completeness(), &read::Completeness::Complete);
    for k in 0..frames {
        let facts = &source.planes()[k as usize];
        assert_eq!(facts.time_index, Some(i64::from(k)));
        assert!((facts.pixel_size_um.unwrap() - 0.325).abs() < 1e-6);
        let plane = source.read(k as usize).unwrap();
        assert!(plane.counts().iter().zip(&pattern(k)).all(|(a, &b)| (a - f32::from(b)).abs() < 0.5), "page {k}");
    }
}

#[test]
fn packed_masks_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("man_track0000.tif");
    let labels: Vec<u16> = (0..40 * 30).map(|i| if i % 40 > 10 && i % 40 < 25 { i / 300 + 1 } else { 0 }).collect();
    let page = Page { packed: true, ..page(&labels) };
    let bytes = single(&page);
    assert!(bytes.len() < 1300, "{} bytes for 1200 labels", bytes.len());
    std::fs::write(&path, &bytes).unwrap();
    let plane = read::open(&path).unwrap().read(0).unwrap();
    assert!(plane.counts().iter().zip(&labels).all(|(a, &b)| (a - f32::from(b)).abs() < 0.5));
}
