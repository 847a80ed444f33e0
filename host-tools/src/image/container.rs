//! Images in the file formats of flashing tools.
//!
//! | format | source |
//! |---|---|
//! | Intel HEX | Intel, "Hexadecimal Object File Format Specification", revision A, 1988 |
//! | UF2 | Microsoft, "USB Flashing Format" |
//! | ELF | Tool Interface Standard, "Executable and Linking Format", version 1.2 |
//! | C | an array of the program that links it |

use std::str::FromStr;

/// How an image is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The image's bytes.
    #[default]
    Bin,
    /// Intel HEX: lines of text with addresses.
    Hex,
    /// UF2, for boards that show up as a drive.
    Uf2,
    /// An ELF file with one loadable section, for debuggers.
    Elf,
    /// A C array, aligned as the parser wants it.
    C,
}

/// Where and for what an image is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target {
    /// Address of the first byte.
    pub address: u32,
    /// ELF's number of the processor: 40 for Arm, 243 for RISC-V.
    pub machine: u16,
    /// UF2's number of the processor family, if its boot loader asks for one.
    pub family: Option<u32>,
}

/// An image that a format cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// No such format.
    #[error("format `{0}` is unknown; there are: bin, hex, uf2, elf, c")]
    Unknown(String),
    /// It would go on behind the last address.
    #[error("{bytes} bytes from address {address:#010x} leave the 32-bit address space")]
    Address {
        /// The first address.
        address: u32,
        /// Bytes to hold.
        bytes: usize,
    },
}

impl FromStr for Format {
    type Err = ContainerError;

    fn from_str(name: &str) -> Result<Self, ContainerError> {
        Ok(match name {
            "bin" => Self::Bin,
            "hex" => Self::Hex,
            "uf2" => Self::Uf2,
            "elf" => Self::Elf,
            "c" => Self::C,
            _ => return Err(ContainerError::Unknown(name.into())),
        })
    }
}

impl Format {
    /// Wraps bytes that are to lie at the target's address.
    pub fn wrap(self, bytes: &[u8], target: &Target) -> Result<Vec<u8>, ContainerError> {
        // A UF2 block is padded, so that the end counts in whole pages there.
        if u64::from(target.address) + bytes.len().next_multiple_of(UF2_PAYLOAD) as u64 > 1 << 32 {
            return Err(ContainerError::Address { address: target.address, bytes: bytes.len() });
        }
        Ok(match self {
            Self::Bin => bytes.to_vec(),
            Self::Hex => hex(bytes, target.address).into_bytes(),
            Self::Uf2 => uf2(bytes, target),
            Self::Elf => elf(bytes, target),
            Self::C => c(bytes).into_bytes(),
        })
    }
}

fn hex(bytes: &[u8], address: u32) -> String {
    let mut text = String::new();
    let mut line = |offset: u16, kind: u8, data: &[u8]| {
        let [high, low] = offset.to_be_bytes();
        let mut sum = 0u8;
        text.push(':');
        for byte in [data.len() as u8, high, low, kind].iter().chain(data) {
            sum = sum.wrapping_add(*byte);
            text.push_str(&format!("{byte:02X}"));
        }
        text.push_str(&format!("{:02X}\n", sum.wrapping_neg()));
    };
    let mut upper = None;
    let (mut at, mut rest) = (address, bytes);
    while !rest.is_empty() {
        let [.., low_high, low] = at.to_be_bytes();
        let offset = u16::from_be_bytes([low_high, low]);
        if upper != Some(at >> 16) {
            upper = Some(at >> 16);
            line(0, 4, &((at >> 16) as u16).to_be_bytes());
        }
        // A line may not cross into the next 64 KB.
        let count = rest.len().min(16).min(0x1_0000 - usize::from(offset));
        line(offset, 0, &rest[..count]);
        rest = &rest[count..];
        at = at.wrapping_add(count as u32);
    }
    line(0, 1, &[]);
    text
}

/// Bytes of data in a UF2 block.
const UF2_PAYLOAD: usize = 256;

fn uf2(bytes: &[u8], target: &Target) -> Vec<u8> {
    const FAMILY_PRESENT: u32 = 0x2000;
    let blocks = bytes.len().div_ceil(UF2_PAYLOAD) as u32;
    let mut file = Vec::with_capacity(blocks as usize * 512);
    for (number, data) in (0u32..).zip(bytes.chunks(UF2_PAYLOAD)) {
        let words = [
            0x0a32_4655,
            0x9e5d_5157,
            target.family.map_or(0, |_| FAMILY_PRESENT),
            target.address + number * UF2_PAYLOAD as u32,
            UF2_PAYLOAD as u32,
            number,
            blocks,
            target.family.unwrap_or(0),
        ];
        words.iter().for_each(|word: &u32| file.extend(word.to_le_bytes()));
        file.extend(data);
        // The rest of a page stays erased.
        file.resize(file.len() + UF2_PAYLOAD - data.len(), 0xff);
        file.resize(file.len() + 476 - UF2_PAYLOAD, 0);
        file.extend(0x0ab1_6f30u32.to_le_bytes());
    }
    file
}

