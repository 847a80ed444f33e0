//! Names that a graph has once.

use std::collections::HashMap;

/// The names given so far.
#[derive(Debug, Default)]
pub struct Names(HashMap<String, usize>);

impl Names {
    /// This name, with a number behind it if it is taken.
    pub fn unique(&mut self, name: &str) -> String {
        let mut count = self.0.get(name).copied().unwrap_or(0);
        let mut candidate = name.to_owned();
        // The checkpoint format keeps this name for itself.
        while count > 0 || candidate == "__metadata__" {
            candidate = format!("{name}_{count}");
            if !self.0.contains_key(&candidate) {
                break;
            }
            count += 1;
        }
        self.0.insert(name.to_owned(), count + 1);
        self.0.entry(candidate.clone()).or_insert(1);
        candidate
    }
}
