//! A film through detection and tracking, compared with truth in the Cell Tracking Challenge's layout.

use super::ctc::{Film, Repairs, Seg, TrackRow};
use super::detector::Detector;
use super::paint::LabelPicture;
use super::{folder, label_tiff, sets};
use crate::cells::DetectSettings;
use crate::frame;
use crate::id::TimeIndex;
use crate::track::link::{Link, LinkSettings, Linker, Observation};
use anyhow::Context as _;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// Where a film and its truth lie.
#[derive(Debug, Clone)]
pub struct Layout<'a> {
    /// Folder of the frames.
    pub frames: &'a Path,
    /// Folder of the markers and `man_track.txt`.
    pub tracks: &'a Path,
    /// Folder of the outlines.
    pub outlines: &'a Path,
    /// Cells that were found wholly within this many px of the edge do not count.
    pub border_px: usize,
    /// Whether the truth goes on into that border, where it then does not count either; a challenge's own truth is taken as it is.
    pub truth_in_border: bool,
    /// Folder for the result in the same layout; none when not wanted.
    pub results: Option<&'a Path>,
}

/// How a film was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FilmScore {
    /// What has to be repaired.
    pub repairs: Repairs,
    /// SEG, 0..=1.
    pub seg: Option<f64>,
}

/// Finds and follows the cells of a film and compares them with the truth.
///
/// # Errors
/// When a picture or table cannot be read or a result cannot be written.
pub fn judge(layout: &Layout<'_>, detect: &DetectSettings, detector: &Detector) -> anyhow::Result<FilmScore> {
    let mut linker = Linker::new(LinkSettings::new(detect.pixel_size));
    let mut rows = Rows::default();
    let (mut film, mut seg) = (Film::default(), Seg::default());
    let markers = folder::pictures(layout.tracks)?;
    let beyond_px = if layout.truth_in_border { layout.border_px } else { 0 };
    let truth = |path: &Path| sets::labels(path).map(|labels| labels.without_border(beyond_px));
    for ((time, path), marker) in folder::pictures(layout.frames)?.iter().enumerate().zip(&markers) {
        let frame = frame::correct(folder::plane(path)?, detect.pixel_size);
        let found = detector.find(&frame, detect)?;
        let seen: Vec<Observation> = found.cells.iter().map(Observation::from).collect();
        let links = linker.link(TimeIndex(time as i64), &seen);
        let (width, height) = (frame.raw.width_px(), frame.raw.height_px());
        let painted = LabelPicture::of(width, height, found.cells.iter().zip(1..)).without_border(layout.border_px);
        let painted = rows.named(time, &links, painted);
        film.add(time, &truth(marker)?, &painted);
        let name = marker.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let outlines = layout.outlines.join(name.replace("man_track", "man_seg"));
        if outlines.is_file() {
            seg.add(&truth(&outlines)?, &painted);
        }
        if let Some(results) = layout.results {
            std::fs::create_dir_all(results).with_context(|| format!("make folder {}", results.display()))?;
            let out = results.join(name.replace("man_track", "mask"));
            std::fs::write(&out, label_tiff::bytes(&painted)).with_context(|| format!("write {}", out.display()))?;
        }
    }
    let table_of_truth = track_table(&layout.tracks.join("man_track.txt"))?;
    let table = rows.table();
    if let Some(results) = layout.results {
        let lines: Vec<String> =
            table.iter().map(|r| format!("{} {} {} {}", r.label, r.begin, r.end, r.parent)).collect();
        let lines = lines.join("\n") + "\n";
        let out = results.join("res_track.txt");
        std::fs::write(&out, lines).with_context(|| format!("write {}", out.display()))?;
    }
    Ok(FilmScore { repairs: film.repairs(&table_of_truth, &table), seg: seg.mean() })
}

