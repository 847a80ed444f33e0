//! Controls of an emulated machine: its reset button, and a debugger that stops it at every write to some memory.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use embernet::link::QemuOptions;
use tempfile::TempDir;

/// The sockets of one machine.
#[derive(Debug)]
pub struct Sockets {
    folder: TempDir,
}

impl Sockets {
    /// New ones.
    ///
    /// # Panics
    /// If there is no room for a folder.
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What QEMU is started with.
    pub fn options(&self) -> QemuOptions {
        let unix = |name| format!("unix:{},server=on,wait=off", self.path(name).display());
        let arguments = vec!["-qmp".into(), unix("qmp"), "-gdb".into(), unix("gdb")];
        QemuOptions { arguments, ..QemuOptions::default() }
    }

    /// The reset button of the machine that was started with these.
    pub fn button(&self) -> Button {
        Button::of(&self.path("qmp"))
    }

    /// A debugger, which stops the machine.
    pub fn debugger(&self) -> Debugger {
        Debugger::of(&self.path("gdb"))
    }
}

impl Default for Sockets {
    fn default() -> Self {
        Self::new()
    }
}

/// QEMU's own line, which can press the board's reset button.
#[derive(Debug)]
pub struct Button(BufReader<UnixStream>);

impl Button {
    fn of(socket: &Path) -> Self {
        let mut button = Self(BufReader::new(UnixStream::connect(socket).expect("QEMU listens")));
        button.until("QMP");
        button.say("qmp_capabilities");
        button.until("return");
        button
    }

    fn say(&mut self, command: &str) {
        writeln!(self.0.get_mut(), "{{\"execute\": \"{command}\"}}").expect("QEMU hears");
    }

    fn until(&mut self, word: &str) {
        let mut line = String::new();
        while !line.contains(word) {
            line.clear();
            assert!(self.0.read_line(&mut line).expect("QEMU answers") > 0, "QEMU is gone");
        }
    }

    /// Presses it. Flash and memory keep what they hold; so do they on a machine that a debugger has stopped.
    ///
    /// # Panics
    /// If QEMU is gone.
    pub fn press(&mut self) {
        self.say("system_reset");
        self.until("\"RESET\"");
    }
}

/// A debugger at QEMU's gdb stub (GDB manual, "Remote Serial Protocol").
#[derive(Debug)]
pub struct Debugger(BufReader<UnixStream>);

impl Debugger {
    fn of(socket: &Path) -> Self {
        let stream = UnixStream::connect(socket).expect("QEMU listens");
        stream.set_read_timeout(Some(Duration::from_millis(20))).expect("a time limit");
        let mut debugger = Self(BufReader::new(stream));
        // It has stopped the machine, and says so once or twice.
        debugger.send("?");
        while debugger.packet().is_none() {}
        while debugger.packet().is_some() {}
        debugger
    }

    fn send(&mut self, packet: &str) {
        let sum = packet.bytes().fold(0_u8, u8::wrapping_add);
        self.write(format!("${packet}#{sum:02x}").as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).expect("QEMU hears");
    }

    /// A byte, if one comes in time.
    fn byte(&mut self) -> Option<u8> {
        let mut byte = [0];
        match self.0.read(&mut byte) {
            Ok(count) => {
                assert!(count == 1, "QEMU is gone");
                Some(byte[0])
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => None,
            Err(error) => panic!("QEMU's debugger: {error}"),
        }
    }

    /// The next packet, if one comes in time.
    fn packet(&mut self) -> Option<String> {
        while self.byte()? != b'$' {}
        let mut packet = String::new();
        loop {
            match self.byte() {
                Some(b'#') => break,
                Some(byte) => packet.push(byte.into()),
                None => {}
            }
        }
        // Two digits of a checksum, which no socket gets wrong.
        let mut left = 2;
        while left > 0 {
            left -= usize::from(self.byte().is_some());
        }
        self.write(b"+");
        Some(packet)
    }

    fn ask(&mut self, packet: &str) -> String {
        self.send(packet);
        loop {
            if let Some(answer) = self.packet() {
                return answer;
            }
        }
    }

    /// From now on the machine stops in front of every write to `bytes` bytes from `address` on.
    ///
    /// # Panics
    /// If QEMU does not do that.
    pub fn watch(&mut self, address: u32, bytes: u32) {
        assert_eq!(self.ask(&format!("Z2,{address:x},{bytes:x}")), "OK");
    }

    /// No longer.
    ///
    /// # Panics
    /// If it never was.
    pub fn forget(&mut self, address: u32, bytes: u32) {
        assert_eq!(self.ask(&format!("z2,{address:x},{bytes:x}")), "OK");
    }

    /// Completes the write that a machine has stopped in front of.
    ///
    /// # Panics
    /// As [`Debugger::watch`].
    pub fn complete(&mut self, address: u32, bytes: u32) {
        self.forget(address, bytes);
        self.ask("s");
        self.watch(address, bytes);
    }

    /// Lets the machine go on.
    pub fn go(&mut self) {
        self.send("c");
    }

    /// Waits until the machine stops, or until `is_over`; says whether it has stopped.
    pub fn stops(&mut self, is_over: impl Fn() -> bool) -> bool {
        loop {
            if self.packet().is_some() {
                return true;
            }
            if is_over() {
                return false;
            }
        }
    }

    /// Stops the machine.
    pub fn stop(&mut self) {
        self.write(&[3]);
        self.stops(|| false);
    }
}
