//! The model from end to end: a bundle on disk, both engines, and bundles and libraries that are wrong.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests fail by panicking and say what was skipped"
)]

use cytowatch::cells::Crop;
use cytowatch::infer::architecture::AutoencoderSpec;
use cytowatch::infer::runtime::Kind;
use cytowatch::infer::untrained::{synthetic_crops, write_bundle};
use cytowatch::infer::{EngineChoice, InferSettings, Inference, Model, onnx, settings_for};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;
use tempfile::TempDir;

fn bundle(width: usize, downsample: usize) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write_bundle(folder.path(), AutoencoderSpec::new(width, downsample).unwrap(), 7).unwrap();
    folder
}

/// The same small bundle for every test, as an own copy.
fn small_bundle() -> TempDir {
    static ORIGINAL: OnceLock<TempDir> = OnceLock::new();
    let (original, copy) = (ORIGINAL.get_or_init(|| bundle(2, 2)), tempfile::tempdir().unwrap());
    for entry in fs::read_dir(original.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn with_engine(folder: &Path, engine: EngineChoice) -> InferSettings {
    InferSettings { engine, ..settings_for(folder) }
}

fn library_is_there() -> bool {
    let there = onnx::find_library(Kind::Plain, None).is_ok();
    if !there {
        println!("skipped: ONNX Runtime is not installed (cytowatch runtime install)");
    }
    there
}

fn code_of_loading(folder: &Path) -> &'static str {
    Model::load(&settings_for(folder)).unwrap_err().code()
}

#[test]
fn an_untrained_bundle_describes_crops_as_a_trained_one_would() {
    let folder = bundle(4, 2);
    let mut model = Model::load(&settings_for(folder.path())).unwrap();
    assert_eq!(model.engine_name(), "rten");
    assert!(model.fallback().is_none(), "rten was asked for");
    let seen = model.describe(&synthetic_crops(64, 7)).unwrap();
    let features: Vec<f64> = seen.iter().flat_map(|inference| inference.latent).map(f64::from).collect();
    let mean = features.iter().sum::<f64>() / features.len() as f64;
    let variance = features.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / features.len() as f64;
    assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.1, "mean {mean}, variance {variance}");
    for inference in &seen {
        assert!((0.0..=1.0).contains(&inference.score) && inference.distance >= 0.0);
        assert_eq!(inference.withheld, None);
    }
    assert!(model.describe(&[]).unwrap().is_empty());
}

