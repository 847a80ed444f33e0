//! What ends a child process when this process is killed and can do nothing itself.

use std::process::{Child, ChildStdin, Command, Stdio};

/// A shell that waits for this process to go, whatever the reason, and then kills the child: it reads from a pipe
/// whose other end closes with this process. Without a shell (not on Unix) nothing is guarded.
#[derive(Debug)]
pub(super) struct Guard {
    shell: Option<Child>,
    /// Open as long as we live.
    _alive: Option<ChildStdin>,
}

impl Guard {
    /// Guards `child`. The guard must be dropped before the child is waited for: its number may be another's then.
    pub fn of(child: &Child) -> Self {
        let mut command = Command::new("sh");
        command.args(["-c", "read -r line; kill -9 \"$0\"", &child.id().to_string()]);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut shell = if cfg!(unix) { command.spawn().ok() } else { None };
        let alive = shell.as_mut().and_then(|shell| shell.stdin.take());
        Self { shell, _alive: alive }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(shell) = &mut self.shell {
            // Both fail only when the shell has ended already.
            let _ = shell.kill();
            let _ = shell.wait();
        }
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::os::unix::process::ExitStatusExt;

    fn sleeper() -> Child {
        Command::new("sleep").arg("600").spawn().unwrap()
    }

    #[test]
    fn a_child_ends_with_us() {
        let mut child = sleeper();
        let mut guard = Guard::of(&child);
        // What happens to our end of the pipe when we are killed.
        guard._alive = None;
        assert_eq!(child.wait().unwrap().signal(), Some(9));
    }

    #[test]
    fn a_child_outlives_its_guard() {
        let mut child = sleeper();
        drop(Guard::of(&child));
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
