//! The certificate as one page of HTML without anything outside it, fit to print on A4.

use super::{Certificate, FovAccount, Reason, ranges, utc};
use crate::markup::escaped;

const STYLE: &str = "body{font:11pt/1.4 system-ui,sans-serif;color:#111;max-width:48rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem;margin:0}h2{font-size:1rem;margin:1.4rem 0 .3rem;border-bottom:1px solid #999}\
table{border-collapse:collapse;width:100%;font-size:.92em}td,th{padding:.15rem .5rem;text-align:left;vertical-align:top}\
th{font-weight:600;border-bottom:1px solid #ccc}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}\
.verdict{font-size:1.1rem;font-weight:600;padding:.5rem .8rem;margin:1rem 0;border:2px solid}\
.good{border-color:#16703a;color:#16703a}.bad{border-color:#a4160f;color:#a4160f}\
code{font:.85em ui-monospace,monospace;overflow-wrap:anywhere}.quiet{color:#555}\
tr{break-inside:avoid}.sign{display:flex;gap:3rem;margin-top:3rem}.sign div{flex:1;border-top:1px solid #111;padding-top:.2rem}\
@page{size:A4;margin:18mm}@media print{body{margin:0;max-width:none;padding:0}}";

impl Certificate {
    /// A whole HTML document without scripts, links or pictures.
    pub fn to_html(&self) -> String {
        let facts = &self.facts;
        let title = format!("Session certificate: {} / {}", escaped(&facts.instrument), escaped(&facts.session));
        let class = if self.complete { "good" } else { "bad" };
        let period = format!(
            "{} to {}",
            utc(facts.first_seen_unix_ms),
            facts.last_committed_unix_ms.map_or_else(|| "-".to_owned(), utc)
        );
        [
            format!("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>"),
            format!("<style>{STYLE}</style></head><body>\n<h1>{title}</h1>"),
            format!("<p class=\"quiet\">{period}<br>Issued {} by {}</p>", utc(self.issued_unix_ms), self.issued_by),
            format!("<p class=\"verdict {class}\">{}</p>", escaped(&self.verdict())),
            self.account(),
            reasons("Frames that were not analysed", &facts.reasons),
            reasons("Files that belong to no session", &facts.unplaced),
            self.fov_table(),
            self.cell_table(),
            self.alert_table(),
            self.run_table(),
            facts.results_sha256.as_ref().map_or_else(String::new, |hash| {
                format!("<h2>Results</h2><p>Hash over every result, in a fixed order: <code>{hash}</code></p>")
            }),
            "<p class=\"quiet\">For research. Scores and calls are not a diagnosis.</p>".to_owned(),
            "<div class=\"sign\"><div>Operator</div><div>Date</div></div>\n</body></html>\n".to_owned(),
        ]
        .join("\n")
    }

    fn account(&self) -> String {
        let total = &self.total;
        let rows = [
            ("Expected", total.expected, self.expectation.in_words()),
            ("Received", total.received, String::new()),
            ("Analysed", total.analysed, String::new()),
            ("Failed", total.failed, "each with a code".to_owned()),
            ("Skipped", total.skipped, "not for analysis, each with a reason".to_owned()),
            ("Open", total.open, "still on their way".to_owned()),
            ("Missing", total.missing, "expected, never received".to_owned()),
            ("Surplus", total.surplus, "received, not expected".to_owned()),
            ("Unexplained", self.unexplained, "missing, open or without a session".to_owned()),
        ];
        let rows = rows.map(|(name, count, note)| {
            format!("<tr><td>{name}</td><td class=\"n\">{count}</td><td class=\"quiet\">{}</td></tr>", escaped(&note))
        });
        format!("<h2>Frames</h2><table>{}</table>", rows.concat())
    }

    fn fov_table(&self) -> String {
        let row = |fov: &FovAccount| {
            let it = &fov.account;
            format!(
                "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td class=\"n\">{}</td><td>{}</td><td class=\"n\">{}</td></tr>",
                escaped(&fov.fov),
                escaped(&fov.sample),
                it.expected,
                it.analysed,
                it.failed,
                it.open,
                it.missing,
                ranges(&fov.gaps),
                fov.withheld_share().map_or_else(String::new, |share| format!("{:.1} %", 100.0 * share))
            )
        };
        let head = "<tr><th>Field</th><th>Sample</th><th class=\"n\">Expected</th><th class=\"n\">Analysed</th><th class=\"n\">Failed</th><th class=\"n\">Open</th><th class=\"n\">Missing</th><th>at time index</th><th class=\"n\">Scores withheld</th></tr>";
        format!("<h2>Fields of view</h2><table>{head}{}</table>", self.fovs.iter().map(row).collect::<String>())
    }

