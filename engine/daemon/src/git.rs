//! The commit that the project's folder is at, read from its git repository without git. Never knows what is in a commit,
//! nor whether files differ from it: what a run is pinned to is told by its definition's hash.

use std::path::{Path, PathBuf};

use crate::files;

/// The repository is looked for in so many folders above the project.
const ABOVE: usize = 64;
/// A file of a repository that is read has at most so many bytes; larger ones count as absent. Packed references have some
/// hundred bytes each.
const FILE_BYTES: u64 = 16 << 20;

/// The commit that is checked out, as hexadecimal digits; `None` without a repository, before its first commit, and where it
/// is kept in a way that this program does not read.
pub fn commit(project: &Path) -> Option<String> {
    let folder = project.ancestors().take(ABOVE).find_map(repository)?;
    let head = read(&folder.join("HEAD"))?;
    match head.strip_prefix("ref: ") {
        None => hash(&head),
        Some(reference) => resolve(&folder, reference.trim()),
    }
}

/// The folder of the repository that a work tree belongs to: `.git`, or what a file of that name points to.
fn repository(tree: &Path) -> Option<PathBuf> {
    let git = tree.join(".git");
    if git.is_dir() {
        return Some(git);
    }
    Some(tree.join(read(&git)?.strip_prefix("gitdir: ")?.trim()))
}

/// What a reference points to, by gitrepository-layout(5): a file of its name, in the folder of the work tree or in the one
/// that all work trees share, or a line among the packed ones.
fn resolve(folder: &Path, reference: &str) -> Option<String> {
    // A name as git takes it never leads out of the repository.
    if !reference.starts_with("refs/") || reference.split('/').any(|part| part == "..") {
        return None;
    }
    let shared = read(&folder.join("commondir")).map(|path| folder.join(path.trim()));
    let folders = [Some(folder.to_owned()), shared].into_iter().flatten();
    folders.into_iter().find_map(|folder| {
        let loose = read(&folder.join(reference)).and_then(|text| hash(&text));
        loose.or_else(|| {
            let packed = read(&folder.join("packed-refs"))?;
            packed.lines().find_map(|line| hash(line.strip_suffix(reference)?.strip_suffix(' ')?))
        })
    })
}

fn read(path: &Path) -> Option<String> {
    String::from_utf8(files::read_bounded(path, FILE_BYTES).ok()?).ok()
}

/// A SHA-1 or SHA-256 in hexadecimal digits.
fn hash(text: &str) -> Option<String> {
    let text = text.trim();
    (matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_commit_is_found_wherever_git_keeps_it() {
        let root = tempfile::tempdir().unwrap();
        let project = root.path().join("ops/project");
        fs::create_dir_all(&project).unwrap();
        let git = root.path().join(".git");
        write(&git.join("HEAD"), "ref: refs/heads/main\n");
        assert_eq!(commit(&project), None, "before the first commit");
        write(
            &git.join("packed-refs"),
            &format!("# pack-refs with: peeled\n{TWO} refs/heads/main2\n{ONE} refs/heads/main\n"),
        );
        assert_eq!(commit(&project).as_deref(), Some(ONE), "packed");
        write(&git.join("refs/heads/main"), &format!("{TWO}\n"));
        assert_eq!(commit(&project).as_deref(), Some(TWO), "a loose one is newer");
        write(&git.join("HEAD"), ONE);
        assert_eq!(commit(&project).as_deref(), Some(ONE), "detached");

        // A work tree beside it, with a HEAD of its own and the references of the other.
        let tree = root.path().join("tree");
        write(&tree.join(".git"), "gitdir: ../.git/worktrees/tree\n");
        write(&git.join("worktrees/tree/HEAD"), "ref: refs/heads/main\n");
        write(&git.join("worktrees/tree/commondir"), "../..\n");
        assert_eq!(commit(&tree).as_deref(), Some(TWO));
    }

    #[test]
    fn what_is_no_commit_is_none() {
        let root = tempfile::tempdir().unwrap();
        let git = root.path().join(".git");
        for head in ["", "ref: ", "ref: refs/heads/../../x", "ref: ../x", "zzz", &ONE[1..]] {
            write(&git.join("HEAD"), head);
            write(&root.path().join("x"), ONE);
            assert_eq!(commit(root.path()), None, "{head}");
        }
    }
}
