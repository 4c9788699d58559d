//! Which cells are trained on and which are only judged by.
//!
//! Takes origins, gives two lists of indices, or the reason why a split may not be used: a physical cell, a field of
//! view, a day or a sample that stands on both sides would make every figure too good.

use super::dataset::Origin;
use std::collections::BTreeSet;
use thiserror::Error;

/// Indices of origins that are trained on and of those that are only judged by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Split {
    /// Trained on.
    pub training: Vec<usize>,
    /// Only judged by.
    pub held_out: Vec<usize>,
}

/// What must not stand on both sides, from the weakest demand to the strongest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Apart {
    /// Physical cells; pieces of one track are one cell.
    Cells,
    /// Fields of view, and with them their cells.
    Fovs,
    /// Days.
    Days,
    /// Samples and days: the held-out tumour, and all that was imaged on its days.
    SamplesAndDays,
}

/// Why a split may not be used.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum SplitError {
    /// Something is on both sides.
    #[error("{kind} {name} is both trained on and judged by: split by whole {kind}s")]
    Shared {
        /// What kind of thing.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A picture is listed twice or does not exist.
    #[error("picture {index} is listed twice or does not exist")]
    Index {
        /// The number.
        index: usize,
    },
    /// A side is empty.
    #[error("no picture is left to be {side}: hold out less")]
    Empty {
        /// Which side.
        side: &'static str,
    },
    /// The discriminant needs both classes.
    #[error("only {class} samples are left to train on: hold out less, or add samples of the other class")]
    OneClass {
        /// The class that is there.
        class: &'static str,
    },
    /// No sample of this name.
    #[error("there is no sample {name}")]
    NoSample {
        /// The name.
        name: String,
    },
}

impl SplitError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Shared { .. } => "split_shared",
            Self::Index { .. } => "split_index",
            Self::Empty { .. } => "split_empty",
            Self::OneClass { .. } => "split_one_class",
            Self::NoSample { .. } => "split_no_sample",
        }
    }
}

/// Holds out the last `share` (0..1) of the fields of every day and sample, at least one each.
///
/// # Errors
/// - `split_empty` when a day and sample have a single field only.
pub fn by_fov(origins: &[Origin], share: f64) -> Result<Split, SplitError> {
    let mut split = Split::default();
    let groups: BTreeSet<(&str, &str)> = origins.iter().map(|o| (o.day.as_str(), o.sample.as_str())).collect();
    let mut held = BTreeSet::new();
    for (day, sample) in groups {
        let of_group = origins.iter().filter(|o| o.day == day && o.sample == sample);
        let fovs: BTreeSet<&str> = of_group.map(|o| o.fov.as_str()).collect();
        let count = ((fovs.len() as f64 * share).round() as usize).max(1);
        held.extend(fovs.iter().rev().take(count).map(|fov| (day, sample, *fov)));
    }
    for (index, origin) in origins.iter().enumerate() {
        let side = if held.contains(&(origin.day.as_str(), origin.sample.as_str(), origin.fov.as_str())) {
            &mut split.held_out
        } else {
            &mut split.training
        };
        side.push(index);
    }
    check(&split, origins, Apart::Fovs)?;
    Ok(split)
}

/// Holds out `sample` and trains on all others, on days on which `sample` was not imaged.
///
/// # Errors
/// - `split_no_sample` when nothing bears that name.
/// - `split_empty`, `split_one_class` when what is left cannot be trained on.
pub fn leave_out(origins: &[Origin], sample: &str) -> Result<Split, SplitError> {
    let days: BTreeSet<&str> = origins.iter().filter(|o| o.sample == sample).map(|o| o.day.as_str()).collect();
    if days.is_empty() {
        return Err(SplitError::NoSample { name: sample.to_owned() });
    }
    let mut split = Split::default();
    for (index, origin) in origins.iter().enumerate() {
        if origin.sample == sample {
            split.held_out.push(index);
        } else if !days.contains(origin.day.as_str()) {
            split.training.push(index);
        }
    }
    check(&split, origins, Apart::SamplesAndDays)?;
    check_classes(&split, origins)?;
    Ok(split)
}

