//! Models on their way into flash: over the link, and with a probe that may be pulled at any moment.

use embedded_storage::nor_flash::NorFlash;
use embernet::flash::{self, Destination, FlashError, Flashed, Probe, Probes};
use embernet::link::{Board, Slots};
use embernet_app::{Region, Store};
use embernet_core::checksum::crc32;
use embernet_core::optim::OptimizerRecord;
use embernet_tests::nor::{Nor, PAGE, Power};
use embernet_tests::{device, models};

const SLOT: usize = 16 * PAGE;
const ARENA: usize = 12_000;

/// The board that `device` is.
fn board() -> Board {
    let slots = Slots::new([0x8000, 0x8000 + SLOT as u32], SLOT as u32, PAGE as u32);
    Board { name: "in-process".into(), slots, ..Board::named("m0").unwrap().clone() }
}

fn silent(_: usize, _: usize) {}

#[test]
fn the_link_takes_the_slot_that_is_not_active() {
    let (old, new) = (models::iris(OptimizerRecord::sgd(0.1)), models::iris(OptimizerRecord::adam(0.1)));
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    let mut flash = |image| flash::over_link(&mut client, &board(), image, silent).unwrap();
    let (old, new) = (old.image().unwrap(), new.image().unwrap());
    let sent = [old.bytes().len(), new.bytes().len()];
    assert_eq!(flash(&old), Flashed { slot: 0, generation: 1, sent: sent[0] });
    assert_eq!(flash(&new), Flashed { slot: 1, generation: 2, sent: sent[1] });
    assert_eq!(flash(&new), Flashed { slot: 1, generation: 2, sent: 0 }, "it is at work");
    assert_eq!(flash(&old), Flashed { slot: 0, generation: 3, sent: 0 }, "it lies in the other slot");
    let mut look = |image| flash::destination(&mut client, &board(), image).unwrap();
    assert_eq!(look(&new), Destination { slot: 1, is_there: true });
    assert_eq!(look(&old), Destination { slot: 1, is_there: false });
}

#[test]
fn what_the_link_refuses() {
    let model = models::iris(OptimizerRecord::sgd(0.1));
    let image = model.image().unwrap();
    let (mut client, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    let mut refused = |board: &Board| flash::over_link(&mut client, board, &image, silent).unwrap_err().to_string();
    assert_eq!(refused(Board::named("m4").unwrap()), "the device is a `in-process`, not a `m4`");
    // What would change is told of the right board only.
    let (mut other, _) = device::connect(Nor::slots(SLOT).0, ARENA);
    assert!(flash::destination(&mut other, Board::named("m4").unwrap(), &image).is_err());
    let small = Slots { bytes: 2 * PAGE as u32, ..board().slots };
    let error = refused(&Board { slots: small, ..board() });
    assert_eq!(error, format!("the image has {} bytes, the board's slot takes {PAGE}", image.bytes().len()));
}

/// A probe on two slots of flash.
struct Wired {
    slots: [Nor; 2],
    /// What every byte that is read is changed by.
    noise: u8,
    restarts: u32,
}

impl Wired {
    fn new() -> (Self, Power) {
        let (slots, power) = Nor::slots(SLOT);
        (Self { slots, noise: 0, restarts: 0 }, power)
    }

    /// The slot and the offset in it.
    fn at(&mut self, address: u32) -> (&mut Nor, u32) {
        let [first, second] = board().slots.origins;
        if address >= second { (&mut self.slots[1], address - second) } else { (&mut self.slots[0], address - first) }
    }
}

impl Probe for Wired {
    fn read(&mut self, address: u32, bytes: &mut [u8]) -> Result<(), String> {
        let noise = self.noise;
        let (flash, offset) = self.at(address);
        bytes.copy_from_slice(&flash.bytes()[offset as usize..][..bytes.len()]);
        bytes.iter_mut().for_each(|byte| *byte ^= noise);
        Ok(())
    }

    fn erase(&mut self, address: u32, bytes: u32) -> Result<(), String> {
        let (flash, offset) = self.at(address);
        flash.erase(offset, offset + bytes).map_err(|error| error.to_string())
    }

    fn write(&mut self, address: u32, bytes: &[u8]) -> Result<(), String> {
        let (flash, offset) = self.at(address);
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len().next_multiple_of(4), 0xFF);
        flash.write(offset, &bytes).map_err(|error| error.to_string())
    }

    fn restart(&mut self) -> Result<(), String> {
        self.restarts += 1;
        Ok(())
    }
}

/// Generation and bytes of the image that a board with this flash starts with.
fn active(slots: &[Nor; 2]) -> Option<(u32, Vec<u8>)> {
    let mut store = Store::open(slots.clone());
    let (active, _) = store.split();
    active.map(|(active, bytes)| (active.record.generation, bytes.to_vec()))
}

#[test]
fn a_probe_takes_the_slot_that_is_not_active_too() {
    let (mut probe, _) = Wired::new();
    for (round, byte) in (1..5).zip(0u8..) {
        let image = vec![byte; 2100 + usize::from(byte)];
        let flashed = flash::over_probe(&mut probe, &board(), &image, silent).unwrap();
        assert_eq!((flashed.generation, flashed.slot), (round, byte % 2));
        assert_eq!(active(&probe.slots), Some((round, image)));
        assert_eq!(probe.restarts, round);
    }
}

