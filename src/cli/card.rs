//! Sections of a model card that commands write anew.

use crate::infer::bundle::Measured;

/// Heading of what was measured.
pub(super) const VALIDATION: &str = "## Validation";

/// One measured quality as a line.
pub(super) fn line(measured: &Measured) -> String {
    let Measured { quantity, unit, held_out, value, low, high } = measured;
    format!("{quantity} per {unit}: {value:.4} ({low:.4} to {high:.4}); held out: {held_out}")
}

/// The section on what was measured, with `notes`.
pub(super) fn validation(measured: &[Measured], notes: &str) -> String {
    let lines = measured.iter().fold(String::new(), |all, measured| all + "- " + &line(measured) + "\n");
    format!(
        "{VALIDATION}\n\n{lines}\n{notes}\nIntervals are 95 %, for samples and days drawn anew (per sample: samples).\n"
    )
}

/// `card` with `section`, whose first line is `heading`, in the place of an earlier one, or else at its end.
pub(super) fn with_section(card: &str, heading: &str, section: &str) -> String {
    let (before, after) = match card.split_once(heading) {
        Some((before, rest)) => (before, rest.find("\n## ").and_then(|at| rest.get(at + 1..)).unwrap_or_default()),
        None => (card, ""),
    };
    let gap = if after.is_empty() { "" } else { "\n" };
    format!("{}\n\n{section}{gap}{after}", before.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_section_is_put_in_once_and_replaced() {
        let card = "# Model\n\n## Limits\n\nSome.\n";
        let once = with_section(card, "## Found", "## Found\n\n- One.\n");
        assert!(once.starts_with(card) && once.ends_with("- One.\n"), "{once}");
        let twice = with_section(&(once.clone() + "\n## More\n\nText.\n"), "## Found", "## Found\n\n- Two.\n");
        assert!(twice.contains("- Two.\n\n## More\n\nText.\n") && !twice.contains("One."), "{twice}");
        assert_eq!(twice.matches("## Found").count(), 1);
    }
}
