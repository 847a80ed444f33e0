//! ESP32-C3 with 4 MB of flash: RISC-V (RV32IMC) with 400 KB of RAM. The link is the chip's own USB port.
//!
//! The chip maps flash page by page. Its boot loader maps the program; the slots' pages are mapped here, each page of
//! flash at the same place behind the window's start.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(target_os = "none")]
mod device {
    use core::ops::Range;

    use embernet_board_support::hal::{Driver, agrees, run};
    use embernet_board_support::panic;
    use esp_hal::clock::CpuClock;
    use esp_hal::peripherals::FLASH;
    use esp_hal::timer::systimer::{SystemTimer, Unit};
    use esp_hal::usb_serial_jtag::UsbSerialJtag;
    use esp_storage::FlashStorage;

    embernet_board_support::facts!();
    const _: () = assert!(agrees::<Flash>(facts::ERASE_BYTES, facts::HEAD_BYTES));

    // What the boot loader wants to know of a program.
    esp_bootloader_esp_idf::esp_app_desc!();

    #[esp_hal::main]
    fn main() -> ! {
        let chip = esp_hal::init(esp_hal::Config::default().with_cpu_clock(CpuClock::max()));
        let link = UsbSerialJtag::new(chip.USB_DEVICE);
        let ticks = || SystemTimer::unit_value(Unit::Unit0) as u32;
        for origin in facts::BOARD.slots {
            window::map(origin, facts::BOARD.slot_bytes);
        }
        // SAFETY: this machine's facts; the slots are flash behind the firmware's, mapped right above, and each driver
        // changes its own.
        unsafe { run(&facts::BOARD, facts::ISA, link, ticks, [Flash, Flash]) }
    }

    #[panic_handler]
    fn panicked(info: &core::panic::PanicInfo<'_>) -> ! {
        panic::keep_panic(info);
        esp_hal::system::software_reset()
    }

    #[unsafe(export_name = "ExceptionHandler")]
    extern "C" fn faulted(_: &esp_hal::trapframe::TrapFrame) -> ! {
        panic::keep_fault(riscv::register::mepc::read() as u32);
        esp_hal::system::software_reset()
    }

    /// The flash beside the chip.
    struct Flash;

    impl Driver for Flash {
        type Flash<'d> = FlashStorage<'d>;

        fn with<T>(slot: &Range<usize>, work: impl FnOnce(&mut FlashStorage<'_>, u32) -> T) -> T {
            // SAFETY: nothing else uses the driver meanwhile.
            work(&mut FlashStorage::new(unsafe { FLASH::steal() }), window::offset(slot.start))
        }

        fn forget(from: usize, to: usize) {
            window::forget(from, to - from);
        }
    }

    /// The window through which the processor sees flash (ESP32-C3 technical reference, 3.3).
    ///
    /// It has 128 pages in one table for data and code: the page of data at 0x3C20_0000 is that of code at 0x4220_0000
    /// (ESP-IDF, `soc/ext_mem_defs.h`). `esp-hal` links constants and code to the front of it, so that the slots' pages
    /// are free as long as the program ends in front of `slots`, which `boards.toml` promises.
    mod window {
        /// Where its first page lies.
        const START: usize = 0x3C00_0000;
        /// Bytes of a page.
        const PAGE: usize = 0x1_0000;

        // In the chip's ROM; `esp-rom-sys` knows where, ESP-IDF's `rom/cache.h` what they take.
        unsafe extern "C" {
            /// Empties it, too; the table of pages must not change otherwise.
            fn Cache_Disable_ICache() -> u32;
            fn Cache_Enable_ICache(autoload: u32);
            fn Cache_Invalidate_Addr(address: u32, bytes: u32) -> i32;
            /// `memory` 0 is flash; `page` in KB; every one of `count` pages moves on where `fixed` is 0.
            fn Cache_Dbus_MMU_Set(memory: u32, to: u32, from: u32, page: u32, count: u32, fixed: u32) -> i32;
        }

        /// Where in flash `address` lies.
        pub fn offset(address: usize) -> u32 {
            (address - START) as u32
        }

        /// Makes whole pages of flash readable.
        #[esp_hal::ram]
        pub fn map(address: usize, bytes: usize) {
            let (from, count) = ((address - START) as u32, (bytes / PAGE) as u32);
            // SAFETY: the cache, through which this program is read too, rests meanwhile: this function lies in RAM.
            // The pages are nobody's yet.
            unsafe {
                let autoload = Cache_Disable_ICache();
                Cache_Dbus_MMU_Set(0, address as u32, from, (PAGE / 1024) as u32, count, 0);
                Cache_Enable_ICache(autoload);
            }
        }

        /// Flash has changed here: whatever the cache holds of it is old.
        pub fn forget(address: usize, bytes: usize) {
            // SAFETY: the cache holds nothing that flash does not.
            unsafe { Cache_Invalidate_Addr(address as u32, bytes as u32) };
        }
    }
}

#[cfg(not(target_os = "none"))]
include!("../../host.rs");