/// A table of tracks: label, first frame, last frame, parent.
fn track_table(path: &Path) -> anyhow::Result<Vec<TrackRow>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let row = |line: &str| {
        let numbers: Vec<u16> = line.split_whitespace().filter_map(|field| field.parse().ok()).collect();
        let [label, begin, end, parent] = <[u16; 4]>::try_from(numbers).ok()?;
        Some(TrackRow { label, begin: begin.into(), end: end.into(), parent })
    };
    Ok(text.lines().filter_map(row).collect())
}

/// The challenge wants tracks without gaps: a gap ends one label and begins another with the first as its parent. A cell
/// that the border has taken away, or another has covered, is a gap like any other.
#[derive(Debug, Default)]
struct Rows {
    /// For every track number its present label and the frame that it was last seen in.
    present: BTreeMap<u32, (u16, usize)>,
    by_label: BTreeMap<u16, TrackRow>,
    last_label: u16,
}

impl Rows {
    /// The picture of frame `time` whose labels are places in `links`, from 1, with every cell's own label instead.
    fn named(&mut self, time: usize, links: &[Link], mut places: LabelPicture) -> LabelPicture {
        let seen: BTreeSet<u16> = places.labels.iter().copied().filter(|&place| place > 0).collect();
        let link_of = |place: u16| links.get(usize::from(place) - 1);
        let labels: BTreeMap<u16, u16> =
            seen.into_iter().filter_map(|place| Some((place, self.piece(time, link_of(place)?)))).collect();
        for value in &mut places.labels {
            *value = labels.get(value).copied().unwrap_or(0);
        }
        places
    }

    /// The label of a cell at `time`.
    fn piece(&mut self, time: usize, link: &Link) -> u16 {
        let before = self.present.get(&link.number).copied();
        if let Some((label, last)) = before
            && last + 1 == time
        {
            self.present.insert(link.number, (label, time));
            if let Some(row) = self.by_label.get_mut(&label) {
                row.end = time;
            }
            return label;
        }
        self.last_label = self.last_label.saturating_add(1);
        let mother = link.parent.and_then(|number| self.present.get(&number)).copied();
        let parent = before.or(mother).map_or(0, |(label, _)| label);
        let label = self.last_label;
        self.by_label.insert(label, TrackRow { label, begin: time, end: time, parent });
        self.present.insert(link.number, (label, time));
        label
    }

    /// All labels; a parent that goes on beside its child is none.
    fn table(&self) -> Vec<TrackRow> {
        let known = |row: &TrackRow| {
            let parent = self.by_label.get(&row.parent).filter(|p| p.end < row.begin);
            TrackRow { parent: parent.map_or(0, |p| p.label), ..*row }
        };
        self.by_label.values().map(known).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(number: u32, parent: Option<u32>) -> Link {
        Link { number, parent }
    }

    fn row(label: u16, begin: usize, end: usize, parent: u16) -> TrackRow {
        TrackRow { label, begin, end, parent }
    }

    #[test]
    fn gaps_and_divisions_become_pieces_with_parents() {
        let mut rows = Rows::default();
        for (time, links) in [
            (0, vec![link(1, None)]),
            (1, vec![link(1, None)]),
            (3, vec![link(1, None)]),
            (4, vec![link(2, Some(1)), link(3, Some(1))]),
        ] {
            let places = LabelPicture { width: links.len(), height: 1, labels: (1..=links.len() as u16).collect() };
            rows.named(time, &links, places);
        }
        assert_eq!(rows.table(), [row(1, 0, 1, 0), row(2, 3, 3, 1), row(3, 4, 4, 2), row(4, 4, 4, 2)]);
    }

    #[test]
    fn a_cell_that_the_border_takes_away_for_a_while_comes_back_under_another_label() {
        let mut rows = Rows::default();
        for (time, here) in [(0, true), (1, false), (2, true), (3, false)] {
            let places = LabelPicture { width: 2, height: 1, labels: vec![0, u16::from(here)] };
            let named = rows.named(time, &[link(1, None)], places);
            assert_eq!(named.labels, [0, [1, 0, 2, 0][time]]);
        }
        assert_eq!(rows.table(), [row(1, 0, 0, 0), row(2, 2, 2, 1)]);
    }
}
