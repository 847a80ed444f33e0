//! The shared models.

use anyhow::{Context, Result};
use embernet::graph::Graph;
use embernet::import::{onnx, tflite};
use embernet::link::workspace;
use std::fs;
use std::path::Path;

/// A model of the shared data.
#[derive(Debug)]
pub struct Model {
    /// Its folder's name.
    pub name: String,
    /// What the importer made of it.
    pub graph: Graph,
}

/// Those whose names hold one of the parts, all without parts; `None` where the shared data is not there.
pub fn shared(parts: &[String]) -> Result<Option<Vec<Model>>> {
    let folder = workspace().join("../shared/data/models");
    let Ok(entries) = fs::read_dir(&folder) else { return Ok(None) };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    let mut models = Vec::new();
    for folder in folders {
        if let Some(graph) = import(&folder).with_context(|| folder.display().to_string())? {
            let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            models.push(Model { name, graph });
        }
    }
    super::chosen(parts, models).map(Some)
}

fn import(folder: &Path) -> Result<Option<Graph>> {
    let (tflite, onnx) = (folder.join("model.tflite"), folder.join("model.onnx"));
    if tflite.exists() {
        return Ok(Some(tflite::load(&tflite)?.graph));
    }
    if onnx.exists() {
        return Ok(Some(onnx::load(&onnx, &onnx::Options::default())?.graph));
    }
    Ok(None)
}
