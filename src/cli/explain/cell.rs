//! `cytowatch explain cell`: everything about one stored cell, as a folder with a page, its pictures and its numbers.

use super::exaggerated::exaggerated;
use super::rank::tracks_by_sample;
use crate::cells::crop::{self, Cutter};
use crate::cells::{CROP_SIDE_PX, Crop};
use crate::cli::stored::ScoredBy;
use crate::cli::{ConfigArgs, say};
use crate::explain::drivers::drivers;
use crate::explain::hallmarks::{Hallmarks, Light};
use crate::explain::page;
use crate::explain::rank::rank;
use crate::explain::references::{self, Reference, THUMBNAIL_PX, along};
use crate::explain::story::{
    FeatureStory, KinPicture, NearestCell, Rise, SeriesPicture, Story, StripPicture, TrackPoint, TrackStory, Trend,
    interval,
};
use crate::explain::traverse::{shifts, traverse};
use crate::explain::{hallmarks, reconstruct, strip};
use crate::frame::Plane;
use crate::id::{BundleId, CellId, RunId, SessionId, TrackId};
use crate::infer::discriminant::score;
use crate::infer::exaggerator::Exaggerator;
use crate::infer::{EngineChoice, InferSettings, LATENT_LEN, Latent, Model};
use crate::picture::{gray_png, rgb_png};
use crate::pipeline::reread;
use crate::settings::Settings;
use crate::store::Readers;
use crate::store::query::{self, CellDetail, LARGEST_PAGE, TrackCell, TrackDetail};
use crate::store::stored::{StoredPlace, later_run, place_of_frame, stored_runs};
use crate::units::{PixelSize, PointPx};
use anyhow::{Context as _, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};

/// Pictures of the series.
const SERIES: usize = 9;
/// Nearest reference cells that are shown.
const NEAREST: usize = 8;
/// Seed of both bootstraps.
const SEED: u64 = 56;

/// Arguments of `explain cell`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The cell's number in the database (`cell_id` of `export cells` and of the page's address).
    cell: i64,
    /// The folder to write; made when it is not there.
    #[arg(long, short)]
    out: PathBuf,
    /// The feature to exaggerate, 1 to 56; when absent, the one that drives the score over the cell's session, or, with too few
    /// cells there, over the model's training set.
    #[arg(long, short)]
    feature: Option<usize>,
    /// The largest shift, in standard deviations of the training set.
    #[arg(long, default_value_t = 2.0)]
    reach: f64,
    /// From one shift to the next.
    #[arg(long, default_value_t = 0.5)]
    step: f64,
    /// The bundle's folder, when it lies elsewhere now.
    #[arg(long)]
    bundle: Option<PathBuf>,
    /// The engine; replaces that of the run.
    #[arg(long, value_enum)]
    engine: Option<EngineChoice>,
    /// Whose scores.
    #[command(flatten)]
    scored_by: ScoredBy,
    /// The database, and (with --folder) where the frames lie when not where they lay.
    #[command(flatten)]
    config: ConfigArgs,
}

/// What the database knows.
struct Known {
    cell: CellDetail,
    pixel_size: PixelSize,
    place: StoredPlace,
    track: Option<(TrackDetail, Vec<TrackCell>)>,
    /// The cells of the series with their frames' pixels, in time order.
    series: Vec<(CellDetail, Plane)>,
    feature: Option<FeatureStory>,
    infer: InferSettings,
}

pub(super) fn run(args: &Args) -> anyhow::Result<()> {
    let database = args.config.settings()?.store.database;
    let (known, identity) = crate::cli::block_on(async {
        let readers = crate::store::open_read_only(&database).await?;
        let bundle = args.scored_by.bundle(&readers).await?;
        Ok((known(args, &readers, bundle.bundle_id).await?, bundle.sha256))
    })?;
    let mut model = Model::load(&known.infer)?;
    ensure!(
        model.bundle().identity == identity,
        "bundle {} is another one than that of these scores: give the right one with --bundle",
        known.infer.bundle.display()
    );
    fs::create_dir_all(&args.out).with_context(|| format!("make folder {}", args.out.display()))?;
    let story = tell(args, &known, &mut model)?;
    let json = serde_json::to_string_pretty(&story)?;
    write(&args.out, "explain.json", json.as_bytes())?;
    write(&args.out, "index.html", page::html(&story).as_bytes())?;
    say(&args.out.join("index.html").display().to_string())?;
    Ok(())
}

