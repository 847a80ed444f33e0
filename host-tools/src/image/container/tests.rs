//! Every file is read again by others' readers.

use std::collections::BTreeMap;
use std::process::Command;

use object::{Object, ObjectSection, ObjectSegment};
use proptest::prelude::*;

use super::*;

const TARGET: Target = Target { machine: Target::ARM, entry: 0, family: None };

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|i| (i * 7) as u8).collect()
}

fn one(address: u32, count: usize) -> Vec<Piece> {
    vec![Piece { address, bytes: bytes(count) }]
}

/// Every byte with its address.
fn flash(pieces: &[Piece]) -> BTreeMap<u32, u8> {
    pieces.iter().flat_map(|piece| (piece.address..).zip(piece.bytes.iter().copied())).collect()
}

/// Pieces apart from each other.
fn pieces() -> impl Strategy<Value = Vec<Piece>> {
    prop::collection::vec((0u32..70_000, prop::collection::vec(any::<u8>(), 0..700)), 1..4).prop_map(|parts| {
        let mut address = 0x0001_f000;
        let place = |(gap, bytes): (u32, Vec<u8>)| {
            address += gap;
            let piece = Piece { address, bytes };
            address += piece.bytes.len() as u32;
            piece
        };
        parts.into_iter().map(place).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hex_is_read_by_others(pieces in pieces()) {
        let text = String::from_utf8(Format::Hex.wrap(pieces.clone(), &TARGET).unwrap()).unwrap();
        let (mut found, mut upper) = (BTreeMap::new(), 0);
        for record in ihex::Reader::new(&text) {
            match record.unwrap() {
                ihex::Record::ExtendedLinearAddress(high) => upper = u32::from(high) << 16,
                ihex::Record::Data { offset, value } => found.extend((upper + u32::from(offset)..).zip(value)),
                ihex::Record::EndOfFile => {}
                other => panic!("{other:?}"),
            }
        }
        prop_assert_eq!(found, flash(&pieces));
    }

    #[test]
    fn uf2_is_read_by_others(pieces in pieces()) {
        prop_assume!(pieces.iter().any(|piece| !piece.bytes.is_empty()));
        let family = 0xe48b_ff56;
        let file = Format::Uf2.wrap(pieces.clone(), &Target { family: Some(family), ..TARGET }).unwrap();
        let (found, families) = uf2_decode::convert_from_uf2(&file).unwrap();
        let first = families[&family] as u32;
        let wanted = flash(&pieces);
        let mut all: BTreeMap<u32, u8> = (first..).zip(found).collect();
        for (address, byte) in &wanted {
            prop_assert_eq!(all.remove(address), Some(*byte));
        }
    }

    #[test]
    fn elf_is_read_by_others(pieces in pieces(), machine in prop::sample::select(&[Target::ARM, Target::RISC_V])) {
        let file = Format::Elf.wrap(pieces.clone(), &Target { machine, entry: 0x101, family: None }).unwrap();
        let parsed = object::File::parse(&file[..]).unwrap();
        let riscv = parsed.architecture() == object::Architecture::Riscv32;
        prop_assert_eq!((riscv, parsed.entry()), (machine == Target::RISC_V, 0x101));
        let piece = |(address, bytes): (u64, &[u8])| Piece { address: address as u32, bytes: bytes.to_vec() };
        let segments: Vec<_> = parsed.segments().map(|s| piece((s.address(), s.data().unwrap()))).collect();
        prop_assert_eq!(flash(&segments), flash(&pieces));
        let named = parsed.sections().filter(|section| section.name() == Ok(".embernet"));
        let sections: Vec<_> = named.map(|s| piece((s.address(), s.data().unwrap()))).collect();
        prop_assert_eq!(flash(&sections), flash(&pieces));
    }
}

/// LLVM's objcopy, which comes with the compiler.
fn objcopy() -> Option<std::path::PathBuf> {
    let sysroot = Command::new("rustc").args(["--print", "sysroot"]).output().ok()?;
    let libraries = std::path::Path::new(String::from_utf8(sysroot.stdout).ok()?.trim()).join("lib/rustlib");
    let hosts = std::fs::read_dir(libraries).ok()?.filter_map(Result::ok);
    hosts.map(|host| host.path().join("bin/rust-objcopy")).find(|program| program.is_file())
}

#[test]
fn objcopy_reads_hex_and_elf() {
    let Some(objcopy) = objcopy() else {
        eprintln!("skipped: this toolchain has no rust-objcopy");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut pieces = one(0x0801_fff0, 1000);
    pieces.push(Piece { address: 0x0802_1000, bytes: bytes(300) });
    let wanted = Format::Bin.wrap(pieces.clone(), &TARGET).unwrap();
    for (format, name) in [(Format::Hex, "ihex"), (Format::Elf, "elf32-littlearm")] {
        let (from, to) = (folder.path().join(name), folder.path().join("bin"));
        std::fs::write(&from, format.wrap(pieces.clone(), &TARGET).unwrap()).unwrap();
        let mut command = Command::new(&objcopy);
        command.args(["-I", name, "-O", "binary", "--gap-fill", "0xff"]).arg(&from).arg(&to);
        assert!(command.status().unwrap().success());
        assert_eq!(std::fs::read(&to).unwrap(), wanted, "{name}");
    }
}

#[test]
fn hex_has_addresses_and_checksums() {
    // The first data line is worked by hand: 03 + FF + F0 + 00 + 00 + 07 + 0E = 207.
    let text = Format::Hex.wrap(one(0x0001_fff0, 3), &TARGET).unwrap();
    assert_eq!(text, b":020000040001F9\n:03FFF00000070EF9\n:00000001FF\n");
}

#[test]
fn arrays_list_every_byte() {
    let text = |format: Format| String::from_utf8(format.wrap(one(0, 20), &TARGET).unwrap()).unwrap();
    for (format, marks) in
        [(Format::C, ["embernet_model[20]", "aligned(16)"]), (Format::Rust, ["static MODEL: Aligned<20>", "align(16)"])]
    {
        let text = text(format);
        assert!(marks.iter().all(|mark| text.contains(mark)), "{text}");
        assert_eq!(text.matches("0x").count(), 20);
        let several = vec![Piece { address: 0, bytes: vec![1] }, Piece { address: 9, bytes: vec![2] }];
        assert_eq!(format.wrap(several, &TARGET), Err(ContainerError::Several));
    }
}

#[test]
fn nothing_wraps_around_the_last_address() {
    for format in ["bin", "hex", "uf2", "elf", "c", "rust"] {
        let format: Format = format.parse().unwrap();
        assert!(format.wrap(one(0xffff_fff0, 17), &TARGET).is_err());
        assert!(format.wrap(one(0x0010_0000, 17), &TARGET).is_ok());
    }
    assert!("srec".parse::<Format>().is_err());
}

#[test]
fn pieces_that_overlap_are_refused() {
    let [a, b] = [(0, 17), (16, 4)].map(|(address, count)| Piece { address, bytes: bytes(count) });
    let error = Format::Hex.wrap(vec![b, a], &TARGET).unwrap_err();
    assert_eq!(error, ContainerError::Overlap { at: 0, first: 17, next: 16 });
}

#[test]
fn a_flat_file_has_a_limit() {
    let mut pieces = one(0x0800_0000, 4);
    pieces.extend(one(0x2000_0000, 4));
    assert!(matches!(Format::Bin.wrap(pieces, &TARGET), Err(ContainerError::Span { .. })));
}
