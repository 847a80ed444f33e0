//! A board's program, built by cargo from the workspace that this program is run in.

use std::collections::BTreeSet;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use embernet_core::image::Image;
use embernet_core::plan::{
    FIRST_FIXED_KIND, FIRST_HOST_KIND, FIRST_TRAINING_KIND, Step, is_compression, is_fixed, is_fixed_image, kind,
};
use object::{Object, ObjectSection, ObjectSymbol, SectionFlags, SectionKind, elf};

use super::{Board, LinkError, workspace};

/// What a board's program is built with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirmwareOptions {
    /// The kinds of steps whose kernels it carries; `None` for all but those of 16-bit fixed point on a core with FPU, and
    /// elsewhere all but its convolutions and pools.
    pub steps: Option<BTreeSet<u16>>,
    /// The orders of int8 weights that it has loops for.
    pub orders: Orders,
    /// Whether its loops are the shortest instead of the fastest; it reads int8 weights in the plain order only.
    pub compact: bool,
    /// Whether it keeps an optimiser's state in other ways than f32 and adds up gradients of several passes.
    pub states: bool,
    /// Whether it watches its model at work when asked to.
    pub watch: bool,
    /// Whether it has a log.
    pub log: bool,
    /// Whether it takes models over the link; else it runs what was flashed beside it.
    pub transfer: bool,
}

/// In which orders int8 weights may lie; see `embernet_core::arch::layout`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Orders {
    /// The plain one and the token's.
    Both,
    /// The plain one.
    Plain,
    /// The token's.
    Own,
}

/// The order in which a step's int8 weights lie; `None` if it has none.
fn order(step: &Step<'_>) -> Option<Orders> {
    let order = match step {
        Step::DenseI8(record) => record.order,
        Step::Conv2dI8(record) => record.order,
        Step::DepthwiseConv2dI8(record) => record.order,
        _ => return None,
    };
    Some(if order.is_plain() { Orders::Plain } else { Orders::Own })
}

/// Whether a kind normalises inputs.
fn is_normalise(kind: u16) -> bool {
    kind == kind::NormaliseI8
}

impl Default for FirmwareOptions {
    fn default() -> Self {
        Self {
            steps: None,
            orders: Orders::Both,
            compact: false,
            states: false,
            watch: true,
            log: true,
            transfer: true,
        }
    }
}

impl FirmwareOptions {
    /// The least that runs this image: its kernels, no log, no watch, no other models.
    pub fn for_image(image: &Image<'_>) -> Self {
        let steps = || image.infer_plan().steps().chain(image.train_plan().steps());
        let both = |a, b| if a == b { a } else { Orders::Both };
        // No weights, no order: the plain one's loops are the smaller.
        let orders = steps().filter_map(|step| order(&step)).reduce(both).unwrap_or(Orders::Plain);
        let steps = Some(steps().map(|step| step.kind()).collect());
        Self { steps, orders, watch: false, log: false, transfer: false, ..Self::whole_for(image) }
    }

    /// All kernels, and what else this image needs.
    pub fn whole_for(image: &Image<'_>) -> Self {
        let optimizer = &image.header().optimizer;
        let has = |of: fn(u16) -> bool| {
            let mut steps = image.infer_plan().steps().chain(image.train_plan().steps());
            steps.any(|step| of(step.kind()))
        };
        if has(is_fixed_image) || (has(is_fixed) && optimizer.passes > 1) {
            Self { states: optimizer.passes > 1, ..Self::with_fixed_images() }
        } else if optimizer.state != 0 || optimizer.passes > 1 || has(is_compression) || has(is_normalise) {
            Self::with_states()
        } else if has(is_fixed) {
            Self::with_fixed()
        } else {
            Self::default()
        }
    }

    /// All kernels that plans of inference have: statistics of batches are for training, and what normalises inputs keeps
    /// tables that change.
    pub fn inference() -> Self {
        let steps = (1..FIRST_TRAINING_KIND).filter(|kind| *kind != kind::BatchNormMomentsF32 && !is_normalise(*kind));
        Self { steps: Some(steps.collect()), watch: false, ..Self::default() }
    }

    /// All kernels but convolutions and pools in 16-bit fixed point: the rest of that also on a core with FPU.
    pub fn with_fixed() -> Self {
        Self {
            steps: Some((1..FIRST_HOST_KIND).filter(|kind| !is_fixed_image(*kind) && !is_normalise(*kind)).collect()),
            ..Self::default()
        }
    }

    /// Floats and all of 16-bit fixed point; integers, for which the smallest boards have no room then, are left out.
    pub fn with_fixed_images() -> Self {
        let steps = (1..64).chain(128..256).chain(FIRST_FIXED_KIND..340);
        Self { steps: Some(steps.collect()), ..Self::default() }
    }

    /// These options for a board: its own program is the one with all kernels where it has that.
    pub fn on(&self, board: &Board) -> Self {
        if !board.has_fpu() && *self == Self::with_fixed() { Self::default() } else { self.clone() }
    }