    fn cell_table(&self) -> String {
        let cells = &self.facts.cells;
        let row = |name: &str, count: u64, of: u64| {
            let share = 100.0 * count as f64 / of.max(1) as f64;
            format!("<tr><td>{}</td><td class=\"n\">{count}</td><td class=\"n\">{share:.1} %</td></tr>", escaped(name))
        };
        let withheld: String =
            cells.withheld.iter().map(|(it, count)| row(&format!("withheld: {it}"), *count, cells.cells)).collect();
        let verdicts: String = (cells.frame_verdicts.iter())
            .map(|(it, count)| row(&format!("frames {it}"), *count, self.total.analysed))
            .collect();
        format!(
            "<h2>Cells</h2><table>{}{}{}{withheld}{verdicts}</table>",
            row("detections", cells.cells, cells.cells),
            row("scored", cells.scored, cells.cells),
            row("without a score", cells.without_score, cells.cells)
        )
    }

    fn alert_table(&self) -> String {
        if self.facts.alerts.is_empty() {
            return "<h2>Alerts</h2><p>None.</p>".to_owned();
        }
        let rows = self.facts.alerts.iter().map(|alert| {
            format!(
                "<tr><td>{}</td><td>{}</td><td>{} {}</td><td>{}</td></tr>",
                utc(alert.raised_unix_ms),
                alert.cleared_unix_ms.map_or_else(|| "open".to_owned(), utc),
                escaped(&alert.severity),
                escaped(&alert.subject),
                escaped(&alert.text)
            )
        });
        format!(
            "<h2>Alerts</h2><table><tr><th>Raised</th><th>Cleared</th><th>Subject</th><th>Text</th></tr>{}</table>",
            rows.collect::<String>()
        )
    }

    fn run_table(&self) -> String {
        let rows = self.facts.runs.iter().map(|run| {
            let model = run.bundle.as_ref().map_or_else(
                || "none".to_owned(),
                |it| format!("{} {}<br><code>{}</code>", escaped(&it.name), escaped(&it.version), escaped(&it.sha256)),
            );
            format!(
                "<tr><td>{} to {}<br>{}, cytowatch {}, {}</td><td class=\"n\">{}</td><td>{model}</td><td><code>{}</code></td></tr>",
                utc(run.started_unix_ms),
                run.ended_unix_ms.map_or_else(|| "no orderly end".to_owned(), utc),
                escaped(&run.host),
                escaped(&run.software_version),
                escaped(&run.engine),
                run.frames,
                escaped(&run.settings_sha256)
            )
        });
        let later = self.facts.later_scores.iter().map(|it| {
            let bundle = &it.bundle;
            format!(
                "<tr><td>later scores of another model</td><td class=\"n\">{} cells</td><td>{} {}<br><code>{}</code></td><td></td></tr>",
                it.cells,
                escaped(&bundle.name),
                escaped(&bundle.version),
                escaped(&bundle.sha256)
            )
        });
        let rows = rows.chain(later);
        format!(
            "<h2>Runs</h2><table><tr><th>Run</th><th class=\"n\">Frames</th><th>Model</th><th>Settings</th></tr>{}</table>",
            rows.collect::<String>()
        )
    }
}

fn reasons(title: &str, reasons: &[Reason]) -> String {
    if reasons.is_empty() {
        return String::new();
    }
    let rows = reasons.iter().map(|it| {
        format!(
            "<tr><td>{}</td><td>{}</td><td class=\"n\">{}</td><td><code>{}</code></td></tr>",
            escaped(&it.state),
            escaped(&it.reason),
            it.frames,
            escaped(&it.first_path)
        )
    });
    format!(
        "<h2>{title}</h2><table><tr><th>State</th><th>Reason</th><th class=\"n\">Frames</th><th>First</th></tr>{}</table>",
        rows.collect::<String>()
    )
}
