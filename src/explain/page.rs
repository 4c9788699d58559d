//! A cell's story as one page of HTML beside its pictures: no script, nothing from outside.

use super::hallmarks::{Hallmarks, Slope};
use super::story::{Story, StripPicture, TrackPoint, TrackStory};
use crate::markup::escaped;
use std::fmt::Write as _;

const STYLE: &str = "body{font:11pt/1.45 system-ui,sans-serif;color:#111;max-width:60rem;margin:2rem auto;padding:0 1rem}\
h1{font-size:1.4rem;margin:0}h2{font-size:1.05rem;margin:1.6rem 0 .4rem;border-bottom:1px solid #999}\
.quiet{color:#555}.row{display:flex;flex-wrap:wrap;gap:.4rem}figure{margin:0;font-size:.8em;text-align:center}\
figcaption{font-variant-numeric:tabular-nums}figure img{display:block;width:6.2rem;height:6.2rem;image-rendering:auto}\
.large img{width:12rem;height:12rem}figure.here img{outline:3px solid #d08a00}table{border-collapse:collapse;font-size:.92em}\
td,th{padding:.15rem .6rem;text-align:right;font-variant-numeric:tabular-nums}td:first-child,th:first-child{text-align:left}\
th{border-bottom:1px solid #ccc}.score{font-size:1.3rem;font-weight:600}svg{background:#fafafa;border:1px solid #ddd}\
.charts{display:flex;flex-wrap:wrap;gap:.8rem}code{font-size:.85em;overflow-wrap:anywhere}@media print{body{margin:0}}";

/// Width and height of a chart, px.
const CHART: (f64, f64) = (280.0, 130.0);
/// Room for its numbers, px.
const MARGIN: f64 = 34.0;

/// The page.
pub fn html(story: &Story) -> String {
    let title = format!("Cell {}: {}", story.cell_id, escaped(&story.place));
    let time = story.time_index.map_or_else(|| "-".to_owned(), |it| it.to_string());
    let simulated = if story.trained_on_simulation { " It was trained on simulated cells." } else { "" };
    [
        format!("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>"),
        format!("<style>{STYLE}</style></head><body>\n<h1>{title}</h1>"),
        format!(
            "<p class=\"quiet\">Time index {time}. Model {} <code>{}</code>.{simulated} For research, not a diagnostic.</p>",
            escaped(&story.bundle),
            escaped(story.bundle_sha256.get(..16).unwrap_or_default())
        ),
        score(story),
        series(story),
        story.track.as_ref().map_or_else(String::new, |track| track_charts(track, story.time_index)),
        reconstruction(story),
        nearest(story),
        exaggerated(story),
        kin(story),
        strip(story),
        "</body></html>\n".to_owned(),
    ]
    .join("\n")
}

fn score(story: &Story) -> String {
    let frame = match (story.score, &story.withheld) {
        (Some(score), _) => format!("{score:.2}"),
        (None, Some(why)) => format!("withheld ({})", escaped(why)),
        (None, None) => "none".to_owned(),
    };
    let track = story.track.as_ref().map_or_else(String::new, |track| {
        let score = track.score.map_or_else(|| "none".to_owned(), |it| format!("{it:.2}"));
        let interval = match track.interval {
            Some((low, high)) => format!(" (95 % interval {low:.2} to {high:.2})"),
            None => " (too short for an interval)".to_owned(),
        };
        format!(
            "; over its track <span class=\"score\">{score}</span>{interval}, {} frames counted, {} withheld",
            track.scored_count, track.withheld_count
        )
    });
    let it = story.measured;
    format!(
        "<h2>Score</h2><p>0 is low, 1 is high. In this frame <span class=\"score\">{frame}</span>{track}.</p>\
         <p>Measured in this frame: {} protrusions, together {:.1} um; scattering {:.1} um&sup2;; area {:.0} um&sup2;.</p>",
        it.protrusion_count, it.protrusion_total_um, it.scattering, it.area_um2
    )
}

fn series(story: &Story) -> String {
    let pictures = story.series.iter().map(|it| {
        let here = if Some(it.time_index) == story.time_index { " class=\"here\"" } else { "" };
        let caption = format!("t {}: {}", it.time_index, number(it.score));
        figure(here, &it.file, &caption)
    });
    format!(
        "<h2>The cell over time</h2><p class=\"quiet\">70.5 um boxes with the outline; below, time index and score. \
         The framed one is this cell.</p><div class=\"row\">{}</div>",
        pictures.collect::<String>()
    )
}

