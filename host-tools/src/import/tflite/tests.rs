use super::*;
use crate::graph::layer_table;
use std::path::PathBuf;

/// The shared model files; empty (and said so) where there are none.
fn shared_models() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/models");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        eprintln!("skipped: no {}", folder.display());
        return Vec::new();
    };
    let mut models: Vec<PathBuf> =
        entries.flatten().map(|e| e.path().join("model.tflite")).filter(|p| p.exists()).collect();
    models.sort();
    models
}

#[test]
fn shared_models_become_graphs() {
    for path in shared_models() {
        let imported = load(&path);
        match imported {
            Ok(i) => println!("{}\n{}", path.display(), layer_table(&i.graph)),
            Err(e) => println!("{}\n{e:?}", path.display()),
        }
    }
}
