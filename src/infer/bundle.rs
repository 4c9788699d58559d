//! A model bundle: a folder with two networks, their test tensors, and what must be known about them.
//!
//! ```text
//! bundle/  rdf.yaml                 bioimage.io model format 0.5; our facts under config: cytowatch:
//!          encoder.onnx             crop [N, 1, 256, 256] -> latent [N, 56]
//!          decoder.onnx             latent [N, 56] -> crop [N, 1, 256, 256]
//!          test_crop.npy  test_latent.npy  test_reconstruction.npy
//!          README.md                the model card
//! ```
//!
//! Takes such a folder, gives a [`Bundle`] whose every file has the described hash and whose every number is possible;
//! [`Model::load`](super::Model::load) then lets the engine reproduce the test tensors. The bundle's identity is the
//! sha256 over the lines `<sha256>  <file>` of `rdf.yaml` and the files that it names, sorted by file: in a folder with
//! nothing else, `LC_ALL=C; sha256sum * | sha256sum` prints it. This file is the YAML library's only door.

mod contract;
mod facts;
mod rdf;

pub use facts::{CropRule, Facts, Measured, Normalisation, Resize, Training, Unit, ValidityLimits};
pub use rdf::{Author, Citation};

use super::discriminant::Discriminant;
use super::npy::{self, Tensor};
use super::state::StateReading;
use super::{InferError, LATENT_LEN, Latent};
use crate::cells::{CROP_SIDE_PX, Crop};
use rdf::{Config, FileDescription, Rdf};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize as _, Serializer};
use sha2::{Digest as _, Sha256};
use std::fs;
use std::path::{Path, PathBuf};

/// The description's file name.
pub const RDF: &str = "rdf.yaml";
const ENCODER: &str = "encoder.onnx";
const DECODER: &str = "decoder.onnx";
const TEST_CROP: &str = "test_crop.npy";
const TEST_LATENT: &str = "test_latent.npy";
const TEST_RECONSTRUCTION: &str = "test_reconstruction.npy";
/// The model card's file name.
pub const CARD: &str = "README.md";

/// A file of a bundle, known by its hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFile {
    /// Name inside the folder.
    pub name: String,
    path: PathBuf,
    sha256: String,
}

impl BundleFile {
    fn new(folder: &Path, description: &FileDescription) -> Result<Self, InferError> {
        let name = description.source.clone();
        // The folder is the bundle: nothing outside it, nothing below it.
        if name.is_empty() || name.contains(['/', '\\']) || name == ".." {
            return Err(InferError::BundleFacts { problem: format!("{name:?} is not a file name") });
        }
        Ok(Self { path: folder.join(&name), name, sha256: description.sha256.to_lowercase() })
    }

    /// The file's bytes, exactly those that were described.
    ///
    /// # Errors
    /// - `bundle_read` when it cannot be read.
    /// - `bundle_hash` when it is another file by now.
    pub fn read(&self) -> Result<Vec<u8>, InferError> {
        let bytes = read(&self.path)?;
        let found = sha256_hex(&bytes);
        if found == self.sha256 {
            Ok(bytes)
        } else {
            Err(InferError::BundleHash { file: self.name.clone(), expected: self.sha256.clone(), found })
        }
    }
}

/// Test tensors: what the networks give for one known crop.
#[derive(Debug, Clone, PartialEq)]
pub struct TestTensors {
    /// The encoder's input.
    pub crop: Crop,
    /// The encoder's output, the decoder's input.
    pub latent: Latent,
    /// The decoder's output.
    pub reconstruction: Crop,
}

/// A bundle that has been read and checked.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Name of the model.
    pub name: String,
    /// Version of the model.
    pub version: String,
    /// sha256 over all files, hexadecimal: two bundles are the same when this is.
    pub identity: String,
    /// Everything else that must be known.
    pub facts: Facts,
    /// `crop -> latent`.
    pub encoder: BundleFile,
    /// `latent -> crop`.
    pub decoder: BundleFile,
    /// What both must give.
    pub tests: TestTensors,
}

/// What a trainer hands over to make a bundle.
#[derive(Debug, Clone)]
pub struct Draft {
    /// Letters, digits, `_+- ()`, 5..=64 characters.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// What the model is, in a sentence or two.
    pub description: String,
    /// Who made it.
    pub authors: Vec<Author>,
    /// SPDX identifier of the licence.
    pub license: String,
    /// What it builds upon.
    pub cite: Vec<Citation>,
    /// The model card, Markdown.
    pub card: String,
    /// Everything else that must be known.
    pub facts: Facts,
    /// Bytes of the encoder (see [`onnx_graph`](super::onnx_graph)).
    pub encoder: Vec<u8>,
    /// Bytes of the decoder.
    pub decoder: Vec<u8>,
    /// What both give for one known crop.
    pub tests: TestTensors,
}

