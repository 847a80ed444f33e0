//! A board's program as bytes: what its ELF puts into flash.

use object::read::elf::{ElfFile32, FileHeader, ProgramHeader};
use object::{Endianness, Object, elf};

use crate::image::Piece;

/// A board's program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// ELF's number of its processor.
    pub machine: u16,
    /// Where it begins.
    pub entry: u32,
    /// What lies in flash.
    pub pieces: Vec<Piece>,
}

/// A file that is no program.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the ELF file of a 32-bit program: {0}")]
pub struct NoProgram(String);

impl Program {
    /// Reads an ELF file.
    ///
    /// # Errors
    /// [`NoProgram`]: the bytes are something else, or nothing of them is loaded.
    pub fn parse(bytes: &[u8]) -> Result<Self, NoProgram> {
        let failed = |error: object::Error| NoProgram(error.to_string());
        let file = ElfFile32::<Endianness>::parse(bytes).map_err(failed)?;
        let endian = file.endian();
        let mut pieces = Vec::new();
        for segment in file.elf_program_headers().iter().filter(|segment| segment.p_type(endian) == elf::PT_LOAD) {
            let data = segment.data(endian, bytes).map_err(|()| NoProgram("a segment leaves the file".into()))?;
            if !data.is_empty() {
                pieces.push(Piece { address: segment.p_paddr(endian), bytes: data.to_vec() });
            }
        }
        if pieces.is_empty() {
            return Err(NoProgram("it has nothing to load".into()));
        }
        let machine = file.elf_header().e_machine(endian);
        Ok(Self { machine: machine.0, entry: file.entry() as u32, pieces })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::image::{Format, Target};

    #[test]
    fn what_was_wrapped_is_read_again() {
        let pieces = vec![Piece { address: 0, bytes: vec![1; 40] }, Piece { address: 0x100, bytes: vec![2; 9] }];
        let target = Target { machine: Target::RISC_V, entry: 0x41, family: None };
        let file = Format::Elf.wrap(pieces.clone(), &target).unwrap();
        assert_eq!(Program::parse(&file), Ok(Program { machine: Target::RISC_V, entry: 0x41, pieces }));
    }

    #[test]
    fn other_files_are_refused() {
        for bytes in [&b""[..], b"EMBR", &Format::Elf.wrap(Vec::new(), &Target::default()).unwrap()] {
            assert!(Program::parse(bytes).is_err());
        }
    }
}
