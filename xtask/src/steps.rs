//! A run of steps in which one failure does not hide the next.

use crate::tools;
use std::io::Write;
use std::process::{Command, Output};
use std::thread;
use std::time::Instant;

/// What was run, what failed and what was left out.
#[derive(Debug, Default)]
pub struct Steps {
    failed: Vec<String>,
    skipped: Vec<String>,
    /// Whether other steps run at the same time.
    beside: bool,
}

impl Steps {
    /// Runs one command under a heading; remembers when it fails. Returns whether it passed.
    pub fn run(&mut self, name: &str, command: &mut Command) -> bool {
        let beside = self.beside;
        self.check(name, || {
            let status = if beside { command.output().map(print) } else { command.status() };
            match status {
                Ok(status) if status.success() => Ok(()),
                Ok(status) => Err(anyhow::anyhow!("`{}` ended with {status}", tools::shown(command))),
                Err(error) => Err(anyhow::anyhow!("cannot start `{}`: {error}", tools::shown(command))),
            }
        })
    }

    /// Runs one step of our own under a heading; remembers when it fails. Returns whether it passed.
    pub fn check(&mut self, name: &str, step: impl FnOnce() -> anyhow::Result<()>) -> bool {
        eprintln!("==> {name}");
        let begin = Instant::now();
        let result = step();
        // Where headings of others stand between, the name is said again.
        let what = if self.beside { format!("{name}: ") } else { String::new() };
        match result {
            Ok(()) => {
                eprintln!("    {what}ok, {:.1} s", begin.elapsed().as_secs_f64());
                true
            }
            Err(error) => {
                eprintln!("    {what}FAILED: {error:#}");
                self.failed.push(name.to_owned());
                false
            }
        }
    }

    /// Runs two lists of steps at the same time, each in its own order, and remembers what both do.
    ///
    /// What a command prints appears when it ends, so that no line stands in the middle of another's.
    pub fn both(&mut self, one: impl FnOnce(&mut Self) + Send, other: impl FnOnce(&mut Self) + Send) {
        let lane = || Self { beside: true, ..Self::default() };
        let (mut first, mut second) = (lane(), lane());
        thread::scope(|scope| {
            scope.spawn(|| one(&mut first));
            other(&mut second);
        });
        for lane in [first, second] {
            self.failed.extend(lane.failed);
            self.skipped.extend(lane.skipped);
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

/// Prints what a command has said, in one piece, and gives how it ended.
fn print(output: Output) -> std::process::ExitStatus {
    let mut terminal = std::io::stderr().lock();
    // Nobody to tell if there is no terminal.
    let _ = terminal.write_all(&output.stdout).and_then(|()| terminal.write_all(&output.stderr));
    output.status
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

    #[test]
    fn steps_beside_each_other_are_all_remembered() {
        let mut steps = Steps::default();
        let (say, hear) = std::sync::mpsc::channel();
        steps.both(
            // Ends only if the other one runs too.
            move |steps| {
                steps.check("waits", || Ok(hear.recv_timeout(std::time::Duration::from_secs(60))?));
            },
            |steps| {
                say.send(()).unwrap();
                steps.run("breaks", &mut Command::new("no-such-program-at-all"));
                steps.skip("left out");
            },
        );
        assert_eq!(steps.failed(), ["breaks"]);
        assert_eq!(steps.skipped(), ["left out"]);
    }
}