impl Bundle {
    /// Reads the bundle in `folder` and checks everything that needs no engine.
    ///
    /// # Errors
    /// - `bundle_read` when a file is missing or unreadable.
    /// - `bundle_description` when `rdf.yaml` has a wrong, missing or (among our facts) unknown key.
    /// - `bundle_facts` when a number in it cannot be right.
    /// - `bundle_hash` when a file is not the described one.
    /// - `bundle_network` when an ONNX file breaks the contract of names, shapes and finite weights.
    /// - `test_tensor` when a test tensor is malformed.
    pub fn read(folder: &Path) -> Result<Self, InferError> {
        let path = folder.join(RDF);
        let text = read(&path)?;
        let rdf: Rdf = serde_saphyr::from_slice(&text)
            .map_err(|source| InferError::BundleDescription { path, source: Box::new(source) })?;
        let (input, output) = rdf.check()?;
        let attached = |name: &str| {
            let problem = || InferError::BundleFacts { problem: format!("attachments lack {name}") };
            rdf.attachments.iter().find(|file| file.source == name).ok_or_else(problem)
        };
        let onnx = &rdf.weights.onnx;
        let encoder = FileDescription { source: onnx.source.clone(), sha256: onnx.sha256.clone() };
        let encoder = BundleFile::new(folder, &encoder)?;
        let decoder = BundleFile::new(folder, attached(DECODER)?)?;
        let tensor_file = |description| BundleFile::new(folder, description);
        let tensor_files = [
            tensor_file(&input.test_tensor)?,
            tensor_file(&output.test_tensor)?,
            tensor_file(attached(TEST_RECONSTRUCTION)?)?,
        ];
        let [crop, latent, reconstruction] = &tensor_files;
        let tests =
            TestTensors { crop: crop_in(crop)?, latent: latent_in(latent)?, reconstruction: crop_in(reconstruction)? };
        contract::check_encoder(&encoder.name, &encoder.read()?)?;
        contract::check_decoder(&decoder.name, &decoder.read()?)?;
        contract::check_facts(&rdf.config.cytowatch)?;
        let card_hash = sha256_hex(&read(&folder.join(&rdf.documentation))?);
        let mut lines = vec![(RDF.to_owned(), sha256_hex(&text)), (rdf.documentation.clone(), card_hash)];
        let files = tensor_files.iter().chain([&encoder, &decoder]);
        lines.extend(files.map(|file| (file.name.clone(), file.sha256.clone())));
        let facts = rdf.config.cytowatch;
        Ok(Self { name: rdf.name, version: rdf.version, identity: identity(lines), facts, encoder, decoder, tests })
    }
}

/// Writes `draft` as a bundle into `folder`, which is made when it is not there. `rdf.yaml` comes last, so that a
/// folder without it is never taken for a bundle.
///
/// # Errors
/// - `bundle_facts` and `bundle_network` when the draft breaks the contract.
/// - `bundle_write` when a file cannot be written.
/// - `bundle_description` when the facts cannot be written as YAML.
pub fn write(folder: &Path, draft: &Draft) -> Result<(), InferError> {
    contract::check_facts(&draft.facts)?;
    contract::check_encoder(ENCODER, &draft.encoder)?;
    contract::check_decoder(DECODER, &draft.decoder)?;
    fs::create_dir_all(folder).map_err(|source| InferError::BundleWrite { path: folder.to_owned(), source })?;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.join(name);
        fs::write(&path, bytes).map_err(|source| InferError::BundleWrite { path, source })?;
        Ok(FileDescription { source: name.to_owned(), sha256: sha256_hex(bytes) })
    };
    let tensor = |name: &str, shape: &[usize], values: &[f32]| {
        let tensor = Tensor { shape: shape.to_vec(), values: values.to_vec() };
        write(name, &npy::to_bytes(&tensor))
    };
    let crop_shape = [1, 1, CROP_SIDE_PX, CROP_SIDE_PX];
    let crop = tensor(TEST_CROP, &crop_shape, draft.tests.crop.pixels())?;
    let latent = tensor(TEST_LATENT, &[1, LATENT_LEN], &draft.tests.latent)?;
    let reconstruction = tensor(TEST_RECONSTRUCTION, &crop_shape, draft.tests.reconstruction.pixels())?;
    let encoder = write(ENCODER, &draft.encoder)?;
    let decoder = write(DECODER, &draft.decoder)?;
    write(CARD, draft.card.as_bytes())?;
    let rdf = Rdf {
        kind: "model".to_owned(),
        format_version: rdf::FORMAT_VERSION.to_owned(),
        name: draft.name.clone(),
        description: draft.description.clone(),
        version: draft.version.clone(),
        authors: draft.authors.clone(),
        cite: draft.cite.clone(),
        license: Some(draft.license.clone()),
        tags: ["phase-contrast", "label-free", "cells", "melanoma", "autoencoder", "2d"].map(str::to_owned).to_vec(),
        documentation: CARD.to_owned(),
        inputs: vec![rdf::crop_tensor(&draft.facts.crop, crop)],
        outputs: vec![rdf::latent_tensor(latent)],
        weights: rdf::encoder_weights(encoder),
        attachments: vec![decoder, reconstruction],
        config: Config { cytowatch: draft.facts.clone() },
    };
    let path = folder.join(RDF);
    let text = serde_saphyr::to_string(&rdf)
        .map_err(|source| InferError::BundleDescription { path: path.clone(), source: Box::new(source) })?;
    write(RDF, text.as_bytes()).map(|_| ())
}

