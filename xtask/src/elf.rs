//! What a firmware's ELF occupies on the chip.

use anyhow::{Context, Result};
use object::{Object, ObjectSection, SectionFlags, SectionKind, elf};
use std::fs;
use std::path::Path;

/// Bytes that a firmware takes before it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Footprint {
    /// Code, constants and the initial values of variables.
    pub flash_bytes: u64,
    /// Variables. Stack, arena and model slots share what is left and are not in here.
    pub ram_bytes: u64,
}

/// One section that is on the chip.
struct Section<'a> {
    name: &'a str,
    bytes: u64,
    /// Lies in RAM while the program runs.
    writable: bool,
    /// Has contents, which flash must hold.
    in_flash: bool,
}

/// Sections that only reserve memory for models: they grow with the board, not with the program.
const RESERVED: [&str; 3] = [".arena", ".models", ".stack"];

/// Measures an ELF file.
pub fn measure(path: &Path) -> Result<Footprint> {
    let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let file = object::File::parse(&*bytes).with_context(|| format!("{} is no ELF", path.display()))?;
    let mut sections = Vec::new();
    for section in file.sections() {
        let SectionFlags::Elf { sh_flags, .. } = section.flags() else { continue };
        if !sh_flags.contains(elf::SHF_ALLOC) {
            continue;
        }
        sections.push(Section {
            name: section.name().with_context(|| format!("{}: section names", path.display()))?,
            bytes: section.size(),
            writable: sh_flags.contains(elf::SHF_WRITE),
            in_flash: section.kind() != SectionKind::UninitializedData,
        });
    }
    // A section name borrows the file, so the sum is made here.
    Ok(footprint(&sections))
}

fn footprint(sections: &[Section<'_>]) -> Footprint {
    let mut sum = Footprint::default();
    for section in sections {
        if section.in_flash {
            sum.flash_bytes += section.bytes;
        }
        if section.writable && !RESERVED.iter().any(|name| section.name.starts_with(name)) {
            sum.ram_bytes += section.bytes;
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn section(name: &str, bytes: u64, writable: bool, in_flash: bool) -> Section<'_> {
        Section { name, bytes, writable, in_flash }
    }

    #[test]
    fn initialised_variables_count_twice_and_reserves_not_at_all() {
        let sections = [
            section(".text", 1000, false, true),
            section(".data", 10, true, true),
            section(".bss", 200, true, false),
            section(".arena", 9999, true, false),
        ];
        assert_eq!(footprint(&sections), Footprint { flash_bytes: 1010, ram_bytes: 210 });
    }

    #[test]
    fn measures_a_real_file_and_refuses_others() {
        #[cfg(target_os = "linux")]
        assert!(measure(&std::env::current_exe().unwrap()).unwrap().flash_bytes > 10_000);
        let text = tempfile::NamedTempFile::new().unwrap();
        assert!(measure(text.path()).unwrap_err().to_string().contains("no ELF"));
    }
}
