//! The report's plots, as SVG text.

#![expect(clippy::let_underscore_must_use, reason = "writing to a text cannot fail")]

use crate::learn::evaluate::cells_needed::Point;
use std::fmt::Write as _;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
/// Room for the axes' numbers.
const MARGIN: f64 = 48.0;
/// One colour per curve, told apart without hue as well by their order in the key.
const COLOURS: [&str; 4] = ["#1d4ed8", "#b45309", "#047857", "#7c3aed"];

/// A frame with axes; positions are given in shares of the plot, 0..=1, y upwards.
struct Plot {
    text: String,
}

impl Plot {
    fn new(x_title: &str, y_title: &str) -> Self {
        let mut text = format!(
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" font-family=\"system-ui,sans-serif\" font-size=\"12\">"
        );
        let (x, y) = (place_x(0.5), HEIGHT - 6.0);
        let _ = write!(text, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"middle\">{x_title}</text>");
        let _ = write!(
            text,
            "<text x=\"12\" y=\"{0:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 12 {0:.1})\">{y_title}</text>",
            place_y(0.5)
        );
        Self { text }
    }

    fn x_mark(&mut self, at: f64, label: &str) {
        let x = place_x(at);
        let (low, high, under) = (place_y(0.0), place_y(1.0), place_y(0.0) + 16.0);
        let _ = write!(
            self.text,
            "<path d=\"M{x:.1} {low:.1}V{high:.1}\" stroke=\"#eee\"/><text x=\"{x:.1}\" y=\"{under:.1}\" \
             text-anchor=\"middle\">{label}</text>"
        );
    }

    fn y_mark(&mut self, at: f64, label: &str) {
        let (y, left, right) = (place_y(at), place_x(0.0), place_x(1.0));
        let _ = write!(
            self.text,
            "<path d=\"M{left:.1} {y:.1}H{right:.1}\" stroke=\"#eee\"/><text x=\"{:.1}\" y=\"{:.1}\" \
             text-anchor=\"end\">{label}</text>",
            left - 5.0,
            y + 4.0
        );
    }

    fn line(&mut self, points: &[(f64, f64)], colour: &str) {
        let path: Vec<String> = points.iter().map(|(x, y)| format!("{:.1},{:.1}", place_x(*x), place_y(*y))).collect();
        let path = path.join(" ");
        let _ = write!(self.text, "<polyline points=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
    }

    fn band(&mut self, low: &[(f64, f64)], high: &[(f64, f64)], colour: &str) {
        let around = low.iter().chain(high.iter().rev());
        let path: Vec<String> = around.map(|(x, y)| format!("{:.1},{:.1}", place_x(*x), place_y(*y))).collect();
        let _ = write!(self.text, "<polygon points=\"{}\" fill=\"{colour}\" opacity=\"0.15\"/>", path.join(" "));
    }

    fn key(&mut self, index: usize, name: &str, colour: &str) {
        let y = place_y(0.0) - 14.0 - 18.0 * index as f64;
        let (from, to) = (place_x(1.0) - 190.0, place_x(1.0) - 166.0);
        let _ = write!(
            self.text,
            "<path d=\"M{from:.1} {y:.1}H{to:.1}\" stroke=\"{colour}\" stroke-width=\"2\"/><text x=\"{:.1}\" \
             y=\"{:.1}\">{name}</text>",
            to + 6.0,
            y + 4.0
        );
    }

    fn end(mut self) -> String {
        self.text.push_str("</svg>");
        self.text
    }
}

fn place_x(share: f64) -> f64 {
    MARGIN + share * (WIDTH - MARGIN - 12.0)
}

fn place_y(share: f64) -> f64 {
    HEIGHT - MARGIN + 8.0 - share * (HEIGHT - MARGIN - 4.0)
}

/// Share of right calls by number of cells, on a logarithmic axis, with their intervals as bands.
pub(super) fn curves(curves: &[(String, Vec<Point>)]) -> String {
    let largest = curves.iter().flat_map(|curve| &curve.1).map(|point| point.cells).max().unwrap_or(2) as f64;
    let x = |cells: usize| (cells.max(1) as f64).ln() / largest.max(2.0).ln();
    let y = |share: f64| ((share - 0.4) / 0.6).clamp(0.0, 1.0);
    let mut plot = Plot::new("cells", "share of right calls");
    for share in [0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0] {
        plot.y_mark(y(share), &format!("{share:.2}"));
    }
    for cells in [1, 2, 5, 10, 20, 50, 100, 200] {
        if cells as f64 <= largest {
            plot.x_mark(x(cells), &cells.to_string());
        }
    }
    for (index, ((name, points), colour)) in curves.iter().zip(COLOURS).enumerate() {
        let at = |value: fn(&Point) -> f64| points.iter().map(|p| (x(p.cells), y(value(p)))).collect::<Vec<_>>();
        plot.band(&at(|p| p.right.low), &at(|p| p.right.high), colour);
        plot.line(&at(|p| p.right.value), colour);
        plot.key(index, name, colour);
    }
    plot.end()
}

/// Mean score against the share of high cells; the size of a disc shows how many cells it stands for.
pub(super) fn calibration(tenths: &[(f64, f64, usize)]) -> String {
    let mut plot = Plot::new("mean score", "share of high cells");
    for step in 0..=5_u8 {
        let at = f64::from(step) / 5.0;
        plot.x_mark(at, &format!("{at:.1}"));
        plot.y_mark(at, &format!("{at:.1}"));
    }
    plot.line(&[(0.0, 0.0), (1.0, 1.0)], "#bbb");
    let most = tenths.iter().map(|tenth| tenth.2).max().unwrap_or(1).max(1) as f64;
    for (score, share, cells) in tenths {
        let radius = 2.0 + 7.0 * (*cells as f64 / most).sqrt();
        let (x, y) = (place_x(*score), place_y(*share));
        let _ = write!(
            plot.text,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\" fill=\"#1d4ed8\" opacity=\"0.7\"/>"
        );
    }
    plot.end()
}

/// How often exchanged labels reach which area, and where the true ones stand.
pub(super) fn histogram(values: &[f64], truth: f64) -> String {
    const BINS: usize = 25;
    let x = |auc: f64| ((auc - 0.2) / 0.6).clamp(0.0, 1.0);
    let mut counts = [0_usize; BINS];
    for value in values {
        if let Some(count) = counts.get_mut(((x(*value) * BINS as f64) as usize).min(BINS - 1)) {
            *count += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(1).max(1) as f64;
    let mut plot = Plot::new("auc per cell", "exchanges");
    for auc in [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8] {
        plot.x_mark(x(auc), &format!("{auc:.1}"));
    }
    plot.y_mark(0.9, &format!("{most:.0}"));
    for (index, count) in counts.iter().enumerate() {
        let (left, right) = (place_x(index as f64 / BINS as f64), place_x((index + 1) as f64 / BINS as f64));
        let (top, bottom) = (place_y(0.9 * *count as f64 / most), place_y(0.0));
        let (width, height) = (right - left - 1.0, bottom - top);
        let _ = write!(
            plot.text,
            "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"#94a3b8\"/>"
        );
    }
    plot.line(&[(x(truth), 0.0), (x(truth), 1.0)], "#b91c1c");
    plot.key(0, "true labels", "#b91c1c");
    plot.end()
}
