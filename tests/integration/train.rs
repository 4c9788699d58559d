//! `train --database`: from a session that was watched to a model that knows its samples.

use crate::support::*;
use std::fs;
use std::path::PathBuf;
use std::process::Output;

/// Two days of a panel, four tumours each, watched; and a table of what the tumours are.
struct Watched {
    site: Site,
    labels: PathBuf,
}

impl Watched {
    fn new() -> Self {
        let site = Site::new("[instrument]\npixel_size_um = 0.325");
        let truth = site.config().with_file_name("truth");
        output_of(
            cytowatch()
                .args(["simulate", "--panel", "--fields", "2", "--frames", "2", "--minutes", "10", "--no-masks"])
                .args(["--width", "480", "--height", "400", "--cells", "6", "--seed", "3"])
                .arg("--out")
                .arg(site.folder())
                .arg("--truth")
                .arg(&truth),
        );
        site.backfill();
        let labels = site.config().with_file_name("labels.csv");
        fs::write(&labels, labelled(&site, |sample| sample.starts_with("m90"))).unwrap();
        Self { site, labels }
    }

    fn train(&self, more: &[&str]) -> Output {
        let mut command = cytowatch();
        command.arg("train").arg("--database").arg(&self.site.database).arg("--labels").arg(&self.labels);
        command.args(["--width", "2", "--batch", "10", "--epochs", "1", "--per-cell", "2", "--tie-hallmarks=false"]);
        command.arg("--out").arg(self.model()).args(more).output().unwrap()
    }

    fn model(&self) -> PathBuf {
        self.site.config().with_file_name("model")
    }
}

/// A table of all samples.
fn labelled(site: &Site, high: impl Fn(&str) -> bool) -> String {
    let samples: Vec<String> = site.query("SELECT DISTINCT name FROM samples ORDER BY name");
    assert_eq!(samples.len(), 8, "{samples:?}");
    samples.iter().map(|sample| format!("{sample},{}\n", if high(sample) { "high" } else { "low" })).collect()
}

fn refusal(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "not refused: {said}");
    said
}

#[test]
fn a_watched_session_trains_a_model_and_bad_input_is_refused_by_name() {
    let watched = Watched::new();
    let table = fs::read_to_string(&watched.labels).unwrap();

    let said = refusal(&watched.train(&["--sessions", "nowhere"]));
    assert!(said.contains("nowhere"), "{said}");
    fs::write(&watched.labels, table.replace("m901", "m9O1")).unwrap();
    let said = refusal(&watched.train(&[]));
    assert!(said.contains("m9o1") && said.contains("m901"), "{said}");
    fs::write(&watched.labels, table.replace("m901,high", "m901,highly")).unwrap();
    let said = refusal(&watched.train(&[]));
    assert!(said.contains("line 1") && said.contains("highly"), "{said}");
    fs::write(&watched.labels, labelled(&watched.site, |_| true)).unwrap();
    let said = refusal(&watched.train(&[]));
    assert!(said.contains("only high samples"), "{said}");
    assert!(!watched.model().exists(), "what is refused leaves nothing");

    fs::write(&watched.labels, &table).unwrap();
    let output = watched.train(&[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output_of(cytowatch().args(["model", "check"]).arg(watched.model()));
    let facts = fs::read_to_string(watched.model().join("rdf.yaml")).unwrap();
    assert!(facts.contains("simulated: false") && facts.contains("pixel_size_um: 0.325"), "{facts}");
    assert!(facts.contains("quantity: auc") && facts.contains("one sample and its days at a time"), "{facts}");

    // A frame that is not there any more is named.
    let gone = files_below(&watched.site.folder()).remove(0).0;
    fs::remove_file(watched.site.folder().join(&gone)).unwrap();
    let said = refusal(&watched.train(&[]));
    assert!(said.contains(&gone), "{gone}: {said}");
}
