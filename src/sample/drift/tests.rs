use super::*;
use rand::SeedableRng as _;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution as _, StandardNormal};

/// A day of `fovs` fields of `cells` cells, fields apart by 0.2 sd, with `shift` added to feature 12 (counted from 1).
fn day(name: &str, fovs: u32, cells: u32, (shift, light): (f64, f64), seed: u64) -> DayFacts {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut normal = || -> f64 { StandardNormal.sample(&mut random) };
    let mut facts = DayFacts { instrument: "ti-e".to_owned(), day: name.to_owned(), ..DayFacts::default() };
    for fov in 0..fovs {
        let mut latents = FovLatents::new(fov.to_string());
        let field: Vec<f64> = (0..LATENT_LEN).map(|_| 0.2 * normal()).collect();
        for _ in 0..cells {
            let mut latent: Latent = std::array::from_fn(|i| (field[i] + normal()) as f32);
            latent[11] += shift as f32;
            latents.add(&latent);
        }
        facts.fovs.push(latents);
    }
    for _ in 0..50 {
        facts.light.background_counts.add(light * (1.0 + 0.01 * normal()));
        facts.light.evenness.add(0.9);
        facts.light.focus.add(2.0);
    }
    facts
}

fn training_set() -> Yardstick {
    training().yardstick().unwrap()
}

/// Centred, of unit spread, and feature 12 alone makes the score.
fn training() -> TrainingSet {
    let mut weights = vec![0.0; LATENT_LEN];
    weights[11] = 1.0;
    TrainingSet { mean: vec![0.0; LATENT_LEN], sd: vec![1.0; LATENT_LEN], weights, state: None }
}

#[test]
fn darker_day_with_a_shifted_feature_is_said_in_words() {
    let before = day("2026-03-13", 10, 20, (0.0, 1000.0), 1).yardstick().unwrap();
    let report = compare(&day("2026-03-14", 10, 20, (0.9, 820.0), 2), &before, &DriftLimits::default());
    let text = report.to_string();
    assert!(
        text.starts_with("ti-e on 2026-03-14 against 2026-03-13: light is 18 % lower; descriptors shifted"),
        "{text}"
    );
    assert!(text.contains("along feature 12"), "{text}");
    let Some(Finding::Descriptors { largest, features }) = report.findings.last() else { panic!("{report:?}") };
    assert!((largest.sd - 0.9).abs() < 0.35 && *features == 1, "{largest:?}");
    assert_eq!(report.findings[0].code(), "light_changed");
}

#[test]
fn days_alike_are_left_in_peace() {
    let limits = DriftLimits::default();
    let mut said = 0;
    for seed in 0..200 {
        let before = day("a", 6, 15, (0.0, 1000.0), 1000 + seed).yardstick().unwrap();
        let today = day("b", 6, 15, (0.0, 1020.0), 5000 + seed);
        said += usize::from(!compare(&today, &before, &limits).findings.is_empty());
        said += usize::from(!compare(&today, &training_set(), &limits).findings.is_empty());
    }
    assert!(said <= 8, "{said} of 400 comparisons of days without drift report one");
}

#[test]
fn single_field_says_nothing_about_descriptors() {
    let report = compare(&day("b", 1, 200, (2.0, 1000.0), 3), &training_set(), &DriftLimits::default());
    assert!(report.shifts.is_empty() && report.findings.is_empty());
    assert!(report.to_string().contains("too few fields"), "{report}");
}

