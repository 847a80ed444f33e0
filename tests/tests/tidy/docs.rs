//! Rules about documents.

use crate::expect_none;
use crate::tree::{File, files, numbered, root};

#[test]
fn links_between_documents_resolve() {
    let mut findings = Vec::new();
    for file in files(&[".md"]) {
        let folder = file.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (number, line) in numbered(&prose(&file.text)) {
            let broken = targets(line).filter(|target| !resolves(folder, target));
            findings.extend(broken.map(|target| format!("{}:{number}: {target}", file.path)));
        }
    }
    expect_none("a link leads somewhere", &findings);
}

fn resolves(folder: &str, target: &str) -> bool {
    let path = target.split('#').next().unwrap_or_default();
    let elsewhere = target.contains("://") || target.starts_with("mailto:");
    elsewhere || path.is_empty() || root().join(folder).join(path).exists()
}

/// The text with code blocks and code spans blanked: what looks like a link there is none.
fn prose(text: &str) -> String {
    let mut in_block = false;
    let mut prose = String::with_capacity(text.len());
    for line in text.lines() {
        let is_fence = line.trim_start().starts_with("```");
        in_block ^= is_fence;
        if !in_block && !is_fence {
            prose.extend(line.split('`').step_by(2));
        }
        prose.push('\n');
    }
    prose
}

/// The targets of `[text](target)` in a line.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split_once(')').map(|(target, _)| target.trim()))
}

#[test]
fn a_format_is_a_document() {
    let sources = files(&[".rs"]);
    let mut findings = Vec::new();
    for format in ["image", "wire"] {
        let document = if format == "image" { "docs/image-format.md" } else { "docs/wire.md" };
        let Some(version) = version(&sources, format) else {
            findings.push(format!("core/src/{format}.rs has no `const VERSION: … = N;`"));
            continue;
        };
        let text = std::fs::read_to_string(root().join(document)).unwrap_or_default().to_lowercase();
        if !text.contains(&format!("version {version}")) {
            findings.push(format!("{document} does not speak of version {version}"));
        }
    }
    expect_none("changing a format means changing its document", &findings);
}

/// The number in `const …VERSION: type = N;` of a module, be it a file or a folder.
fn version(sources: &[File], module: &str) -> Option<u32> {
    let file = format!("core/src/{module}.rs");
    let folder = format!("core/src/{module}/");
    let lines = sources.iter().filter(|source| source.path == file || source.path.starts_with(&folder));
    lines.flat_map(|source| source.text.lines()).find_map(|line| {
        let (name, value) = line.split_once("const ")?.1.split_once('=')?;
        name.split(':').next()?.trim().ends_with("VERSION").then_some(())?;
        value.trim().trim_end_matches(';').parse().ok()
    })
}

#[test]
fn no_machine_is_named() {
    // Put together here, so that this file does not find itself.
    let paths = [
        concat!("/ho", "me/"),
        concat!("/ro", "ot/"),
        concat!("/wo", "rk/"),
        concat!("/Us", "ers/"),
        concat!("C:", "\\"),
    ];
    let mut findings = Vec::new();
    for file in files(&[".rs", ".md", ".toml", ".x", ".py", ".sh", ".yml", ".json", ".csv", "run"]) {
        for (number, line) in numbered(&file.text) {
            if paths.iter().any(|path| starts_a_path(line, path)) {
                findings.push(format!("{}:{number}: {}", file.path, line.trim()));
            }
        }
    }
    expect_none("no path of somebody's machine", &findings);
}

/// Whether a line holds an absolute path with this beginning; `firmware/work/` holds none.
fn starts_a_path(line: &str, beginning: &str) -> bool {
    line.match_indices(beginning).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_-.".contains(c))
    })
}

#[test]
fn links_are_found_and_code_is_not() {
    let text = "see [a](b.md) and [c](d#e)\n```\n[x](y)\n```\n`[n](m)` end";
    let text = prose(text);
    assert_eq!(text.lines().count(), 5);
    assert_eq!(text.lines().flat_map(targets).collect::<Vec<_>>(), ["b.md", "d#e"]);
}
