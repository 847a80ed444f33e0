//! QEMU from Debian's or Ubuntu's packages, unpacked under `target/` instead of installed.
//!
//! The packages that QEMU needs and the system lacks are fetched and unpacked into one folder.
//! Small scripts start the emulators with that folder's libraries.
//! Nothing outside the folder changes, and no rights are needed.

use super::qemu::EMULATORS;
use crate::tools;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 2] = ["qemu-system-arm", "qemu-system-misc"];

/// Whether this system has the tools for it.
pub fn is_here() -> bool {
    ["apt-get", "apt-cache", "dpkg-query", "dpkg-deb"].iter().all(|tool| tools::find(tool).is_some())
}

/// Fills `into` with QEMU; says in one line what was done.
///
/// The folder is prepared beside its place and renamed at the end, so that it is whole or absent.
pub fn unpack(into: &Path) -> Result<String> {
    let work = into.with_extension(format!("part-{}", std::process::id()));
    let outcome = fill(&work, into);
    // Left-overs are only a few megabytes of somebody's disk; failing to remove them is no reason to fail.
    let _ = fs::remove_dir_all(&work);
    outcome
}

fn fill(work: &Path, into: &Path) -> Result<String> {
    let debs = work.join("debs");
    let tree = work.join("tree");
    for dir in [&debs, &tree.join("bin")] {
        fs::create_dir_all(dir).with_context(|| format!("cannot make {}", dir.display()))?;
    }
    eprintln!("qemu     fetching Debian packages into {} (the system stays as it is)", into.display());
    let packages = match download(&Apt::System, &debs) {
        Ok(packages) => packages,
        // The system's package lists are absent or old, and only root may renew them: fetch lists of our own.
        Err(_) => {
            let apt = Apt::Private(work.join("apt"));
            apt.update()?;
            download(&apt, &debs)?
        }
    };
    for deb in entries(&debs)? {
        tools::output(Command::new("dpkg-deb").arg("-x").arg(&deb).arg(&tree))?;
    }
    let libraries = library_folders(&tree);
    for emulator in EMULATORS {
        let script = tree.join("bin").join(emulator);
        write_program(&script, &wrapper(emulator, &libraries))?;
    }
    let version = probe(&tree)?;
    if into.exists() {
        fs::remove_dir_all(into).with_context(|| format!("cannot replace {}", into.display()))?;
    }
    fs::rename(&tree, into).with_context(|| format!("cannot move QEMU to {}", into.display()))?;
    Ok(format!("{version}, {packages} Debian packages unpacked there, the system left as it is"))
}

/// Which package lists apt reads.
enum Apt {
    System,
    /// Lists and caches in a folder of our own; what is installed is still read from the system.
    Private(PathBuf),
}

impl Apt {
    fn command(&self, program: &str, verb: &str) -> Command {
        let mut command = Command::new(program);
        command.arg(verb).env("LC_ALL", "C").env("DEBIAN_FRONTEND", "noninteractive");
        if let Self::Private(dir) = self {
            command.arg("-o").arg(format!("Dir::State::Lists={}", dir.join("lists").display()));
            command.arg("-o").arg(format!("Dir::Cache={}", dir.join("cache").display()));
            // As root apt would hand the work to a user who cannot write here.
            command.args(["-o", "APT::Sandbox::User=root"]);
        }
        command
    }

    /// `apt-get` that gives up soon where there is no network.
    fn get(&self, verb: &str) -> Command {
        let mut command = self.command("apt-get", verb);
        command.args(["-q", "-o", "Acquire::Retries=1"]);
        command.args(["-o", "Acquire::http::Timeout=20", "-o", "Acquire::https::Timeout=20"]);
        command
    }

    fn update(&self) -> Result<()> {
        if let Self::Private(dir) = self {
            for part in ["lists/partial", "cache/archives/partial"] {
                let dir = dir.join(part);
                fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
            }
        }
        // Without the error mode an update that reached nothing would still end well.
        let options = ["-o", "APT::Update::Error-Mode=any", "-o", "Acquire::Languages=none"];
        tools::output(self.get("update").args(options)).map(drop)
    }
}

