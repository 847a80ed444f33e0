//! Rules about packages: what depends on what, and what each manifest takes from the workspace.

use crate::expect_none;
use crate::tree::{files, root};
use serde_json::Value;
use std::process::Command;

/// The packages of the workspace as cargo sees them.
fn packages() -> Vec<Value> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON");
    metadata["packages"].as_array().expect("a list of packages").clone()
}

fn name(package: &Value) -> &str {
    package["name"].as_str().expect("a package has a name")
}

/// Names of the packages of this workspace that one of them depends on, for building or testing.
fn ours<'a>(package: &'a Value, all: &'a [Value]) -> Vec<&'a str> {
    let dependencies = package["dependencies"].as_array().expect("a list of dependencies");
    let names = dependencies.iter().filter_map(|dependency| dependency["name"].as_str());
    names.filter(|dependency| all.iter().any(|package| name(package) == *dependency)).collect()
}

/// Which edges between folders exist, as ARCHITECTURE.md promises them.
fn may_depend(package: &str) -> Option<&'static [&'static str]> {
    match package {
        "embernet-core" | "xtask" => Some(&[]),
        "embernet-app" | "embernet" => Some(&["embernet-core"]),
        // For the chips that they start on.
        "embernet-examples" => Some(&["embernet-core", "embernet-board-support"]),
        "embernet-board-support" => Some(&["embernet-core", "embernet-app"]),
        "embernet-tests" => None,
        _ if package.starts_with("embernet-board-") => {
            Some(&["embernet-core", "embernet-app", "embernet-board-support"])
        }
        _ => Some(&[]),
    }
}

#[test]
fn dependencies_between_folders_are_the_agreed_ones() {
    let all = packages();
    let mut findings = Vec::new();
    for package in &all {
        let Some(allowed) = may_depend(name(package)) else {
            continue;
        };
        let others = ours(package, &all).into_iter().filter(|dependency| !allowed.contains(dependency));
        findings.extend(others.map(|dependency| format!("{} depends on {dependency}", name(package))));
    }
    expect_none("core depends on nobody; firmware and host-tools on core only", &findings);
}

#[test]
fn every_package_takes_the_workspaces_facts() {
    let mut findings = Vec::new();
    for file in files(&["Cargo.toml"]) {
        let manifest: toml::Table = file.text.parse().unwrap_or_else(|error| panic!("{}: {error}", file.path));
        // Fuzz targets are a workspace of their own: they need nightly.
        if !manifest.contains_key("package") || manifest.contains_key("workspace") {
            continue;
        }
        let takes = |table: &str, key: Option<&str>| {
            let entry = manifest.get(table).and_then(|table| key.map_or(Some(table), |key| table.get(key)));
            entry.and_then(|entry| entry.get("workspace")).and_then(toml::Value::as_bool) == Some(true)
        };
        if !takes("lints", None) {
            findings.push(format!("{}: no `[lints] workspace = true`", file.path));
        }
        let facts = ["version", "edition", "rust-version", "license", "publish"];
        let own = facts.iter().filter(|fact| !takes("package", Some(fact)));
        findings.extend(own.map(|fact| format!("{}: `{fact}` is not the workspace's", file.path)));
    }
    expect_none("one fact, one place: the root's Cargo.toml", &findings);
}

/// The command builds wherever Rust does: what needs a C compiler or a library of the system builds with one of these.
#[test]
fn the_command_needs_no_system_library() {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--offline", "--package", "embernet", "--edges", "normal,build", "--prefix", "none"])
        .current_dir(root())
        .output()
        .expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8_lossy(&output.stdout);
    assert!(tree.lines().count() > 50, "{tree}");
    let helpers = ["cc", "cmake", "pkg-config", "bindgen", "vcpkg", "libudev-sys", "openssl-sys"];
    let found: Vec<&str> =
        tree.lines().filter(|line| helpers.iter().any(|name| line.split(' ').next() == Some(name))).collect();
    assert!(found.is_empty(), "{found:?}");
}
