//! Build script of every board crate: the board's entry in `boards.toml` becomes its linker script
//! and the constants of its `facts` module.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

fn main() {
    let manifest = Path::new(&variable("CARGO_MANIFEST_DIR")).with_file_name("boards.toml");
    println!("cargo:rerun-if-changed={}", manifest.display());
    println!("cargo:rerun-if-changed=../build.rs");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        // On a PC a board crate is an empty program, so that the whole workspace can be checked.
        return;
    }
    let package = variable("CARGO_PKG_NAME");
    let name = package.strip_prefix("embernet-board-").unwrap_or(&package);
    let text = fs::read_to_string(&manifest).unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let boards: Table = text.parse().unwrap_or_else(|error| panic!("{}: {error}", manifest.display()));
    let board = Entry { name, table: boards.get(name).and_then(Value::as_table) };

    let target = variable("TARGET");
    let expected = board.text("target");
    assert!(target == expected, "board {name} is built for {expected}, not for {target}");

    let out = PathBuf::from(variable("OUT_DIR"));
    let riscv = target.starts_with("riscv");
    let hal = board.value(&["hal"]).and_then(Value::as_str);
    let mut scripts = if hal == Some("esp-hal") {
        // It knows its chip's memory, and gives the stack all that statics leave.
        let stack_bytes = board.number(&["stack_bytes"]);
        let script = format!("_stack_floor = _stack_start - {stack_bytes:#x};\n__sheap = _stack_end;\n");
        fs::write(out.join("stack_floor.x"), script).expect("writing stack_floor.x");
        vec!["-Tlinkall.x", "-Tstack_floor.x"]
    } else {
        let mut script = memory_x(&board, riscv);
        // What the chip's boot ROM wants to see, where there is such a file.
        println!("cargo:rerun-if-changed=.");
        script.push_str(&fs::read_to_string("boot.x").unwrap_or_default());
        fs::write(out.join("memory.x"), script).expect("writing memory.x");
        if riscv { vec!["-Tmemory.x", "-Tlink.x"] } else { vec!["--nmagic", "-Tlink.x"] }
    };
    fs::write(out.join("facts.rs"), facts(&board)).expect("writing facts.rs");
    if hal.is_none() {
        // For cortex-m-rt: names of interrupt handlers, of which there are none. A HAL brings its own.
        fs::write(out.join("device.x"), "").expect("writing device.x");
    }
    println!("cargo:rustc-link-search={}", out.display());
    if env::var_os("CARGO_FEATURE_LOG").is_some() {
        scripts.push("-Tdefmt.x");
    }
    for argument in scripts {
        println!("cargo:rustc-link-arg-bins={argument}");
    }
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("cargo sets {name}"))
}

/// One board's entry.
struct Entry<'a> {
    name: &'a str,
    table: Option<&'a Table>,
}

impl Entry<'_> {
    fn value(&self, path: &[&str]) -> Option<&Value> {
        let (last, tables) = path.split_last()?;
        let table = tables.iter().try_fold(self.table?, |table, key| table.get(*key)?.as_table());
        table?.get(*last)
    }

    fn text(&self, key: &str) -> &str {
        self.value(&[key]).and_then(Value::as_str).unwrap_or_else(|| self.missing(&[key]))
    }

    fn number(&self, path: &[&str]) -> i64 {
        self.value(path).and_then(Value::as_integer).unwrap_or_else(|| self.missing(path))
    }

    fn missing(&self, path: &[&str]) -> ! {
        panic!("boards.toml: board {} has no {}", self.name, path.join("."))
    }
}

fn memory_x(board: &Entry<'_>, riscv: bool) -> String {
    let number = |path: &[&str]| board.number(path);
    let mut script = format!(
        "/* Written by build.rs from boards.toml. */\n\
         MEMORY\n{{\n  FLASH : ORIGIN = {:#x}, LENGTH = {:#x}\n  RAM : ORIGIN = {:#x}, LENGTH = {:#x}\n}}\n\
         _stack_floor = ORIGIN(RAM) + LENGTH(RAM) - {:#x};\n",
        number(&["flash", "origin"]),
        number(&["flash", "bytes"]),
        number(&["ram", "origin"]),
        number(&["ram", "bytes"]),
        number(&["stack_bytes"]),
    );
    if riscv {
        for (region, memory) in
            [("TEXT", "FLASH"), ("RODATA", "FLASH"), ("DATA", "RAM"), ("BSS", "RAM"), ("HEAP", "RAM"), ("STACK", "RAM")]
        {
            let _ = writeln!(script, "REGION_ALIAS(\"REGION_{region}\", {memory});");
        }
        // Nothing unwinds here; the runtime's own script would keep the tables for it.
        script.push_str("SECTIONS\n{\n  /DISCARD/ : { *(.eh_frame .eh_frame.* .eh_frame_hdr) }\n}\n");
    }
    script
}

