//! From what the scanner found to rows of the ledger: which field, which time point, which state. Pure.

use crate::frame::read::PlaneFacts;
use crate::id::TimeIndex;
use crate::store::ledger::{Early, FrameFacts, Place};
use crate::watch::naming::FrameName;
use crate::watch::scan::{Change, What};

/// The name of the only field of view where names and metadata know of none.
const ONLY_FIELD: &str = "1";

/// Which frames are analysed and how they are named.
#[derive(Debug, Clone)]
pub struct Intake {
    /// Instrument's name.
    pub instrument: String,
    /// The watched folder's own name: the session of files that lie directly in it.
    pub folder_name: String,
    /// The phase-contrast channel; empty for all.
    pub channel: String,
    /// The focal plane that is analysed; `None` for all.
    pub z_index: Option<i64>,
}

/// A frame before its pixels are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it belongs; `None` when its name does not say.
    pub place: Option<Place>,
    /// What is known about it.
    pub facts: FrameFacts,
    /// The state it enters.
    pub state: Early,
    /// It was done before with another content.
    pub again: bool,
    /// Its source may grow while it is read.
    pub may_grow: bool,
}

impl Intake {
    /// The frames of one change, at `now_unix_ms`; none when the change concerns no frame.
    pub fn entries(&self, change: &Change, now_unix_ms: i64) -> Vec<Entry> {
        match &change.what {
            What::Seen { name } => vec![self.whole_file(Some(name), change, Early::Waiting("seen".to_owned()))],
            What::Waiting { reason } => vec![self.whole_file(None, change, Early::Waiting((*reason).to_owned()))],
            What::Vanished => vec![self.whole_file(None, change, Early::Waiting("vanished".to_owned()))],
            What::Failed { code, message } => {
                vec![self.whole_file(None, change, Early::Failed(code, message.clone()))]
            }
            What::Complete { name, planes } | What::Grew { name, planes } => {
                planes.iter().map(|plane| self.plane((name, change), (plane, planes), now_unix_ms, false)).collect()
            }
            What::Rewritten { name, planes } => {
                planes.iter().map(|plane| self.plane((name, change), (plane, planes), now_unix_ms, true)).collect()
            }
        }
    }

    /// A file that is known by its name alone stands in the ledger as its first plane.
    fn whole_file(&self, name: Option<&FrameName>, change: &Change, state: Early) -> Entry {
        let time = name.and_then(|name| name.time_index).map(TimeIndex);
        let place = name.filter(|_| time.is_some()).map(|name| self.place(name, change, None));
        let facts = FrameFacts {
            time,
            channel: name.and_then(|name| name.channel.clone()),
            z_index: name.and_then(|name| name.z_index),
            ..FrameFacts::default()
        };
        let state = match self.unwanted(&facts) {
            Some(reason) => Early::Skipped(reason),
            None => state,
        };
        Entry { place, facts, state, again: false, may_grow: false }
    }

    fn plane(
        &self,
        (name, change): (&FrameName, &Change),
        (plane, planes): (&PlaneFacts, &[PlaneFacts]),
        now_unix_ms: i64,
        again: bool,
    ) -> Entry {
        let several = planes.len() > 1 || plane.index > 0;
        // A container that tells its time points knows better than its name, which then counts files. Where neither
        // tells any, the pages of a stack are time points in page order.
        let (inner, outer) = (plane.time_index, name.time_index);
        let time = if several { inner.or(outer) } else { outer.or(inner) };
        let time = time.or_else(|| (several && plane.channel.is_none()).then_some(plane.index as i64));
        let facts = FrameFacts {
            plane_index: plane.index as u32,
            time: time.map(TimeIndex),
            channel: name.channel.clone().or_else(|| plane.channel.clone()),
            z_index: name.z_index.or(plane.z_index),
            acquired_unix_ms: plane.acquired_unix_ms,
        };
        let state = match (self.unwanted(&facts), time) {
            (Some(reason), _) => Early::Skipped(reason),
            (None, Some(_)) => Early::Ready(now_unix_ms),
            (None, None) => Early::Failed(
                "no_time_point",
                "neither the file's name nor its metadata tells the time point: add {time} to a template in watch.templates"
                    .to_owned(),
            ),
        };
        let place = Some(self.place(name, change, plane.fov.as_deref()));
        Entry { place, facts, state, again, may_grow: several }
    }

