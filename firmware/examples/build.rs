//! Where the linker finds the chip's memory, as in any program on `cortex-m-rt`.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=stm32f405.x");
    println!("cargo:rerun-if-changed=microbit.x");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let is_m0 = env::var("TARGET").is_ok_and(|target| target == "thumbv6m-none-eabi");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    fs::copy(if is_m0 { "microbit.x" } else { "stm32f405.x" }, out.join("memory.x")).expect("copying memory.x");
    if is_m0 {
        println!("cargo:rustc-cfg=armv6m");
        // Names of interrupt handlers, which a HAL brings.
        fs::write(out.join("device.x"), "").expect("writing device.x");
    }
    println!("cargo:rustc-link-search={}", out.display());
    println!("cargo:rustc-link-arg-bins=--nmagic");
    println!("cargo:rustc-link-arg-bins=-Tlink.x");
}
