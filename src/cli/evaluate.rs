//! `cytowatch evaluate`: how good something is, against known truth.

/// Judges a part of cytowatch against known truth.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What is judged.
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// A model bundle, on samples and days that it has not seen.
    Model(super::evaluate_model::Args),
}

/// Judges.
///
/// # Errors
/// What could not be read, judged or written.
pub fn run(args: &Args) -> anyhow::Result<()> {
    match &args.what {
        What::Model(args) => super::evaluate_model::run(args),
    }
}
