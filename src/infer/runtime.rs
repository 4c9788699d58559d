//! ONNX Runtime on this machine: where it lies, and how it gets there.
//!
//! The library comes out of the Python wheel of a pinned release: pip downloads it with its hash demanded, we check the
//! hash of the wheel and of the library again, and a finished folder takes its place in one rename, licences beside the
//! library. What is half done is never seen under the final name. pip and the wheel's Python are independent: any
//! Python 3 with pip will do.

mod release;

pub use release::{Kind, Release, release};

use super::bundle::sha256_hex;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// The library's file name in every place.
pub const LIBRARY: &str = "libonnxruntime.so";
/// Set to 1 before the library is loaded, it keeps releases after 1.28 from sending telemetry; the pinned one sends none.
pub const TELEMETRY_SWITCH: &str = "ORT_DISABLE_TELEMETRY";
const SYSTEM_FOLDER: &str = "/usr/local/lib/cytowatch";
const LICENCES: [&str; 2] = ["LICENSE", "ThirdPartyNotices.txt"];

/// Why ONNX Runtime could not be installed. cytowatch runs without it, on the built-in engine.
#[derive(Debug, Error)]
pub enum RuntimeError {
    /// No pinned release for this processor.
    #[error("no ONNX Runtime is pinned for {architecture}: the built-in engine serves")]
    Architecture {
        /// As the compiler names it.
        architecture: &'static str,
    },
    /// No data folder to install into.
    #[error("neither XDG_DATA_HOME nor HOME is set: say where to install with --dir")]
    NoFolder,
    /// Python is not there.
    #[error("start python3: install Python 3 with pip (Debian: apt install python3-pip), then try again")]
    NoPython(#[source] io::Error),
    /// Python runs, pip does not.
    #[error("python3 has no pip: install it (Debian: apt install python3-pip), then try again")]
    NoPip,
    /// pip could not download the pinned wheel.
    #[error(
        "download {requirement}: check the network, or the package index that pip is set up for, then try again\n{output}"
    )]
    Download {
        /// What was asked for.
        requirement: &'static str,
        /// The end of what pip said.
        output: String,
    },
    /// The wheel does not unpack.
    #[error("unpack {wheel}\n{output}")]
    Unpack {
        /// The wheel.
        wheel: PathBuf,
        /// The end of what Python said.
        output: String,
    },
    /// A file is not the pinned one.
    #[error("{file} has sha256 {found}, not the pinned {expected}: nothing was installed")]
    Hash {
        /// The file.
        file: PathBuf,
        /// As pinned.
        expected: &'static str,
        /// As computed.
        found: String,
    },
    /// A file or folder cannot be read, written or renamed.
    #[error("{operation} {path}: check rights and space, or choose another folder with --dir")]
    File {
        /// What was done.
        operation: &'static str,
        /// To which.
        path: PathBuf,
        /// Why it failed.
        source: io::Error,
    },
}

impl RuntimeError {
    /// Stable name for logs and scripts.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Architecture { .. } => "runtime_architecture",
            Self::NoFolder => "runtime_no_folder",
            Self::NoPython(_) => "runtime_no_python",
            Self::NoPip => "runtime_no_pip",
            Self::Download { .. } => "runtime_download",
            Self::Unpack { .. } => "runtime_unpack",
            Self::Hash { .. } => "runtime_hash",
            Self::File { .. } => "runtime_file",
        }
    }
}

/// Makes sure that no ONNX Runtime that this process may load sends telemetry. First thing in `main`.
///
/// Newer releases read [`TELEMETRY_SWITCH`] when they are loaded, and the switch in their API comes too late. Changing
/// the environment of a running process is unsafe in Rust (another thread may be reading it), and this crate forbids
/// unsafe code; so when the variable is not set, the process replaces itself by itself with it set. It keeps its process
/// id, arguments, descriptors and parent: neither a service manager nor a shell sees a difference. A value that somebody
/// has set is left alone.
///
/// # Errors
/// Why the process could not be replaced; it goes on as it is, which is harmless with the pinned release.
pub fn switch_telemetry_off() -> io::Result<()> {
    if std::env::var_os(TELEMETRY_SWITCH).is_some() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let name = arguments.next().unwrap_or_default();
    let mut again = Command::new(std::env::current_exe()?);
    Err(again.arg0(name).args(arguments).env(TELEMETRY_SWITCH, "1").exec())
}

/// What an installation did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Installed {
    /// The library was there already, with the right hash.
    Already(PathBuf),
    /// The library is there now.
    Now(PathBuf),
}

impl Installed {
    /// The library.
    pub fn library(&self) -> &Path {
        match self {
            Self::Already(path) | Self::Now(path) => path,
        }
    }
}