fn elf(bytes: &[u8], target: &Target) -> Vec<u8> {
    const HEADER: u32 = 52;
    const PROGRAM: u32 = 32;
    const NAMES: &[u8] = b"\0.embernet\0.shstrtab\0";
    // The data stand at a multiple of the image's alignment, congruent to their address.
    let data_at = (HEADER + PROGRAM).next_multiple_of(16) + target.address % 16;
    let size = bytes.len() as u32;
    let names_at = data_at + size;
    let sections_at = (names_at + NAMES.len() as u32).next_multiple_of(4);

    let mut file = b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
    let half = |file: &mut Vec<u8>, values: &[u16]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    let word = |file: &mut Vec<u8>, values: &[u32]| values.iter().for_each(|v| file.extend(v.to_le_bytes()));
    half(&mut file, &[2, target.machine]); // executable
    word(&mut file, &[1, target.address, HEADER, sections_at, 0]);
    half(&mut file, &[HEADER as u16, PROGRAM as u16, 1, 40, 3, 2]);
    // One segment to load: readable.
    word(&mut file, &[1, data_at, target.address, target.address, size, size, 4, 16]);
    file.resize(data_at as usize, 0);
    file.extend(bytes);
    file.extend(NAMES);
    file.resize(sections_at as usize, 0);
    word(&mut file, &[0; 10]);
    word(&mut file, &[1, 1, 2, target.address, data_at, size, 0, 0, 16, 0]); // data, allocated
    word(&mut file, &[11, 3, 0, 0, names_at, NAMES.len() as u32, 0, 0, 1, 0]);
    file
}

fn c(bytes: &[u8]) -> String {
    let mut text = String::from(
        "/* An embernet image; see docs/image-format.md of embernet. */\n#include <stdint.h>\n\n\
         __attribute__((aligned(16)))\n",
    );
    text.push_str(&format!("const uint8_t embernet_model[{}] = {{\n", bytes.len()));
    for row in bytes.chunks(16) {
        let row: Vec<String> = row.iter().map(|byte| format!("0x{byte:02x}")).collect();
        text.push_str(&format!("    {},\n", row.join(", ")));
    }
    text.push_str(&format!("}};\nconst uint32_t embernet_model_bytes = {};\n", bytes.len()));
    text
}

#[cfg(test)]
mod tests {
    use object::{Object, ObjectSection, ObjectSegment};

    use super::*;

    const TARGET: Target = Target { address: 0x0010_0000, machine: 40, family: None };

    fn bytes(count: usize) -> Vec<u8> {
        (0..count).map(|i| (i * 7) as u8).collect()
    }

    #[test]
    fn hex_has_addresses_and_checksums() {
        // The first data line is worked by hand: 03 + FF + F0 + 00 + 00 + 07 + 0E = 207.
        let text = hex(&bytes(3), 0x0001_fff0);
        assert_eq!(text, ":020000040001F9\n:03FFF00000070EF9\n:00000001FF\n");
        let text = hex(&bytes(40), 0x0001_fffa);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[1].get(..9), Some(":06FFFA00"));
        // 02 + 04 + 02 = 08, and 100 - 08 = F8.
        assert_eq!(lines[2], ":020000040002F8");
        for line in &lines {
            let digits = line.strip_prefix(':').unwrap();
            let sum = (0..digits.len()).step_by(2).map(|i| u8::from_str_radix(&digits[i..i + 2], 16).unwrap());
            assert_eq!(sum.fold(0u8, u8::wrapping_add), 0, "{line}");
        }
    }

    #[test]
    fn uf2_blocks_hold_every_byte_in_its_place() {
        let from = bytes(600);
        let file = uf2(&from, &Target { family: Some(0xe48b_ff56), ..TARGET });
        assert_eq!(file.len(), 3 * 512);
        let word = |block: &[u8], at: usize| u32::from_le_bytes(block[at..at + 4].try_into().unwrap());
        let mut found = Vec::new();
        for (number, block) in file.chunks(512).enumerate() {
            assert_eq!((word(block, 0), word(block, 4), word(block, 508)), (0x0a32_4655, 0x9e5d_5157, 0x0ab1_6f30));
            assert_eq!((word(block, 12), word(block, 20)), (0x0010_0000 + 256 * number as u32, number as u32));
            assert_eq!((word(block, 8), word(block, 24), word(block, 28)), (0x2000, 3, 0xe48b_ff56));
            found.extend_from_slice(&block[32..288]);
        }
        assert_eq!(found[..600], from);
        assert!(found[600..].iter().all(|&byte| byte == 0xff));
    }

    #[test]
    fn elf_is_read_by_others() {
        for address in [0x0010_0000, 0x8010_0000, 0x1234_5678] {
            let from = bytes(100);
            let file = elf(&from, &Target { address, machine: 243, family: None });
            let parsed = object::File::parse(&file[..]).unwrap();
            assert_eq!(parsed.architecture(), object::Architecture::Riscv32);
            let segment = parsed.segments().next().unwrap();
            assert_eq!((segment.address(), segment.data().unwrap()), (u64::from(address), &from[..]));
            let section = parsed.section_by_name(".embernet").unwrap();
            assert_eq!((section.address(), section.data().unwrap()), (u64::from(address), &from[..]));
        }
    }

    #[test]
    fn c_lists_every_byte() {
        let text = c(&bytes(20));
        assert!(text.contains("embernet_model[20]") && text.contains("aligned(16)"));
        assert_eq!(text.matches("0x").count(), 20);
    }

    #[test]
    fn nothing_wraps_around_the_last_address() {
        let target = Target { address: 0xffff_fff0, ..TARGET };
        for format in ["bin", "hex", "uf2", "elf", "c"] {
            let format: Format = format.parse().unwrap();
            assert!(format.wrap(&bytes(17), &target).is_err());
            assert!(format.wrap(&bytes(17), &TARGET).is_ok());
        }
        assert!("srec".parse::<Format>().is_err());
    }
}
