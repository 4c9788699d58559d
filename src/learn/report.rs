//! The evaluation as one page that stands alone: tables, and plots as SVG inside.
//!
//! Takes [`Findings`], gives HTML that needs no network and no script. Every figure names its unit, its interval and what
//! was held out.

#![expect(clippy::let_underscore_must_use, reason = "writing to a text cannot fail")]

mod plot;

use super::evaluate::batch::Clustering;
use super::evaluate::cells_needed::Point;
use super::evaluate::permutation::{Permutation, sign_test};
use super::evaluate::roc::Estimate;
use crate::markup::escaped;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One way to tell high from low, and how well it does.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What was done.
    pub name: String,
    /// Area per frame.
    pub frame: Estimate,
    /// Area per cell.
    pub cell: Estimate,
    /// Area per sample.
    pub sample: Estimate,
    /// Share of right calls from 20 cells, drawn by field of view, where samples on days have so many.
    pub call: Option<Point>,
    /// Clustering of the features by day, where it was measured.
    pub clustering: Option<Clustering>,
}

/// One fold of the evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct Fold {
    /// The sample held out.
    pub sample: String,
    /// Its true class: high or not.
    pub high: bool,
    /// The days held out with it.
    pub days: Vec<String>,
    /// Cells trained on.
    pub training_cells: usize,
    /// Cells judged.
    pub held_out_cells: usize,
    /// Mean score of its cells by the fold's discriminant, 0..=1.
    pub mean_score: f64,
}

/// How many crops of one kind the validity guard withheld.
#[derive(Debug, Clone, PartialEq)]
pub struct Guarded {
    /// What they are.
    pub name: String,
    /// How many there were.
    pub crops: usize,
    /// How many were withheld, by reason.
    pub reasons: BTreeMap<&'static str, usize>,
}

impl Guarded {
    /// Share that was withheld, 0..=1; 0 without crops.
    pub fn share(&self) -> f64 {
        self.reasons.values().sum::<usize>() as f64 / self.crops.max(1) as f64
    }
}

