//! The certificate as plain text.

use super::{Certificate, Expectation, ranges, utc};
use std::fmt::{self, Write as _};

impl Certificate {
    /// The certificate as plain text, lines below 120 characters where names allow.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        // Writing into a string cannot fail.
        let _written = self.write_text(&mut out);
        out
    }

    fn write_text(&self, out: &mut String) -> fmt::Result {
        let facts = &self.facts;
        writeln!(out, "SESSION CERTIFICATE  {} / {}", facts.instrument, facts.session)?;
        writeln!(out, "issued {} by {}", utc(self.issued_unix_ms), self.issued_by)?;
        writeln!(out, "{}\n", self.verdict())?;
        let total = &self.total;
        writeln!(out, "frames expected    {:>10}   ({})", total.expected, self.expectation.in_words())?;
        writeln!(out, "       received    {:>10}", total.received)?;
        writeln!(out, "       analysed    {:>10}", total.analysed)?;
        writeln!(out, "       failed      {:>10}   each with a code, below", total.failed)?;
        writeln!(out, "       skipped     {:>10}   not for analysis", total.skipped)?;
        writeln!(out, "       open        {:>10}   still on their way", total.open)?;
        writeln!(out, "       missing     {:>10}   expected, never received", total.missing)?;
        writeln!(out, "       surplus     {:>10}   received, not expected", total.surplus)?;
        writeln!(out, "       unexplained {:>10}   missing, open or without a session\n", self.unexplained)?;
        for reason in &facts.reasons {
            writeln!(out, "{} {}: {} frames, first {}", reason.state, reason.reason, reason.frames, reason.first_path)?;
        }
        for reason in &facts.unplaced {
            writeln!(
                out,
                "without a session, {} {}: {} frames, first {}",
                reason.state, reason.reason, reason.frames, reason.first_path
            )?;
        }
        if self.missing_fovs > 0 {
            writeln!(out, "{} expected fields of view sent nothing", self.missing_fovs)?;
        }
        self.write_fovs(out)?;
        self.write_cells(out)?;
        self.write_alerts_and_runs(out)
    }

    /// One sentence: whether everything is accounted for.
    pub fn verdict(&self) -> String {
        if self.complete {
            format!("COMPLETE: all {} expected frames are accounted for, 0 unexplained", self.total.expected)
        } else {
            format!("NOT COMPLETE: {} of {} frames unexplained", self.unexplained, self.total.expected)
        }
    }

    fn write_fovs(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nfield of view (sample): analysed of expected; missing at time index")?;
        for fov in &self.fovs {
            let account = &fov.account;
            write!(out, "  {} ({}): {} of {}", fov.fov, fov.sample, account.analysed, account.expected)?;
            if account.missing > 0 {
                write!(out, "; missing {} at {}", account.missing, ranges(&fov.gaps))?;
            }
            if let Some(share) = fov.withheld_share() {
                let all = fov.scored + fov.withheld;
                write!(out, "; {} of {all} scores withheld ({:.1} %)", fov.withheld, 100.0 * share)?;
            }
            writeln!(out)?;
        }
        Ok(())
    }

    fn write_cells(&self, out: &mut String) -> fmt::Result {
        let cells = &self.facts.cells;
        writeln!(out, "\ncells {}, scored {}, without a score {}", cells.cells, cells.scored, cells.without_score)?;
        for (reason, count) in &cells.withheld {
            let share = 100.0 * *count as f64 / cells.cells.max(1) as f64;
            writeln!(out, "  withheld {reason}: {count} ({share:.1} %)")?;
        }
        for (verdict, count) in &cells.frame_verdicts {
            writeln!(out, "  frames {verdict}: {count}")?;
        }
        Ok(())
    }

    fn write_alerts_and_runs(&self, out: &mut String) -> fmt::Result {
        writeln!(out, "\nalerts {}", self.facts.alerts.len())?;
        for alert in &self.facts.alerts {
            let until = alert.cleared_unix_ms.map_or_else(|| "still open".to_owned(), utc);
            writeln!(
                out,
                "  {} {} {}: {} ({} to {until})",
                alert.severity,
                alert.rule,
                alert.subject,
                alert.text,
                utc(alert.raised_unix_ms)
            )?;
        }
        writeln!(out, "\nruns {}", self.facts.runs.len())?;
        for run in &self.facts.runs {
            writeln!(
                out,
                "  run {} on {}: cytowatch {}, engine {}, {} frames, {} to {}",
                run.run,
                run.host,
                run.software_version,
                run.engine,
                run.frames,
                utc(run.started_unix_ms),
                run.ended_unix_ms.map_or_else(|| "no orderly end".to_owned(), utc)
            )?;
            writeln!(out, "    settings {}", run.settings_sha256)?;
            if let Some(bundle) = &run.bundle {
                writeln!(out, "    model    {} ({} {})", bundle.sha256, bundle.name, bundle.version)?;
            }
        }
        for later in &self.facts.later_scores {
            let it = &later.bundle;
            writeln!(out, "  later scores of {} cells: {} ({} {})", later.cells, it.sha256, it.name, it.version)?;
        }
        match &self.facts.results_sha256 {
            Some(hash) => writeln!(out, "\nresults {hash}"),
            None => Ok(()),
        }
    }
}

impl Expectation {
    /// How the expected number was found, in words.
    pub fn in_words(&self) -> String {
        match self {
            Self::Seen => "every field at every time index between the first and last seen".to_owned(),
            Self::Configured { times, fovs: None } => format!("configured: {times} time points per field"),
            Self::Configured { times, fovs: Some(fovs) } => {
                format!("configured: {fovs} fields of {times} time points")
            }
        }
    }
}
