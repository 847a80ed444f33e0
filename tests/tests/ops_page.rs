//! `docs/ops.md` says what is; `cargo xtask docs` writes it anew.

use embernet_tests::{ops_page, shared};

#[test]
fn every_operation_has_an_example() {
    let missing = ops_page::missing();
    assert!(missing.is_empty(), "tests/src/ops_page/examples.rs lacks {missing:?}");
}

#[test]
fn the_page_of_operations_is_up_to_date() {
    let Some(page) = ops_page::page() else { return };
    let path = shared::root().join("docs/ops.md");
    if std::env::var_os("EMBERNET_WRITE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("docs/ops.md can be written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == page, "docs/ops.md is not what the code does any more: run `cargo xtask docs`");
}