    /// An optimiser's state and activations in every form, inputs normalised, and all kernels but those of 16-bit fixed
    /// point, which know no such state and for which the smallest boards have no room then.
    pub fn with_states() -> Self {
        Self { states: true, steps: Some((1..FIRST_FIXED_KIND).collect()), ..Self::default() }
    }
}

/// Builds a board's program and gives its ELF. Where nothing has changed cargo does nothing.
///
/// It has a target folder of its own, so that this cargo does not wait for one that runs us. Programs that do not
/// carry everything have another one: each build there replaces the one before.
pub fn build(board: &Board, options: &FirmwareOptions) -> Result<PathBuf, LinkError> {
    let root = workspace();
    let failed = |message: String| LinkError::Build { board: board.name.clone(), message };
    let options = &options.on(board);
    let folder = match options {
        options if *options == FirmwareOptions::default() => "target/firmware",
        options if *options == FirmwareOptions::with_states() => "target/states",
        options if *options == FirmwareOptions::with_fixed() => "target/fixed",
        options if *options == FirmwareOptions::with_fixed_images() => "target/fixed-images",
        // Tests build these beside lean ones, at the same time.
        options if options.compact => "target/size",
        _ => "target/lean",
    };
    let target = root.join(folder);
    let mut command = cargo_build(&board.package, &board.target, &target);
    // Written out only where it is not the crate's default, so that the whole program is the one of every other build.
    let features = [("log", options.log), ("transfer", options.transfer)];
    if features.iter().any(|(_, on)| !on) {
        let chosen = features.iter().filter(|(_, on)| *on).map(|(name, _)| *name);
        command.args(["--no-default-features", "--features", &chosen.collect::<Vec<_>>().join(",")]);
    }
    if options.compact {
        command.env(OPTIMISE, "size");
    }
    if options.states {
        command.env(STATES, "all");
    }
    if !options.watch {
        command.env(WATCH, "none");
    }
    match options.orders {
        Orders::Both => {}
        Orders::Plain => drop(command.env(ORDERS, "plain")),
        Orders::Own => drop(command.env(ORDERS, "own")),
    }
    if let Some(steps) = &options.steps {
        command.env(STEPS, steps.iter().map(u16::to_string).collect::<Vec<_>>().join(","));
    }
    let output = command.output().map_err(|error| failed(format!("cannot start cargo: {error}")))?;
    if !output.status.success() {
        return Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()));
    }
    Ok(board.firmware_under(&target))
}

/// The cargo that builds a package of the workspace for a device, with all kernels, into this target folder.
pub fn cargo_build(package: &str, target: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace()).args(["build", "--quiet", "--profile", "firmware"]);
    command.args(["--package", package, "--target", target]).arg("--target-dir").arg(folder);
    command.env_remove(STEPS).env_remove(ORDERS).env_remove(STATES).env_remove(WATCH).env_remove(OPTIMISE);
    // What an outer cargo says of our own package would make build scripts run again.
    for (name, _) in env::vars_os() {
        let inherited = |name: &str| name.starts_with("CARGO_PKG_") || name.starts_with("CARGO_MANIFEST_");
        if name.to_str().is_some_and(inherited) {
            command.env_remove(name);
        }
    }
    command
}

/// The list of kinds, for `embernet_core::plan::carries`.
const STEPS: &str = "EMBERNET_STEPS";

/// The orders of weights, for `embernet_core::plan::{PLAIN, OWN}`.
const ORDERS: &str = "EMBERNET_ORDERS";

/// What loops are written for, for `embernet_core::plan::COMPACT`.
const OPTIMISE: &str = "EMBERNET_OPTIMISE";

/// Which state of optimisers, for `embernet_core::plan::STATES`.
const STATES: &str = "EMBERNET_STATES";

/// Whether models are watched, for `embernet_core::plan::WATCHES`.
const WATCH: &str = "EMBERNET_WATCH";

/// Bytes of flash that a program takes: code, constants, initial values of variables.
pub fn flash_bytes(program: &Path) -> Result<u64, LinkError> {
    read_elf(program, |file| {
        let on_flash = file.sections().filter(|section| {
            let SectionFlags::Elf { sh_flags, .. } = section.flags() else { return false };
            sh_flags.contains(elf::SHF_ALLOC) && section.kind() != SectionKind::UninitializedData
        });
        on_flash.map(|section| section.size()).sum()
    })
}

/// The functions of the standard library's panics that a program contains: none, where nothing in it can panic.
pub fn panics(program: &Path) -> Result<Vec<String>, LinkError> {
    read_elf(program, |file| {
        let names = file.symbols().filter_map(|symbol| symbol.name().ok().map(str::to_owned));
        names.filter(|name| name.contains("4core9panicking")).collect()
    })
}

fn read_elf<T>(program: &Path, read: impl FnOnce(&object::File<'_>) -> T) -> Result<T, LinkError> {
    let unreadable = |message: String| LinkError::Elf { path: program.to_path_buf(), message };
    let bytes = fs::read(program).map_err(|error| unreadable(error.to_string()))?;
    let file = object::File::parse(&*bytes).map_err(|error| unreadable(error.to_string()))?;
    Ok(read(&file))
}