async fn known(args: &Args, readers: &Readers, bundle: BundleId) -> anyhow::Result<Known> {
    let cell = query::cell(readers, Some(bundle), CellId(args.cell)).await?;
    let cell = cell.with_context(|| format!("there is no cell {}", args.cell))?;
    let place = place_of_frame(readers, cell.frame_id).await?.context("the cell's frame has no place")?;
    let (settings, run) = settings_of(readers, &place, bundle).await?;
    let folder = args.config.folder.clone().unwrap_or_else(|| settings.watch.folder.clone());
    let pixel_size = PixelSize::new(cell.pixel_size_um.context("the frame's pixel size is not known")?)?;
    let track = match cell.cell.track_id {
        Some(track) => Some(whole_track(readers, bundle, track).await?),
        None => None,
    };
    let mut wanted = vec![CellId(args.cell)];
    if let Some((_, cells)) = &track {
        wanted = chosen(cells, CellId(args.cell));
    }
    let read = reread::door(folder);
    let mut series = Vec::new();
    for id in wanted {
        let Some(detail) = query::cell(readers, Some(bundle), id).await? else { continue };
        let source = query::frame_source(readers, detail.frame_id).await?.context("a frame has no source")?;
        let plane = read(&source).with_context(|| format!("{} (give --folder when it was moved)", source.path))?;
        series.push((detail, plane));
    }
    let feature = match args.feature {
        Some(feature) => Some(FeatureStory { feature, chosen_by: "you".to_owned(), correlation: None }),
        None => driving(readers, bundle, place.session, &place.session_name).await?,
    };
    let mut infer = settings.infer;
    if let Some(bundle) = &args.bundle {
        infer.bundle.clone_from(bundle);
    }
    infer.engine = args.engine.unwrap_or(infer.engine);
    tracing::debug!(run = run.0, "explained with the settings of this run");
    Ok(Known { cell, pixel_size, place, track, series, feature, infer })
}

/// The settings of the run that scored the frame with `bundle`.
async fn settings_of(readers: &Readers, place: &StoredPlace, bundle: BundleId) -> anyhow::Result<(Settings, RunId)> {
    let runs = stored_runs(readers, place.session).await?;
    let first = runs.iter().find(|run| run.run == place.run && run.bundle == bundle).cloned();
    let run = match first {
        Some(run) => run,
        None => later_run(readers, bundle).await?.context("this bundle has not looked at the session")?,
    };
    Ok((crate::cli::verify::settings_of(&run)?, run.run))
}

async fn whole_track(
    readers: &Readers,
    bundle: BundleId,
    track: TrackId,
) -> anyhow::Result<(TrackDetail, Vec<TrackCell>)> {
    let (mut cells, mut after) = (Vec::new(), None);
    loop {
        let page =
            query::track(readers, Some(bundle), track, after, LARGEST_PAGE).await?.context("the track is gone")?;
        cells.extend(page.cells.items.iter().cloned());
        after = page.cells.next_cursor.as_deref().and_then(query::Cursor::parse);
        if after.is_none() {
            return Ok((page, cells));
        }
    }
}

/// The feature that drives the score over the session's cells; `None` with too few of them.
async fn driving(
    readers: &Readers,
    bundle: BundleId,
    session: SessionId,
    name: &str,
) -> anyhow::Result<Option<FeatureStory>> {
    let samples = tracks_by_sample(readers, bundle, Some(session)).await?;
    let cells: usize = samples.values().map(Vec::len).sum();
    let first = drivers(&samples, SEED).into_iter().next();
    Ok(first.map(|driver| FeatureStory {
        feature: driver.feature,
        chosen_by: format!("the {cells} tracks of session {name}"),
        correlation: Some(driver.correlation),
    }))
}

/// The cell itself and others of its track, evenly over time, in time order.
fn chosen(cells: &[TrackCell], own: CellId) -> Vec<CellId> {
    let here = cells.iter().position(|cell| cell.cell_id == own).unwrap_or(0);
    let last = cells.len().saturating_sub(1);
    let steps = SERIES.saturating_sub(1).max(1);
    let mut wanted: Vec<usize> = (0..=steps).map(|step| step * last / steps).collect();
    // The nearest of them makes room for the cell itself.
    if let Some(nearest) = wanted.iter_mut().min_by_key(|at| at.abs_diff(here)) {
        *nearest = here;
    }
    wanted.dedup();
    wanted.iter().filter_map(|at| cells.get(*at)).map(|cell| cell.cell_id).collect()
}

