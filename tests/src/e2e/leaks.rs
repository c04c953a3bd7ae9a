//! Whether a secret lies in a folder, in whatever form: plain, as base64, as hex, as in URLs, as in JSON. Never knows where it came from.

use std::path::Path;

use runbook_shim::redact::Redactor;

/// Everything below a folder that holds one of the secrets: the paths.
///
/// # Panics
/// Something cannot be read, or there is so little that nothing can have been written there.
pub fn leaks(folder: &Path, redactor: &Redactor) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_path_buf()];
    let mut seen = 0;
    while let Some(path) = open.pop() {
        let meta = std::fs::symlink_metadata(&path).expect("metadata");
        if meta.is_dir() {
            open.extend(std::fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if meta.is_file() {
            seen += 1;
            let bytes = std::fs::read(&path).expect("a file");
            if redactor.is_in(&bytes) || redactor.is_in(path.as_os_str().as_encoded_bytes()) {
                found.push(path.display().to_string());
            }
        }
    }
    assert!(seen > 10, "only {seen} files");
    found
}
