//! One folder of test data: `config.json` and arrays.

use embernet_core::kernels::window::{Axis, Window2d};
use npyz::{Deserialize, NpyFile};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::Path;

/// The #defines of a C header and its arrays.
///
/// All numbers that the operations here need are plain numbers in `config.json`; what is kept there as text are
/// words (`"PADDING": "SAME"`) and, for transposes, the remains of a macro over several lines.
#[derive(Debug)]
pub struct Folder {
    pub name: String,
    pub config: Map<String, Value>,
    arrays: BTreeMap<String, Vec<u8>>,
}

impl Folder {
    /// Reads the whole folder.
    ///
    /// # Panics
    /// If anything is unreadable: this is test data.
    pub fn open(path: &Path) -> Self {
        let name = path.file_name().expect("a folder's name").to_string_lossy().into_owned();
        let read = |path: &Path| std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let config = serde_json::from_slice(&read(&path.join("config.json")))
            .unwrap_or_else(|error| panic!("{name}/config.json: {error}"));
        let mut arrays = BTreeMap::new();
        for entry in std::fs::read_dir(path).unwrap_or_else(|error| panic!("{name}: {error}")) {
            let path = entry.expect("a readable folder").path();
            if path.extension().is_some_and(|extension| extension == "npy") {
                let stem = path.file_stem().expect("a file's name").to_string_lossy().into_owned();
                arrays.insert(stem, read(&path));
            }
        }
        Self { name, config, arrays }
    }

    /// Whether any array has elements of this numpy type.
    pub fn has_type(&self, code: &str) -> bool {
        self.arrays.values().any(|bytes| {
            let header = &bytes[..bytes.len().min(128)];
            let wanted = format!("'<{code}'");
            header.windows(wanted.len()).any(|window| window == wanted.as_bytes())
        })
    }

    /// The first of these arrays that there is.
    pub fn array<T: Deserialize>(&self, names: &[&str]) -> Vec<T> {
        self.optional(names).unwrap_or_else(|| panic!("{}: no array of {names:?}", self.name))
    }

    /// The first of these arrays, or nothing.
    pub fn optional<T: Deserialize>(&self, names: &[&str]) -> Option<Vec<T>> {
        let bytes = names.iter().find_map(|name| self.arrays.get(*name))?;
        let read = |bytes: &[u8]| NpyFile::new(bytes)?.into_vec();
        Some(read(bytes).unwrap_or_else(|error| panic!("{}/{names:?}: {error}", self.name)))
    }

    fn value(&self, names: &[&str]) -> Option<&Value> {
        names.iter().find_map(|name| self.config.get(*name))
    }

    /// The first of these numbers that there is.
    pub fn int(&self, names: &[&str]) -> i32 {
        let value = self.value(names).and_then(Value::as_i64).and_then(|value| i32::try_from(value).ok());
        value.unwrap_or_else(|| panic!("{}/config.json: none of {names:?} is a number", self.name))
    }

    /// A number that counts something.
    pub fn count(&self, names: &[&str]) -> u32 {
        u32::try_from(self.int(names)).unwrap_or_else(|_| panic!("{}/config.json: {names:?} is negative", self.name))
    }

    /// The window of a layer whose definitions begin with `prefix`. Generators differ in the names of the axes.
    pub fn window(&self, prefix: &str) -> Window2d {
        let axis = |side: &str, letter: &str| {
            let names = |name: &str| [format!("{prefix}{name}_{side}"), format!("{prefix}{name}_{letter}")];
            let count = |name: &str| self.count(&names(name).each_ref().map(String::as_str));
            let pads =
                ["PADDING", "PAD"].into_iter().find(|name| names(name).iter().any(|n| self.config.contains_key(n)));
            let dilated = names("DILATION").iter().any(|name| self.config.contains_key(name));
            Axis {
                input: count("INPUT"),
                output: count("OUTPUT"),
                kernel: count("FILTER"),
                stride: count("STRIDE"),
                dilation: if dilated { count("DILATION") } else { 1 },
                pad: count(pads.unwrap_or("PADDING")),
            }
        };
        Window2d { height: axis("H", "Y"), width: axis("W", "X") }
    }

    /// The first of these numbers that there is, as f32.
    pub fn real(&self, names: &[&str]) -> f32 {
        let value = self.value(names).and_then(Value::as_f64);
        value.unwrap_or_else(|| panic!("{}/config.json: none of {names:?} is a number", self.name)) as f32
    }
}
