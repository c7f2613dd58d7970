#!/usr/bin/env bash
# Runs the tests of the integer kernels for 64-bit ARM on an emulator: NEON's sums must be those of plain Rust, bit for bit. The
# module alone is compiled, in a crate of its own in target/neon. It needs
#   rustup target add aarch64-unknown-linux-gnu; apt-get install qemu-user gcc-aarch64-linux-gnu libc6-dev-arm64-cross
set -euo pipefail
cd "$(dirname "$0")/.."
root=$PWD
mkdir -p target/neon/src
version() { sed -n "s/^$1 = \(.*\)/\1/p" Cargo.toml; }
cat > target/neon/Cargo.toml <<TOML
[package]
name = "neon"
version = "0.0.0"
edition = "2024"
[dependencies]
anyhow = $(version anyhow)
half = $(version half)
rayon = $(version rayon)
[dev-dependencies]
rand = $(version rand)
[workspace]
TOML
# What the module takes from its neighbours.
cat > target/neon/src/lib.rs <<RUST
#![allow(dead_code)]
mod cpu {
    fn wide<T>(f: impl FnOnce() -> T) -> T { f() }
    fn fetch<T>(_: &[T]) {}
    #[path = "$root/src/model/cpu/quantized/mod.rs"]
    mod quantized;
    mod product {
        $(sed -n '/^#\[derive(Clone, Copy)\]$/{h;d}; /^pub struct Destination/,/^}/p' src/model/cpu/product.rs | sed '1i #[derive(Clone, Copy)]')
        unsafe impl Send for Destination {}
        unsafe impl Sync for Destination {}
        $(sed -n '/^impl Destination/,/^}/p' src/model/cpu/product.rs)
    }
    #[test]
    fn the_kernel_is_there() {
        assert_eq!(quantized::instructions(), "neon-dotprod");
    }
}
RUST
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
export CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu"
cargo test --manifest-path target/neon/Cargo.toml --target aarch64-unknown-linux-gnu
