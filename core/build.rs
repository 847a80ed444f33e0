//! Says which Arm architecture a crate is built for: the compiler knows, but tells it only the family.

fn main() {
    // A file of every package that runs this: what is watched and missing would have cargo build anew each time.
    println!("cargo:rerun-if-changed=Cargo.toml");
    let target = std::env::var("TARGET").unwrap_or_default();
    let names = [("thumbv6m", "armv6m"), ("thumbv7m", "armv7m"), ("thumbv7em", "armv7em"), ("thumbv8m.main", "armv8m")];
    for (_, name) in names.iter().filter(|(prefix, _)| target.split('-').next() == Some(prefix)) {
        println!("cargo:rustc-cfg={name}");
    }
}
