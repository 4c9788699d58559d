//! The conventions of openLCH's data (method.md 4, 5.1, 5.2, 5.4, 13): names of crop files, where their cells could be found,
//! and how long tracks were cut.
//!
//! Takes names such as `150312_m610_s19_t60_x1999_y675_t184_t7Ready_f00080.png`, gives what they say. Needs no file.

use crate::units::PixelSize;
use jiff::civil::Date;

/// Tracks were cut into pieces of at least this many frames.
const PIECE_FRAMES: usize = 120;
/// Side of a patch whose motion was measured, um.
const PATCH_UM: f64 = 10.0;
/// Farthest that a patch was followed from one frame to the next, um: 90 um an hour.
const SEARCH_UM: f64 = 90.0 / 60.0;
/// Patches at each border of the frame in which no cell was taken.
const BORDER_PATCHES: u32 = 8;
/// Marks a crop that was prepared for Torch 7; every name has it.
const READY: &str = "t7Ready";

/// What the name of a crop file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CropName {
    /// Day of the experiment; `None` where the name holds the day of processing instead (`22-Feb-2018`), as some do.
    pub date: Option<Date>,
    /// Cell system, lower case, for example `m610`.
    pub system: String,
    /// Stage position, from 1.
    pub position: u32,
    /// The trajectory's first frame in the film, which was taken at one frame a minute.
    pub start: u32,
    /// The cell's centre in that first frame, px from the left.
    pub x_px: u32,
    /// The same, px from the top.
    pub y_px: u32,
    /// The trajectory's end, exclusive.
    pub end: u32,
    /// Which frame of the trajectory this is, from 1.
    pub frame: u32,
}

impl CropName {
    /// Reads a file name, with or without folder and `.png`; `None` when it is not such a name, or says what cannot be.
    pub fn parse(name: &str) -> Option<Self> {
        let name = name.rsplit('/').next()?;
        let name = name.strip_suffix(".png").unwrap_or(name);
        let parts: Vec<&str> = name.split('_').collect();
        let &[date, system, position, start, x, y, end, READY, frame] = parts.as_slice() else { return None };
        let number = |text: &str, mark: char| text.strip_prefix(mark).and_then(digits);
        let day = experiment_day(date);
        if day.is_none() && !is_processing_day(date) {
            return None;
        }
        let found = Self {
            date: day,
            system: system.to_owned(),
            position: number(position, 's')?,
            start: number(start, 't')?,
            x_px: number(x, 'x')?,
            y_px: number(y, 'y')?,
            end: number(end, 't')?,
            frame: number(frame, 'f')?,
        };
        let known = !system.is_empty() && system.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        (known && (1..=found.frame_count()).contains(&found.frame)).then_some(found)
    }

    /// Frames of the trajectory; 0 when it ends before it starts.
    pub fn frame_count(&self) -> u32 {
        self.end.saturating_sub(self.start)
    }

    /// Which frame of the film this is; also minutes after its start.
    pub fn film_frame(&self) -> u32 {
        self.start + self.frame - 1
    }
}

fn experiment_day(text: &str) -> Option<Date> {
    let number = if text.len() == 6 { digits(text)? } else { return None };
    let (year, month, day) = (2000 + number / 10_000, number / 100 % 100, number % 100);
    Date::new(i16::try_from(year).ok()?, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

fn is_processing_day(text: &str) -> bool {
    Date::strptime("%d-%b-%Y", text).is_ok()
}

fn digits(text: &str) -> Option<u32> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if only_digits { text.parse().ok() } else { None }
}

/// How the detector behind the crops divided a frame: cells lie on its grid, away from the border.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DetectionGrid {
    /// Side of a patch, px: 10 um.
    pub patch_px: u32,
    /// How far a patch was looked for in the next frame, px: 90 um an hour at a frame a minute.
    pub search_px: u32,
}