fn track_charts(track: &TrackStory, here: Option<i64>) -> String {
    let over_time = |of: fn(&TrackPoint) -> Option<f64>| -> Vec<(f64, Option<f64>)> {
        track.points.iter().map(|it| (it.time_index as f64, of(it))).collect()
    };
    let here = here.map(|it| it as f64);
    format!(
        "<h2>Track {}</h2><div class=\"charts\">{}{}{}{}</div>",
        track.number,
        path(&track.points),
        chart("score over time", &over_time(|it| it.score), Some((0.0, 1.0)), here),
        chart("protrusions, um", &over_time(|it| Some(it.protrusion_total_um)), None, here),
        chart("scattering", &over_time(|it| Some(it.scattering)), None, here)
    )
}

fn reconstruction(story: &Story) -> String {
    let pictures = [
        ("crop.png", "as the model sees it"),
        ("reconstruction.png", "what it can draw again"),
        ("difference.png", "difference, stretched"),
    ];
    let figures = pictures.map(|(file, caption)| figure(" class=\"large\"", file, caption)).concat();
    format!(
        "<h2>What the model keeps of it</h2><div class=\"row\">{figures}</div>\
         <p class=\"quiet\">Mean squared difference {:.5} (grey of 0 to 1, squared). What the reconstruction lacks, \
         the decoder's pictures below cannot show.</p>",
        story.reconstruction_mse
    )
}

fn nearest(story: &Story) -> String {
    if story.nearest.is_empty() {
        return "<h2>Nearest training cells</h2><p class=\"quiet\">The bundle has no reference cells: \
                <code>cytowatch explain references</code> adds them.</p>"
            .to_owned();
    }
    let figures = story.nearest.iter().map(|it| {
        let class = it.high.map_or("class unknown", |high| if high { "high" } else { "low" });
        figure("", &it.file, &format!("{class}, {:.1} sd<br>{}", it.distance, escaped(&it.name)))
    });
    format!(
        "<h2>Nearest training cells</h2><p class=\"quiet\">By Euclidean distance of the descriptors, each feature in its standard \
         deviations.</p><div class=\"row\">{}</div>",
        figures.collect::<String>()
    )
}

/// This cell's own picture from low to high.
fn exaggerated(story: &Story) -> String {
    let Some(it) = &story.exaggerated else { return String::new() };
    let figures = it.pictures.iter().map(|it| {
        let measured = measured(it.hallmarks);
        let caption = format!("{:+.1} sd, {}<br>{measured}", it.shift, number(it.score));
        let here = if (it.protrusions_times - 1.0).abs() < 1e-9 && (it.granules_times - 1.0).abs() < 1e-9 {
            " class=\"here\""
        } else {
            ""
        };
        figure(here, &it.file, &caption)
    });
    format!(
        "<h2>This cell from low to high along feature {}</h2><p class=\"quiet\">Its own picture, drawn with longer or shorter \
         pseudopods and denser or fainter granules by a network that was taught on simulated cells what these look like. Below each: by how \
         much the model reads the feature higher, and its score; the summed length of protrusions, and scattering, measured. The framed one \
         is drawn with both as they are.</p><div class=\"row\">{}</div><p>Towards high, the summed length of protrusions <strong>{}</strong>; scattering \
         <strong>{}</strong>. When pseudopods grow 2.7 times as long, the model reads the feature {:+.2} sd; when granules grow 2.7 times as \
         dense, {:+.2} sd: both were changed in that proportion.</p>",
        story.feature.feature,
        figures.collect::<String>(),
        rises(it.rise.protrusion_um, " um"),
        rises(it.rise.scattering, " um&sup2;"),
        it.answer.protrusions_sd,
        it.answer.granules_sd
    )
}

