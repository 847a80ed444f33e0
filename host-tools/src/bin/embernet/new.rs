//! `embernet new`: a firmware project of one's own.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use embernet::link::{Board, workspace};
use embernet::project::{Project, Sensor, Source};
use embernet_core::image::Image;
use serde::Serialize;

use crate::model::read_image;
use crate::output::Output;

/// Write a small firmware project of your own: a sensor, windows, a network that answers and learns.
#[derive(Debug, Args)]
pub struct New {
    /// The project's name, and the folder to make here.
    #[arg(value_name = "NAME")]
    name: String,
    /// The board, such as pico; a wrong name lists all.
    #[arg(long, value_name = "BOARD")]
    board: String,
    /// What it measures: accelerometer (LIS3DH on I2C), adc (a voltage at a pin) or microphone (on I2S; on
    /// PDM on an nRF52840).
    #[arg(long, value_enum, default_value_t = SensorArg::Accelerometer)]
    sensor: SensorArg,
    /// The model, packed for the board (.emb); a small untrained one that learns if not given.
    #[arg(long, value_name = "MODEL")]
    model: Option<PathBuf>,
    /// The folder of embernet's sources, on which the project depends: it is in no registry. The one around this folder
    /// if not given, else the one that this program was built in.
    #[arg(long, value_name = "FOLDER", conflicts_with = "git")]
    checkout: Option<PathBuf>,
    /// Take embernet from this git repository instead.
    #[arg(long, value_name = "URL")]
    git: Option<String>,
}

/// [`Sensor`] on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SensorArg {
    Accelerometer,
    Adc,
    Microphone,
}

impl From<SensorArg> for Sensor {
    fn from(arg: SensorArg) -> Self {
        match arg {
            SensorArg::Accelerometer => Self::Accelerometer,
            SensorArg::Adc => Self::Adc,
            SensorArg::Microphone => Self::Microphone,
        }
    }
}

#[derive(Serialize)]
struct Line<'a> {
    done: bool,
    folder: &'a Path,
    board: &'a str,
    sensor: &'a str,
    /// Values that `src/features.rs` makes.
    features: usize,
    /// Values that the model takes.
    inputs: usize,
}

impl New {
    pub fn run(&self, output: &Output) -> Result<()> {
        let board = Board::named(&self.board)?;
        let sensor = Sensor::from(self.sensor);
        let bytes = self.model.as_deref().map(read_image).transpose()?;
        let model = bytes.as_deref().map(Image::parse).transpose()?;
        let source = match (&self.git, &self.checkout) {
            (Some(url), _) => Source::Git(url.clone()),
            (None, folder) => Source::Checkout(folder.clone().unwrap_or_else(workspace)),
        };
        let inputs = model.as_ref().and_then(|image| image.inputs().first());
        let inputs = inputs.map_or(sensor.features(), |record| record.elements as usize);
        let project = Project { name: &self.name, board, sensor, source, model };
        let created = project.create(Path::new(""));
        let folder = created.with_context(|| format!("no project {}", self.name))?;
        let features = sensor.features();
        output.text(format_args!(
            "{name}: a project for {}; README.md says more\n\n    cd {name}\n    cargo build --release",
            board.name,
            name = self.name
        ));
        if inputs != features {
            output.text(format_args!(
                "\nthe model takes {inputs} values, src/features.rs makes {features}: write there what it needs"
            ));
        }
        output.json(&Line { done: true, folder: &folder, board: &board.name, sensor: sensor.name(), features, inputs });
        Ok(())
    }
}
