//! The table of boards that firmware and host share.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use embernet_core::arch::IsaId;
use serde::{Deserialize, Deserializer, de};

use super::LinkError;
use crate::counting::Core;

static BOARDS: LazyLock<BTreeMap<String, Board>> = LazyLock::new(|| {
    let text = include_str!("../../../firmware/boards/boards.toml");
    let mut boards: BTreeMap<String, Board> =
        toml::from_str(text).unwrap_or_else(|error| unreachable!("tested below: {error}"));
    for (name, board) in &mut boards {
        board.name.clone_from(name);
    }
    boards
});

/// One board of `firmware/boards/boards.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Board {
    /// Its name, such as `m4`.
    #[serde(skip)]
    pub name: String,
    /// The package that builds its firmware.
    pub package: String,
    /// The target triple.
    pub target: String,
    /// The processor, for tables.
    pub processor: String,
    /// Whose cycles to estimate; `None` where no estimate is made.
    pub cycles: Option<Core>,
    /// The token of its instruction set: what images for it are packed for.
    #[serde(deserialize_with = "isa_by_name")]
    pub isa: IsaId,
    /// Where code and constants lie.
    pub flash: Region,
    /// The most flash that the firmware may take, where that is less than there is.
    pub flash_budget_bytes: Option<u32>,
    /// The same for a program with all kernels but those that train.
    pub inference_budget_bytes: Option<u32>,
    /// The same for such a program built for size.
    pub size_budget_bytes: Option<u32>,
    /// Statics and stack.
    pub ram: Region,
    /// Bytes of the stack, the end of `ram`.
    pub stack_bytes: u32,
    /// Memory for models; `None` where it is what statics and stack leave of `ram`.
    pub arena: Option<Region>,
    /// The model slots.
    pub slots: Slots,
    /// The slots of checkpoints, if it has such.
    pub checkpoints: Option<Checkpoints>,
    /// Ticks per second of the counter that times runs.
    pub tick_hz: u32,
    /// The processor's clock, in Hz, where the board is a real one.
    pub clock_hz: Option<u32>,
    /// The crate that drives the chip, where one does.
    pub hal: Option<String>,
    /// How the host reaches the board, where it is a real one.
    pub link: Option<Cable>,
    /// The chip's name in probe-rs, if a debug probe can flash it.
    pub chip: Option<String>,
    /// Where that chip says what it is.
    pub chip_id: Option<ChipId>,
    /// The drive of its boot loader, if it has one.
    pub uf2: Option<Uf2>,
    /// The emulated machine, if there is one.
    pub qemu: Option<QemuMachine>,
}

/// A boot loader that shows up as a drive and takes UF2 files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Uf2 {
    /// The processor family that its files name.
    pub family: u32,
    /// `Board-ID` in the drive's `INFO_UF2.TXT`.
    pub board_id: String,
}

/// A word that reads the same on every chip of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChipId {
    /// Its address.
    pub address: u32,
    /// The bits of it that count.
    pub mask: u32,
    /// What those read.
    pub value: u32,
}

impl ChipId {
    /// Whether a chip whose word reads `found` is of this kind.
    pub fn is(&self, found: u32) -> bool {
        found & self.mask == self.value
    }
}

/// How a real board is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case")]
pub enum Cable {
    /// A UART behind a converter, such as a debug probe's, at this many bits per second.
    Uart(u32),
    /// The chip's own USB, as a serial port with this vendor and product number.
    Usb([u16; 2]),
}

/// A piece of a board's memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First address.
    pub origin: u32,
    /// Bytes.
    pub bytes: u32,
}

/// The two model slots; see `docs/slots.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// First address of each.
    pub origins: [u32; 2],
    /// Bytes of each.
    pub bytes: u32,
    /// Bytes of the smallest piece that can be erased; the records lie in the first.
    pub erase_bytes: u32,
    /// Bytes that the records take, where that is less than an erase unit.
    pub head_bytes: Option<u32>,
}

impl Slots {
    /// Slots whose records have a whole erase unit.
    pub const fn new(origins: [u32; 2], bytes: u32, erase_bytes: u32) -> Self {
        Self { origins, bytes, erase_bytes, head_bytes: None }
    }

    /// Bytes of records before the image.
    pub fn head_bytes(&self) -> u32 {
        self.head_bytes.unwrap_or(self.erase_bytes)
    }

    /// Bytes of the largest image.
    pub fn image_bytes(&self) -> u32 {
        self.bytes.saturating_sub(self.head_bytes())
    }
}

/// The two slots for what models learn, erased as the model slots are; see `docs/slots.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Checkpoints {
    /// First address of each.
    pub origins: [u32; 2],
    /// Bytes of each.
    pub bytes: u32,
}

/// How to emulate a board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QemuMachine {
    /// QEMU's program.
    pub program: String,
    /// QEMU's name of the machine.
    pub machine: String,
    /// Further arguments.
    #[serde(default)]
    pub arguments: Vec<String>,
    /// One instruction takes `2^icount_shift` ns of the machine's clock.
    pub icount_shift: u8,
    /// Ticks per second of its counter, where that is another one than the board's.
    tick_hz: Option<u32>,
    /// Its model slots, where the board's flash is not emulated.
    slots: Option<Slots>,
}

fn isa_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<IsaId, D::Error> {
    let name = String::deserialize(deserializer)?;
    IsaId::from_name(&name).ok_or_else(|| de::Error::custom(format!("there is no instruction set {name:?}")))
}

