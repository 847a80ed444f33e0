//! A firmware project of somebody's own: templates, filled in for a board and a sensor.
//!
//! The templates are real files in `host-tools/templates`: `project/` what every project has, `sensors/` one file for
//! each sensor, `boards/` the clocks and pins of each HAL.

mod error;
mod model;
mod templates;
#[cfg(test)]
mod tests;

use std::fs;
use std::path::{Path, PathBuf};

use embernet_core::image::Image;
use embernet_core::signal::features::Axis;

use crate::files;
use crate::image::{Format, Piece, Target};
use crate::link::Board;

pub use error::ProjectError;

/// What a project measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sensor {
    /// An LIS3DH on I2C, by way of `embedded-hal`.
    Accelerometer,
    /// A voltage at a pin.
    Adc,
    /// A microphone, on I2S or, where the chip takes it, PDM.
    Microphone,
}

impl Sensor {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Accelerometer, Self::Adc, Self::Microphone];

    /// Its name on the command line and in templates.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accelerometer => "accelerometer",
            Self::Adc => "adc",
            Self::Microphone => "microphone",
        }
    }

    /// Numbers that the template's `features.rs` makes of a window; a test of the templates compares it.
    pub fn features(self) -> usize {
        let channels = match self {
            Self::Accelerometer => 3,
            Self::Adc => 1,
            Self::Microphone => 8,
        };
        channels * Axis::COUNT
    }
}

/// Where a project gets `embernet-core` from, which no registry has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A folder with embernet's workspace.
    Checkout(PathBuf),
    /// The address of a git repository.
    Git(String),
}

/// What to make a project of.
#[derive(Debug, Clone)]
pub struct Project<'a> {
    /// Its name: the package's and the folder's.
    pub name: &'a str,
    /// The board.
    pub board: &'static Board,
    /// What it measures.
    pub sensor: Sensor,
    /// Where `embernet-core` comes from.
    pub source: Source,
    /// The model; `None` for a small one that nobody has trained.
    pub model: Option<Image<'a>>,
}

impl Project<'_> {
    /// The boards that there are templates for.
    pub fn boards() -> impl Iterator<Item = &'static Board> {
        Board::all().filter(|board| templates::board(board.hal.as_deref()).is_some())
    }

    /// Every file, by its path in the project's folder.
    ///
    /// # Errors
    /// [`ProjectError`]: the name, the board, the sensor, the source or the model does not do.
    pub fn files(&self) -> Result<Vec<(&'static str, Vec<u8>)>, ProjectError> {
        check_name(self.name)?;
        if templates::board(self.board.hal.as_deref()).is_none() {
            return Err(ProjectError::NotOffered { board: &self.board.name });
        }
        let mut files = templates::render(self)?;
        let image = match &self.model {
            Some(image) => model::check(image, self.board).map(|()| image.bytes().to_vec())?,
            None => model::untrained(self.sensor.features(), self.board)?,
        };
        let model = Format::Rust.wrap(vec![Piece { address: 0, bytes: image }], &Target::default());
        files.push(("src/model.rs", model.map_err(ProjectError::Container)?));
        if let Source::Checkout(folder) = &self.source {
            // The versions that embernet is tested with; cargo drops what the project does not use.
            files.extend(files::read(&folder.join("Cargo.lock")).ok().map(|lock| ("Cargo.lock", lock)));
        }
        Ok(files)
    }

    /// Writes the project's folder into `parent`, whole or not at all, and gives its path.
    ///
    /// # Errors
    /// As [`Project::files`]; [`ProjectError::Exists`], [`ProjectError::Write`].
    pub fn create(&self, parent: &Path) -> Result<PathBuf, ProjectError> {
        let files = self.files()?;
        let folder = parent.join(self.name);
        if folder.symlink_metadata().is_ok() {
            return Err(ProjectError::Exists(folder));
        }
        let failed = |error| ProjectError::Write { path: folder.clone(), error };
        let beside = tempfile::tempdir_in(if parent.as_os_str().is_empty() { Path::new(".") } else { parent });
        let beside = beside.map_err(failed)?;
        let whole = beside.path().join(self.name);
        for (name, bytes) in files {
            let path = whole.join(name);
            let made = path.parent().map_or(Ok(()), fs::create_dir_all);
            made.and_then(|()| fs::write(&path, bytes)).map_err(failed)?;
        }
        fs::rename(&whole, &folder).map_err(failed)?;
        Ok(folder)
    }
}

/// Refuses names that cargo does not take, or that a package has on which the project depends.
fn check_name(name: &str) -> Result<(), ProjectError> {
    let refuse = |why| Err(ProjectError::Name { name: name.into(), why });
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return refuse("it begins with a letter");
    }
    if !name.chars().all(is_plain) || name.len() > 64 {
        return refuse("it has up to 64 letters, digits, hyphens and underscores");
    }
    if RESERVED.contains(&name) || templates::versions().any(|(package, _)| package == name) {
        return refuse("Rust or a package that it needs has this name");
    }
    Ok(())
}

/// Rust's keywords and crates, cargo's own folders, and packages that templates name.
const RESERVED: [&str; 58] = [
    "abstract",
    "alloc",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "build",
    "const",
    "continue",
    "core",
    "crate",
    "deps",
    "do",
    "dyn",
    "else",
    "embedded-hal",
    "enum",
    "examples",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "incremental",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "pio",
    "portable-atomic",
    "priv",
    "proc_macro",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "static_cell",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "unsafe",
    "use",
];