/// Real cells first: they show what the decoder cannot draw.
fn kin(story: &Story) -> String {
    if story.kin.is_empty() {
        return String::new();
    }
    let figures = story.kin.iter().map(|it| {
        let class = it.high.map_or("class unknown", |high| if high { "high" } else { "low" });
        let measured = measured(it.hallmarks);
        figure("", &it.file, &format!("{:+.1} sd, {class}<br>{measured}", it.shift))
    });
    let trend = |slope: Option<Slope>, unit: &str| {
        slope.map_or_else(
            || "cannot be measured".to_owned(),
            |it| {
                let way = if it.per_unit < 0.0 { "falls" } else { "rises" };
                let certain = if it.per_unit.abs() > 1.96 * it.standard_error { "" } else { ", which may be chance" };
                let size = it.per_unit.abs();
                format!("{way} by {size:.3} &plusmn; {:.3}{unit} per standard deviation{certain}", it.standard_error)
            },
        )
    };
    format!(
        "<h2>Real cells from low to high along feature {}</h2><p class=\"quiet\">Training cells whose feature lies that far from this \
         cell's, otherwise as like it as there are; below, the summed length of protrusions and scattering.</p>\
         <div class=\"row\">{}</div><p>Over {} training cells, towards high, the summed length of protrusions \
         <strong>{}</strong>; scattering <strong>{}</strong> (&plusmn; one standard error).</p>",
        story.feature.feature,
        figures.collect::<String>(),
        story.kin_trend.cells,
        trend(story.kin_trend.protrusion_um, " um"),
        trend(story.kin_trend.scattering, " um&sup2;")
    )
}

fn strip(story: &Story) -> String {
    let it = &story.feature;
    let correlation = it.correlation.map_or_else(String::new, |r| format!(", correlation with the score {r:.2}"));
    let of = |value: fn(&StripPicture) -> Option<f64>| -> Vec<(f64, Option<f64>)> {
        (0_u32..).zip(&story.strip).map(|(index, it)| (f64::from(index) + 1.0, value(it))).collect()
    };
    let figures = |file: fn(&StripPicture) -> &str, caption: fn(&StripPicture) -> String| -> String {
        story.strip.iter().map(|it| figure("", file(it), &caption(it))).collect()
    };
    let row = |it: &StripPicture| {
        let hallmarks = it.hallmarks.map_or_else(
            || "<td>-</td><td>-</td><td>-</td>".to_owned(),
            |h| format!("<td>{:.1}</td><td>{:.3}</td><td>{:.0}</td>", h.protrusion_total_um, h.scattering, h.area_um2),
        );
        let (shift, score, difference) = (it.shift, number(it.score), it.mean_difference);
        format!("<tr><td>{shift:+.1}</td><td>{score}</td>{hallmarks}<td>{difference:.4}</td></tr>")
    };
    let rows = story.strip.iter().map(row).collect::<Vec<_>>().concat();
    format!(
        "<h2>This cell from low to high along feature {}, as the decoder draws it</h2><p>Chosen by {}{correlation}. A decoder draws neither \
         grain nor thin pseudopods; what it can show is where the cell becomes brighter. Each picture is decoded with the feature moved by \
         the number below it, in standard deviations; the second row shows where it became brighter than the reconstruction.</p>\
         <div class=\"row\">{}</div><div class=\"row\">{}</div>\
         <p>Towards high (left to right), the summed length of protrusions <strong>{}</strong>; scattering <strong>{}</strong>, both measured on the \
         decoded pictures.</p><div class=\"charts\">{}{}{}</div>\
         <table><tr><th>shift, sd</th><th>score</th><th>protrusions, um</th><th>scattering, um&sup2;</th><th>area, um&sup2;</th>\
         <th>mean difference</th></tr>{rows}</table>",
        it.feature,
        escaped(&it.chosen_by),
        figures(|it| &it.file, |it| format!("{:+.1}<br>{}", it.shift, number(it.score))),
        figures(|it| &it.brighter_file, |_| String::new()),
        rises(story.rise.protrusion_um, " um"),
        rises(story.rise.scattering, ""),
        chart("score", &of(|it| it.score), Some((0.0, 1.0)), None),
        chart("protrusions, um", &of(|it| Some(it.hallmarks?.protrusion_total_um)), None, None),
        chart("scattering", &of(|it| Some(it.hallmarks?.scattering)), None, None)
    )
}

fn figure(class: &str, file: &str, caption: &str) -> String {
    format!("<figure{class}><img src=\"{0}\" alt=\"{0}\"><figcaption>{caption}</figcaption></figure>", escaped(file))
}

fn measured(hallmarks: Option<Hallmarks>) -> String {
    hallmarks.map_or_else(
        || "not measured".to_owned(),
        |it| format!("{:.1} um, {:.2} um&sup2;", it.protrusion_total_um, it.scattering),
    )
}