#[test]
fn alignment_on_a_reference_sample_takes_the_shift_away_and_little_else() {
    let reference = day("a", 6, 20, (0.0, 1000.0), 10);
    let today = day("b", 6, 20, (0.9, 1000.0), 11);
    let alignment = Alignment::fit(&today.fovs, &reference.fovs).unwrap();
    assert!((alignment.shift[11] + 0.9).abs() < 0.35, "{}", alignment.shift[11]);
    let others: f64 =
        alignment.shift.iter().enumerate().filter(|(i, _)| *i != 11).map(|(_, it)| it.powi(2)).sum::<f64>() / 55.0;
    assert!(others.sqrt() < 0.12, "{}", others.sqrt());
    let mut latent: Latent = [0.0; LATENT_LEN];
    latent[11] = 0.9;
    let aligned = alignment.apply(&latent);
    let weights: Vec<f64> = (0..LATENT_LEN).map(|i| i as f64 / 10.0).collect();
    let logit = |latent: &Latent| latent.iter().zip(&weights).map(|(x, w)| f64::from(*x) * w).sum::<f64>();
    assert!((logit(&aligned) - logit(&latent) - alignment.logit_shift(&weights)).abs() < 1e-4);
}

#[test]
fn too_little_reference_is_refused() {
    let (few, one) = (day("a", 3, 10, (0.0, 1.0), 1), day("a", 1, 100, (0.0, 1.0), 1));
    let good = day("b", 4, 20, (0.0, 1.0), 2);
    let refused = Alignment::fit(&few.fovs, &good.fovs);
    assert_eq!(refused, Err(AlignError::TooFewCells { day: "today", cells: 30 }));
    assert_eq!(Alignment::fit(&good.fovs, &one.fovs).unwrap_err().code(), "align_too_few_fields");
    assert!(Alignment::none().apply(&[0.5; LATENT_LEN]).iter().all(|value| (value - 0.5).abs() < 1e-9));
}

#[test]
fn course_of_days_is_told_in_sentences_and_a_reference_sample_brings_scores_back() {
    let mut days: Vec<DayFacts> =
        [("2026-03-13", 0.0, 1000.0), ("2026-03-14", 0.1, 1010.0), ("2026-03-15", 1.2, 800.0)]
            .iter()
            .zip(20..)
            .map(|((name, shift, light), seed)| day(name, 10, 30, (*shift, *light), seed))
            .collect();
    for (day, logit) in days.iter_mut().zip([0.0, 0.1, 1.2]) {
        day.tracks = vec![TrackOfDay { sample: "s/m1".to_owned(), mean_logit: logit }; 40];
    }
    let told = course(&days, Some(&training()), false, &DriftLimits::default());
    let verdicts: Vec<DriftVerdict> = told.iter().map(|it| it.verdict).collect();
    assert_eq!(verdicts, [DriftVerdict::Steady, DriftVerdict::Steady, DriftVerdict::Drifted], "{told:#?}");
    assert_eq!(told[1].text, "ti-e, 2026-03-14: no drift against the training set and 2026-03-13.");
    let text = &told[2].text;
    assert!(text.contains("light is 20 % lower") && text.contains("along feature 12"), "{text}");
    assert!(text.contains("against the 2 days before"), "{text}");
    assert!(told.iter().all(|it| it.samples.is_empty()), "nothing is aligned without a reference sample");

    let aligned = course(&days, Some(&training()), true, &DriftLimits::default());
    let [sample] = aligned[2].samples.as_slice() else { panic!("{:?}", aligned[2]) };
    assert_eq!(sample.cells, 40);
    assert!((sample.score - 0.77).abs() < 0.01 && (sample.aligned_score - 0.5).abs() < 0.06, "{sample:?}");
    assert!(aligned[0].alignment.is_none(), "the reference day itself stays");
}

#[test]
fn merged_moments_are_those_of_all_values() {
    let values = [3.0, 1.0, 4.0, 1.0, 5.0, 9.0, 2.0];
    let of = |values: &[f64]| {
        let mut moments = Moments::default();
        for value in values {
            moments.add(*value);
        }
        moments
    };
    let mut merged = Moments::default();
    for part in [&values[..3], &values[3..], &[]] {
        merged.merge(&of(part));
    }
    let whole = of(&values);
    assert_eq!(merged.count, whole.count);
    assert!((merged.mean - whole.mean).abs() < 1e-12 && (merged.squares - whole.squares).abs() < 1e-9);
}
