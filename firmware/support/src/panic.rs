//! The device's last words: a panic is a bug, so it says where and stops.
//!
//! A board whose drivers are plain registers makes a new link and says so at once. One with a HAL cannot: its link is
//! in use. It keeps its words where a restart leaves them, restarts, and [`tell`]s them then.

use core::mem::MaybeUninit;
use core::panic::PanicInfo;

use embedded_io::Write;
use embernet_core::wire::{Kind, PanicReport, encode};

/// Bytes of the file's path that are sent.
const FILE_BYTES: usize = 64;

/// Bytes of a report's frame, with a terminator before it that ends what the panic may have interrupted.
const FRAME_BYTES: usize = FILE_BYTES + 33;

/// Reports a panic over the link and halts. Formats nothing, which would cost flash.
pub fn panicked<L: Write>(link: &mut L, info: &PanicInfo<'_>) -> ! {
    say(link, &of(info))
}

/// Reports a processor fault at `address` over the link and halts.
pub fn faulted<L: Write>(link: &mut L, address: u32) -> ! {
    say(link, &PanicReport { file: "", line: address })
}

/// Keeps what a panic is about for [`tell`] after the restart, which the caller makes.
pub fn keep_panic(info: &PanicInfo<'_>) {
    keep(&of(info));
}

/// Keeps the address of a processor fault, likewise.
pub fn keep_fault(address: u32) {
    keep(&PanicReport { file: "", line: address });
}

/// Sends what a panic before the restart has left, if there is something.
pub fn tell<L: Write>(link: &mut L) {
    // SAFETY: a program starts once, and nobody but `keep`, which returns to nobody, uses the place besides.
    let kept = unsafe { (&raw const KEPT).read_volatile().assume_init() };
    if kept.mark == (MARK, !MARK) {
        forget();
        send(link, kept.frame.get(..kept.bytes).unwrap_or_default());
    }
}

fn of<'a>(info: &'a PanicInfo<'_>) -> PanicReport<'a> {
    let (file, line) = info.location().map_or(("", 0), |location| (location.file(), location.line()));
    // The end of the path says more than its front; a cut inside a character gives no name at all.
    let file = file.get(file.len().saturating_sub(FILE_BYTES)..).unwrap_or_default();
    PanicReport { file, line }
}

fn send<L: Write>(link: &mut L, frame: &[u8]) {
    let _ = link.write_all(frame).and_then(|()| link.flush());
}

/// The bytes of a report's frame, and how many they are.
fn framed(report: &PanicReport<'_>) -> ([u8; FRAME_BYTES], usize) {
    let mut frame = [0; FRAME_BYTES];
    let encoded = frame.get_mut(1..).and_then(|place| encode(Kind::Panic, 0, report, place).map(<[u8]>::len).ok());
    (frame, encoded.map_or(0, |bytes| bytes + 1))
}

fn say<L: Write>(link: &mut L, report: &PanicReport<'_>) -> ! {
    let (frame, bytes) = framed(report);
    send(link, frame.get(..bytes).unwrap_or_default());
    loop {
        core::hint::spin_loop();
    }
}

/// A frame that waits for a restart. Any bytes are a valid value.
#[derive(Clone, Copy)]
struct Kept {
    mark: (u32, u32),
    bytes: usize,
    frame: [u8; FRAME_BYTES],
}

/// What tells a kept frame from what memory holds when power comes on.
const MARK: u32 = 0x1A57_50FD;

/// Start-up leaves this section as it is.
#[cfg_attr(target_os = "none", unsafe(link_section = ".uninit.last_words"))]
static mut KEPT: MaybeUninit<Kept> = MaybeUninit::uninit();

fn keep(report: &PanicReport<'_>) {
    let (frame, bytes) = framed(report);
    put(Kept { mark: (MARK, !MARK), bytes, frame });
}

fn forget() {
    put(Kept { mark: (0, 0), bytes: 0, frame: [0; FRAME_BYTES] });
}

fn put(kept: Kept) {
    // SAFETY: nothing else runs: this is the start of a program or its end.
    unsafe { (&raw mut KEPT).write_volatile(MaybeUninit::new(kept)) };
}

/// A Cortex-M's panic and fault handlers, which report over `$link` and halt.
#[macro_export]
macro_rules! say_last_words {
    ($link:expr) => {
        #[panic_handler]
        fn panicked(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panic::panicked(&mut $link, info)
        }

        #[::cortex_m_rt::exception]
        unsafe fn HardFault(frame: &::cortex_m_rt::ExceptionFrame) -> ! {
            $crate::panic::faulted(&mut $link, frame.pc())
        }
    };
}

/// A Cortex-M's panic and fault handlers, which restart it to report then.
#[macro_export]
macro_rules! keep_last_words {
    () => {
        #[panic_handler]
        fn panicked(info: &::core::panic::PanicInfo<'_>) -> ! {
            $crate::panic::keep_panic(info);
            ::cortex_m::peripheral::SCB::sys_reset()
        }

        #[::cortex_m_rt::exception]
        unsafe fn HardFault(frame: &::cortex_m_rt::ExceptionFrame) -> ! {
            $crate::panic::keep_fault(frame.pc());
            ::cortex_m::peripheral::SCB::sys_reset()
        }
    };
}
