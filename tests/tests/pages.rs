//! Pages and tables that are made from the code are what the code says; `cargo xtask docs` writes them anew.

use embernet_tests::{costs, ops_page, shared};
use std::fs;

#[test]
fn every_operation_has_an_example() {
    let missing = ops_page::missing();
    assert!(missing.is_empty(), "tests/src/ops_page/examples.rs lacks {missing:?}");
}

#[test]
fn the_page_of_operations_is_up_to_date() {
    let Some(page) = ops_page::page() else { return };
    is_up_to_date("docs/ops.md", |_| page);
}

#[test]
fn tables_of_costs_show_what_was_saved() {
    let read = |path: &str| fs::read_to_string(shared::root().join(path)).expect(path);
    let (ours, peers) = (read("firmware/instructions.toml"), read("host-tools/examples/mcu/peers.toml"));
    let figures = costs::Figures::parse(&ours, &peers).expect("the saved figures");
    for (path, tables) in costs::PAGES {
        is_up_to_date(path, |page| figures.refresh(page, tables).expect(path));
    }
}

/// Compares a file with what `make` makes of it; writes it first where the developer asks for that.
fn is_up_to_date(path: &str, make: impl FnOnce(&str) -> String) {
    let file = shared::root().join(path);
    let found = fs::read_to_string(&file).unwrap_or_default();
    let page = make(&found);
    if std::env::var_os("EMBERNET_WRITE_DOCS").is_some() {
        fs::write(&file, &page).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    assert!(found == page, "{path} is not what the code does any more: run `cargo xtask docs`");
}
