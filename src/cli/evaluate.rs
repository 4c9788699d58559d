//! dev

use crate::cells::{self, DetectSettings};
use crate::evaluate::instances::{self, Matches};
use crate::evaluate::paint::LabelPicture;
use crate::evaluate::picture;
use crate::frame;
use crate::units::PixelSize;
use std::path::PathBuf;

/// dev
#[derive(Debug, clap::Args)]
pub struct Args {
    /// dir
    pub data: PathBuf,
    /// every nth
    #[arg(long, default_value_t = 1)]
    pub every: usize,
    /// write overlays
    #[arg(long)]
    pub out: Option<PathBuf>,
    /// only
    #[arg(long)]
    pub only: Option<String>,
}

/// dev
#[allow(clippy::all, clippy::pedantic, clippy::print_stdout)]
pub fn run(args: &Args) -> anyhow::Result<()> {
    let sets = [
        ("u373", 0.65, 40.0),
        ("psc", 1.6, 16.0),
        ("t98g", 0.8708, 40.0),
        ("t98gt", 0.8708, 40.0),
        ("mda", 0.4287, 30.0),
        ("deepcell", 0.32, 20.0),
        ("livecell", 1.24, 20.0),
    ];
    for (set, um, diameter) in sets {
        if args.only.as_ref().is_some_and(|o| !o.split(',').any(|x| x == set)) {
            continue;
        }
        let pixel_size = PixelSize::new(um)?;
        let settings = DetectSettings { cell_diameter_um: diameter, ..DetectSettings::new(pixel_size) };
        let mut total = Matches::default();
        let mut per = Vec::new();
        let mut seg = (0.0, 0usize);
        let mut boxes = std::collections::BTreeMap::<String, Vec<[f64; 4]>>::new();
        if let Ok(text) = std::fs::read_to_string(args.data.join(set).join("boxes.txt")) {
            for line in text.lines() {
                let f: Vec<&str> = line.split(' ').collect();
                boxes.entry(f[0].to_owned()).or_default().push([
                    f[1].parse()?,
                    f[2].parse()?,
                    f[3].parse()?,
                    f[4].parse()?,
                ]);
            }
        }
        let mut spent = 0.0;
        for path in picture::listed(&args.data.join(set))?.iter().step_by(args.every) {
            let plane = picture::read_plane(path)?;
            let begin = std::time::Instant::now();
            let frame = frame::correct(plane, pixel_size);
            let found = cells::find(&frame, &settings);
            spent = begin.elapsed().as_secs_f64();
            let (w, h) = (frame.raw.width_px(), frame.raw.height_px());
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let mut note = format!("{name}:{}c {:?} f{:.2}", found.cells.len(), found.verdict, frame.quality.focus);
            let painted = LabelPicture::of(w, h, found.cells.iter().zip(1..));
            let gt = path.with_file_name(format!("{name}_gt.png"));
            let mut truth = None;
            if gt.is_file() {
                let t = picture::read_labels(&gt)?;
                let m = instances::match_outlines(&t, &painted);
                total = total + m;
                let s = seg_of(&t, &painted);
                seg = (seg.0 + s.0, seg.1 + s.1);
                note += &format!(
                    " F1 {:.2} (+{} -{} ={}) seg {:.2}",
                    m.f1(),
                    m.spurious,
                    m.missed,
                    m.right,
                    s.0 / s.1.max(1) as f64
                );
                truth = Some(t);
            }
            if let Some(b) = boxes.get(&name) {
                let f: Vec<[f64; 4]> = found.cells.iter().map(|c| bounds(&c.outline)).collect();
                let m = instances::match_boxes(b, &f);
                total = total + m;
                note += &format!(" box F1 {:.2} (+{} -{} ={})", m.f1(), m.spurious, m.missed, m.right);
            }
            per.push(note);
            if let Some(out) = &args.out {
                std::fs::create_dir_all(out.join(set))?;
                let mut p = picture::Rgb::of(&frame);
                if let Some(t) = &truth {
                    for y in 1..h {
                        for x in 1..w {
                            if t.labels[y * w + x] != t.labels[y * w + x - 1]
                                || t.labels[y * w + x] != t.labels[(y - 1) * w + x]
                            {
                                p.draw_outline(&[crate::units::PointPx { x: x as f64, y: y as f64 }], [40, 220, 40]);
                            }
                        }
                    }
                }
                if let Some(b) = boxes.get(&name) {
                    for b in b {
                        let q = |x: f64, y: f64| crate::units::PointPx { x, y };
                        p.draw_outline(&[q(b[0], b[1]), q(b[2], b[1]), q(b[2], b[3]), q(b[0], b[3])], [40, 220, 40]);
                    }
                }
                for (i, c) in found.cells.iter().enumerate() {
                    let _ = i;
                    p.draw_outline(&c.outline, [255, 60, 60]);
                }
                p.save(&out.join(set).join(format!("{name}.png")))?;
            }
        }
        println!(
            "{set}: F1 {:.3} {total:?} SEG {:.3} last {:.0} ms",
            total.f1(),
            seg.0 / seg.1.max(1) as f64,
            spent * 1e3
        );
        if args.only.is_some() {
            for p in per {
                println!("   {p}");
            }
        }
    }
    Ok(())
}

fn bounds(o: &[crate::units::PointPx]) -> [f64; 4] {
    o.iter().fold([1e9, 1e9, -1e9, -1e9], |b, p| [b[0].min(p.x), b[1].min(p.y), b[2].max(p.x), b[3].max(p.y)])
}

fn seg_of(t: &LabelPicture, f: &LabelPicture) -> (f64, usize) {
    let mut both = std::collections::BTreeMap::<(u16, u16), usize>::new();
    let (mut ta, mut fa) =
        (std::collections::BTreeMap::<u16, usize>::new(), std::collections::BTreeMap::<u16, usize>::new());
    for (&a, &b) in t.labels.iter().zip(&f.labels) {
        *ta.entry(a).or_default() += 1;
        *fa.entry(b).or_default() += 1;
        if a > 0 && b > 0 {
            *both.entry((a, b)).or_default() += 1;
        }
    }
    let mut sum = 0.0;
    for ((a, b), n) in &both {
        if 2 * n > ta[a] {
            sum += *n as f64 / (ta[a] + fa[b] - n) as f64;
        }
    }
    (sum, ta.keys().filter(|k| **k > 0).count())
}