/// Replaces the limits of the bundle in `folder`; everything else stays, and its identity changes.
///
/// # Errors
/// - As [`Bundle::read`].
/// - `bundle_facts` when the limits cannot be, `bundle_write` when a file cannot be written.
pub fn set_limits(folder: &Path, limits: &ValidityLimits) -> Result<(), InferError> {
    revise(folder, |rdf, card| {
        let before = std::mem::replace(&mut rdf.config.cytowatch.validity, limits.clone());
        // The model card names the one limit that a reader asks for.
        let Some((before, now)) = before.distance_limit.zip(limits.distance_limit) else { return card };
        let named = |limit: f64| format!("training set than {limit:.2} (Mahalanobis");
        card.replace(&named(before), &named(now))
    })
}

/// Replaces what changes of state are read from in the bundle in `folder`. Everything else stays, and the bundle's identity changes.
///
/// # Errors
/// As [`set_limits`].
pub fn set_state(folder: &Path, reading: StateReading) -> Result<(), InferError> {
    revise(folder, |rdf, card| {
        rdf.config.cytowatch.state = Some(reading);
        card
    })
}

/// A discriminant that was fitted anew, and what it is worth.
#[derive(Debug, Clone)]
pub struct Refit {
    /// Semantic version of the model from now on.
    pub version: String,
    /// On the raw descriptor.
    pub discriminant: Discriminant,
    /// Measured on samples and days that it has not seen.
    pub measured: Vec<Measured>,
}

/// Replaces the discriminant of the bundle in `folder` and what was measured; `card` says the model card anew. The networks and the
/// limits stay, and the bundle's identity changes.
///
/// # Errors
/// As [`set_limits`].
pub fn set_discriminant(folder: &Path, refit: Refit, card: impl FnOnce(String) -> String) -> Result<(), InferError> {
    revise(folder, |rdf, text| {
        rdf.version = refit.version;
        rdf.config.cytowatch.discriminant = refit.discriminant;
        rdf.config.cytowatch.measured = refit.measured;
        card(text)
    })
}

/// Changes the description of the bundle in `folder`, and its model card to what `change` makes of it.
fn revise(folder: &Path, change: impl FnOnce(&mut Rdf, String) -> String) -> Result<(), InferError> {
    Bundle::read(folder)?;
    let mut rdf: Rdf = description(folder)?;
    let before = String::from_utf8_lossy(&read(&folder.join(&rdf.documentation))?).into_owned();
    let card = change(&mut rdf, before);
    contract::check_facts(&rdf.config.cytowatch)?;
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        fs::write(&path, text).map_err(|source| InferError::BundleWrite { path, source })
    };
    write(&rdf.documentation, &card)?;
    let text = serde_saphyr::to_string(&rdf)
        .map_err(|source| InferError::BundleDescription { path: folder.join(RDF), source: Box::new(source) })?;
    write(RDF, &text)
}

/// Serialises numbers as `[1, 2, 3]` in one line.
pub(super) fn in_one_line<S: Serializer>(numbers: &[f64], serializer: S) -> Result<S::Ok, S::Error> {
    serde_saphyr::FlowSeq(numbers).serialize(serializer)
}

/// Serialises a matrix with one line per row.
pub(super) fn rows_in_one_line<S: Serializer>(rows: &[Vec<f64>], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(rows.iter().map(serde_saphyr::FlowSeq))
}

