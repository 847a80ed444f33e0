//! The `embernet` command as a script sees it: exit status, standard output, files.

mod bad_input;
mod journey;
mod json;
mod planning;
#[path = "../../src/testing.rs"]
mod testing;
mod training;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A folder to work in, with commands run inside it.
struct Desk {
    folder: TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    /// A desk with an iris model: `model.safetensors`, trained for so many epochs.
    fn with_iris(epochs: u32) -> Self {
        let desk = Self::new();
        let experiment = repository("experiments/iris.toml");
        desk.succeed(&["train", &experiment, "--out", ".", "--epochs", &epochs.to_string()]);
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    /// The names of all files, sorted.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_embernet"));
        command.args(args).current_dir(self.folder.path()).output().unwrap()
    }

    /// Runs a command that must work; gives its standard output.
    #[track_caller]
    fn succeed(&self, args: &[&str]) -> String {
        let output = self.run(args);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {errors}");
        assert_eq!(errors, "", "{args:?}: nothing goes to standard error when it is no terminal");
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs a command with `--json` that must work; gives its lines.
    #[track_caller]
    fn json(&self, args: &[&str]) -> Vec<serde_json::Value> {
        let text = self.succeed(&[args, &["--json"]].concat());
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect()
    }

    /// Runs a command that must fail with exit status 1 and one line; gives that line without its
    /// beginning. The files must be what they were.
    #[track_caller]
    fn fail(&self, args: &[&str]) -> String {
        let before = self.files();
        let output = self.run(args);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{args:?}: {errors}");
        assert_eq!(String::from_utf8_lossy(&output.stdout), "", "{args:?}");
        assert_eq!(errors.lines().count(), 1, "{args:?}: {errors}");
        assert_eq!(self.files(), before, "{args:?}: a failure leaves no file behind");
        errors.trim_end().strip_prefix("error: ").unwrap_or_else(|| panic!("{args:?}: {errors}")).to_string()
    }
}

/// A file of this repository.
fn repository(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    path.canonicalize().unwrap().display().to_string()
}

/// The bytes of an npy file of floats.
fn npy(shape: &[usize], values: &[f32]) -> Vec<u8> {
    embernet::data::npy::emit(shape, &embernet::data::Values::F32(values.to_vec()))
}

/// The bytes of an npy file of class labels.
fn npy_labels(labels: &[i64]) -> Vec<u8> {
    embernet::data::npy::emit(&[labels.len()], &embernet::data::Values::I64(labels.to_vec()))
}
