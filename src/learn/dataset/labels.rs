//! Which samples are high and which are low: a table, read strictly.

use super::{DatasetError, Origin};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Labels by sample (lower case) from a table of lines `sample,high` or `sample,low`; `#` starts a comment, a header line
/// `sample,class` is skipped.
///
/// # Errors
/// `dataset_read` and `dataset_label`.
pub fn read(path: &Path) -> Result<BTreeMap<String, bool>, DatasetError> {
    let text = fs::read_to_string(path).map_err(|source| DatasetError::Read { path: path.to_owned(), source })?;
    let mut labels = BTreeMap::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.split('#').next().unwrap_or_default().trim();
        if line.is_empty() || line == "sample,class" {
            continue;
        }
        let class = line.split_once(',').and_then(|(sample, class)| match class.trim() {
            "high" => Some((sample.trim().to_lowercase(), true)),
            "low" => Some((sample.trim().to_lowercase(), false)),
            _ => None,
        });
        let (sample, high) = class.ok_or_else(|| DatasetError::Label { line: number + 1, text: line.to_owned() })?;
        labels.insert(sample, high);
    }
    Ok(labels)
}

/// Checks that every labelled sample is among those of `origins`: a misspelt name must not silently leave a sample unlabelled.
///
/// # Errors
/// `dataset_unknown_sample` naming the first that is not.
pub fn check(labels: &BTreeMap<String, bool>, origins: &[Origin]) -> Result<(), DatasetError> {
    let there: BTreeSet<String> = origins.iter().map(|origin| origin.sample.to_lowercase()).collect();
    match labels.keys().find(|sample| !there.contains(*sample)) {
        None => Ok(()),
        Some(sample) => Err(DatasetError::UnknownSample {
            sample: sample.clone(),
            there: there.into_iter().collect::<Vec<_>>().join(", "),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_tables_are_read_strictly() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("labels.csv");
        fs::write(&path, "sample,class\nM481,high # PDX\n\nm610,low\n").unwrap();
        let labels = read(&path).unwrap();
        let pairs: Vec<(&str, bool)> = labels.iter().map(|(sample, high)| (sample.as_str(), *high)).collect();
        assert_eq!(pairs, [("m481", true), ("m610", false)]);
        fs::write(&path, "m481,High\n").unwrap();
        assert_eq!(read(&path).unwrap_err().code(), "dataset_label");
        let of = |sample: &str| Origin {
            day: "d".to_owned(),
            sample: sample.to_owned(),
            fov: "1".to_owned(),
            cell: "1".to_owned(),
            time_index: 0,
            high: None,
        };
        assert!(check(&labels, &[of("M481"), of("m610"), of("other")]).is_ok());
        let error = check(&labels, &[of("m481"), of("m61O")]).unwrap_err();
        assert_eq!(error.code(), "dataset_unknown_sample");
        assert!(error.to_string().contains("m610") && error.to_string().contains("m61o"), "{error}");
    }
}
