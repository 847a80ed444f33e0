//! A device in QEMU: a child process whose serial port is its standard input and output.

use std::env;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;

use super::guard::Guard;
use super::transport::Pump;
use super::{Board, LinkError, Patience, Transport, workspace};

/// How to start an emulated board.
#[derive(Debug, Clone, Default)]
pub struct QemuOptions {
    /// A whole slot (see [`crate::flash`]) to have in slot 0 at start, as a flashed board has.
    pub slot: Option<Vec<u8>>,
    /// Further arguments for QEMU, such as `-plugin`.
    pub arguments: Vec<String>,
}

/// A running QEMU. It is killed when this is dropped, and when this process is killed.
#[derive(Debug)]
pub struct Qemu {
    child: Child,
    guard: Option<Guard>,
    input: Option<ChildStdin>,
    output: Pump,
    complaints: Complaints,
    name: String,
    _slot: Option<NamedTempFile>,
}

/// What is kept of QEMU's own messages.
const COMPLAINT_BYTES: usize = 4096;

impl Qemu {
    /// Starts `board` with this firmware.
    ///
    /// The machine's clock advances by a fixed time per instruction, so that every run is the same
    /// and ticks count instructions.
    pub fn start(board: &Board, firmware: &Path, options: &QemuOptions) -> Result<Self, LinkError> {
        let machine = board.qemu.as_ref().ok_or_else(|| LinkError::NotEmulated { board: board.name.clone() })?;
        if !firmware.is_file() {
            return Err(LinkError::NoFirmware { board: board.name.clone(), path: firmware.to_path_buf() });
        }
        let program = find_program(&machine.program)?;
        let mut command = Command::new(&program);
        command.args(["-machine", &machine.machine, "-display", "none", "-monitor", "none"]);
        command.args(["-serial", "stdio", "-icount", &format!("shift={}", machine.icount_shift)]);
        command.args(&machine.arguments).args(&options.arguments).arg("-kernel").arg(firmware);
        let slot = match &options.slot {
            Some(bytes) => {
                let file = slot_file(bytes).map_err(|source| LinkError::SlotFile { source })?;
                let origin = board.emulated_slots().origins[0];
                // QEMU's option syntax escapes a comma by doubling it.
                let path = file.path().display().to_string().replace(',', ",,");
                command.arg("-device").arg(format!("loader,file={path},addr={origin:#x},force-raw=on"));
                Some(file)
            }
            None => None,
        };
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|source| LinkError::Spawn { program: program.clone(), source })?;
        let (Some(input), Some(output), Some(errors)) = (child.stdin.take(), child.stdout.take(), child.stderr.take())
        else {
            unreachable!("all three are piped");
        };
        let guard = Some(Guard::of(&child));
        Ok(Self {
            child,
            guard,
            input: Some(input),
            output: Pump::start(output),
            complaints: Complaints::collect(errors),
            name: format!("QEMU ({})", board.name),
            _slot: slot,
        })
    }

    /// Ends QEMU at once, as pulling a board's cable does.
    pub fn kill(&mut self) {
        // Both calls fail only when the child has ended already. Its input closes last: QEMU would end by itself,
        // with a status of its own, at the end of it.
        let _ = self.child.kill();
        self.guard = None;
        let _ = self.child.wait();
        self.input = None;
    }

    /// How QEMU ended, and what it said. Waits a moment for both, because a pipe may close before its process ends.
    fn gone(&mut self) -> LinkError {
        self.guard = None;
        let begin = Instant::now();
        let mut status = String::new();
        while begin.elapsed() < Duration::from_secs(2) {
            if let Ok(Some(ended)) = self.child.try_wait() {
                status = ended.to_string();
                if self.complaints.are_complete() {
                    break;
                }
            }
            thread::sleep(Duration::from_millis(10));
        }
        if let Some(line) = self.complaints.last_line() {
            status = format!("{status}; it said: {line}");
        }
        LinkError::Gone { what: self.name.clone(), status }
    }
}

impl Drop for Qemu {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Transport for Qemu {
    fn read(&mut self, bytes: &mut [u8], timeout: Duration) -> Result<usize, LinkError> {
        self.output.read(bytes, timeout).map_err(|_| self.gone())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), LinkError> {
        let written = match &mut self.input {
            Some(input) => input.write_all(bytes).and_then(|()| input.flush()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        written.map_err(|_| self.gone())
    }

    fn name(&self) -> &str {
        &self.name
    }

    /// An emulated device is as slow as the machine under it is busy; when it dies, its pipe closes and says so.
    fn patience(&self) -> Patience {
        Patience { give_up: Duration::from_secs(120), ..Patience::default() }
    }
}

fn slot_file(bytes: &[u8]) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::with_prefix("embernet-slot-")?;
    file.write_all(bytes)?;
    file.flush()?;
    Ok(file)
}

/// The end of what QEMU writes to its standard error, collected by a thread.
#[derive(Debug)]
struct Complaints {
    bytes: Arc<Mutex<Vec<u8>>>,
    thread: JoinHandle<()>,
}

impl Complaints {
    fn collect(mut errors: impl Read + Send + 'static) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let shared = Arc::clone(&bytes);
        let thread = thread::spawn(move || {
            let mut buffer = [0; 512];
            while let Ok(count @ 1..) = errors.read(&mut buffer) {
                let Ok(mut kept) = shared.lock() else { break };
                kept.extend_from_slice(&buffer[..count]);
                let surplus = kept.len().saturating_sub(COMPLAINT_BYTES);
                kept.drain(..surplus);
            }
        });
        Self { bytes, thread }
    }

    /// Whether nothing more can come.
    fn are_complete(&self) -> bool {
        self.thread.is_finished()
    }

    fn last_line(&self) -> Option<String> {
        let bytes = self.bytes.lock().map(|bytes| bytes.clone()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        text.lines().rfind(|line| !line.trim().is_empty()).map(|line| line.trim().to_owned())
    }
}

/// Finds a QEMU program: in `EMBERNET_QEMU_DIR`, on PATH, or where `cargo xtask setup` puts it.
pub fn find_program(program: &str) -> Result<PathBuf, LinkError> {
    let given = env::var_os("EMBERNET_QEMU_DIR").map(PathBuf::from);
    let path = env::var_os("PATH").unwrap_or_default();
    let folders = given.into_iter().chain(env::split_paths(&path)).chain([workspace().join("target/qemu/bin")]);
    let name = format!("{program}{}", env::consts::EXE_SUFFIX);
    folders
        .map(|folder| folder.join(&name))
        .find(|candidate| candidate.is_file())
        .ok_or_else(|| LinkError::NoQemu { program: program.to_owned() })
}
