//! Links the shim statically where the C library allows it: it starts in two thirds of the time, shares nothing with an
//! upgraded system, and a copy of it runs for months. Where there is no static C library it is linked as usual.

use std::env;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What a static program is linked from, besides the code itself.
const NEEDED: [&str; 4] = ["libc.a", "libm.a", "libgcc_eh.a", "crt1.o"];

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let of = |name: &str| env::var(name).unwrap_or_default();
    let native = of("HOST") == of("TARGET");
    if !native || of("CARGO_CFG_TARGET_OS") != "linux" || of("CARGO_CFG_TARGET_ENV") != "gnu" {
        return;
    }
    let Some(found) = NEEDED.into_iter().map(where_is).collect::<Option<Vec<PathBuf>>>() else { return };
    let out = PathBuf::from(of("OUT_DIR"));
    if stand_ins(&out, &found).is_ok() {
        println!("cargo::rustc-link-arg-bin=runbook-shim=-L{}", out.display());
        println!("cargo::rustc-link-arg-bin=runbook-shim=-static");
        // Each relocated page would be a page of its own in every one of a hundred shims.
        println!("cargo::rustc-link-arg-bin=runbook-shim=-no-pie");
    }
}

/// Writes linker scripts under the names that the standard library asks for; they lead to the static libraries.
fn stand_ins(out: &Path, found: &[PathBuf]) -> io::Result<()> {
    let group =
        found.iter().filter(|path| path.extension().is_some_and(|e| e == "a")).map(|path| path.display().to_string());
    let script = format!("GROUP({})\n", group.collect::<Vec<_>>().join(" "));
    for name in ["libc.a", "libm.a", "libgcc_s.a"] {
        fs::write(out.join(name), &script)?;
    }
    Ok(())
}

/// Where the C compiler, which links, finds this file.
fn where_is(file: &str) -> Option<PathBuf> {
    let answer = Command::new("cc").arg(format!("-print-file-name={file}")).output().ok()?;
    let path = PathBuf::from(String::from_utf8(answer.stdout).ok()?.trim_end());
    // What it does not know it repeats.
    path.is_absolute().then_some(path)
}