impl DetectionGrid {
    /// The grid on frames of `pixel_size`.
    pub fn new(pixel_size: PixelSize) -> Self {
        let whole_px = |um: f64| pixel_size.px_from_um(um).ceil() as u32;
        Self { patch_px: whole_px(PATCH_UM), search_px: whole_px(SEARCH_UM) }
    }

    /// The smallest coordinate, px, at which a cell could be found: the middle of the first patch within the border.
    pub fn first_px(self) -> u32 {
        let middle = (f64::from(BORDER_PATCHES) + 0.5) * f64::from(self.patch_px);
        (middle + 0.5).floor() as u32
    }
}

/// Lengths of the pieces that a track of `frame_count` frames was cut into; no pieces below 120 frames. Frames that are left
/// over at the end were dropped.
pub fn pieces(frame_count: usize) -> Vec<usize> {
    let count = frame_count / PIECE_FRAMES;
    vec![frame_count.checked_div(count).unwrap_or_default(); count]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_example_says_what_it_must() {
        let found = CropName::parse("150312_m610_s19_t60_x1999_y675_t184_t7Ready_f00080.png").unwrap();
        assert_eq!(found.date, Some(jiff::civil::date(2015, 3, 12)));
        assert_eq!((found.system.as_str(), found.position), ("m610", 19));
        assert_eq!((found.start, found.end, found.frame_count()), (60, 184, 124));
        assert_eq!((found.x_px, found.y_px), (1999, 675));
        assert_eq!((found.frame, found.film_frame()), (80, 139));
    }

    #[test]
    fn a_day_of_processing_is_not_taken_for_the_experiments_day() {
        for day in ["22-Feb-2018", "14-May-2017"] {
            let name = format!("a/b/{day}_atcc_s06_t79_x977_y1566_t309_t7Ready_f00007");
            assert_eq!(CropName::parse(&name).unwrap().date, None, "{day}");
        }
    }

    #[test]
    fn other_names_are_not_guessed() {
        for name in [
            "",
            "cell.png",
            "150312_m610_s19_t60_x1999_y675_t184_f00080.png",
            "151312_m610_s19_t60_x1999_y675_t184_t7Ready_f00080.png",
            "150312_M610_s19_t60_x1999_y675_t184_t7Ready_f00080.png",
            "150312_m610_s19_t60_x1999_y675_t184_t7Ready_f00125.png",
            "150312_m610_s19_t60_x1999_y675_t184_t7Ready_f00000.png",
            "150312_m610_s19_t184_x1999_y675_t60_t7Ready_f00001.png",
            "150312_m610_s19_t60_x+1999_y675_t184_t7Ready_f00080.png",
        ] {
            assert_eq!(CropName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn cells_were_found_on_a_grid_away_from_the_border() {
        let grid = DetectionGrid::new(PixelSize::PAPER);
        assert_eq!(grid, DetectionGrid { patch_px: 31, search_px: 5 });
        assert_eq!(grid.first_px(), 264, "263.5 rounded half up");
    }

    #[test]
    fn tracks_are_cut_as_they_were() {
        let expected: [(usize, &[usize]); 7] = [
            (249, &[124, 124]),
            (180, &[180]),
            (239, &[239]),
            (240, &[120, 120]),
            (360, &[120, 120, 120]),
            (119, &[]),
            (0, &[]),
        ];
        for (frames, lengths) in expected {
            assert_eq!(pieces(frames), lengths, "{frames}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_counts_right(text in "[0-9a-z_A-Z.-]{0,60}", start in 0_u32..900, length in 1_u32..300) {
            prop_assert!(CropName::parse(&text).is_none());
            let name = format!("150312_m1_s1_t{start}_x1_y2_t{}_t7Ready_f{length:05}.png", start + length);
            let found = CropName::parse(&name).expect("a sound name");
            prop_assert_eq!(found.film_frame(), start + length - 1);
        }
    }
}