fn tell(args: &Args, known: &Known, model: &mut Model) -> anyhow::Result<Story> {
    let facts = model.bundle().facts.clone();
    let own = known.series.iter().find(|it| it.0.cell.cell_id.0 == args.cell).context("the cell's frame is gone")?;
    let cutter = Cutter::new(known.pixel_size);
    let cut = |(detail, plane): &(CellDetail, Plane)| cutter.cut(plane, centre(detail));
    let Some(cell_crop) = cut(own) else {
        bail!(
            "cell {} lies so near the frame's edge that it has no crop: nothing was scored and nothing can be explained",
            args.cell
        )
    };
    let series = series(&args.out, known, &cut)?;
    let found = reconstruct(model, std::slice::from_ref(&cell_crop))?;
    let reconstruction = found.into_iter().next().context("the model says nothing about the crop")?;
    write_crop(&args.out, "crop.png", &cell_crop)?;
    write_crop(&args.out, "reconstruction.png", &reconstruction.picture)?;
    write_crop(&args.out, "difference.png", &difference(&cell_crop, &reconstruction.picture)?)?;
    let latent = reconstruction.inference.latent;

    let sd = facts.latent.spreads();
    let references = references::read(&known.infer.bundle, &model.bundle().identity)?;
    let nearest = nearest_cells(&args.out, &references, &latent, &sd)?;

    let by_model = || rank(&facts).into_iter().next();
    let feature = known.feature.clone().or_else(|| {
        let chosen_by = "the model's training set (too few cells in this session)".to_owned();
        by_model().map(|it| FeatureStory { feature: it.feature, chosen_by, correlation: Some(it.correlation) })
    });
    let feature = feature.with_context(|| format!("the model has no {LATENT_LEN} features to choose from"))?;
    let box_side = 2 * crop::radius_px(known.pixel_size) + 1;
    let light = Light::of(&own.1, centre(&own.0), box_side).context("the crop has no light")?;
    let is_falling =
        facts.discriminant.weights.get(feature.feature.wrapping_sub(1)).is_some_and(|weight| *weight < 0.0);
    let towards_high = if is_falling { -1.0 } else { 1.0 };
    let mut shifts = shifts(args.reach, args.step)?;
    if is_falling {
        // The strip runs from low to high.
        shifts.reverse();
    }
    let network = Exaggerator::shipped(&known.infer)?;
    let exaggerated =
        network.map(|it| exaggerated(&args.out, (model, &it), (&cell_crop, light), feature.feature)).transpose()?;
    let found = traverse(model, &latent, feature.feature, &shifts)?;
    let brighter = strip::stretched(found.iter().map(|it| &it.brighter)).0;
    let mut pictures = Vec::new();
    for (number, (it, brighter)) in (1..).zip(found.iter().zip(&brighter)) {
        let (file, brighter_file) = (format!("strip_{number:02}.png"), format!("brighter_{number:02}.png"));
        write_crop(&args.out, &file, &it.picture)?;
        write_crop(&args.out, &brighter_file, brighter)?;
        let hallmarks = hallmarks::measure(&it.picture, light, facts.crop.box_um);
        let (shift, score, mean_difference) = (it.shift, it.score, it.mean_difference);
        pictures.push(StripPicture { file, brighter_file, shift, score, mean_difference, hallmarks });
    }
    let (kin, kin_trend) =
        real_cells(&args.out, &references, (&latent, &sd), (feature.feature, &shifts, towards_high))?;
    let measured: Vec<(f64, Hallmarks)> =
        pictures.iter().filter_map(|it| Some((towards_high * it.shift, it.hallmarks?))).collect();
    let (bundle, cell) = (model.bundle(), &known.cell);
    Ok(Story {
        cell_id: args.cell,
        place: known.place.in_words(),
        time_index: cell.time_index,
        bundle: format!("{} {}", bundle.name, bundle.version),
        bundle_sha256: bundle.identity.clone(),
        trained_on_simulation: facts.training.simulated,
        score: cell.cell.score,
        withheld: cell.cell.withheld.clone(),
        measured: Hallmarks {
            protrusion_total_um: cell.protrusion_total_um,
            protrusion_count: u32::try_from(cell.protrusion_count).unwrap_or(0),
            scattering: cell.scattering,
            area_um2: cell.cell.area_um2,
        },
        track: known.track.as_ref().map(|(track, cells)| track_story(track, cells, known.pixel_size)),
        series,
        reconstruction_mse: reconstruction.mse,
        nearest,
        feature,
        exaggerated,
        strip: pictures,
        rise: Rise::along(&measured),
        kin,
        kin_trend,
    })
}

fn nearest_cells(
    out: &Path,
    references: &[Reference],
    latent: &Latent,
    sd: &[f64],
) -> anyhow::Result<Vec<NearestCell>> {
    let mut nearest = Vec::new();
    for (number, (cell, distance)) in (1..).zip(references::nearest(references, latent, sd, NEAREST)) {
        let file = format!("nearest_{number}.png");
        write(out, &file, &gray_png(THUMBNAIL_PX, THUMBNAIL_PX, &cell.thumbnail)?)?;
        nearest.push(NearestCell { file, name: cell.name.clone(), high: cell.high, distance });
    }
    Ok(nearest)
}

