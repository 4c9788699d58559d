//! `cytowatch evaluate`: how good something is, against known truth.

/// Judges a part of cytowatch against known truth.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is judged.
    #[command(subcommand)]
    pub what: What,
}

/// What can be judged.
#[derive(Debug, clap::Subcommand)]
pub enum What {
    /// Detection, outlines and tracks.
    Cells(super::evaluate_cells::Args),
    /// A model bundle, on samples and days that it has not seen.
    Model(super::evaluate_model::Args),
}

/// Judges.
///
/// # Errors
/// What could not be read, judged or written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        What::Cells(args) => super::evaluate_cells::run(args),
        What::Model(args) => super::evaluate_model::run(args),
    }
}
