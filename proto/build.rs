//! Compiles the protocol files without a system `protoc`.

use std::error::Error;
use std::path::PathBuf;

use prost::Message as _;

const FILES: [&str; 6] = [
    "runbook/v1/approvals.proto",
    "runbook/v1/runbooks.proto",
    "runbook/v1/runs.proto",
    "runbook/v1/schedules.proto",
    "runbook/v1/system.proto",
    "runbook/journal/v1/journal.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=runbook");
    let descriptors = protox::compile(FILES, ["."])?;
    let out = PathBuf::from(std::env::var("OUT_DIR")?);
    // The descriptors of the API alone, for reflection: the disk format is nobody's business outside.
    let api = protox::compile(&FILES[..5], ["."])?;
    std::fs::write(out.join("api-descriptors.bin"), api.encode_to_vec())?;
    tonic_prost_build::configure().compile_fds(descriptors)?;
    Ok(())
}
