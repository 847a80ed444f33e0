//! The device program on a thread of this process, at the other end of a pipe in memory.

use std::thread::{self, JoinHandle};

use embedded_io::{ErrorKind, ErrorType, Read, Write};
use embernet::link::{Client, Memory, pipe};
use embernet_app::{App, Board, Stack};
use embernet_core::arch::Scalar;

use crate::nor::Nor;
use embernet::image::AlignedBytes;

/// Starts the device program with these slots and an arena of this size.
///
/// It ends when the host's end is dropped; then the thread gives the slots back, as after a loss of
/// power.
pub fn start(slots: [Nor; 2], arena_bytes: usize) -> (Memory, JoinHandle<[Nor; 2]>) {
    let (host, device) = pipe();
    (host, start_on(device, slots, arena_bytes))
}

/// [`connect`] to a device that has flash for what it learns, too: model slots, then slots of checkpoints.
pub fn connect_learner(slots: [[Nor; 2]; 2], arena_bytes: usize) -> (Client, JoinHandle<[[Nor; 2]; 2]>) {
    let (host, device) = pipe();
    let [models, checkpoints] = slots;
    let thread = thread::spawn(move || {
        let mut arena = AlignedBytes::zeroed(arena_bytes);
        let app = App::new(Link(device), models, InProcess { ticks: 0 }, &mut arena, Scalar);
        let mut app = app.with_checkpoints(checkpoints);
        app.run();
        let (models, checkpoints) = app.into_slots();
        [models, checkpoints.expect("it was given them")]
    });
    (Client::connect(host).expect("the device in this process answers"), thread)
}

/// [`start`] on any link. It ends when the link does.
pub fn start_on(
    link: impl std::io::Read + std::io::Write + Send + 'static,
    slots: [Nor; 2],
    arena_bytes: usize,
) -> JoinHandle<[Nor; 2]> {
    thread::spawn(move || {
        let mut arena = AlignedBytes::zeroed(arena_bytes);
        let mut app = App::new(Link(link), slots, InProcess { ticks: 0 }, &mut arena, Scalar);
        app.run();
        app.into_slots().0
    })
}

/// [`start`], and a client that has said hello.
pub fn connect(slots: [Nor; 2], arena_bytes: usize) -> (Client, JoinHandle<[Nor; 2]>) {
    let (host, thread) = start(slots, arena_bytes);
    (Client::connect(host).expect("the device in this process answers"), thread)
}

struct Link<T>(T);

impl<T> ErrorType for Link<T> {
    type Error = ErrorKind;
}

impl<T: std::io::Read> Read for Link<T> {
    fn read(&mut self, bytes: &mut [u8]) -> Result<usize, ErrorKind> {
        self.0.read(bytes).map_err(|error| error.kind().into())
    }
}

impl<T: std::io::Write> Write for Link<T> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize, ErrorKind> {
        self.0.write(bytes).map_err(|error| error.kind().into())
    }

    fn flush(&mut self) -> Result<(), ErrorKind> {
        Ok(())
    }
}

/// A board without hardware, whose counter counts how often it is read.
struct InProcess {
    ticks: u32,
}

impl Board for InProcess {
    fn name(&self) -> &'static str {
        "in-process"
    }

    fn tick_hz(&self) -> u32 {
        1
    }

    fn ticks(&mut self) -> u32 {
        self.ticks += 1;
        self.ticks
    }

    fn stack(&mut self) -> Stack {
        Stack { used: 1, bytes: 2 }
    }
}