/// A relative folder is looked for below the working directory, then beside the program and above it (a checkout's
/// `target/release`), then where packages put it.
pub fn find(written: PathBuf) -> PathBuf {
    if written.is_absolute() || written.is_dir() {
        return written;
    }
    let program = std::env::current_exe().ok();
    let beside = program.iter().flat_map(|program| program.ancestors().skip(1).take(4)).map(Path::to_owned);
    let packaged = ["/usr/local/share/cytowatch", "/usr/share/cytowatch"].map(PathBuf::from);
    beside.chain(packaged).map(|folder| folder.join(&written)).find(|path| path.is_dir()).unwrap_or(written)
}

/// The description in `folder`, as far as `T` wants to know it.
///
/// # Errors
/// - `bundle_read` when it is missing.
/// - `bundle_description` when it is not YAML or lacks a key.
pub(super) fn description<T: DeserializeOwned>(folder: &Path) -> Result<T, InferError> {
    let path = folder.join(RDF);
    serde_saphyr::from_slice(&read(&path)?)
        .map_err(|source| InferError::BundleDescription { path, source: Box::new(source) })
}

/// The bytes of the file `name` in `folder`; checked when its hash is known.
///
/// # Errors
/// - `bundle_facts` when the name leads out of the folder.
/// - `bundle_read`, `bundle_hash` when the file is missing or another one.
pub(super) fn described_file(folder: &Path, name: &str, sha256: Option<&str>) -> Result<Vec<u8>, InferError> {
    let described = FileDescription { source: name.to_owned(), sha256: sha256.unwrap_or_default().to_owned() };
    let file = BundleFile::new(folder, &described)?;
    if sha256.is_some() { file.read() } else { read(&file.path) }
}

/// The description of a folder with one ONNX network of ours.
#[derive(Debug, Deserialize)]
struct OwnDescription<C> {
    weights: OwnWeights,
    config: OwnConfig<C>,
}

#[derive(Debug, Deserialize)]
struct OwnWeights {
    onnx: FileDescription,
}

#[derive(Debug, Deserialize)]
struct OwnConfig<C> {
    cytowatch: C,
}

/// The bytes of the one ONNX network of ours in `folder`, and what is said of it under `config: cytowatch`.
///
/// # Errors
/// `bundle_read`, `bundle_description`, `bundle_hash`, `bundle_facts` when the folder is not whole.
pub(super) fn own_network<C: DeserializeOwned>(folder: &Path) -> Result<(Vec<u8>, C), InferError> {
    let OwnDescription { weights, config } = description(folder)?;
    let bytes = described_file(folder, &weights.onnx.source, Some(&weights.onnx.sha256))?;
    Ok((bytes, config.cytowatch))
}

fn read(path: &Path) -> Result<Vec<u8>, InferError> {
    fs::read(path).map_err(|source| InferError::BundleRead { path: path.to_owned(), source })
}

fn identity(mut files: Vec<(String, String)>) -> String {
    files.sort();
    files.dedup();
    let lines: String = files.iter().fold(String::new(), |text, (name, sha256)| text + sha256 + "  " + name + "\n");
    sha256_hex(lines.as_bytes())
}

/// sha256 of `bytes`, 64 lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    let nibbles = Sha256::digest(bytes).into_iter().flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.filter_map(|nibble| char::from_digit(u32::from(nibble), 16)).collect()
}

fn tensor_in(file: &BundleFile, shape: &[usize]) -> Result<Vec<f32>, InferError> {
    let tensor = npy::parse(&file.name, &file.read()?)?;
    let wrong = |problem| Err(InferError::TestTensor { file: file.name.clone(), problem });
    if tensor.shape != shape {
        return wrong(format!("has shape {:?}, must have {shape:?}", tensor.shape));
    }
    if !tensor.values.iter().all(|value| value.is_finite()) {
        return wrong("holds a number that is not finite".to_owned());
    }
    Ok(tensor.values)
}

fn crop_in(file: &BundleFile) -> Result<Crop, InferError> {
    let values = tensor_in(file, &[1, 1, CROP_SIDE_PX, CROP_SIDE_PX])?;
    let problem = || InferError::TestTensor { file: file.name.clone(), problem: "is not 256 x 256".to_owned() };
    Crop::new(values).ok_or_else(problem)
}

fn latent_in(file: &BundleFile) -> Result<Latent, InferError> {
    let values = tensor_in(file, &[1, LATENT_LEN])?;
    let problem = |_| InferError::TestTensor { file: file.name.clone(), problem: "is not 56 long".to_owned() };
    Latent::try_from(values.as_slice()).map_err(problem)
}
