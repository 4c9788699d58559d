//! Which latent features drive the score (method.md 10.1), from the bundle alone.
//!
//! The logit is `w.z + b`, so its correlation with a feature over the training set follows from the covariance that the
//! bundle carries: no cell is needed. Over a user's own cells it may differ; this is the model's own view.

use crate::infer::bundle::Facts;

/// How strongly one feature goes with the score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drive {
    /// The feature, 1..=56 as in every output for people.
    pub feature: usize,
    /// Pearson correlation with the logit over the training set, -1..=1; positive: more of it means "high".
    pub correlation: f64,
    /// By how much `|correlation|` stands out among the features, in their standard deviations.
    pub prominence: f64,
}

/// All features, the strongest first. With a discriminant of zeros all correlations are 0.
pub fn rank(facts: &Facts) -> Vec<Drive> {
    let (weights, covariance) = (&facts.discriminant.weights, &facts.latent.covariance);
    let with_logit: Vec<f64> = covariance.iter().map(|row| row.iter().zip(weights).map(|(c, w)| c * w).sum()).collect();
    let variance: f64 = with_logit.iter().zip(weights).map(|(c, w)| c * w).sum();
    let variances = covariance.iter().enumerate().map(|(index, row)| row.get(index).copied().unwrap_or_default());
    let correlations: Vec<f64> = with_logit
        .iter()
        .zip(variances)
        .map(|(covariance, own)| {
            let spread = (own * variance).sqrt();
            if spread > 0.0 { covariance / spread } else { 0.0 }
        })
        .collect();
    let count = correlations.len().max(1) as f64;
    let mean = correlations.iter().map(|r| r.abs()).sum::<f64>() / count;
    let spread = (correlations.iter().map(|r| (r.abs() - mean).powi(2)).sum::<f64>() / count).sqrt();
    let drive = |(index, correlation): (usize, &f64)| Drive {
        feature: index + 1,
        correlation: *correlation,
        prominence: if spread > 0.0 { (correlation.abs() - mean) / spread } else { 0.0 },
    };
    let mut drives: Vec<Drive> = correlations.iter().enumerate().map(drive).collect();
    drives.sort_by(|a, b| b.correlation.abs().total_cmp(&a.correlation.abs()));
    drives
}
