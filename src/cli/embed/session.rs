//! The cells of a session, as the database holds them.

use super::{Args, columns, features};
use crate::cli::sheet::Sheet;
use crate::cli::{ConfigArgs, stored};
use crate::infer::discriminant::score;
use crate::parquet::{Kind, Value};
use crate::store;
use crate::store::series::for_each_track;

const BEFORE: [(&str, Kind); 8] = [
    ("bundle_sha256", Kind::Text),
    ("instrument", Kind::Text),
    ("session", Kind::Text),
    ("sample", Kind::Text),
    ("fov", Kind::Text),
    ("track", Kind::Number),
    ("day", Kind::Text),
    ("time_index", Kind::Number),
];
const AFTER: [(&str, Kind); 2] = [("logit", Kind::Number), ("score", Kind::Number)];

/// Writes one line per frame of every track that the bundle scored; withheld scores are left out.
pub(super) fn run(args: &Args, name: &str) -> anyhow::Result<()> {
    let config = ConfigArgs { config: args.model.config.clone(), folder: None, database: args.database.clone() };
    let database = config.settings()?.store.database;
    let mut table = Sheet::create(args.out.as_deref(), &columns(&BEFORE, &AFTER))?;
    let rows = crate::cli::block_on(async {
        let readers = store::open_read_only(&database).await?;
        let bundle = args.scored_by.bundle(&readers).await?;
        let chosen = match name {
            "all" => None,
            name => Some(stored::session(&readers, name).await?),
        };
        let mut rows = Vec::new();
        for_each_track(&readers, bundle.bundle_id, chosen, &mut |series| {
            for point in &series.points {
                let text = |text: &str| Value::Text(text.to_owned());
                let mut values = vec![
                    text(&bundle.sha256),
                    text(&series.instrument),
                    text(&series.session),
                    text(&series.sample),
                    text(&series.fov),
                    Value::Number(series.track_number as f64),
                    text(&point.day),
                    Value::Number(point.time_index as f64),
                ];
                values.extend(features(&point.latent));
                values.extend([Value::Number(point.logit), Value::Number(score(point.logit))]);
                rows.push(values);
            }
        })
        .await?;
        Ok(rows)
    })?;
    for row in &rows {
        table.row(row)?;
    }
    table.finish()?;
    tracing::info!(cells = rows.len(), "embedded");
    Ok(())
}
