//! Tells the linker that esp-hal knows the chip's memory.

fn main() {
    println!("cargo:rustc-link-arg-bins=-Tlinkall.x");
}
