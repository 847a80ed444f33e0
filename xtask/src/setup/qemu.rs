//! QEMU: the one on PATH, or a private one under `target/qemu`, or the system's package.

use super::{debian, system};
use crate::{paths, tools};
use std::fmt;
use std::path::PathBuf;

/// Children find QEMU through this variable; where it is not set they look on PATH.
pub const DIR_VARIABLE: &str = "EMBERNET_QEMU_DIR";

/// The emulators that the boards need.
pub const EMULATORS: [&str; 2] = ["qemu-system-arm", "qemu-system-riscv32"];

/// A folder that holds both emulators.
#[derive(Debug)]
pub struct Qemu {
    pub dir: PathBuf,
    how: String,
}

impl fmt::Display for Qemu {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.dir.display(), self.how)
    }
}

/// Finds QEMU, or gets it.
///
/// A private copy comes before an installed one: it needs no rights and leaves the system as it is.
/// It also works where apt refuses, because a package of another QEMU version is installed.
/// The error is one line: what is missing, and how to get it.
pub fn ensure() -> Result<Qemu, String> {
    if let Some(found) = on_path() {
        return Ok(found);
    }
    let private = paths::private_qemu();
    let bin = private.join("bin");
    if has_emulators(&bin) {
        return Ok(Qemu { dir: bin, how: "unpacked earlier".to_owned() });
    }

    let mut problems = Vec::new();
    if debian::is_here() {
        match debian::unpack(&private) {
            Ok(how) => return Ok(Qemu { dir: bin, how }),
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    match system::manager() {
        Some(manager) if manager.wants_root && !tools::is_root() => {}
        Some(manager) if manager.wants_root => match manager.install() {
            Ok(()) => match on_path() {
                Some(found) => {
                    return Ok(Qemu { how: format!("installed with {}", manager.program), ..found });
                }
                None => problems.push(format!("{} installed no {}", manager.program, EMULATORS.join(" or "))),
            },
            Err(error) => problems.push(format!("{error:#}")),
        },
        _ => {}
    }
    let how = system::manager()
        .map_or_else(|| format!("put {} on PATH (qemu.org)", EMULATORS.join(" and ")), |manager| manager.advice());
    let why = if problems.is_empty() { String::new() } else { format!(" ({})", problems.join("; ")) };
    Err(format!("QEMU is not here{why}; to get it: {how}"))
}

fn on_path() -> Option<Qemu> {
    let found = tools::find(EMULATORS[0])?;
    let dir = found.parent()?.to_path_buf();
    has_emulators(&dir).then(|| Qemu { dir, how: "on PATH".to_owned() })
}

fn has_emulators(dir: &std::path::Path) -> bool {
    EMULATORS.iter().all(|name| tools::is_program(&dir.join(name)))
}