/// The token of the board's core; in a program for size (`core/src/plan/carried.rs`) the one without loops of its own.
fn token(isa: &str) -> String {
    let arch = "embernet_board_support::arch";
    println!("cargo:rerun-if-env-changed=EMBERNET_OPTIMISE");
    let isa = if env::var("EMBERNET_OPTIMISE").is_ok_and(|aim| aim == "size") { "scalar" } else { isa };
    match isa {
        "scalar" => format!("pub const ISA: {arch}::Scalar = {arch}::Scalar;\n"),
        isa => {
            let (first, rest) = isa.split_at(1);
            let name = format!("{arch}::{}{rest}", first.to_uppercase());
            format!("// SAFETY: boards.toml says so.\npub const ISA: {name} = unsafe {{ {name}::new() }};\n")
        }
    }
}

fn facts(board: &Entry<'_>) -> String {
    let erase_bytes = board.number(&["slots", "erase_bytes"]);
    let head_bytes = board.value(&["slots", "head_bytes"]).and_then(Value::as_integer).unwrap_or(erase_bytes);
    let mut text = format!(
        "use embernet_board_support::Facts;\n\
         pub const ERASE_BYTES: usize = {erase_bytes};\n\
         pub const HEAD_BYTES: usize = {head_bytes};\n"
    );
    for (name, path) in [("CLOCK_HZ", &["clock_hz"][..]), ("BAUD", &["link", "uart"])] {
        if let Some(number) = board.value(path).and_then(Value::as_integer) {
            let _ = writeln!(text, "pub const {name}: u32 = {number};");
        }
    }
    if let Some(numbers) = board.value(&["link", "usb"]) {
        let _ = writeln!(text, "pub const USB: [u16; 2] = {numbers};");
    }
    text.push_str(&token(board.text("isa")));
    text.push_str(&constant(board, "BOARD", &[]));
    if board.value(&["qemu", "slots"]).is_some() {
        text.push_str(&constant(board, "EMULATED", &["qemu"]));
    }
    text
}

/// One `Facts`; its counter's rate and its slots are those of the table `within`.
fn constant(board: &Entry<'_>, constant: &str, within: &[&str]) -> String {
    let path = |rest: &[&'static str]| [within, rest].concat();
    let slots = origins_of(board, &path(&["slots", "origins"]));
    let checkpoints = match board.value(&path(&["checkpoints"])) {
        Some(_) => {
            let origins = origins_of(board, &path(&["checkpoints", "origins"]));
            format!("Some(([{origins}], {:#x}))", board.number(&path(&["checkpoints", "bytes"])))
        }
        None => "None".to_owned(),
    };
    let arena = match board.value(&["arena"]) {
        Some(_) => {
            format!("Some(({:#x}, {:#x}))", board.number(&["arena", "origin"]), board.number(&["arena", "bytes"]))
        }
        None => "None".to_owned(),
    };
    format!(
        "pub const {constant}: Facts = Facts {{\n    name: {:?},\n    tick_hz: {},\n    slots: [{slots}],\n    \
         slot_bytes: {:#x},\n    checkpoints: {checkpoints},\n    arena: {arena},\n}};\n",
        board.name,
        board.number(&path(&["tick_hz"])),
        board.number(&path(&["slots", "bytes"])),
    )
}

fn origins_of(board: &Entry<'_>, path: &[&str]) -> String {
    let origins = board.value(path).and_then(Value::as_array).unwrap_or_else(|| board.missing(path));
    let origins: Vec<String> =
        origins.iter().filter_map(Value::as_integer).map(|origin| format!("{origin:#x}")).collect();
    origins.join(", ")
}
