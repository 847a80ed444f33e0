//! Writes good files for a fuzz target into a folder: `fuzz_seeds TARGET FOLDER`. `cargo xtask fuzz` runs it.

use embernet_tests::robust::seeds;
use std::path::Path;

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(target), Some(folder)) = (arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("a target and a folder are needed"));
    };
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let files = seeds::of(&target);
    for (number, bytes) in files.iter().enumerate() {
        std::fs::write(folder.join(format!("{number:04}")), bytes)?;
    }
    println!("{target}: {} files to begin with", files.len());
    Ok(())
}
