//! The device's last words: a panic is a bug, so it says where and stops.

use core::panic::PanicInfo;

use embedded_io::Write;
use embernet_core::wire::{Kind, PanicReport, encode};

/// Bytes of the file's path that are sent.
const FILE_BYTES: usize = 64;

/// Reports a panic over the link and halts. Formats nothing, which would cost flash.
pub fn panicked<L: Write>(link: &mut L, info: &PanicInfo<'_>) -> ! {
    let (file, line) = info.location().map_or(("", 0), |location| (location.file(), location.line()));
    // The end of the path says more than its front; a cut inside a character gives no name at all.
    let file = file.get(file.len().saturating_sub(FILE_BYTES)..).unwrap_or_default();
    report(link, &PanicReport { file, line })
}

/// Reports a processor fault at `address` over the link and halts.
pub fn faulted<L: Write>(link: &mut L, address: u32) -> ! {
    report(link, &PanicReport { file: "", line: address })
}

fn report<L: Write>(link: &mut L, report: &PanicReport<'_>) -> ! {
    let mut frame = [0; FILE_BYTES + 32];
    if let Ok(bytes) = encode(Kind::Panic, 0, report, &mut frame) {
        // A leading terminator ends the frame that the panic may have interrupted.
        let _ = link.write_all(&[0]).and_then(|()| link.write_all(bytes)).and_then(|()| link.flush());
    }
    loop {
        core::hint::spin_loop();
    }
}
