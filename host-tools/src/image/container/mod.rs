//! Images in the file formats of flashing tools, alone or together with a board's program.
//!
//! | format | source |
//! |---|---|
//! | Intel HEX | Intel, "Hexadecimal Object File Format Specification", revision A, 1988 |
//! | UF2 | Microsoft, "USB Flashing Format" |
//! | ELF | Tool Interface Standard, "Executable and Linking Format", version 1.2 |
//! | C, Rust | an array of the program that links it |

mod elf;
mod hex;
mod source;
#[cfg(test)]
mod tests;
mod uf2;

use std::str::FromStr;

/// How an image is wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// The bytes from the first address to the last; what lies between pieces is erased flash.
    #[default]
    Bin,
    /// Intel HEX: lines of text with addresses.
    Hex,
    /// UF2, for boards that show up as a drive.
    Uf2,
    /// An ELF file with a loadable section for each piece, for debuggers.
    Elf,
    /// A C array, aligned as the parser wants it.
    C,
    /// A Rust static, aligned as the parser wants it.
    Rust,
}

/// Bytes and where they belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Address of the first byte.
    pub address: u32,
    /// The bytes.
    pub bytes: Vec<u8>,
}

impl Piece {
    /// The address after the last byte.
    fn end(&self) -> u64 {
        u64::from(self.address) + self.bytes.len() as u64
    }
}

/// For what pieces are wrapped.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Target {
    /// ELF's number of the processor: [`Target::ARM`] or [`Target::RISC_V`].
    pub machine: u16,
    /// Where an ELF file's program begins, if it holds one.
    pub entry: u32,
    /// UF2's number of the processor family, if its boot loader asks for one.
    pub family: Option<u32>,
}

impl Target {
    /// ELF's number of Arm.
    pub const ARM: u16 = 40;
    /// ELF's number of RISC-V.
    pub const RISC_V: u16 = 243;
}

/// What a format cannot hold.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// No such format.
    #[error("format `{0}` is unknown; there are: bin, hex, uf2, elf, c, rust")]
    Unknown(String),
    /// It would go on behind the last address.
    #[error("{bytes} bytes from address {address:#010x} leave the 32-bit address space")]
    Address {
        /// The first address.
        address: u32,
        /// Bytes to hold.
        bytes: usize,
    },
    /// Two pieces want the same place.
    #[error("the {first} bytes at {at:#010x} reach into those at {next:#010x}")]
    Overlap {
        /// Address of the first piece.
        at: u32,
        /// Its bytes.
        first: usize,
        /// Address of the second one.
        next: u32,
    },
    /// Pieces too far apart for a file without addresses.
    #[error(
        "a file without addresses would have {bytes} bytes, at most {LARGEST_BIN} make sense; take hex, uf2 or elf"
    )]
    Span {
        /// Bytes from the first to the last.
        bytes: u64,
    },
    /// An array has no addresses.
    #[error("an array in C or Rust holds an image alone, not a board's program")]
    Several,
}

/// The largest flat file: more is a mistake, not a flash.
const LARGEST_BIN: u64 = 64 << 20;

impl FromStr for Format {
    type Err = ContainerError;

    fn from_str(name: &str) -> Result<Self, ContainerError> {
        Ok(match name {
            "bin" => Self::Bin,
            "hex" => Self::Hex,
            "uf2" => Self::Uf2,
            "elf" => Self::Elf,
            "c" => Self::C,
            "rust" => Self::Rust,
            _ => return Err(ContainerError::Unknown(name.into())),
        })
    }
}

impl Format {
    /// Whether a file of this format says where its bytes belong.
    pub fn has_addresses(self) -> bool {
        matches!(self, Self::Hex | Self::Uf2 | Self::Elf)
    }

    /// Wraps pieces, in any order.
    ///
    /// # Errors
    /// [`ContainerError`]: pieces that overlap, leave the address space, or do not suit the format.
    pub fn wrap(self, mut pieces: Vec<Piece>, target: &Target) -> Result<Vec<u8>, ContainerError> {
        pieces.retain(|piece| !piece.bytes.is_empty());
        pieces.sort_by_key(|piece| piece.address);
        for piece in &pieces {
            // A UF2 block is padded, so that the end counts in whole pages there.
            if piece.end().next_multiple_of(uf2::PAGE as u64) > 1 << 32 {
                return Err(ContainerError::Address { address: piece.address, bytes: piece.bytes.len() });
            }
        }
        for (a, b) in pieces.iter().zip(pieces.iter().skip(1)) {
            if a.end() > b.address.into() {
                return Err(ContainerError::Overlap { at: a.address, first: a.bytes.len(), next: b.address });
            }
        }
        Ok(match self {
            Self::Bin => bin(&pieces)?,
            Self::Hex => hex::write(&pieces).into_bytes(),
            Self::Uf2 => uf2::write(&pieces, target.family),
            Self::Elf => elf::write(&pieces, target),
            Self::C => source::c(alone(&pieces)?).into_bytes(),
            Self::Rust => source::rust(alone(&pieces)?).into_bytes(),
        })
    }
}

/// A flash as it lies: ones between the pieces.
fn bin(pieces: &[Piece]) -> Result<Vec<u8>, ContainerError> {
    let first = pieces.first().map_or(0, |piece| u64::from(piece.address));
    let bytes = pieces.last().map_or(0, Piece::end) - first;
    if bytes > LARGEST_BIN {
        return Err(ContainerError::Span { bytes });
    }
    let mut file = Vec::with_capacity(bytes as usize);
    for piece in pieces {
        file.resize((u64::from(piece.address) - first) as usize, 0xff);
        file.extend(&piece.bytes);
    }
    Ok(file)
}

/// The bytes of the only piece.
fn alone(pieces: &[Piece]) -> Result<&[u8], ContainerError> {
    match pieces {
        [] => Ok(&[]),
        [piece] => Ok(&piece.bytes),
        _ => Err(ContainerError::Several),
    }
}