impl Board {
    /// Every board, by name.
    pub fn all() -> impl Iterator<Item = &'static Self> {
        BOARDS.values()
    }

    /// The board of this name.
    pub fn named(name: &str) -> Result<&'static Self, LinkError> {
        BOARDS.get(name).ok_or_else(|| LinkError::UnknownBoard {
            name: name.to_owned(),
            known: BOARDS.keys().map(String::as_str).collect(),
        })
    }

    /// Whether its core computes floats in hardware, which Arm's targets say by how functions pass them.
    pub fn has_fpu(&self) -> bool {
        self.target.ends_with("eabihf")
    }

    /// The most that an image's arena can take here; where the board has no memory for it alone, statics take some of
    /// that.
    pub fn arena_bytes(&self) -> u32 {
        self.arena.map_or(self.ram.bytes.saturating_sub(self.stack_bytes), |arena| arena.bytes)
    }

    /// Where `cargo xtask firmware` puts the board's ELF, below the workspace's root.
    pub fn firmware_in(&self, root: &Path) -> PathBuf {
        self.firmware_under(&root.join("target/firmware"))
    }

    /// Where cargo puts the board's ELF, below a target folder.
    pub(super) fn firmware_under(&self, target: &Path) -> PathBuf {
        target.join(&self.target).join("firmware").join(&self.package)
    }

    /// The board's ELF in this workspace.
    pub fn firmware(&self) -> Result<PathBuf, LinkError> {
        let path = self.firmware_in(&workspace());
        if path.is_file() { Ok(path) } else { Err(LinkError::NoFirmware { board: self.name.clone(), path }) }
    }

    /// The model slots of the emulated board: what QEMU plays may have them elsewhere.
    pub fn emulated_slots(&self) -> &Slots {
        self.qemu.as_ref().and_then(|machine| machine.slots.as_ref()).unwrap_or(&self.slots)
    }

    /// The board as QEMU plays it: with those slots.
    pub fn emulated(&self) -> Self {
        Self { slots: *self.emulated_slots(), ..self.clone() }
    }

    /// Ticks per second of the emulated board's counter.
    pub fn emulated_tick_hz(&self) -> u32 {
        self.qemu.as_ref().and_then(|machine| machine.tick_hz).unwrap_or(self.tick_hz)
    }

    /// Instructions that this many ticks of the emulated board's counter stand for.
    ///
    /// QEMU counts instructions, not cycles: its clock advances by a fixed time per instruction.
    /// `None` for a board that is not emulated.
    pub fn instructions(&self, ticks: u64) -> Option<u64> {
        let shift = u32::from(self.qemu.as_ref()?.icount_shift);
        let nanoseconds = u128::from(ticks) * 1_000_000_000 / u128::from(self.emulated_tick_hz().max(1));
        u64::try_from(nanoseconds >> shift).ok()
    }
}

/// The workspace's root: the nearest folder above the current one that holds the table of boards,
/// or where this program was built.
pub fn workspace() -> PathBuf {
    let here = std::env::current_dir().unwrap_or_default();
    let found = here.ancestors().find(|folder| folder.join("firmware/boards/boards.toml").is_file());
    found.map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default(),
        Path::to_path_buf,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sound() {
        assert!(Board::all().count() >= 4);
        for board in Board::all() {
            let name = &board.name;
            assert_eq!(board.package, format!("embernet-board-{name}"));
            for slots in [&board.slots, board.emulated_slots()] {
                assert_eq!(slots.bytes % slots.erase_bytes, 0, "{name}");
                assert_eq!(slots.head_bytes() % 32, 0, "{name}: whole records");
                assert!(slots.head_bytes() <= slots.erase_bytes, "{name}: records are erased at one go");
                let mut regions = vec![board.flash, board.ram];
                regions.extend(board.arena);
                regions.extend(slots.origins.map(|origin| Region { origin, bytes: slots.bytes }));
                let checkpoints = board.checkpoints.iter();
                regions.extend(
                    checkpoints.flat_map(|slots| slots.origins.map(|origin| Region { origin, bytes: slots.bytes })),
                );
                regions.sort_by_key(|region| region.origin);
                for pair in regions.windows(2) {
                    let end = u64::from(pair[0].origin) + u64::from(pair[0].bytes);
                    assert!(end <= u64::from(pair[1].origin), "{name}: {pair:x?} overlap");
                }
            }
            assert!(board.stack_bytes < board.ram.bytes, "{name}");
            assert!(board.qemu.is_some() || board.chip.is_some(), "{name}: neither emulated nor real");
            assert!(board.chip_id.is_none() || board.chip.is_some(), "{name}: an identification of no chip");
            let real = [board.chip.is_some(), board.link.is_some(), board.clock_hz.is_some()];
            assert!(real == [real[0]; 3], "{name}: a real board has chip, link and clock_hz");
        }
    }

    #[test]
    fn ticks_become_instructions() {
        // 25 MHz and 64 ns an instruction: a tick is 40 ns, 0.625 of an instruction.
        assert_eq!(Board::named("m4").unwrap().instructions(1600), Some(1000));
        assert_eq!(Board::named("rv32").unwrap().instructions(1000), Some(1000));
    }

    #[test]
    fn an_unknown_board_names_the_known_ones() {
        let message = Board::named("z80").unwrap_err().to_string();
        assert!(message.contains("z80") && message.contains("m4"), "{message}");
    }
}
