//! The plugin in QEMU that counts: built on demand, by the system's C compiler.

use std::env;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::CountError;

const SOURCE: &str = include_str!("plugin.c");

/// The built plugin and the file that it writes; both go when this is dropped.
#[derive(Debug)]
pub(super) struct Plugin {
    folder: TempDir,
}

impl Plugin {
    /// Builds it: one small file, a tenth of a second.
    pub fn build() -> Result<Self, CountError> {
        let failed = |error: std::io::Error| CountError::Compiler { message: error.to_string() };
        let folder = TempDir::with_prefix("embernet-count-").map_err(failed)?;
        let source = folder.path().join("plugin.c");
        fs::write(&source, SOURCE).map_err(failed)?;
        let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
        let mut command = Command::new(&compiler);
        command.args(["-O2", "-shared", "-fPIC"]);
        if cfg!(target_os = "macos") {
            // QEMU has the functions that are missing.
            command.args(["-undefined", "dynamic_lookup"]);
        }
        let plugin = Self { folder };
        command.arg("-o").arg(plugin.library()).arg(&source);
        let output =
            command.output().map_err(|error| CountError::Compiler { message: format!("{compiler}: {error}") })?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            let line = said.lines().find(|line| line.contains("error")).or_else(|| said.lines().next_back());
            return Err(CountError::Compiler { message: format!("{compiler}: {}", line.unwrap_or("failed").trim()) });
        }
        Ok(plugin)
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join("plugin.so")
    }

    /// What it has written.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// What QEMU must be told.
    pub fn arguments(&self) -> Vec<String> {
        // QEMU's option syntax escapes a comma by doubling it.
        let shown = |path: PathBuf| path.display().to_string().replace(',', ",,");
        vec!["-plugin".into(), format!("{},out={}", shown(self.library()), shown(self.file()))]
    }
}
