//! `embernet data`: published data sets.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use embernet::data::sets::{self, Got};
use embernet::files;
use serde::Serialize;

use crate::output::Output;

/// Fetch the data sets that the experiments use.
#[derive(Debug, Args)]
pub struct Data {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch a data set and check it; what is there already and right is left alone.
    Get(Get),
}

#[derive(Debug, Args)]
struct Get {
    /// The data set: mnist.
    #[arg(value_name = "SET")]
    set: String,
    /// The folder for its files. By default data/SET.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A folder on the network (http://...) with the files, each packed with gzip, instead of the known ones.
    #[arg(long, value_name = "URL")]
    from: Option<String>,
}

#[derive(Serialize)]
struct Line<'l> {
    file: &'l Path,
    bytes: usize,
    sha256: &'l str,
    /// Or it was there.
    fetched: bool,
}

impl Data {
    pub fn run(&self, output: &Output) -> Result<()> {
        let Command::Get(get) = &self.command;
        let set = sets::find(&get.set).with_context(|| {
            let known: Vec<&str> = sets::SETS.iter().map(|set| set.name).collect();
            format!("there is no data set `{}`; known: {}", get.set, known.join(", "))
        })?;
        let folder = get.out.clone().unwrap_or_else(|| Path::new("data").join(set.name));
        let made = folder.ancestors().take_while(|folder| !folder.exists()).map(Path::to_path_buf).collect::<Vec<_>>();
        files::make_folder(&folder)?;
        let from = get.from.as_deref().map(|from| vec![from]);
        let mirrors = from.as_deref().unwrap_or(set.mirrors);
        for file in set.files {
            let got = sets::get(file, mirrors, &folder).inspect_err(|_| {
                // Empty, as we made them; one with a file in it stays, because this fails then.
                made.iter().for_each(|folder| drop(std::fs::remove_dir(folder)));
            })?;
            let path = folder.join(file.name);
            let how = if got == Got::Fetched { "fetched and checked" } else { "already here" };
            output.text(format_args!("{}  {how}", path.display()));
            output.json(&Line { file: &path, bytes: file.bytes, sha256: file.sha256, fetched: got == Got::Fetched });
        }
        output.text(set.about);
        Ok(())
    }
}