/// Where libraries are installed for this user: `$XDG_DATA_HOME/cytowatch/runtime`, else
/// `~/.local/share/cytowatch/runtime`; `None` without a home.
pub fn data_folder() -> Option<PathBuf> {
    let folder = |variable| std::env::var_os(variable).filter(|path| !path.is_empty()).map(PathBuf::from);
    let data = folder("XDG_DATA_HOME").or_else(|| Some(folder("HOME")?.join(".local/share")))?;
    Some(data.join("cytowatch/runtime"))
}

/// Where a library of `kind` is looked for when none is named, best first.
pub fn library_places(kind: Kind) -> Vec<PathBuf> {
    let beside = std::env::current_exe().ok().and_then(|path| Some(path.parent()?.join(LIBRARY)));
    let pinned = release(kind).ok().map(|release| Path::new(release.folder).join(LIBRARY));
    let installed = data_folder().zip(pinned.clone()).map(|(folder, pinned)| folder.join(pinned));
    let system = Path::new(SYSTEM_FOLDER);
    let system_pinned = pinned.map(|pinned| system.join(pinned));
    [beside, installed, system_pinned, Some(system.join(LIBRARY))].into_iter().flatten().collect()
}

/// Installs the pinned release of `kind` below `folder` (absent: [`data_folder`]). Does nothing when it is there and right.
///
/// # Errors
/// As [`RuntimeError`] says; whatever goes wrong, a former installation stays as it was.
pub fn install(kind: Kind, folder: Option<&Path>) -> Result<Installed, RuntimeError> {
    install_with(OsStr::new("python3"), release(kind)?, folder)
}

fn install_with(python: &OsStr, release: Release, folder: Option<&Path>) -> Result<Installed, RuntimeError> {
    let folder = folder.map(Path::to_owned).or_else(data_folder).ok_or(RuntimeError::NoFolder)?;
    let target = folder.join(release.folder);
    let library = target.join(LIBRARY);
    if release.files.iter().all(|(_, name, sha256)| check(&target.join(name), sha256).is_ok()) {
        return Ok(Installed::Already(library));
    }
    at("make folder", &folder, fs::create_dir_all(&folder))?;
    // In the same folder, so that the final rename stays on one file system; gone again on every way out.
    let work =
        at("make a temporary folder in", &folder, tempfile::Builder::new().prefix(".install-").tempdir_in(&folder))?;
    let wheel = download(python, release, work.path())?;
    check(&wheel, release.wheel_sha256)?;
    let unpacked = work.path().join("unpacked");
    let arguments = ["-m", "zipfile", "-e"].map(OsStr::new);
    let (ok, output) = call(python, &arguments, &[wheel.as_os_str(), unpacked.as_os_str()])?;
    if !ok {
        return Err(RuntimeError::Unpack { wheel, output });
    }
    let ready = work.path().join("ready");
    at("make folder", &ready, fs::create_dir(&ready))?;
    for (inside, name, sha256) in release.files {
        let source = unpacked.join(inside);
        check(&source, sha256)?;
        at("move", &source, fs::rename(&source, ready.join(name)))?;
    }
    for licence in LICENCES {
        let source = unpacked.join("onnxruntime").join(licence);
        at("copy", &source, fs::copy(&source, ready.join(licence)))?;
    }
    let former = work.path().join("former");
    match fs::rename(&target, &former) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => at("replace", &target, Err(error))?,
        _ => at("rename to", &target, fs::rename(&ready, &target))?,
    }
    Ok(Installed::Now(library))
}

/// Lets pip fetch the wheel into `work`; gives its path.
fn download(python: &OsStr, release: Release, work: &Path) -> Result<PathBuf, RuntimeError> {
    let (has_pip, _) = call(python, &["-m", "pip", "--version"].map(OsStr::new), &[])?;
    if !has_pip {
        return Err(RuntimeError::NoPip);
    }
    let requirements = work.join("requirements.txt");
    let line = format!("{} --hash=sha256:{}\n", release.requirement, release.wheel_sha256);
    at("write", &requirements, fs::write(&requirements, line))?;
    let platform = format!("manylinux_2_28_{}", std::env::consts::ARCH);
    // The wheel's Python is named, so that it does not matter which one runs pip.
    let fixed = "-m pip download --disable-pip-version-check --no-input --no-deps --require-hashes \
                 --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --platform";
    let fixed: Vec<&OsStr> = fixed.split_whitespace().chain([platform.as_str()]).map(OsStr::new).collect();
    let wheels = work.join("wheels");
    let paths = ["-r".as_ref(), requirements.as_os_str(), "-d".as_ref(), wheels.as_os_str()];
    let (ok, output) = call(python, &fixed, &paths)?;
    let failed = |output| RuntimeError::Download { requirement: release.requirement, output };
    if !ok {
        return Err(failed(output));
    }
    let mut entries = at("read", &wheels, fs::read_dir(&wheels))?.filter_map(Result::ok).map(|entry| entry.path());
    entries.find(|path| path.extension() == Some("whl".as_ref())).ok_or_else(|| failed(output))
}