/// The reference cells that stand for the steps of the strip, and what rises over all of them.
fn real_cells(
    out: &Path,
    references: &[Reference],
    (latent, sd): (&Latent, &[f64]),
    (feature, shifts, towards_high): (usize, &[f64], f64),
) -> anyhow::Result<(Vec<KinPicture>, Trend)> {
    let mut kin = Vec::new();
    for (number, (cell, shift)) in (1..).zip(along(references, latent, (feature, shifts), sd).into_iter().flatten()) {
        let file = format!("kin_{number:02}.png");
        write(out, &file, &gray_png(THUMBNAIL_PX, THUMBNAIL_PX, &cell.thumbnail)?)?;
        kin.push(KinPicture { file, name: cell.name.clone(), high: cell.high, shift, hallmarks: cell.hallmarks });
    }
    let index = feature.wrapping_sub(1);
    let own_sd = sd.get(index).copied().unwrap_or(1.0);
    let place = |cell: &Reference| Some(towards_high * f64::from(*cell.latent.get(index)?) / own_sd);
    let measured: Vec<(f64, Hallmarks)> =
        references.iter().filter_map(|cell| Some((place(cell)?, cell.hallmarks?))).collect();
    Ok((kin, Trend::over(&measured)))
}

fn series(
    out: &Path,
    known: &Known,
    cut: &dyn Fn(&(CellDetail, Plane)) -> Option<Crop>,
) -> anyhow::Result<Vec<SeriesPicture>> {
    let mut pictures = Vec::new();
    for of_cell in &known.series {
        let Some(crop) = cut(of_cell) else { continue };
        let (detail, time_index) = (&of_cell.0, of_cell.0.time_index.unwrap_or_default());
        let file = format!("series_{time_index:05}.png");
        let side = (2 * crop::radius_px(known.pixel_size) + 1) as f64;
        let scale = CROP_SIDE_PX as f64 / side;
        let corner = |c: f64| (c + 0.5).floor() - (side - 1.0) / 2.0;
        let middle = centre(detail);
        let on_crop = |at: &[f32; 2]| PointPx {
            x: (f64::from(at[0]) - corner(middle.x) + 0.5) * scale - 0.5,
            y: (f64::from(at[1]) - corner(middle.y) + 0.5) * scale - 0.5,
        };
        let outline: Vec<PointPx> = detail.cell.outline_px.iter().map(on_crop).collect();
        write(out, &file, &rgb_png(CROP_SIDE_PX, CROP_SIDE_PX, &strip::outlined(&crop, &outline))?)?;
        pictures.push(SeriesPicture { file, time_index, score: detail.cell.score });
    }
    Ok(pictures)
}

fn track_story(track: &TrackDetail, cells: &[TrackCell], pixel_size: PixelSize) -> TrackStory {
    // A score that counts is never 0 or 1 exactly; its logit is finite.
    let logits: Vec<f64> =
        cells.iter().filter_map(|it| it.score).map(|p| (p / (1.0 - p)).ln()).filter(|it| it.is_finite()).collect();
    let mean = logits.iter().sum::<f64>() / logits.len() as f64;
    TrackStory {
        number: track.track.number,
        score: (!logits.is_empty()).then(|| score(mean)),
        interval: interval(&logits, SEED),
        scored_count: logits.len(),
        withheld_count: cells.iter().filter(|it| it.withheld.is_some()).count(),
        points: cells
            .iter()
            .map(|it| TrackPoint {
                time_index: it.time_index.unwrap_or_default(),
                x_um: pixel_size.um_from_px(it.x_px),
                y_um: pixel_size.um_from_px(it.y_px),
                score: it.score,
                protrusion_total_um: it.protrusion_total_um,
                scattering: it.scattering,
            })
            .collect(),
    }
}

fn centre(detail: &CellDetail) -> PointPx {
    PointPx { x: detail.cell.x_px, y: detail.cell.y_px }
}

/// Absolute difference, stretched so that its brightest pixel is white.
fn difference(one: &Crop, other: &Crop) -> anyhow::Result<Crop> {
    let absolute = one.pixels().iter().zip(other.pixels()).map(|(a, b)| (a - b).abs()).collect();
    let difference = Crop::new(absolute).context("two crops of different size")?;
    strip::stretched(std::iter::once(&difference)).0.into_iter().next().context("no difference")
}

fn write_crop(folder: &Path, name: &str, crop: &Crop) -> anyhow::Result<()> {
    write(folder, name, &strip::png(&[vec![crop]])?)
}

fn write(folder: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
    let path = folder.join(name);
    fs::write(&path, bytes).with_context(|| format!("write {}", path.display()))
}
