//! `cytowatch evaluate`: how good something is, against known truth.

/// What can be judged.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Detection, outlines and tracks.
    Cells(super::evaluate_cells::Args),
    /// A model bundle, on samples and days that it has not seen.
    Model(super::evaluate_model::Args),
    /// A model bundle on real crops: reconstruction, distance to the training set, and the area where labels are known.
    Crops(super::evaluate_crops::Args),
    /// Changes of state, against the simulator's known events.
    Changes(super::evaluate_changes::Args),
    /// A simulated day with a shift, and alignment on a reference sample.
    Drift(super::evaluate_drift::Args),
    /// The measured hallmarks, against the simulator's true pseudopods and granules.
    Hallmarks(super::evaluate_hallmarks::Args),
    /// The driving feature and the hallmarks along it, against the simulator's true efficiency.
    Explain(super::evaluate_explain::Args),
}

/// Judges.
///
/// # Errors
/// What could not be read, judged or written.
pub fn run(what: &What) -> anyhow::Result<()> {
    match what {
        What::Cells(args) => super::evaluate_cells::run(args),
        What::Model(args) => super::evaluate_model::run(args),
        What::Crops(args) => super::evaluate_crops::run(args),
        What::Changes(args) => super::evaluate_changes::run(args),
        What::Drift(args) => super::evaluate_drift::run(args),
        What::Hallmarks(args) => super::evaluate_hallmarks::run(args),
        What::Explain(args) => super::evaluate_explain::run(args),
    }
}