/// Runs Python; gives whether it succeeded and the end of what it said.
fn call(python: &OsStr, arguments: &[&OsStr], paths: &[&OsStr]) -> Result<(bool, String), RuntimeError> {
    let output = Command::new(python).args(arguments).args(paths).output().map_err(RuntimeError::NoPython)?;
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> = said.lines().collect();
    let end = lines.iter().rev().take(6).rev().copied().collect::<Vec<_>>().join("\n");
    Ok((output.status.success(), end))
}

fn check(path: &Path, expected: &'static str) -> Result<(), RuntimeError> {
    let found = sha256_hex(&at("read", path, fs::read(path))?);
    if found == expected { Ok(()) } else { Err(RuntimeError::Hash { file: path.to_owned(), expected, found }) }
}

fn at<T>(operation: &'static str, path: &Path, result: io::Result<T>) -> Result<T, RuntimeError> {
    result.map_err(|source| RuntimeError::File { operation, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    const CONTENT: &str = "a library";
    const WRONG_HASH: &str = "0000000000000000000000000000000000000000000000000000000000000000";

    /// A stand-in for Python: `pip download` makes a wheel, `zipfile -e` unpacks a library and its licences.
    fn python(folder: &Path, pip: &str, library: &str) -> PathBuf {
        let path = folder.join("python3");
        let script = format!(
            r#"#!/bin/sh
for last; do :; done
case "$*" in
*"pip --version"*) exit 0 ;;
*"pip download"*) {pip}; mkdir -p "$last" && printf wheel >"$last/x.whl" ;;
*"zipfile -e"*)
    mkdir -p "$last/onnxruntime/capi"
    printf '{library}' >"$last/onnxruntime/capi/lib.so"
    printf text >"$last/onnxruntime/LICENSE"
    printf text >"$last/onnxruntime/ThirdPartyNotices.txt" ;;
esac
"#
        );
        fs::write(&path, script).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    fn release() -> Release {
        let wheel = sha256_hex(b"wheel").leak();
        let library = sha256_hex(CONTENT.as_bytes()).leak();
        let files = vec![("onnxruntime/capi/lib.so", LIBRARY, &*library)].leak();
        Release { requirement: "onnxruntime==0", folder: "onnxruntime-0", wheel_sha256: wheel, files }
    }

    fn leftovers(folder: &Path) -> Vec<String> {
        let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "onnxruntime-0").collect()
    }

    #[test]
    fn an_installation_is_whole_repeatable_and_leaves_nothing_else() {
        let (tools, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let python = python(tools.path(), "true", CONTENT);
        let install = || install_with(python.as_os_str(), release(), Some(folder.path())).unwrap();
        let library = folder.path().join("onnxruntime-0").join(LIBRARY);
        assert_eq!(install(), Installed::Now(library.clone()));
        assert_eq!(install(), Installed::Already(library.clone()));
        fs::write(&library, "damaged").unwrap();
        assert_eq!(install(), Installed::Now(library.clone()));
        assert_eq!(fs::read_to_string(&library).unwrap(), CONTENT);
        assert!(LICENCES.iter().all(|name| library.with_file_name(name).is_file()));
        assert!(leftovers(folder.path()).is_empty());
    }

    #[test]
    fn whatever_goes_wrong_is_named_and_installs_nothing() {
        let tools = tempfile::tempdir().unwrap();
        let good = python(tools.path(), "true", CONTENT);
        let broken = |pip: &str, library: &str| {
            let folder = tempfile::tempdir().unwrap().keep();
            python(&folder, pip, library)
        };
        let no_pip = broken("true", CONTENT);
        fs::write(&no_pip, "#!/bin/sh\nexit 1\n").unwrap();
        let wrong_wheel = Release { wheel_sha256: WRONG_HASH, ..release() };
        let cases = [
            (PathBuf::from("/nowhere/python3"), release(), "runtime_no_python"),
            (no_pip, release(), "runtime_no_pip"),
            (broken("echo no network >&2; exit 1", CONTENT), release(), "runtime_download"),
            (good, wrong_wheel, "runtime_hash"),
            (broken("true", "another library"), release(), "runtime_hash"),
        ];
        for (python, release, code) in cases {
            let folder = tempfile::tempdir().unwrap();
            let error = install_with(python.as_os_str(), release, Some(folder.path())).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{code}");
        }
    }

    #[test]
    fn a_failed_installation_leaves_the_former_one() {
        let (tools, folder) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let former = folder.path().join("onnxruntime-0");
        fs::create_dir(&former).unwrap();
        fs::write(former.join(LIBRARY), "older").unwrap();
        let python = python(tools.path(), "true", "not the pinned one");
        install_with(python.as_os_str(), release(), Some(folder.path())).unwrap_err();
        assert_eq!(fs::read_to_string(former.join(LIBRARY)).unwrap(), "older");
        assert!(leftovers(folder.path()).is_empty());
    }
}
