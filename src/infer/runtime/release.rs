//! Which releases of ONNX Runtime are installed: tried, and pinned by hash.

use super::{LIBRARY, RuntimeError};

/// Which build of ONNX Runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// For any processor.
    Plain,
    /// With Intel's OpenVINO, which on newer Intel processors is several times as fast.
    OpenVino,
}

impl Kind {
    /// The command that installs it.
    pub fn install_command(self) -> &'static str {
        match self {
            Self::Plain => "cytowatch runtime install",
            Self::OpenVino => "cytowatch runtime install --openvino",
        }
    }
}

/// A release that was tried, pinned by hash for one architecture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Release {
    /// Name and version of the Python package.
    pub requirement: &'static str,
    /// Folder that it gets below the data folder.
    pub folder: &'static str,
    pub(super) wheel_sha256: &'static str,
    /// Path inside the wheel, name in our folder, sha256.
    pub(super) files: &'static [(&'static str, &'static str, &'static str)],
}

/// ONNX Runtime 1.27.0 is the newest without telemetry that runs on both architectures. With OpenVINO there is a build
/// for x86-64 only, without telemetry too.
const RELEASES: [(Kind, &str, Release); 3] = [
    (
        Kind::Plain,
        "x86_64",
        Release {
            requirement: "onnxruntime==1.27.0",
            folder: "onnxruntime-1.27.0",
            wheel_sha256: "e4f7b0e90d2d212e2c2deaa6c8291616183ab815d3ec558ea12d3ac8b26d36f4",
            files: &[(
                "onnxruntime/capi/libonnxruntime.so.1.27.0",
                LIBRARY,
                "b5c9d4f124d24707f514dad926dc181820807178855df1c528e3addb2dd0e6f7",
            )],
        },
    ),
    (
        Kind::Plain,
        "aarch64",
        Release {
            requirement: "onnxruntime==1.27.0",
            folder: "onnxruntime-1.27.0",
            wheel_sha256: "2eb083321af8a236a84c7c140a7f4cecbfa2a987a18c07c78db471c20cd390ef",
            files: &[(
                "onnxruntime/capi/libonnxruntime.so.1.27.0",
                LIBRARY,
                "9275ef52956228686ae47b0219f67476a1148505084bdc5571e7bf1bf69b11f2",
            )],
        },
    ),
    (
        Kind::OpenVino,
        "x86_64",
        Release {
            requirement: "onnxruntime-openvino==1.24.1",
            folder: "onnxruntime-openvino-1.24.1",
            wheel_sha256: "3007c803634cc69c6d52af1dea7ce729d9bb62b9a11070fd2f959119199007a8",
            files: &[
                (
                    "onnxruntime/capi/libonnxruntime.so.1.24.1",
                    LIBRARY,
                    "2d963a419b96018b79dfe63bb50120ddcb724149912a8a6d8ac747a557c089f4",
                ),
                (
                    "onnxruntime/capi/libonnxruntime_providers_shared.so",
                    "libonnxruntime_providers_shared.so",
                    "5e02c1ff90e7d71365264dbb6767c00f04a8b57a96cddbc0085c61fa1393250d",
                ),
                (
                    "onnxruntime/capi/libonnxruntime_providers_openvino.so",
                    "libonnxruntime_providers_openvino.so",
                    "bf0159d2681d76e7de03fbd302a9204e5490f30816bd41826d57acf7a8dff363",
                ),
                (
                    "onnxruntime/capi/libopenvino.so.2541",
                    "libopenvino.so.2541",
                    "ac9634b715a242a61644c77bc38f17508fe73f517e418027e2410f4bee004943",
                ),
                (
                    "onnxruntime/capi/libopenvino_intel_cpu_plugin.so",
                    "libopenvino_intel_cpu_plugin.so",
                    "034df890550ae9199fe5f8608c0df8fd0fe355f303bad56bea10bae14c14c3cb",
                ),
                (
                    "onnxruntime/capi/libopenvino_onnx_frontend.so.2541",
                    "libopenvino_onnx_frontend.so.2541",
                    "f426710881d8c1a01d5ed6d7eaa076d923b19983d3ab3a18bb19d25dba7d8923",
                ),
                (
                    "onnxruntime/capi/libtbb.so.12",
                    "libtbb.so.12",
                    "6781dc6aa8b2ca237d0164258e70266a44667756c02a9a039782ec1d1a67b653",
                ),
            ],
        },
    ),
];

/// The release of `kind` pinned for this machine.
///
/// # Errors
/// `runtime_architecture` when there is none.
pub fn release(kind: Kind) -> Result<Release, RuntimeError> {
    let architecture = std::env::consts::ARCH;
    let found = RELEASES.iter().find(|(of_kind, name, _)| *of_kind == kind && *name == architecture);
    found.map(|(_, _, release)| *release).ok_or(RuntimeError::Architecture { architecture })
}
