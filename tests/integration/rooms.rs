//! The arrows of the picture in `lib.rs` and the one-door rule, read from the sources.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each stage may know besides itself. Anything else is an arrow that the picture does not have.
const ARROWS: [(&str, &[&str]); 8] = [
    ("watch", &["folder", "frame", "id", "units"]),
    ("frame", &["id", "picture", "units"]),
    ("cells", &["frame", "id", "units"]),
    ("infer", &["cells", "id", "units"]),
    ("track", &["cells", "id", "units"]),
    ("sample", &["id", "infer", "markup", "units"]),
    ("store", &["cells", "frame", "id", "infer", "sample", "track", "units"]),
    ("simulate", &["cells", "frame", "id", "picture", "units"]),
];

/// Libraries that decide how something is done, and the one file or folder that knows them.
const DOORS: [(&str, &str); 20] = [
    ("ort", "infer/onnx"),
    ("rten", "infer/builtin"),
    ("rten_tensor", "infer/builtin"),
    ("prost", "infer/onnx_graph"),
    ("serde_saphyr", "infer/bundle"),
    ("notify", "watch/hint"),
    ("image", "picture"),
    ("openreadout_core", "frame/read"),
    ("openreadout_tiff", "frame/read"),
    ("lsap", "track/assignment"),
    ("rustfft", "simulate/optics"),
    ("sqlx", "store"),
    ("axum", "serve"),
    ("hyper", "serve/listen"),
    ("hyper_util", "serve/listen"),
    ("ureq", "alert/deliver"),
    ("sd_notify", "daemon"),
    ("metrics_exporter_prometheus", "metrics"),
    ("tracing_subscriber", "telemetry"),
    ("burn", "learn"),
];

#[test]
fn every_stage_knows_only_what_the_picture_says() {
    for (room, allowed) in ARROWS {
        let built = |file: &str| room_of(file) == room && !file.ends_with("tests.rs");
        for (file, text) in sources().into_iter().filter(|(file, _)| built(file)) {
            let known: BTreeSet<&str> = text.split("crate::").skip(1).map(first_word).collect();
            let strange: Vec<&&str> = known.iter().filter(|name| **name != room && !allowed.contains(*name)).collect();
            assert!(strange.is_empty(), "src/{file} knows {strange:?}; {room} may know {allowed:?}");
        }
    }
}

#[test]
fn every_library_has_one_door() {
    for (library, door) in DOORS {
        let users: Vec<String> =
            sources().into_iter().filter(|(_, text)| names(text, library)).map(|(file, _)| file).collect();
        assert!(!users.is_empty(), "nothing uses {library}: take it out of Cargo.toml, or mend this list");
        let strangers: Vec<&String> = users.iter().filter(|file| !file.starts_with(door)).collect();
        assert!(strangers.is_empty(), "{library} is known to {strangers:?}; its door is src/{door}");
    }
}

#[test]
fn files_are_short_enough_to_hold_in_the_head() {
    for (file, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 500, "src/{file} has {lines} lines");
    }
}

/// Every source file below `src`, by its path there, with comments taken out.
fn sources() -> Vec<(String, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders: Vec<PathBuf> = vec![root.clone()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
                let text = fs::read_to_string(&path).unwrap();
                let code: Vec<&str> =
                    text.lines().map(|line| if line.trim_start().starts_with("//") { "" } else { line }).collect();
                found.push((name, code.join("\n")));
            }
        }
    }
    found.sort();
    assert!(found.len() > 100, "the sources were not found");
    found
}

fn room_of(file: &str) -> &str {
    file.split(['/', '.']).next().unwrap_or_default()
}

fn first_word(text: &str) -> &str {
    text.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).next().unwrap_or_default()
}

/// Whether `text` names something of `library`: `library::`, not `other::library::` or `some_library::`.
fn names(text: &str, library: &str) -> bool {
    let path = format!("{library}::");
    text.match_indices(&path).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
    })
}