/// Checks that nothing stands on both sides that must not.
///
/// # Errors
/// - `split_index` when a picture is listed twice or does not exist.
/// - `split_empty` when a side is empty.
/// - `split_shared` naming the first cell, field, day or sample on both sides.
pub fn check(split: &Split, origins: &[Origin], apart: Apart) -> Result<(), SplitError> {
    let mut seen = BTreeSet::new();
    for index in split.training.iter().chain(&split.held_out) {
        if *index >= origins.len() || !seen.insert(*index) {
            return Err(SplitError::Index { index: *index });
        }
    }
    for (side, indices) in [("trained on", &split.training), ("held out", &split.held_out)] {
        if indices.is_empty() {
            return Err(SplitError::Empty { side });
        }
    }
    let shared = |kind: &'static str, name: &dyn Fn(&Origin) -> String| {
        let names = |indices: &[usize]| -> BTreeSet<String> {
            indices.iter().filter_map(|i| origins.get(*i)).map(name).collect()
        };
        let trained = names(&split.training);
        match names(&split.held_out).into_iter().find(|name| trained.contains(name)) {
            Some(name) => Err(SplitError::Shared { kind, name }),
            None => Ok(()),
        }
    };
    shared("cell", &|o| [o.day.as_str(), &o.sample, &o.fov, &o.cell].join("/"))?;
    if apart >= Apart::Fovs {
        shared("field of view", &|o| [o.day.as_str(), &o.sample, &o.fov].join("/"))?;
    }
    if apart >= Apart::Days {
        shared("day", &|o| o.day.clone())?;
    }
    if apart >= Apart::SamplesAndDays {
        shared("sample", &|o| o.sample.clone())?;
    }
    Ok(())
}

/// Checks that both classes are trained on.
///
/// # Errors
/// `split_one_class`.
pub fn check_classes(split: &Split, origins: &[Origin]) -> Result<(), SplitError> {
    let of_class = |class| split.training.iter().filter_map(|i| origins.get(*i)).any(|o| o.high == Some(class));
    match (of_class(true), of_class(false)) {
        (true, true) => Ok(()),
        (true, false) => Err(SplitError::OneClass { class: "high" }),
        (false, true) => Err(SplitError::OneClass { class: "low" }),
        (false, false) => Err(SplitError::Empty { side: "trained on with a label" }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(day: &str, sample: &str, fov: &str, cell: &str, high: bool) -> Origin {
        let name = str::to_owned;
        Origin {
            day: name(day),
            sample: name(sample),
            fov: name(fov),
            cell: name(cell),
            time_index: 0,
            high: Some(high),
        }
    }

    /// Days 1 and 2 show a (high) and b (low), day 3 c (high) and d (low).
    fn panel() -> Vec<Origin> {
        let mut all = Vec::new();
        for (day, samples) in [("1", ["a", "b"]), ("2", ["a", "b"]), ("3", ["c", "d"])] {
            for sample in samples {
                for fov in ["0", "1"] {
                    for cell in ["x", "y", "y"] {
                        all.push(origin(day, sample, fov, cell, sample == "a" || sample == "c"));
                    }
                }
            }
        }
        all
    }

    #[test]
    fn a_left_out_sample_takes_its_days_with_it() {
        let origins = panel();
        let split = leave_out(&origins, "c").unwrap();
        assert!(split.training.iter().all(|i| origins[*i].day != "3"));
        assert_eq!(split.held_out.len(), 6);
        assert_eq!(leave_out(&origins, "z").unwrap_err().code(), "split_no_sample");
    }

    #[test]
    fn bad_splits_are_refused_with_the_reason() {
        let origins = panel();
        // Two pictures of cell y of one field stand on both sides.
        let leaky = Split { training: vec![0, 1], held_out: vec![2, 3] };
        let error = check(&leaky, &origins, Apart::Cells).unwrap_err();
        assert_eq!(error, SplitError::Shared { kind: "cell", name: "1/a/0/y".to_owned() });
        let by_cell = Split { training: vec![0], held_out: vec![1, 2] };
        assert_eq!(check(&by_cell, &origins, Apart::Cells), Ok(()));
        assert_eq!(check(&by_cell, &origins, Apart::Fovs).unwrap_err().code(), "split_shared");
        let by_field = Split { training: vec![0, 1, 2], held_out: vec![3, 4, 5] };
        assert_eq!(check(&by_field, &origins, Apart::Fovs), Ok(()));
        let error = check(&by_field, &origins, Apart::Days).unwrap_err();
        assert_eq!(error, SplitError::Shared { kind: "day", name: "1".to_owned() });
        assert_eq!(
            check(&Split { training: vec![0], held_out: vec![0] }, &origins, Apart::Cells).unwrap_err().code(),
            "split_index"
        );
        assert_eq!(
            check(&Split { training: vec![0], held_out: vec![] }, &origins, Apart::Cells).unwrap_err().code(),
            "split_empty"
        );
        let one_class = Split { training: vec![0, 1, 2], held_out: vec![30] };
        assert_eq!(check_classes(&one_class, &origins).unwrap_err(), SplitError::OneClass { class: "high" });
    }

    #[test]
    fn fields_are_held_out_whole() {
        let origins = panel();
        let split = by_fov(&origins, 0.3).unwrap();
        assert_eq!(split.held_out.len(), origins.len() / 2, "one of two fields each");
        assert!(split.held_out.iter().all(|i| origins[*i].fov == "1"));
        assert!(by_fov(&origins[..3], 0.5).is_err(), "a single field cannot be split");
    }
}