/// Fetches the packages and those they need that the system lacks. Returns how many.
fn download(apt: &Apt, debs: &Path) -> Result<usize> {
    let mut closure = apt.command("apt-cache", "depends");
    closure.args(["depends", "--recurse", "--no-recommends", "--no-suggests", "--no-conflicts"]);
    closure.args(["--no-breaks", "--no-replaces", "--no-enhances"]).args(PACKAGES);
    let closure = tools::output(&mut closure)?;
    let states = tools::output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status} ${Package}\n"]))?;
    let wanted = missing(&closure, &states);
    if !PACKAGES.iter().all(|package| wanted.contains(package)) {
        bail!("apt knows no package {}", PACKAGES.join(" or "));
    }
    tools::output(apt.get("download").args(&wanted).current_dir(debs))?;
    Ok(wanted.len())
}

/// The packages of a recursive `apt-cache depends` that are not installed.
///
/// Names stand at the start of their line, dependencies are indented; `<name>` is virtual.
/// The two packages asked for are always fetched: had they worked, we would not be here.
fn missing<'a>(closure: &'a str, states: &str) -> BTreeSet<&'a str> {
    let installed: BTreeSet<_> = states.lines().filter_map(|line| line.strip_prefix("installed ")).collect();
    let is_real = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphanumeric());
    // Another architecture's package is written `name:arch`; its libraries are of no use here.
    let is_native = |line: &&str| !line.contains(':');
    let needed = |line: &&str| PACKAGES.contains(line) || !installed.contains(line);
    closure.lines().filter(is_real).filter(is_native).filter(needed).collect()
}

/// Folders with shared libraries in an unpacked tree, relative to it.
fn library_folders(tree: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for base in ["usr/lib", "lib"] {
        let mut here: Vec<_> = entries(&tree.join(base)).unwrap_or_default();
        here.retain(|path| path.is_dir());
        let names = here.iter().filter_map(|path| path.file_name()?.to_str());
        // Debian keeps them in a folder named after the machine, such as x86_64-linux-gnu.
        found.extend(names.filter(|name| name.contains("-linux-gnu")).map(|name| format!("{base}/{name}")));
    }
    found
}

/// The script that starts an emulator with the libraries of its own tree.
fn wrapper(emulator: &str, libraries: &[String]) -> String {
    let path: Vec<_> = libraries.iter().map(|dir| format!("$here/{dir}")).collect();
    format!(
        "#!/bin/sh\n\
         here=$(cd \"$(dirname \"$0\")/..\" && pwd)\n\
         export LD_LIBRARY_PATH=\"{}${{LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}}\"\n\
         exec \"$here/usr/bin/{emulator}\" -L \"$here/usr/share/qemu\" \"$@\"\n",
        path.join(":")
    )
}

/// Starts every emulator once; the version comes from the first line, "QEMU emulator version 7.2.22 (…)".
fn probe(tree: &Path) -> Result<String> {
    let mut version = String::new();
    for emulator in EMULATORS {
        let text = tools::output(Command::new(tree.join("bin").join(emulator)).arg("--version"))
            .with_context(|| format!("the unpacked {emulator} does not start"))?;
        version = text.split_whitespace().nth(3).unwrap_or("unknown version").to_owned();
    }
    Ok(format!("QEMU {version}"))
}

fn entries(dir: &Path) -> Result<Vec<PathBuf>> {
    let read = || dir.read_dir()?.map(|entry| Ok(entry?.path())).collect::<std::io::Result<Vec<_>>>();
    let mut entries = read().with_context(|| format!("cannot list {}", dir.display()))?;
    entries.sort();
    Ok(entries)
}

fn write_program(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_what_is_not_installed() {
        let closure = "qemu-system-arm\n  Depends: libc6\n |Depends: a\n    b\n<virtual>\nlibc6\nlibslirp0\nlibx:i386\nqemu-system-misc\n";
        let states = "installed libc6\nconfig-files libslirp0\ninstalled qemu-system-arm\n";
        let wanted = missing(closure, states);
        assert_eq!(wanted.into_iter().collect::<Vec<_>>(), ["libslirp0", "qemu-system-arm", "qemu-system-misc"]);
    }

    #[test]
    fn wrappers_find_their_tree_from_where_they_lie() {
        let tree = tempfile::tempdir().unwrap();
        for dir in ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu", "usr/lib/udev"] {
            fs::create_dir_all(tree.path().join(dir)).unwrap();
        }
        let libraries = library_folders(tree.path());
        assert_eq!(libraries, ["usr/lib/x86_64-linux-gnu", "lib/x86_64-linux-gnu"]);
        let script = wrapper("qemu-system-arm", &libraries);
        assert!(script.contains("\"$here/usr/lib/x86_64-linux-gnu:$here/lib/x86_64-linux-gnu$"), "{script}");
        assert!(script.ends_with("-L \"$here/usr/share/qemu\" \"$@\"\n"), "{script}");
    }
}