#[test]
fn both_engines_say_the_same() {
    if !library_is_there() {
        return;
    }
    for (width, downsample) in [(4, 2), (3, 1)] {
        let folder = bundle(width, downsample);
        let mut rten = Model::load(&with_engine(folder.path(), EngineChoice::Rten)).unwrap();
        let mut ort = Model::load(&with_engine(folder.path(), EngineChoice::Ort)).unwrap();
        assert_eq!(ort.engine_name(), "ort");
        let crops = synthetic_crops(15, 3);
        let (by_rten, by_ort) = (rten.describe(&crops).unwrap(), ort.describe(&crops).unwrap());
        let mut largest = 0.0_f32;
        for (a, b) in by_rten.iter().zip(&by_ort) {
            largest = a.latent.iter().zip(&b.latent).map(|(a, b)| (a - b).abs()).fold(largest, f32::max);
        }
        println!("width {width} downsample {downsample}: largest latent difference {largest:e}");
        assert!(largest < 1e-4);
        let latents: Vec<_> = by_rten.iter().map(|inference| inference.latent).collect();
        let (a, b) = (rten.decode(&latents).unwrap(), ort.decode(&latents).unwrap());
        let pixels = |crops: &[Crop]| crops.iter().flat_map(|crop| crop.pixels().to_vec()).collect::<Vec<f32>>();
        let largest = pixels(&a).iter().zip(pixels(&b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        println!("width {width} downsample {downsample}: largest pixel difference {largest:e}");
        assert!(largest < 1e-4);
    }
}

#[test]
fn the_same_frame_gives_the_same_bits() {
    let folder = bundle(4, 2);
    let crops = synthetic_crops(13, 5);
    let engines = [EngineChoice::Rten, EngineChoice::Auto];
    for engine in engines {
        let run = |warm_up: usize| -> Vec<Inference> {
            let mut model = Model::load(&with_engine(folder.path(), engine)).unwrap();
            model.describe(&crops[..warm_up]).unwrap();
            model.describe(&crops).unwrap()
        };
        assert_eq!(run(0), run(7), "what ran before does not matter");
    }
}

#[test]
fn a_bundle_is_the_same_for_the_same_seed_and_only_then() {
    let identity = |seed| {
        let folder = tempfile::tempdir().unwrap();
        write_bundle(folder.path(), AutoencoderSpec::new(2, 2).unwrap(), seed).unwrap();
        let printed = Command::new("sh")
            .args(["-c", "LC_ALL=C; sha256sum * | sha256sum"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let model = Model::load(&settings_for(folder.path())).unwrap();
        let identity = model.bundle().identity.clone();
        assert!(String::from_utf8_lossy(&printed.stdout).starts_with(&identity), "as the documentation says");
        identity
    };
    assert_eq!(identity(1), identity(1));
    assert_ne!(identity(1), identity(2));
}

#[test]
fn pixels_that_are_not_numbers_are_named() {
    let folder = small_bundle();
    let mut model = Model::load(&settings_for(folder.path())).unwrap();
    let mut pixels = synthetic_crops(1, 1)[0].pixels().to_vec();
    pixels[1234] = f32::NAN;
    let error = model.describe(&[synthetic_crops(1, 1)[0].clone(), Crop::new(pixels).unwrap()]).unwrap_err();
    assert_eq!((error.code(), error.to_string().as_str()), ("not_finite", "a pixel of crop 1 is not a finite number"));
}

#[test]
fn a_missing_file_is_named() {
    for name in ["rdf.yaml", "encoder.onnx", "decoder.onnx", "test_crop.npy", "README.md"] {
        let folder = small_bundle();
        fs::remove_file(folder.path().join(name)).unwrap();
        let error = Model::load(&settings_for(folder.path())).unwrap_err();
        assert_eq!(error.code(), "bundle_read");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_changed_file_is_noticed() {
    for name in ["encoder.onnx", "decoder.onnx", "test_crop.npy", "test_latent.npy", "test_reconstruction.npy"] {
        let folder = small_bundle();
        let path = folder.path().join(name);
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        assert_eq!(code_of_loading(folder.path()), "bundle_hash", "{name}");
    }
}

/// Puts `bytes` in the place of `name` and corrects its hash in `rdf.yaml`.
fn replace(folder: &Path, name: &str, change: impl Fn(Vec<u8>) -> Vec<u8>) {
    let sha256 = |path: &Path| {
        let printed = Command::new("sha256sum").arg(path).output().unwrap().stdout;
        String::from_utf8_lossy(&printed).chars().take(64).collect::<String>()
    };
    let path = folder.join(name);
    let before = sha256(&path);
    fs::write(&path, change(fs::read(&path).unwrap())).unwrap();
    let rdf = folder.join("rdf.yaml");
    let text = fs::read_to_string(&rdf).unwrap();
    assert!(text.contains(&before));
    fs::write(&rdf, text.replace(&before, &sha256(&path))).unwrap();
}

#[test]
fn a_network_that_breaks_the_contract_is_refused() {
    type Change = fn(Vec<u8>) -> Vec<u8>;
    let cases: [(&str, Change); 4] = [
        ("cut short", |bytes| bytes[..bytes.len() / 2].to_vec()),
        ("no model", |_| b"GIF89a, certainly not a network".to_vec()),
        ("empty", |_| Vec::new()),
        ("not a number", |mut bytes| {
            // The first weight's numbers follow its name closely; a run of NaN there is a weight that is NaN.
            let at = (bytes.len() / 2) & !3;
            bytes[at..at + 8].fill(0xff);
            bytes
        }),
    ];
    for (what, change) in cases {
        let folder = small_bundle();
        replace(folder.path(), "encoder.onnx", change);
        assert_eq!(code_of_loading(folder.path()), "bundle_network", "{what}");
    }
    // The decoder is a sound network, but has the wrong names and shapes for an encoder.
    let folder = small_bundle();
    let decoder = fs::read(folder.path().join("decoder.onnx")).unwrap();
    replace(folder.path(), "encoder.onnx", move |_| decoder.clone());
    assert_eq!(code_of_loading(folder.path()), "bundle_network");
}

#[test]
fn another_sound_network_does_not_reproduce_the_test_tensor() {
    let (folder, other) = (small_bundle(), bundle(3, 2));
    let encoder = fs::read(other.path().join("encoder.onnx")).unwrap();
    replace(folder.path(), "encoder.onnx", move |_| encoder.clone());
    assert_eq!(code_of_loading(folder.path()), "test_tensor");
}

#[test]
fn wrong_keys_and_numbers_in_the_description_are_named() {
    let cases = [
        ("discriminant:", "discriminator:", "bundle_description", "discriminator"),
        ("box_um:", "box:", "bundle_description", "box"),
        ("normalisation: min_max_per_crop", "normalisation: zscore", "bundle_description", "zscore"),
        ("type: model", "type: dataset", "bundle_facts", "dataset"),
        ("bias: 0.0\n", "bias: .nan\n", "bundle_facts", "discriminant"),
        ("side_px: 256", "side_px: 128", "bundle_facts", "side_px"),
        ("source: encoder.onnx", "source: ../encoder.onnx", "bundle_facts", "file name"),
        ("downsample: 2", "downsample: 3", "bundle_description", "downsample"),
        ("weights:\n", "weighty:\n", "bundle_description", "weights"),
    ];
    for (from, to, code, named) in cases {
        let folder = small_bundle();
        let path = folder.path().join("rdf.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(&path, text.replacen(from, to, 1)).unwrap();
        let error = Model::load(&settings_for(folder.path())).unwrap_err();
        assert_eq!(error.code(), code, "{to}: {error}");
        let chain = format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string));
        assert!(chain.contains(named), "{to}: {chain}");
    }
}

#[test]
fn a_file_that_is_no_library_leaves_the_built_in_engine_serving() {
    let folder = small_bundle();
    let text = folder.path().join("README.md");
    let settings =
        InferSettings { engine: EngineChoice::Auto, runtime_library: Some(text), ..settings_for(folder.path()) };
    let mut model = Model::load(&settings).unwrap();
    assert_eq!(model.engine_name(), "rten");
    assert!(["library_refused", "library_taken"].contains(&model.fallback().unwrap().code()));
    assert_eq!(model.describe(&synthetic_crops(1, 1)).unwrap().len(), 1);
    let demanded = InferSettings { engine: EngineChoice::Ort, ..settings };
    assert!(Model::load(&demanded).is_err(), "ort was demanded, so nothing else serves");
}

/// Each in a process of its own, because a process keeps the library that it has loaded.
#[test]
fn show_says_what_is_wrong_with_a_library() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "not a library").unwrap();
    let libm = ["/lib/x86_64-linux-gnu/libm.so.6", "/lib/aarch64-linux-gnu/libm.so.6", "/lib64/libm.so.6"];
    let libm = libm.iter().map(Path::new).find(|path| path.is_file());
    let missing = folder.path().join("none.so");
    let cases =
        [(Some(text.as_path()), "not a shared library"), (libm, "OrtGetApiBase"), (Some(&missing), "not found")];
    for (library, complaint) in cases {
        let Some(library) = library else {
            println!("skipped: no libm found");
            continue;
        };
        let output = Command::new(env!("CARGO_BIN_EXE_cytowatch"))
            .args(["runtime", "show", "--library"])
            .arg(library)
            .env_remove("ORT_DYLIB_PATH")
            .env_remove("ORT_DISABLE_TELEMETRY")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains("ORT_DISABLE_TELEMETRY=1"), "switched off without anybody's help: {said}");
        assert!(said.contains(complaint), "{}: {said}", library.display());
    }
}

/// In a process of its own, because the test's process has loaded the other build.
#[test]
fn openvino_gives_the_test_tensors_too() {
    if onnx::find_library(Kind::OpenVino, None).is_err() {
        println!("skipped: ONNX Runtime with OpenVINO is not installed (cytowatch runtime install --openvino)");
        return;
    }
    let folder = bundle(4, 2);
    let output = Command::new(env!("CARGO_BIN_EXE_cytowatch"))
        .args(["model", "check", "--engine", "openvino"])
        .arg(folder.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.contains("test tensors with openvino"), "{said}");
}
