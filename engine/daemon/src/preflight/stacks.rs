//! Whether a stack of terraform is initialised, read from its files as terraform leaves them. Starts no program, and takes for
//! initialised what it cannot tell.

use std::fs;
use std::path::Path;

/// How much of the files of a stack is read, in bytes.
const BYTES: u64 = 4 << 20;
/// Files of a stack that are looked at.
const FILES: usize = 1_000;

/// Why a stack is not initialised, if it is not. A folder that is not there may be made on the way.
pub(super) fn fault(folder: &Path, data: Option<&str>) -> Option<String> {
    let data = folder.join(data.unwrap_or(".terraform"));
    let mut wants = Wants::default();
    let mut left = BYTES;
    for entry in fs::read_dir(folder).ok()?.flatten().take(FILES) {
        let path = entry.path();
        let written = path.extension().is_some_and(|extension| extension == "tf" || extension == "tofu");
        let length = entry.metadata().map_or(u64::MAX, |meta| meta.len());
        if written && length <= left {
            left -= length;
            fs::read_to_string(&path).unwrap_or_default().lines().for_each(|line| wants.line(line));
        }
    }
    if wants.modules && !data.join("modules/modules.json").exists() {
        return Some("its modules are not there".to_owned());
    }
    if wants.backend && !data.join("terraform.tfstate").exists() {
        return Some("its backend was not set up".to_owned());
    }
    let lock = fs::read_to_string(folder.join(".terraform.lock.hcl")).unwrap_or_default();
    if wants.providers && lock.is_empty() {
        return Some("no provider was chosen".to_owned());
    }
    let locked = lock.lines().filter_map(|line| line.strip_prefix("provider \"")?.split('"').next());
    let mut missing = locked.filter(|provider| !data.join("providers").join(provider).exists());
    missing.next().map(|provider| format!("the provider {provider} is not there"))
}

/// What the text of a stack wants.
#[derive(Debug, Default)]
struct Wants {
    modules: bool,
    backend: bool,
    providers: bool,
}

impl Wants {
    fn line(&mut self, line: &str) {
        let line = line.trim();
        let begins = |word: &str| line.strip_prefix(word).is_some_and(|rest| rest.starts_with([' ', '{', '"']));
        self.modules |= begins("module");
        self.backend |= begins("backend") || begins("cloud");
        self.providers |= begins("required_providers");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_initialised_when_its_files_say_so() {
        let folder = tempfile::tempdir().unwrap();
        let file = |path: &str, text: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let fault = || super::fault(folder.path(), None);
        assert_eq!(super::fault(&folder.path().join("gone"), None), None);
        file("main.tf", "resource \"terraform_data\" \"a\" {\n}\n# module \"a\" is none\n");
        assert_eq!(fault(), None, "what is built in needs nothing");
        file("modules.tf", "module \"net\" {\n  source = \"./net\"\n}\n");
        assert_eq!(fault().as_deref(), Some("its modules are not there"));
        file(".terraform/modules/modules.json", "{}");
        file("backend.tf", "terraform {\n  backend \"s3\" {}\n  required_providers {\n  }\n}\n");
        assert_eq!(fault().as_deref(), Some("its backend was not set up"));
        file(".terraform/terraform.tfstate", "{}");
        assert_eq!(fault().as_deref(), Some("no provider was chosen"));
        file(".terraform.lock.hcl", "provider \"registry.terraform.io/hashicorp/aws\" {\n}\n");
        assert_eq!(fault().as_deref(), Some("the provider registry.terraform.io/hashicorp/aws is not there"));
        file(".terraform/providers/registry.terraform.io/hashicorp/aws/5.0.0/x", "");
        assert_eq!(fault(), None);
        assert_eq!(super::fault(folder.path(), Some("elsewhere")).as_deref(), Some("its modules are not there"));
        fs::rename(folder.path().join(".terraform"), folder.path().join("elsewhere")).unwrap();
        assert_eq!(super::fault(folder.path(), Some("elsewhere")), None);
    }
}
