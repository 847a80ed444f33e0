//! Getting what the other commands need: targets and QEMU.
//!
//! Nothing here is fatal. What cannot be got is one line that says how to get it,
//! and whoever needs it leaves out that part.

mod debian;
pub mod qemu;
mod system;
pub mod targets;

use std::process::Command;

/// What this machine offers after set-up.
#[derive(Debug)]
pub struct Machine {
    /// Targets that rustc still lacks.
    pub missing_targets: Vec<&'static str>,
    /// QEMU, when both emulators could be found or got.
    pub qemu: Option<qemu::Qemu>,
    /// One line for each thing that is missing: what, why, how to get it.
    pub missing: Vec<String>,
}

impl Machine {
    /// Finds what is there, gets what is not, and says in one line each what was done.
    pub fn prepare() -> Self {
        let mut missing = Vec::new();
        let missing_targets = match targets::ensure() {
            Ok(line) => {
                eprintln!("targets  {line}");
                Vec::new()
            }
            Err(lack) => {
                missing.push(lack.line);
                lack.targets
            }
        };
        let qemu = match qemu::ensure() {
            Ok(qemu) => {
                eprintln!("qemu     {qemu}");
                Some(qemu)
            }
            Err(line) => {
                missing.push(line);
                None
            }
        };
        Self { missing_targets, qemu, missing }
    }

    /// Whether rustc can build for this target.
    pub fn builds(&self, target: &str) -> bool {
        !self.missing_targets.contains(&target)
    }

    /// Tells a child where QEMU is.
    pub fn equip(&self, command: &mut Command) {
        if let Some(qemu) = &self.qemu {
            command.env(qemu::DIR_VARIABLE, &qemu.dir);
        }
    }
}
