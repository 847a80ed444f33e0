//! What an interrupted training goes on with: the experiment as it was, and the choices made for it.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use embernet::experiment::Experiment;
use embernet::files;
use embernet::train::TrainState;

/// The experiment of a run. The file may change while the run waits; its text is kept.
#[derive(Debug)]
pub(super) struct Saved {
    path: PathBuf,
    text: String,
    seed: Option<u64>,
    /// Passes over the training data.
    pub epochs: u32,
    /// With a device's bits.
    pub exact: bool,
    /// Where the data files lie, if not where the experiment says.
    pub data_folder: Option<PathBuf>,
}

/// The file that holds where a run stands.
pub(super) fn path(folder: &Path) -> PathBuf {
    folder.join("state.safetensors")
}

/// Removes the state of a run that is finished.
pub(super) fn remove(file: &Path) -> Result<()> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", file.display()))
        }
        _ => Ok(()),
    }
}

impl Saved {
    /// A new run.
    pub fn new(path: &Path, seed: Option<u64>, exact: bool) -> Result<Self> {
        let text = files::read_text(path)?;
        let epochs = Experiment::parse(path, &text)?.train.epochs.get();
        let epochs = u32::try_from(epochs).unwrap_or(u32::MAX);
        Ok(Self { path: path.into(), text, seed, epochs, exact, data_folder: None })
    }

    /// The run that waits in a folder.
    pub fn read(folder: &Path) -> Result<(Self, TrainState)> {
        let file = path(folder);
        if !file.exists() {
            anyhow::bail!("{} has no interrupted training: there is no {}", folder.display(), file.display());
        }
        let (state, about) = TrainState::load(&file)?;
        let fact = |name: &str| {
            about.get(name).cloned().with_context(|| format!("{} does not say its {name}", file.display()))
        };
        let saved = Self {
            path: fact("path")?.into(),
            text: fact("experiment")?,
            seed: about.get("seed").and_then(|seed| seed.parse().ok()),
            epochs: fact("epochs")?.parse().with_context(|| format!("{}: epochs", file.display()))?,
            exact: fact("exact")? == "true",
            data_folder: about.get("data_folder").map(PathBuf::from),
        };
        Ok((saved, state))
    }

    /// The experiment, with what the command line changed.
    pub fn experiment(&self) -> Result<Experiment> {
        let mut experiment = Experiment::parse(&self.path, &self.text)?;
        if let Some(seed) = self.seed {
            experiment.train.seed = seed;
        }
        experiment.data_folder.clone_from(&self.data_folder);
        Ok(experiment)
    }

    /// As facts beside the state.
    pub fn about(&self) -> BTreeMap<String, String> {
        // From wherever it goes on, the data lie where they lay.
        let whole = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.into()).display().to_string();
        let mut about = BTreeMap::from([
            ("path".to_owned(), whole(&self.path)),
            ("experiment".to_owned(), self.text.clone()),
            ("epochs".to_owned(), self.epochs.to_string()),
            ("exact".to_owned(), self.exact.to_string()),
        ]);
        if let Some(seed) = self.seed {
            about.insert("seed".into(), seed.to_string());
        }
        if let Some(folder) = &self.data_folder {
            about.insert("data_folder".into(), whole(folder));
        }
        about
    }
}
