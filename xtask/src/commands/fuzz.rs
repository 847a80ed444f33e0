//! `cargo xtask fuzz`: the fuzz targets, for as long as one likes.

use crate::paths;
use crate::tools;
use anyhow::{Context, Result, bail};
use std::process::{Command, ExitCode};

#[derive(Debug, clap::Args)]
pub struct Args {
    /// The target: a file under tests/fuzz/targets, without its ending
    target: String,
    /// How long
    #[arg(long, default_value_t = 60)]
    seconds: u32,
}

/// Runs one target from good files on; what it finds lies in target/fuzz/artifacts, what it learned in
/// target/fuzz/corpus.
pub fn run(args: &Args) -> Result<ExitCode> {
    let dir = paths::root().join("tests/fuzz");
    if !dir.join("targets").join(&args.target).with_extension("rs").is_file() {
        let known = std::fs::read_dir(dir.join("targets"))?.flatten();
        let mut names: Vec<_> = known.filter_map(|e| Some(e.path().file_stem()?.to_str()?.to_owned())).collect();
        names.sort();
        bail!("no fuzz target `{}`; there are: {}", args.target, names.join(", "));
    }
    if tools::find("cargo-fuzz").is_none() {
        bail!("cargo-fuzz is missing; get it with `cargo install cargo-fuzz` (and `rustup toolchain install nightly`)");
    }
    let place = |what: &str| paths::fuzz_target().join(what).join(&args.target);
    let (seeds, corpus, artifacts) = (place("seeds"), place("corpus"), place("artifacts"));
    for dir in [&seeds, &corpus, &artifacts] {
        std::fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
    }
    let mut command = tools::cargo();
    command.args(["run", "--quiet", "--package", "embernet-tests", "--example", "fuzz_seeds", "--", &args.target]);
    if !command.arg(&seeds).status().context("cannot start cargo")?.success() {
        bail!("no files to begin with");
    }
    // cargo-fuzz needs nightly; rustup's cargo proxy picks it here and leaves the user's default alone.
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz", "run", "--fuzz-dir", ".", "--sanitizer"]);
    // What a sanitizer looks for needs `unsafe`, and the scalar token, which the targets run, has none.
    command.args(["none", "--target-dir"]).arg(paths::fuzz_target()).arg(&args.target);
    command.args([&corpus, &seeds]).arg("--").arg("-rss_limit_mb=2048").current_dir(&dir);
    command.arg(format!("-max_total_time={}", args.seconds));
    command.arg(format!("-artifact_prefix={}/", artifacts.display()));
    for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN"] {
        command.env_remove(name);
    }
    let status = command.status().context("cannot start cargo fuzz")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