#[test]
fn a_probe_that_is_pulled_at_any_moment_leaves_the_old_model() {
    let (old, new) = (vec![1; 2100], vec![2; 2300]);
    let (mut probe, power) = Wired::new();
    flash::over_probe(&mut probe, &board(), &old, silent).unwrap();
    let mut cut = 0;
    loop {
        let mut cable = Wired { slots: probe.slots.clone(), noise: 0, restarts: 0 };
        power.cut_after(cut);
        let result = flash::over_probe(&mut cable, &board(), &new, silent);
        power.restore();
        if result.is_ok() {
            assert_eq!(active(&cable.slots), Some((2, new)));
            break;
        }
        assert_eq!(active(&cable.slots), Some((1, old.clone())), "pulled at operation {cut}");
        cut += 1;
    }
    assert!(cut > 500, "{cut}");
}

#[test]
fn flash_that_holds_something_else_is_noticed() {
    let (mut probe, _) = Wired::new();
    flash::over_probe(&mut probe, &board(), &[1; 100], silent).unwrap();
    let old = active(&probe.slots);
    probe.noise = 4;
    let error = flash::over_probe(&mut probe, &board(), &[2; 100], silent).unwrap_err();
    assert!(matches!(error, FlashError::Differs { found: 6, expected: 2, .. }), "{error}");
    assert_eq!(old.map(|(_, bytes)| crc32(&bytes)), Some(crc32(&[1; 100])));
}

/// Probes that a machine may have, in front of one chip whose identification reads so.
struct Bench {
    names: Vec<&'static str>,
    chip: Option<u32>,
}

impl Probes for Bench {
    type Attached = Identified;

    fn names(&mut self) -> Vec<String> {
        self.names.iter().map(ToString::to_string).collect()
    }

    fn attach(&mut self, _: usize, _: &str) -> Result<Identified, String> {
        self.chip.map(Identified).ok_or_else(|| "no target voltage".into())
    }
}

/// A chip that can only be asked what it is.
#[derive(Debug)]
struct Identified(u32);

impl Probe for Identified {
    fn read(&mut self, _: u32, bytes: &mut [u8]) -> Result<(), String> {
        bytes.copy_from_slice(&self.0.to_le_bytes());
        Ok(())
    }

    fn erase(&mut self, _: u32, _: u32) -> Result<(), String> {
        panic!("a chip that may be another one is not erased")
    }

    fn write(&mut self, _: u32, _: &[u8]) -> Result<(), String> {
        panic!("a chip that may be another one is not written to")
    }

    fn restart(&mut self) -> Result<(), String> {
        panic!("a chip that may be another one is not restarted")
    }
}

#[test]
fn what_keeps_a_probe_from_a_board_is_said_in_one_line() {
    const ST: &str = "0483:374e:0036";
    let attach = |names: &[&'static str], chip, board, wanted| {
        let mut bench = Bench { names: names.to_vec(), chip };
        flash::attach(&mut bench, Board::named(board).unwrap(), wanted).map_err(|error| error.to_string())
    };
    let refused = |names, chip, board, wanted| attach(names, chip, board, wanted).unwrap_err();
    let h743 = "nucleo-h743";
    assert_eq!(refused(&[], None, h743, ""), "no debug probe is connected: is the board plugged in by its debug port?");
    assert_eq!(
        refused(&[ST, "1366:1015"], None, h743, ""),
        "several debug probes are connected; name one with --probe: 0483:374e:0036, 1366:1015"
    );
    assert_eq!(
        refused(&[ST], None, h743, "1366"),
        "1366 is not the name of one connected debug probe; name one with --probe: 0483:374e:0036"
    );
    assert_eq!(refused(&[ST], None, h743, ""), "no STM32H743ZITx answers behind the debug probe: no target voltage");
    assert_eq!(
        refused(&[ST], Some(0x1003_6413), h743, ""),
        "the chip behind the debug probe is netduinoplus2's STM32F405RGTx, not nucleo-h743's STM32H743ZITx: nothing \
         was changed"
    );
    assert_eq!(
        refused(&[ST], Some(0x1234_5678), h743, "0483:374E"),
        "the chip behind the debug probe is another one (0x12345678), not nucleo-h743's STM32H743ZITx: nothing was \
         changed"
    );
    assert_eq!(refused(&[ST], Some(0), "m4", ""), "board `m4` names no chip for debug probes");
    assert!(attach(&[ST, "1366:1015"], Some(0x2003_6450), h743, "0483").is_ok());
}

/// A busy port is said to be one; on Linux, where a port can be claimed.
#[cfg(target_os = "linux")]
#[test]
fn a_busy_port_is_an_error() {
    use embernet::link::Serial;
    use serialport::{SerialPort, TTYPort};
    let (_far, mut near) = TTYPort::pair().expect("a pseudo-terminal");
    near.set_exclusive(true).unwrap();
    let port = near.name().unwrap();
    let first = Serial::open(&port, 115_200);
    let error = first.err().map(|error| error.to_string()).unwrap_or_default();
    assert_eq!(error, format!("serial port {port} is in use: close the program that has it open, then try again"));
}