fn rises(slope: Option<f64>, unit: &str) -> String {
    slope.map_or_else(
        || "cannot be measured".to_owned(),
        |it| format!("{} by {:.2}{unit} per standard deviation", if it < 0.0 { "falls" } else { "rises" }, it.abs()),
    )
}

fn number(score: Option<f64>) -> String {
    score.map_or_else(|| "withheld".to_owned(), |it| format!("{it:.2}"))
}

/// A line over `points`; a missing value breaks it. `here` marks a place on the horizontal axis.
fn chart(title: &str, points: &[(f64, Option<f64>)], range: Option<(f64, f64)>, here: Option<f64>) -> String {
    let known: Vec<f64> = points.iter().filter_map(|it| it.1).collect();
    let (low, high) = range.unwrap_or_else(|| padded(known.iter().copied()));
    let (first, last) = padded(points.iter().map(|it| it.0));
    let (width, height) = CHART;
    let x = |at: f64| MARGIN + (at - first) / (last - first) * (width - MARGIN - 8.0);
    let y = |value: f64| height - 18.0 - (value - low) / (high - low) * (height - 40.0);
    let mut lines = String::new();
    for part in points.split(|it| it.1.is_none()) {
        let line: Vec<String> = part.iter().filter_map(|it| Some(format!("{:.1},{:.1}", x(it.0), y(it.1?)))).collect();
        // Writing into a string cannot fail.
        let _written = write!(
            lines,
            "<polyline fill=\"none\" stroke=\"#1b5fa8\" stroke-width=\"1.5\" points=\"{}\"/>",
            line.join(" ")
        );
        if let ([only], Some(value)) = (part, part.first().and_then(|it| it.1)) {
            let _written =
                write!(lines, "<circle r=\"2\" fill=\"#1b5fa8\" cx=\"{:.1}\" cy=\"{:.1}\"/>", x(only.0), y(value));
        }
    }
    let mark = here.map_or_else(String::new, |at| {
        format!("<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"20\" y2=\"{1}\" stroke=\"#d08a00\"/>", x(at), height - 18.0)
    });
    format!(
        "<svg width=\"{width}\" height=\"{height}\" font-size=\"10\" role=\"img\" aria-label=\"{title}\">\
         <text x=\"8\" y=\"14\" font-weight=\"600\">{title}</text><text x=\"4\" y=\"{:.1}\">{high:.2}</text>\
         <text x=\"4\" y=\"{:.1}\">{low:.2}</text>\
         <text x=\"{MARGIN}\" y=\"{bottom}\">{first:.0}</text>\
         <text x=\"{}\" y=\"{bottom}\" text-anchor=\"end\">{last:.0}</text>{mark}{lines}</svg>",
        y(high) + 4.0,
        y(low) + 2.0,
        width - 8.0,
        bottom = height - 5.0
    )
}

/// Where the cell went, um, with its first place as a ring and its last as a dot.
fn path(points: &[TrackPoint]) -> String {
    let (left, right) = padded(points.iter().map(|it| it.x_um));
    let (top, bottom) = padded(points.iter().map(|it| it.y_um));
    let span = (right - left).max(bottom - top);
    let side = CHART.1;
    let place = |it: &TrackPoint| {
        let scale = (side - 32.0) / span;
        (8.0 + (it.x_um - left) * scale, 22.0 + (it.y_um - top) * scale)
    };
    let line: Vec<String> = points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let dot = |it: Option<&TrackPoint>, fill: &str| {
        let (x, y) = it.map(place).unwrap_or_default();
        format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{fill}\" stroke=\"#1b5fa8\"/>")
    };
    format!(
        "<svg width=\"{side}\" height=\"{side}\" font-size=\"10\" role=\"img\" aria-label=\"path\"><text x=\"8\" y=\"14\" \
         font-weight=\"600\">path, {span:.0} um</text><polyline fill=\"none\" stroke=\"#1b5fa8\" points=\"{}\"/>{}{}</svg>",
        line.join(" "),
        dot(points.first(), "#fff"),
        dot(points.last(), "#1b5fa8")
    )
}

/// Smallest and largest value, never equal.
fn padded(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), it| (low.min(it), high.max(it)));
    if high > low {
        (low, high)
    } else if low.is_finite() {
        (low - 0.5, low + 0.5)
    } else {
        (0.0, 1.0)
    }
}
