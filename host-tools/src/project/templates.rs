//! The templates, and what they are filled with.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, Value, context};

use super::{Project, ProjectError, Sensor, Source};
use crate::link::{Board, Region};

macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../templates/", $path))
    };
}

/// Clocks and pins for boards with this HAL.
pub fn board(hal: Option<&str>) -> Option<&'static str> {
    Some(match hal? {
        "embassy-rp" => template!("boards/embassy-rp.rs.jinja"),
        "esp-hal" => template!("boards/esp-hal.rs.jinja"),
        "nrf52840-hal" => template!("boards/nrf52840-hal.rs.jinja"),
        "stm32f4xx-hal" => template!("boards/stm32f4xx-hal.rs.jinja"),
        "stm32h7xx-hal" => template!("boards/stm32h7xx-hal.rs.jinja"),
        _ => return None,
    })
}

fn sensor(sensor: Sensor) -> &'static str {
    match sensor {
        Sensor::Accelerometer => template!("sensors/accelerometer.rs"),
        Sensor::Adc => template!("sensors/adc.rs"),
        Sensor::Microphone => template!("sensors/microphone.rs"),
    }
}

/// What stands behind the regions of `memory.x`, for the chip's boot ROM: as in the board's own firmware.
fn boot_script(board: &Board) -> &'static str {
    match board.name.as_str() {
        "pico" => include_str!("../../../firmware/boards/pico/boot.x"),
        "pico2" => include_str!("../../../firmware/boards/pico2/boot.x"),
        _ => "",
    }
}

/// Packages and their versions, as embernet's own firmware uses them.
pub fn versions() -> impl Iterator<Item = (&'static str, &'static str)> {
    static VERSIONS: LazyLock<BTreeMap<String, String>> = LazyLock::new(|| {
        let manifest: toml::Table = include_str!("../../../Cargo.toml").parse().unwrap_or_default();
        let dependencies = manifest.get("workspace").and_then(|table| table.get("dependencies")?.as_table());
        let version = |entry: &toml::Value| Some(entry.get("version").unwrap_or(entry).as_str()?.to_owned());
        let entries = dependencies.into_iter().flatten();
        entries.filter_map(|(name, entry)| Some((name.clone(), version(entry)?))).collect()
    });
    VERSIONS.iter().map(|(name, version)| (name.as_str(), version.as_str()))
}

/// Every file that is made of a template, by its path in the project's folder.
pub fn render(project: &Project<'_>) -> Result<Vec<(&'static str, Vec<u8>)>, ProjectError> {
    let hal = project.board.hal.as_deref();
    let mut environment = Environment::new();
    // Lines that hold a condition alone leave none behind.
    let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
    environment.set_syntax(syntax.unwrap_or_default());
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let values = values(project)?;
    let fill = |template: &str| {
        let text = environment.render_str(template, values.clone());
        // Templates are tested for every board and sensor.
        text.unwrap_or_else(|error| unreachable!("{error:#}")).into_bytes()
    };
    let mut files = vec![
        ("Cargo.toml", fill(template!("project/Cargo.toml.jinja"))),
        (".cargo/config.toml", fill(template!("project/config.toml.jinja"))),
        (".gitignore", b"/target\n".to_vec()),
        ("README.md", fill(template!("project/README.md.jinja"))),
        ("src/main.rs", fill(template!("project/src/main.rs.jinja"))),
        ("src/board.rs", fill(board(hal).unwrap_or_default())),
        ("src/features.rs", template!("project/src/features.rs").into()),
        ("src/io.rs", template!("project/src/io.rs").into()),
        ("src/sensor.rs", sensor(project.sensor).into()),
    ];
    if hal == Some("esp-hal") {
        files.push(("build.rs", template!("project/build_esp.rs").into()));
    } else {
        let script = fill(template!("project/memory.x.jinja"));
        files.push(("memory.x", [script.as_slice(), boot_script(project.board).as_bytes()].concat()));
        files.push(("build.rs", template!("project/build.rs").into()));
    }
    Ok(files)
}

fn values(project: &Project<'_>) -> Result<Value, ProjectError> {
    let board = project.board;
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let core = match &project.source {
        Source::Git(url) => format!("git = {}", quoted(url)),
        Source::Checkout(folder) => {
            let found = folder.canonicalize().ok().filter(|folder| folder.join("core/Cargo.toml").is_file());
            let found = found.ok_or_else(|| ProjectError::NoCheckout(folder.clone()))?;
            format!("path = {}", quoted(&found.join("core").to_string_lossy()))
        }
    };
    let region = |region: Region| {
        context! { origin => format!("{:#010X}", region.origin), bytes => format!("{}K", region.bytes / 1024) }
    };
    let (chip, led, button) = own_firmware_facts(&board.name);
    let isa = board.isa.name();
    Ok(context! {
        name => project.name,
        board => board.name.as_str(),
        sensor => project.sensor.name(),
        features => project.sensor.features(),
        hal => board.hal.as_deref(),
        target => board.target.as_str(),
        probe => board.chip.as_deref(),
        flash => region(board.flash),
        ram => region(board.ram),
        // The token of `dsp` is `Dsp`.
        token => isa.get(..1).unwrap_or_default().to_uppercase() + isa.get(1..).unwrap_or_default(),
        // What an STM32F4 runs at without a word to its voltage regulator.
        mhz => if board.name == "nucleo-f411" { 84 } else { 168 },
        chip => chip,
        led => led,
        button => button,
        trained => project.model.is_some(),
        checkout => matches!(project.source, Source::Checkout(_)),
        core => core,
        versions => versions().collect::<BTreeMap<_, _>>(),
    })
}

/// The feature of its HAL that names the chip; what the LED and the button are called where boards share a template.
fn own_firmware_facts(board: &str) -> (&'static str, &'static str, &'static str) {
    match board {
        "netduinoplus2" => ("stm32f405", "the blue one (PA10)", "SW1 (PB11)"),
        "nucleo-f411" => ("stm32f411", "LD2 (PA5)", "B1 (PC13)"),
        "nucleo-f446" => ("stm32f446", "LD2 (PA5)", "B1 (PC13)"),
        "nucleo-h743" => ("stm32h743v", "", ""),
        "pico" => ("rp2040", "", ""),
        "pico2" => ("rp235xa", "", ""),
        _ => ("", "", ""),
    }
}
