//! Prints the figures of `docs/calls.md`: how often the call on a sample is wrong, how many cells it takes, whether its
//! interval holds (over simulated sessions in which the call is updated with every frame), and how well changes of state
//! are found in simulated tracks.
//!
//! `cargo bench --bench calls` (or, without building anew, `cargo bench --profile dev --bench calls`); the same seeds give
//! the same figures. `-- --sessions 200` makes it quicker.

#![expect(clippy::print_stdout, reason = "this program's result is what it prints")]

use cytowatch::sample::call::{CallRule, Side};
use cytowatch::sample::dynamics::{Dynamics, LogitAt, fit, follow};
use cytowatch::sample::film::{Film, Filmed, Matched, track};
use cytowatch::sample::trial::{Outcome, Setting, Truth, session};
use rayon::prelude::*;

fn main() {
    let mut arguments = std::env::args().skip_while(|it| it != "--sessions").skip(1);
    let sessions: u64 = arguments.next().and_then(|it| it.parse().ok()).unwrap_or(1000);
    let rule = CallRule::default();
    println!("{rule:?}\n{sessions} sessions per line and class; the call is updated with every frame\n");
    print_errors(&rule, sessions);
    print_coverage(&rule, sessions);
    print_changes();
}

fn run(setting: &Setting, truth: Truth, rule: &CallRule, sessions: u64) -> Vec<Outcome> {
    let seeds = 0..sessions;
    seeds.into_par_iter().map(|seed| session(setting, truth, rule, seed, false)).collect()
}

/// Counts over the sessions of one setting and truth.
struct Counted {
    wrong: f64,
    right: f64,
    changed: f64,
    flickering: f64,
    median_cells: u32,
    median_minute: i64,
}

fn count(outcomes: &[Outcome], truth: Truth) -> Counted {
    let n = outcomes.len() as f64;
    let share = |wanted: &dyn Fn(&Outcome) -> bool| 100.0 * outcomes.iter().filter(|it| wanted(it)).count() as f64 / n;
    // A session that was never called counts as never reaching it, so that the median is over all sessions.
    let middle = |of: &dyn Fn(&Outcome) -> i64| {
        let mut values: Vec<i64> = outcomes.iter().map(of).collect();
        values.sort_unstable();
        values.get(values.len() / 2).copied().unwrap_or(i64::MAX)
    };
    let own = if truth == Truth::Low { Side::Low } else { Side::High };
    Counted {
        wrong: share(&|it| it.ever_wrong),
        right: share(&|it| it.last == Some(own)),
        changed: share(&|it| it.changes > 0),
        flickering: share(&|it| it.changes > 1),
        median_cells: middle(&|it| it.first.map_or(i64::from(u32::MAX), |made| i64::from(made.cells))) as u32,
        median_minute: middle(&|it| it.first.map_or(i64::MAX, |made| made.at_unix_ms / 60_000)),
    }
}

fn print_errors(rule: &CallRule, sessions: u64) {
    println!(
        "| cell AUC | fields | cells | within-field correlation | day sd | class | ever wrong % | right at end % | changed once % | more often % | median cells | median minute |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|---|---|");
    let mut worst: f64 = 0.0;
    for setting in settings() {
        for truth in [Truth::High, Truth::Low, Truth::Between] {
            let counted = count(&run(&setting, truth, rule, sessions), truth);
            if truth != Truth::Between && setting.day_sd == 0.0 {
                worst = worst.max(counted.wrong);
            }
            let never = |known: bool, value: String| if known { value } else { "-".to_owned() };
            println!(
                "| {:.2} | {} | {} | {:.2} | {:.1} | {} | {:.1} | {} | {:.1} | {:.1} | {} | {} |",
                setting.cell_auc,
                setting.fovs,
                setting.fovs * (setting.cells_per_fov + setting.arrivals_per_fov),
                setting.fov_correlation,
                setting.day_sd,
                format!("{truth:?}").to_lowercase(),
                counted.wrong,
                never(truth != Truth::Between, format!("{:.1}", counted.right)),
                counted.changed - counted.flickering,
                counted.flickering,
                never(counted.median_cells < u32::MAX, counted.median_cells.to_string()),
                never(counted.median_minute < i64::MAX, counted.median_minute.to_string()),
            );
        }
    }
    println!(
        "\nworst share of sessions of a class that were ever called wrongly, without a day effect: {worst:.1} %\n"
    );
}

