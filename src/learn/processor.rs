//! Where the autoencoder is trained: on the CPU, or on a graphics processor when there is one and this build can use it.
//!
//! On the CPU the same settings, seed and pictures give the same bits. A graphics processor adds in an order of its own, so that two
//! trainings on it agree in their losses and not in their last bits. It needs the cargo feature `gpu`, which is burn's way through
//! `wgpu`: Vulkan, Metal or Direct3D, whatever the card's driver offers.

use burn::tensor::Device;
use thiserror::Error;

/// What may compute.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// A graphics card when there is one, else the CPU.
    #[default]
    Auto,
    /// The CPU.
    Cpu,
    /// A graphics processor, also one that a driver only imitates.
    Gpu,
}

/// Why there is no such processor.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum ProcessorError {
    /// No adapter.
    #[error(
        "no graphics processor was found: check that its driver is installed and that this user may open it, or train on the CPU"
    )]
    NoneFound,
    /// Built without the feature.
    #[error(
        "this cytowatch cannot train on a graphics processor: build it with `cargo build --release --features gpu`, or train on the CPU"
    )]
    NotBuilt,
}

impl ProcessorError {
    /// Stable name of this kind of error.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoneFound => "train_no_gpu",
            Self::NotBuilt => "train_built_without_gpu",
        }
    }
}

/// One processor, ready to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Processor {
    device: Device,
    name: String,
}

impl Processor {
    /// The CPU.
    pub fn cpu() -> Self {
        Self { device: Device::flex(), name: "CPU".to_owned() }
    }

    /// The processor that is `wanted`.
    ///
    /// # Errors
    /// - [`ProcessorError::NotBuilt`], [`ProcessorError::NoneFound`]: a graphics processor is wanted and cannot be had.
    pub fn choose(wanted: Wanted) -> Result<Self, ProcessorError> {
        match wanted {
            Wanted::Cpu => Ok(Self::cpu()),
            Wanted::Auto => Ok(graphics(true).unwrap_or_else(|_| Self::cpu())),
            Wanted::Gpu => graphics(false),
        }
    }

    /// As its driver calls it.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn device(&self) -> &Device {
        &self.device
    }
}

/// The first graphics processor; with `real`, none that is imitated on the CPU.
#[cfg(feature = "gpu")]
fn graphics(real: bool) -> Result<Processor, ProcessorError> {
    use burn::tensor::DeviceType;
    let mut devices = Device::enumerate(DeviceType::Wgpu).into_vec().into_iter();
    let usable = devices.find_map(|device| {
        let identity = device.identity()?;
        (!real || identity.physical.is_some()).then_some(Processor { device, name: identity.name })
    });
    usable.ok_or(ProcessorError::NoneFound)
}

#[cfg(not(feature = "gpu"))]
fn graphics(_: bool) -> Result<Processor, ProcessorError> {
    Err(ProcessorError::NotBuilt)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_is_always_there_and_auto_always_finds_something() {
        assert_eq!(Processor::choose(Wanted::Cpu), Ok(Processor::cpu()));
        assert!(!Processor::choose(Wanted::Auto).unwrap().name().is_empty());
        #[cfg(not(feature = "gpu"))]
        assert_eq!(Processor::choose(Wanted::Gpu).unwrap_err().code(), "train_built_without_gpu");
    }
}
