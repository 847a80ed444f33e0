use super::*;
use crate::graph::Sequential;
use crate::graph::ops::Dense;
use crate::image::{PackOptions, pack};
use crate::link::workspace;
use crate::quant::{Scheme, quantize};

fn project(board: &str, sensor: Sensor) -> Project<'static> {
    let board = Board::named(board).unwrap();
    Project { name: "wand", board, sensor, source: Source::Checkout(workspace()), model: None }
}

fn text(files: &[(&str, Vec<u8>)], name: &str) -> String {
    let (_, bytes) = files.iter().find(|(path, _)| *path == name).unwrap();
    String::from_utf8(bytes.clone()).unwrap()
}

#[test]
fn every_template_is_filled_for_every_board_and_sensor() {
    assert!(Project::boards().count() >= 8);
    for board in Project::boards() {
        for sensor in Sensor::ALL {
            let files = project(&board.name, sensor).files().unwrap();
            for (name, bytes) in &files {
                let text = String::from_utf8_lossy(bytes);
                assert!(!text.contains("{%") && !text.contains("{{ "), "{name} for {}", board.name);
            }
            let manifest: toml::Table = text(&files, "Cargo.toml").parse().unwrap();
            assert_eq!(manifest["package"]["name"].as_str(), Some("wand"));
            let core = manifest["dependencies"]["embernet-core"]["path"].as_str().unwrap();
            assert!(Path::new(core).join("Cargo.toml").is_file());
            let config: toml::Table = text(&files, ".cargo/config.toml").parse().unwrap();
            assert_eq!(config["build"]["target"].as_str(), Some(board.target.as_str()));
        }
    }
}

#[test]
fn the_untrained_model_takes_the_features_and_learns() {
    for sensor in Sensor::ALL {
        let board = Board::named("pico").unwrap();
        let bytes = crate::image::AlignedBytes::copy_of(&model::untrained(sensor.features(), board).unwrap());
        let image = Image::parse(&bytes).unwrap();
        assert_eq!(image.inputs()[0].elements as usize, sensor.features());
        assert!(image.is_trainable());
        assert!(
            text(&project("pico", sensor).files().unwrap(), "src/model.rs").contains("pub const ARENA_BYTES: usize")
        );
    }
}

#[test]
fn names_that_cargo_refuses_are_refused() {
    for name in ["", "3d", "-x", "a b", "../up", "über", "fn", "test", "cortex-m", "static_cell", &"n".repeat(65)] {
        let found = Project { name, ..project("pico", Sensor::Adc) }.files().unwrap_err();
        assert!(matches!(found, ProjectError::Name { .. }), "{name}: {found}");
    }
    for name in ["wand", "Wand_2", "a", "my-wand"] {
        assert!(Project { name, ..project("pico", Sensor::Adc) }.files().is_ok(), "{name}");
    }
}

#[test]
fn what_is_not_offered_names_what_is() {
    let message = project("m4", Sensor::Adc).files().unwrap_err().to_string();
    assert!(message.contains("no template for m4") && message.contains("netduinoplus2, nrf52840-dk"), "{message}");
}

#[test]
fn embernet_comes_from_a_checkout_or_a_repository() {
    let elsewhere = tempfile::tempdir().unwrap();
    let source = Source::Checkout(elsewhere.path().into());
    let message = Project { source, ..project("pico", Sensor::Adc) }.files().unwrap_err().to_string();
    assert!(message.contains("--checkout") && message.contains("--git"), "{message}");

    let source = Source::Git("https://example.org/\"ember\".git".into());
    let files = Project { source, ..project("pico", Sensor::Adc) }.files().unwrap();
    let manifest: toml::Table = text(&files, "Cargo.toml").parse().unwrap();
    let url = manifest["dependencies"]["embernet-core"]["git"].as_str();
    assert_eq!(url, Some("https://example.org/\"ember\".git"));
}

#[test]
fn a_folder_is_written_whole_or_not_at_all() {
    let desk = tempfile::tempdir().unwrap();
    let made = project("esp32-c3", Sensor::Adc).create(desk.path()).unwrap();
    assert!(made.join("src/main.rs").is_file() && made.join(".cargo/config.toml").is_file());
    assert!(!made.join("memory.x").exists(), "esp-hal brings its own");

    fs::write(made.join("src/main.rs"), "mine").unwrap();
    let found = project("esp32-c3", Sensor::Adc).create(desk.path()).unwrap_err();
    assert!(matches!(found, ProjectError::Exists(_)), "{found}");
    assert_eq!(fs::read_to_string(made.join("src/main.rs")).unwrap(), "mine");
    assert_eq!(fs::read_dir(desk.path()).unwrap().count(), 1, "nothing else is left there");
}

#[test]
fn a_model_for_another_core_is_refused() {
    let (dsp, rv32) = (Board::named("pico2").unwrap(), Board::named("esp32-c3").unwrap());
    let float = Sequential::new([8]).add(Dense::new(3)).build(1).unwrap();
    let graph = quantize(&float, &[0.5; 8], Scheme::Int8).unwrap().graph;
    let packed = pack(&graph, &PackOptions { isa: dsp.isa, ..PackOptions::default() }, None).unwrap();
    let image = packed.image().unwrap();
    assert!(model::check(&image, dsp).is_ok());
    let message = model::check(&image, rv32).unwrap_err().to_string();
    assert_eq!(message, "the model is packed for dsp, esp32-c3 runs rv32: pack it with --for esp32-c3");
}