    fn place(&self, name: &FrameName, change: &Change, plane_fov: Option<&str>) -> Place {
        let folder = change.path.rsplit_once('/').map(|(folder, _)| folder);
        let session = name.session.as_deref().or(folder).unwrap_or(&self.folder_name).to_owned();
        let fov = match (name.fov.as_deref(), plane_fov) {
            (Some(fov), Some(inner)) => format!("{fov}.{inner}"),
            (Some(one), None) | (None, Some(one)) => one.to_owned(),
            (None, None) => ONLY_FIELD.to_owned(),
        };
        let sample = name.sample.clone().unwrap_or_else(|| session.clone());
        Place { instrument: self.instrument.clone(), session, sample, fov }
    }

    /// Why a frame is left out on purpose.
    fn unwanted(&self, facts: &FrameFacts) -> Option<String> {
        let other_channel =
            !self.channel.is_empty() && facts.channel.as_ref().is_some_and(|channel| *channel != self.channel);
        if other_channel {
            return Some(format!("channel {} is not watch.channel", facts.channel.as_deref().unwrap_or_default()));
        }
        let other_z = matches!((self.z_index, facts.z_index), (Some(wanted), Some(z)) if wanted != z);
        other_z.then(|| format!("focal plane {} is not instrument.z_index", facts.z_index.unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::complete::Stamp;

    fn intake() -> Intake {
        Intake { instrument: "scope".into(), folder_name: "run7".into(), channel: "phase".into(), z_index: None }
    }

    fn change(path: &str, what: What) -> Change {
        Change { path: path.into(), stamp: Stamp { size_bytes: 9, modified_unix_ns: 1, inode: 5 }, what }
    }

    fn plane(index: usize) -> PlaneFacts {
        PlaneFacts {
            index,
            time_index: None,
            channel: None,
            z_index: None,
            fov: None,
            pixel_size_um: None,
            acquired_unix_ms: None,
            width_px: 8,
            height_px: 8,
        }
    }

    fn name(fov: Option<&str>, time_index: Option<i64>) -> FrameName {
        FrameName { fov: fov.map(str::to_owned), time_index, ..FrameName::default() }
    }

    #[test]
    fn a_single_plane_takes_its_time_from_the_name() {
        let what = What::Complete { name: name(Some("3"), Some(42)), planes: vec![plane(0)] };
        let entries = intake().entries(&change("s3_t42.tif", what), 1000);
        assert_eq!(entries.len(), 1);
        assert_eq!(entries[0].facts.time, Some(TimeIndex(42)));
        assert_eq!(entries[0].state, Early::Ready(1000));
        let place = entries[0].place.as_ref().unwrap();
        assert_eq!((place.session.as_str(), place.sample.as_str(), place.fov.as_str()), ("run7", "run7", "3"));
    }

    #[test]
    fn pages_without_metadata_are_time_points() {
        let what = What::Complete { name: name(None, None), planes: (0..3).map(plane).collect() };
        let times: Vec<_> = intake().entries(&change("a/stack.tif", what), 0).iter().map(|e| e.facts.time).collect();
        assert_eq!(times, [Some(TimeIndex(0)), Some(TimeIndex(1)), Some(TimeIndex(2))]);
    }

    #[test]
    fn another_channel_is_skipped_and_a_frame_without_time_fails() {
        let mut other = plane(0);
        other.channel = Some("dapi".into());
        let what = What::Complete { name: name(None, Some(1)), planes: vec![other] };
        assert!(matches!(&intake().entries(&change("x.tif", what), 0)[0].state, Early::Skipped(_)));
        let what = What::Complete { name: name(None, None), planes: vec![plane(0)] };
        assert!(matches!(intake().entries(&change("x.tif", what), 0)[0].state, Early::Failed("no_time_point", _)));
    }

    #[test]
    fn the_folder_is_the_session() {
        let what = What::Seen { name: name(Some("1"), Some(0)) };
        let entries = intake().entries(&change("day1/plate2/s1_t0.tif", what), 0);
        assert_eq!(entries[0].place.as_ref().unwrap().session, "day1/plate2");
        assert_eq!(entries[0].state, Early::Waiting("seen".into()));
    }
}
