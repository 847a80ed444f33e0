//! The files of the workspace.

use std::fs;
use std::path::{Path, PathBuf};

/// One text file: its path from the root, with `/`, and what is in it.
#[derive(Debug)]
pub struct File {
    pub path: String,
    pub text: String,
}

/// The root of the workspace.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// All text files with one of these extensions, sorted by path.
pub fn files(extensions: &[&str]) -> Vec<File> {
    let mut found = Vec::new();
    collect(&root(), "", extensions, &mut found);
    assert!(!found.is_empty(), "no file ends in {extensions:?}: the walk is broken");
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

fn collect(dir: &Path, prefix: &str, extensions: &[&str], found: &mut Vec<File>) {
    let entries = fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display()));
    for entry in entries.flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = entry.path();
        if path.is_dir() {
            // What tools write is not ours: builds, outputs, version control, fuzzing corpora.
            if !["target", "out", ".git", "corpus", "artifacts"].contains(&name.as_str()) {
                collect(&path, &format!("{prefix}{name}/"), extensions, found);
            }
        } else if extensions.iter().any(|extension| name.ends_with(extension)) {
            let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            found.push(File { path: format!("{prefix}{name}"), text });
        }
    }
}

/// Lines with their number, counted from 1.
pub fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().zip(1..).map(|(line, number)| (number, line))
}

/// Whether a text holds this word, with no letter, digit or underscore on either side.
pub fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn words_have_borders() {
    assert!(has_word("an unsafe block", "unsafe"));
    assert!(has_word("unsafe{", "unsafe"));
    assert!(!has_word("forbid(unsafe_code)", "unsafe"));
    assert!(!has_word("a_unsafe", "unsafe"));
}
