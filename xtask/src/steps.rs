//! A run of steps in which one failure does not hide the next.

use crate::tools;
use std::process::Command;
use std::time::Instant;

/// What was run, what failed and what was left out.
#[derive(Debug, Default)]
pub struct Steps {
    failed: Vec<String>,
    skipped: Vec<String>,
}

impl Steps {
    /// Runs one command under a heading; remembers when it fails. Returns whether it passed.
    pub fn run(&mut self, name: &str, command: &mut Command) -> bool {
        self.check(name, || match command.status() {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(anyhow::anyhow!("`{}` ended with {status}", tools::shown(command))),
            Err(error) => Err(anyhow::anyhow!("cannot start `{}`: {error}", tools::shown(command))),
        })
    }

    /// Runs one step of our own under a heading; remembers when it fails. Returns whether it passed.
    pub fn check(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<()>) -> bool {
        eprintln!("==> {name}");
        let begin = Instant::now();
        match step() {
            Ok(()) => {
                eprintln!("    ok, {:.1} s", begin.elapsed().as_secs_f64());
                true
            }
            Err(error) => {
                eprintln!("    FAILED: {error:#}");
                self.failed.push(name.to_owned());
                false
            }
        }
    }

    /// Says in one line that something is left out, why, and how to get it.
    pub fn skip(&mut self, line: impl Into<String>) {
        let line = line.into();
        eprintln!("skipped: {line}");
        self.skipped.push(line);
    }

    /// Names of the failed steps.
    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// Every line given to [`Steps::skip`].
    pub fn skipped(&self) -> &[String] {
        &self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_steps_run_after_a_failure() {
        let mut steps = Steps::default();
        assert!(!steps.check("first", || anyhow::bail!("broken")));
        assert!(!steps.run("second", &mut Command::new("no-such-program-at-all")));
        assert!(steps.check("third", || Ok(())));
        steps.skip("fourth: not here");
        assert_eq!(steps.failed(), ["first", "second"]);
        assert_eq!(steps.skipped(), ["fourth: not here"]);
    }
}