fn settings() -> Vec<Setting> {
    let base = Setting::default();
    let mut settings = Vec::new();
    for cell_auc in [0.70, 0.75, 0.85] {
        for fov_correlation in [0.0, 0.05, 0.2] {
            settings.push(Setting { cell_auc, fov_correlation, ..base });
        }
    }
    // Cells that come one by one over ten hours: what the number of cells to a call really is.
    for cell_auc in [0.70, 0.75, 0.85] {
        let filling = Setting { cells_per_fov: 1, arrivals_per_fov: 39, frames: 600, ..base };
        settings.push(Setting { cell_auc, ..filling });
    }
    for fovs in [1, 2, 3, 5] {
        for fov_correlation in [0.05, 0.2] {
            settings.push(Setting { fovs, fov_correlation, cells_per_fov: 20, arrivals_per_fov: 10, ..base });
        }
    }
    settings.push(Setting { day_sd: 0.3, ..base });
    settings
}

fn print_coverage(rule: &CallRule, sessions: u64) {
    println!("95 % interval at the session's end, share of sessions in which it holds the population's mean score:");
    println!("| fields | cells | within-field correlation | truth | coverage % | mean width |");
    println!("|---|---|---|---|---|---|");
    for (fovs, cells_per_fov) in [(1, 40), (2, 20), (3, 20), (5, 12), (10, 6)] {
        for fov_correlation in [0.0, 0.05, 0.2] {
            let setting =
                Setting { fovs, cells_per_fov, arrivals_per_fov: 0, frames: 60, fov_correlation, ..Setting::default() };
            let many = Setting { fovs: 20_000, cells_per_fov: 1, ..setting };
            for truth in [Truth::High, Truth::Between] {
                let population = session(&many, truth, &CallRule { replicates: 1, ..*rule }, 1, true).at_end;
                let population = population.map_or(0.5, |(score, _)| score);
                let ends: Vec<(f64, f64)> = (0..sessions)
                    .into_par_iter()
                    .filter_map(|seed| session(&setting, truth, rule, 77_000 + seed, true).at_end)
                    .map(|(_, interval)| interval)
                    .collect();
                let held = ends.iter().filter(|(low, high)| (*low..=*high).contains(&population)).count();
                let width = ends.iter().map(|(low, high)| high - low).sum::<f64>() / ends.len() as f64;
                println!(
                    "| {fovs} | {} | {fov_correlation:.2} | {} | {:.1} | {width:.3} |",
                    fovs * cells_per_fov,
                    format!("{truth:?}").to_lowercase(),
                    100.0 * held as f64 / ends.len() as f64
                );
            }
        }
    }
}

/// Dynamics are measured on 20 tracks and tried on 200 others.
fn print_changes() {
    println!(
        "\nchanges of state, stays of 30 min and longer, a frame a minute for five hours, 5 % of the frames withheld;"
    );
    println!("a change is found when its direction is right and its time within 15 min:");
    println!(
        "| noise / gap | correlation frame to frame | precision | recall | mean time error min | changes per still cell in 5 h |"
    );
    println!("|---|---|---|---|---|---|");
    for noise in [0.5, 0.75, 1.0, 1.5] {
        for noise_correlation in [0.0, 0.2, 0.5, 0.8] {
            let film = Film { noise_sd: 2.0 * noise, noise_correlation, ..Film::default() };
            let films =
                |from: u64, count: u64| -> Vec<Filmed> { (from..from + count).map(|it| track(&film, it)).collect() };
            let start = Dynamics { low_logit: -0.8, high_logit: 0.8, ..Dynamics::default() };
            let frames: Vec<Vec<LogitAt>> = films(0, 20).into_iter().map(|it| it.frames).collect();
            let Ok(dynamics) = fit(&start, &frames) else { continue };
            let mut sum = Matched::default();
            for film in films(1000, 200) {
                sum.add(&film, &follow(&dynamics, &film.frames).transitions, 15.0);
            }
            let still = Film { further_stay_min: f64::INFINITY, ..film };
            let false_ones: usize =
                (0..200).map(|seed| follow(&dynamics, &track(&still, seed).frames).transitions.len()).sum();
            println!(
                "| {noise:.2} | {noise_correlation:.1} | {:.3} | {:.3} | {:.1} | {:.2} |",
                sum.precision(),
                sum.recall(),
                sum.off_min / f64::from(sum.matched.max(1)),
                false_ones as f64 / 200.0
            );
        }
    }
}
