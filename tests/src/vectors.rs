//! Published operator test data as cases: `../shared/data/ops/cmsis_nn`.
//!
//! Every folder there becomes [`Vector`]s: a case that runs, or the reason why it does not. Nothing is left out in
//! silence; the test prints the whole table and holds it against a snapshot.

mod build;
mod folder;
mod network;
mod products;
mod streams;

pub use folder::Folder;

use crate::cases::Case;
use crate::shared;
use std::path::{Path, PathBuf};

/// What becomes of one result of a test folder.
#[derive(Debug)]
pub enum Vector {
    /// It runs.
    Case(Case),
    /// It does not, for this reason.
    Skipped {
        /// Name of the folder, and of the result if the folder has several.
        name: String,
        reason: &'static str,
    },
}

/// The folder of the test data, or `None` after saying that `test` is skipped.
pub fn cmsis_nn(test: &str) -> Option<PathBuf> {
    shared::dir(test, "ops/cmsis_nn")
}

/// All vectors of the test data, in order of their names.
pub fn all(root: &Path) -> Vec<Vector> {
    let entries = std::fs::read_dir(root).unwrap_or_else(|error| panic!("{}: {error}", root.display()));
    let mut folders: Vec<PathBuf> =
        entries.map(|entry| entry.expect("a readable folder").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders.iter().flat_map(|path| of(&Folder::open(path))).collect()
}

const INT16_OUTPUT: &str = "int16 output (its arithmetic is checked by itself)";
const NO_OPERATION: &str = "operation is not in core yet";

/// The vectors of one folder.
fn of(folder: &Folder) -> Vec<Vector> {
    let skipped = |reason| vec![Vector::Skipped { name: folder.name.clone(), reason }];
    let name = folder.name.as_str();
    let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    let case = |case| vec![Vector::Case(case)];
    if is(&["lstm"]) {
        return match (folder.has_type("f4"), folder.has_type("i2")) {
            (true, _) => case(streams::lstm_f32(folder)),
            (_, wide) => case(streams::lstm_int(folder, wide)),
        };
    }
    if is(&["svdf"]) {
        let float = folder.has_type("f4");
        return if float {
            skipped("limits what enters the state, which TFLite does not")
        } else {
            case(streams::svdf(folder))
        };
    }
    if is(&["batch_matmul"]) {
        return case(products::matmul(folder));
    }
    if is(&["transpose_conv", "reverse_transpose_conv"]) {
        return case(build::transpose_conv(folder));
    }
    if is(&["transpose"]) {
        let known = folder.config.get("IN_DIM").is_none();
        return if known { case(build::transpose(folder)) } else { skipped("its shape is not among the data") };
    }
    if is(&["maximum", "minimum", "mul"]) || name == "add_s16" {
        return case(build::binary(folder));
    }
    if is(&["pad_"]) {
        return case(build::pad(folder));
    }
    if is(&["concat"]) {
        return case(build::concat(folder));
    }
    let operation =
        if is(&["bn_"]) { Err("batch normalisation as an operation (it is folded into weights)") } else { Ok(()) };
    if let Err(reason) = operation {
        return skipped(reason);
    }
    if name == "softmax_s8_s16" {
        return skipped(INT16_OUTPUT);
    }
    if name == "ds_cnn_s" {
        return vec![Vector::Case(network::ds_cnn_s(folder))];
    }
    let cases = if is(&["activation"]) {
        return build::activations(folder);
    } else if is(&["softmax"]) {
        build::softmax(folder)
    } else if is(&["add"]) {
        build::add(folder)
    } else if is(&["avgpool", "maxpool"]) {
        build::pool(folder, is(&["max"]))
    } else if is(&["fully_connected", "fc_"]) {
        build::dense(folder)
    } else if folder.config.contains_key("CH_MULT") {
        build::depthwise_conv2d(folder)
    } else if folder.config.contains_key("DILATION_X") || folder.config.contains_key("DILATION_W") {
        build::conv2d(folder)
    } else {
        return skipped(NO_OPERATION);
    };
    vec![Vector::Case(cases)]
}
