//! The system's package manager: the packages that hold QEMU, and how to ask for them.

use crate::tools;
use anyhow::Result;
use std::process::Command;

/// A package manager that is on this machine.
#[derive(Debug, PartialEq, Eq)]
pub struct Manager {
    pub program: &'static str,
    /// Whether it must run as root. (brew must not.)
    pub wants_root: bool,
    /// Commands that bring QEMU, one after the other.
    commands: &'static [&'static [&'static str]],
}

const MANAGERS: [Manager; 6] = [
    Manager {
        program: "apt-get",
        wants_root: true,
        commands: &[
            &["apt-get", "update"],
            &["apt-get", "install", "-y", "--no-install-recommends", "qemu-system-arm", "qemu-system-misc"],
        ],
    },
    Manager {
        program: "dnf",
        wants_root: true,
        commands: &[&["dnf", "install", "-y", "qemu-system-arm-core", "qemu-system-riscv-core"]],
    },
    Manager {
        program: "pacman",
        wants_root: true,
        commands: &[&["pacman", "-S", "--noconfirm", "--needed", "qemu-system-arm", "qemu-system-riscv"]],
    },
    Manager {
        program: "zypper",
        wants_root: true,
        commands: &[&["zypper", "--non-interactive", "install", "qemu-arm", "qemu-extra"]],
    },
    Manager {
        program: "apk",
        wants_root: true,
        commands: &[&["apk", "add", "qemu-system-arm", "qemu-system-riscv32"]],
    },
    Manager { program: "brew", wants_root: false, commands: &[&["brew", "install", "qemu"]] },
];

/// The first package manager found.
pub fn manager() -> Option<Manager> {
    MANAGERS.into_iter().find(|manager| tools::find(manager.program).is_some())
}

impl Manager {
    /// Runs the commands; the caller has made sure that we may.
    pub fn install(&self) -> Result<()> {
        for words in self.commands {
            let mut command = Command::new(self.program);
            command.args(&words[1..]).env("DEBIAN_FRONTEND", "noninteractive").env("LC_ALL", "C");
            eprintln!("qemu     {}", tools::shown(&command));
            tools::output(&mut command)?;
        }
        Ok(())
    }

    /// The commands as one would type them.
    pub fn advice(&self) -> String {
        let sudo = if self.wants_root && !tools::is_root() { "sudo " } else { "" };
        let typed: Vec<_> = self.commands.iter().map(|words| format!("{sudo}{}", words.join(" "))).collect();
        typed.join(" && ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_starts_with_its_manager() {
        for manager in MANAGERS {
            assert!(!manager.commands.is_empty());
            assert!(manager.commands.iter().all(|words| words[0] == manager.program), "{}", manager.program);
            assert!(manager.advice().contains(manager.program));
        }
    }
}