/// Everything the page shows.
#[derive(Debug, Clone, PartialEq)]
pub struct Findings {
    /// Name and version of the model.
    pub model: String,
    /// Hash of the bundle.
    pub identity: String,
    /// The cells, in a sentence.
    pub data: String,
    /// The cells are simulated.
    pub simulated: bool,
    /// Best area per cell that anyone can reach, when it is known.
    pub bayes_auc: Option<f64>,
    /// Best share of right calls from 20 cells that anyone can reach, when it is known.
    pub best_calls: Option<f64>,
    /// All ways, the bundle's own first.
    pub rows: Vec<Row>,
    /// Every fold.
    pub folds: Vec<Fold>,
    /// Share of right calls by number of cells: name and curve.
    pub curves: Vec<(String, Vec<Point>)>,
    /// Score and share of high cells per tenth of the score: `(mean score, share high, cells)`.
    pub calibration: Vec<(f64, f64, usize)>,
    /// What exchanged labels reach.
    pub permutation: Option<Permutation>,
    /// What the guard withheld of the cells that all these figures are about.
    pub good: Guarded,
    /// What it withheld of crops on which no score may be shown.
    pub validity: Vec<Guarded>,
    /// The command that makes this page.
    pub command: String,
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a;\
    background:#fff}h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}table{border-collapse:collapse;width:100%}\
    th,td{padding:.3rem .6rem;border-bottom:1px solid #ddd;text-align:right}th:first-child,td:first-child{text-align:left}\
    .note{color:#555}.warn{border-left:4px solid #b45309;padding:.4rem .8rem;background:#fef3c7}svg{max-width:100%;height:auto}\
    code{word-break:break-all}";

/// The page.
pub fn html(findings: &Findings) -> String {
    let mut page = String::new();
    // Writing into a String cannot fail; the results are dropped by `let` on purpose.
    let mut add = |text: &str| page.push_str(text);
    add("<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>cytowatch: evaluation</title><style>");
    add(STYLE);
    add("</style><h1>How well the model tells high from low</h1>");
    add(&format!(
        "<p>{}<br><span class=\"note\">bundle <code>{}</code></span><br>{}</p>",
        escaped(&findings.model),
        escaped(&findings.identity),
        escaped(&findings.data)
    ));
    if findings.simulated {
        add(
            "<p class=\"warn\">All cells here are simulated. The figures say how well the method works on the simulator; \
             they say nothing about patients. This is not a diagnostic.</p>",
        );
    }
    add("<h2>Areas under the curve</h2>");
    add(&areas(findings));
    add(
        "<h2>How many cells a call needs</h2><p class=\"note\">Share of right calls from the mean of so many held-out cells, \
         drawn 1,000 times per sample and day, no cell twice in one call; a call is high when the mean logit is above 0. By \
         cell: each on its own. By field of view: whole fields, as a microscope gives them; what cells of a field and day \
         share, more of them cannot remove. A curve ends where no sample on a day has so many cells.</p>",
    );
    add(&plot::curves(&findings.curves));
    add("<h2>Folds</h2><p class=\"note\">Each sample is held out once, with every day on which it was imaged: the \
         discriminant has seen neither the sample nor the day.</p>");
    add(&folds(findings));
    add(
        "<h2>Is a score a probability?</h2><p class=\"note\">The bundle's score per cell, in tenths, against the share of \
         cells that are of a high sample; on the line it is one (where both classes are equally frequent).</p>",
    );
    add(&plot::calibration(&findings.calibration));
    if let Some(permutation) = &findings.permutation {
        add(&permuted(permutation));
    }
    add(&guarded(findings));
    add(&format!("<p class=\"note\">Made by <code>{}</code></p></html>\n", escaped(&findings.command)));
    page
}

fn guarded(findings: &Findings) -> String {
    let mut text = String::from(
        "<h2>What is withheld</h2><p class=\"note\">Of good cells the guard should withhold at most 1 %, of anything else at \
         least 95 %.</p><table><tr><th>crops</th><th>number</th><th>withheld</th><th>why</th></tr>",
    );
    for row in std::iter::once(&findings.good).chain(&findings.validity) {
        let reasons: Vec<String> = row.reasons.iter().map(|(why, count)| format!("{} {count}", escaped(why))).collect();
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{:.2} %</td><td>{}</td></tr>",
            escaped(&row.name),
            row.crops,
            100.0 * row.share(),
            reasons.join(", ")
        );
    }
    text + "</table>"
}

fn areas(findings: &Findings) -> String {
    let mut text = String::from(
        "<table><tr><th>method</th><th>per frame</th><th>per cell</th><th>per sample</th><th>right calls, 20 cells</th>\
         <th>day clustering, CH</th><th>DB</th></tr>",
    );
    for row in &findings.rows {
        let (ch, db) = row.clustering.map_or((String::new(), String::new()), |clustering| {
            (format!("{:.1}", clustering.calinski_harabasz), format!("{:.1}", clustering.davies_bouldin))
        });
        let cells = [estimate(row.frame), estimate(row.cell), estimate(row.sample), call(row.call), ch, db];
        let cells: String = cells.iter().fold(String::new(), |all, cell| all + "<td>" + cell + "</td>");
        let _ = write!(text, "<tr><td>{}</td>{cells}</tr>", escaped(&row.name));
    }
    text.push_str(
        "</table><p class=\"note\">In brackets: 95 % interval, for samples and days that are drawn anew (per sample: samples). \
         Per sample: mean logit of its cells. CH (Calinski-Harabasz): lower means less clustered by day; DB \
         (Davies-Bouldin): higher.</p>",
    );
    if let (Some(bayes), Some(row)) = (findings.bayes_auc, findings.rows.first()) {
        let share = row.cell.value / bayes;
        let _ = write!(
            text,
            "<p>From the true hallmarks of one cell the best possible area per cell is {bayes:.3}; the bundle reaches \
             {:.3}, which is {share:.2} of it.",
            row.cell.value
        );
        if let Some(best) = findings.best_calls {
            let _ = write!(text, " From those of 20 cells {best:.3} of the calls would be right.");
        }
        text.push_str("</p>");
    }
    text
}

fn folds(findings: &Findings) -> String {
    let mut text = String::from(
        "<table><tr><th>sample</th><th>class</th><th>mean score</th><th>cells judged</th><th>cells trained on</th>\
         <th>days held out</th></tr>",
    );
    for fold in &findings.folds {
        let _ = write!(
            text,
            "<tr><td>{}</td><td>{}</td><td>{:.3}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escaped(&fold.sample),
            if fold.high { "high" } else { "low" },
            fold.mean_score,
            fold.held_out_cells,
            fold.training_cells,
            escaped(&fold.days.join(", "))
        );
    }
    let right = findings.folds.iter().filter(|fold| (fold.mean_score > 0.5) == fold.high).count();
    let all = findings.folds.len();
    let p = sign_test(right, all);
    let _ = write!(
        text,
        "</table><p>{right} of {all} samples fall on their right side (mean score above or below one half); tossed coins \
         would do as well with probability {p:.4} (sign test).</p>"
    );
    text
}

fn permuted(permutation: &Permutation) -> String {
    let kind = if permutation.complete { "all" } else { "drawn" };
    format!(
        "<h2>Would exchanged labels do as well?</h2><p>{} exchanges of the samples' labels ({kind}); p = {:.3}, the smallest \
         possible being {:.3}.</p>{}",
        permutation.exchanged.len(),
        permutation.p_value,
        1.0 / (permutation.exchanged.len().max(1) as f64),
        plot::histogram(&permutation.exchanged, permutation.auc)
    )
}

fn call(point: Option<Point>) -> String {
    point.map_or_else(|| "too few cells".to_owned(), |point| estimate(point.right))
}

fn estimate(estimate: Estimate) -> String {
    format!("{:.3} ({:.3} to {:.3})", estimate.value, estimate.low, estimate.high)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_stands_alone_and_says_what_it_is() {
        let point = Estimate { value: 0.7, low: 0.6, high: 0.8 };
        let findings = Findings {
            model: "a <model>".to_owned(),
            identity: "abc".to_owned(),
            data: "cells".to_owned(),
            simulated: true,
            bayes_auc: Some(0.75),
            best_calls: Some(0.98),
            rows: vec![Row {
                name: "bundle".to_owned(),
                frame: point,
                cell: point,
                sample: point,
                call: Some(Point { cells: 20, right: point, clusters: 24 }),
                clustering: Some(Clustering { davies_bouldin: 5.0, calinski_harabasz: 7.0 }),
            }],
            folds: vec![Fold {
                sample: "m901".to_owned(),
                high: true,
                days: vec!["260105".to_owned()],
                training_cells: 10,
                held_out_cells: 5,
                mean_score: 0.61,
            }],
            curves: vec![(
                "by cell".to_owned(),
                [1, 20].map(|cells| Point { cells, right: point, clusters: 24 }).to_vec(),
            )],
            calibration: vec![(0.3, 0.25, 10), (0.7, 0.8, 12)],
            permutation: Some(Permutation { auc: 0.7, exchanged: vec![0.4, 0.5, 0.7], p_value: 0.333, complete: true }),
            good: Guarded { name: "good".to_owned(), crops: 500, reasons: BTreeMap::from([("out_of_domain", 2)]) },
            validity: vec![Guarded {
                name: "noise".to_owned(),
                crops: 9,
                reasons: BTreeMap::from([("out_of_focus", 9)]),
            }],
            command: "cytowatch evaluate model".to_owned(),
        };
        let page = html(&findings);
        assert!(page.contains("a &lt;model&gt;") && page.contains("not a diagnostic") && page.contains("0.93 of it"));
        assert!(page.contains("1 of 1 samples fall on their right side"));
        assert!(!page.contains("http://") && !page.contains("https://") && !page.contains("<script"));
        for tag in ["svg", "table", "p", "h2", "text"] {
            let count = |what: String| page.matches(&what).count();
            assert_eq!(count(format!("<{tag}>")) + count(format!("<{tag} ")), count(format!("</{tag}>")), "{tag}");
        }
    }
}
