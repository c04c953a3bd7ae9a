//! Trees of files that trip programs up, large ones, and their comparison. Knows no runs and no backups.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsStr;
use std::fs::{self, File, FileTimes, Metadata, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::fs::{FileType, Mode, RawMode, XattrFlags};

/// Names that look like options, patterns, code or ends of lines, or that are no text at all.
const NAMES: [&[u8]; 26] = [
    b"-rf",
    b"--help",
    b"-",
    b" lead",
    b"trail ",
    b"two  blanks",
    b"new\nline",
    b"\nfirst",
    b"last\n",
    b"tab\there",
    b"carriage\rreturn",
    b"escape\x1b[31m",
    b"back\\slash\\n",
    b"caf\xc3\xa9",
    b"cafe\xcc\x81",
    b"\xe2\x80\xaeright to left",
    b"\xf0\x9f\x92\xbe",
    b"no text \xff\xfe",
    b"half \xc3",
    b"*?[x]",
    b"it's \"quoted\"",
    b"$HOME`id`$(id)",
    b".hidden",
    b"#comment",
    b"=;|&<>",
    b"%s%n",
];

/// The modes that files get. Only root may read the ones that not even the owner may read.
const MODES: [RawMode; 9] = [0o644, 0o755, 0o600, 0o444, 0o400, 0o4755, 0o2750, 0o1644, 0o777];

/// Where symbolic links point: nowhere, up, out, to no text, to themselves.
const LINKS: [&[u8]; 7] = [b"nowhere", b"../..", b"/etc/passwd", b"with\nnewline", b"-dash", b"no text \xff", b"link6"];

/// Seconds since 1970, and nanoseconds, that files get.
const TIMES: [(i64, u32); 6] =
    [(0, 0), (1, 1), (-86_400, 0), (1_000_000_000, 123_456_789), (4_102_444_800, 999_999_999), (951_782_400, 5)];

/// A sparse file of the odd tree, in bytes.
const SPARSE: u64 = 24 << 20;
/// What is read at once when files are compared, in bytes.
const BLOCK: usize = 1 << 20;
/// Folders of the big tree.
const FOLDERS: usize = 200;
/// Sparse files of the big tree.
const HOLES: u64 = 4;
/// Differences that are told.
const TOLD: usize = 20;

/// Whether this process is root, who may do what others may not.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Makes a tree of odd names, types, modes, owners, times, links and holes.
pub fn odd(root: &Path) {
    fs::create_dir(root).expect("the root of the tree");
    for (index, name) in NAMES.iter().enumerate() {
        let name = OsStr::from_bytes(name);
        write(&root.join(name), name.as_bytes());
        // The same names once more, as folders, one in another.
        let folder = root.join("folders").join(name).join(OsStr::from_bytes(NAMES[NAMES.len() - 1 - index]));
        fs::create_dir_all(&folder).expect("folders");
        write(&folder.join(name), b"");
    }
    write(&root.join("x".repeat(255)), b"the longest name");
    let deep = (0..40).fold(root.join("deep"), |path, level| path.join(format!("{level:030}")));
    fs::create_dir_all(&deep).expect("folders");
    write(&deep.join("end"), b"deep");
    fs::create_dir_all(root.join("empty/empty too")).expect("folders");

    modes(root);
    for (index, target) in LINKS.iter().enumerate() {
        std::os::unix::fs::symlink(OsStr::from_bytes(target), root.join(format!("link{index}"))).expect("a link");
    }
    for (index, name) in NAMES.iter().enumerate().take(8) {
        let from = root.join(OsStr::from_bytes(name));
        fs::hard_link(&from, root.join(format!("hard{index}"))).expect("a hard link");
        fs::hard_link(&from, root.join(format!("folders/hard{index}"))).expect("a hard link");
    }
    holes(root);
    rustix::fs::mknodat(rustix::fs::CWD, root.join("fifo\n1"), FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .expect("fifo");
    drop(UnixListener::bind(root.join("socket")).expect("a socket"));
    // Not every file system has them.
    let _ = rustix::fs::setxattr(root.join(".hidden"), "user.note", b"kept", XattrFlags::empty());
    times(root);
}

fn modes(root: &Path) {
    let folder = root.join("modes");
    fs::create_dir(&folder).expect("a folder");
    let unreadable: &[RawMode] = if is_root() { &[0o000, 0o200] } else { &[] };
    for mode in MODES.iter().chain(unreadable) {
        let path = folder.join(format!("{mode:o}"));
        write(&path, format!("{mode:o}").as_bytes());
        if is_root() {
            std::os::unix::fs::chown(&path, Some(1_000 + *mode), Some(2_000)).expect("an owner");
        }
        set_mode(&path, *mode);
    }
    for mode in [0o500, 0o1777, 0o2755, 0o700] {
        let path = folder.join(format!("folder {mode:o}"));
        fs::create_dir(&path).expect("a folder");
        write(&path.join("inside"), b"inside");
        set_mode(&path, mode);
    }
}

fn holes(root: &Path) {
    let mut sparse = File::create(root.join("sparse")).expect("a file");
    sparse.set_len(SPARSE).expect("a hole");
    sparse.seek(SeekFrom::Start(SPARSE / 3)).expect("a place");
    sparse.write_all(b"in the middle").expect("bytes");
    sparse.seek(SeekFrom::End(-3)).expect("a place");
    sparse.write_all(b"end").expect("bytes");
    File::create(root.join("all hole")).expect("a file").set_len(SPARSE).expect("a hole");
}

/// Gives files and folders times, the innermost first.
fn times(root: &Path) {
    let mut paths: Vec<PathBuf> = walk(root).into_keys().map(|path| root.join(path)).collect();
    paths.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
    for (index, path) in paths.iter().enumerate() {
        let kind = fs::symlink_metadata(path).expect("a path").file_type();
        let openable = kind.is_dir() || (kind.is_file() && (is_root() || File::open(path).is_ok()));
        if openable {
            let (seconds, nanos) = TIMES[index % TIMES.len()];
            File::open(path)
                .and_then(|file| file.set_times(FileTimes::new().set_modified(time(seconds, nanos))))
                .expect("times");
        }
    }
}

fn time(seconds: i64, nanos: u32) -> SystemTime {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 { UNIX_EPOCH - whole } else { UNIX_EPOCH + whole };
    time + Duration::from_nanos(nanos.into())
}

/// Makes a tree of so many files, about so many bytes of data in them, and so many bytes as the sum of their sizes: what
/// is more than the data is holes.
pub fn big(root: &Path, files: usize, data: u64, apparent: u64) {
    let mut seed = 0x9E37_79B9_7F4A_7C15_u64;
    let noise: Vec<u8> = (0..BLOCK / 8)
        .flat_map(|_| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed.to_le_bytes()
        })
        .collect();
    let each = data / files as u64;
    let mut written = 0;
    for index in 0..files - HOLES as usize {
        let folder = root.join(format!("{:03}", index % FOLDERS));
        if index < FOLDERS {
            fs::create_dir_all(&folder).expect("folders");
        }
        // From nothing to twice the mean.
        let length = each * (index as u64 % 9) / 4;
        let mut file = File::create(folder.join(format!("file {index}"))).expect("a file");
        written += length;
        let mut left = usize::try_from(length).expect("a length");
        while left > 0 {
            let from = index * 31 % (BLOCK / 2);
            let part = left.min(BLOCK / 2);
            file.write_all(&noise[from..from + part]).expect("bytes");
            left -= part;
        }
    }
    for index in 0..HOLES {
        let mut file = File::create(root.join(format!("sparse {index}"))).expect("a file");
        let length = apparent.saturating_sub(written).div_ceil(HOLES);
        file.set_len(length).expect("a hole");
        file.seek(SeekFrom::Start(length / 2)).expect("a place");
        file.write_all(b"in the middle").expect("bytes");
    }
}

/// How many files a tree has, what their sizes are together, and what they take on the disk, in bytes.
pub fn size(root: &Path) -> (usize, u64, u64) {
    let facts = walk(root);
    let files = facts.values().filter(|facts| facts.data.is_file());
    files.fold((0, 0, 0), |(count, apparent, disk), file| {
        (count + 1, apparent + file.data.len(), disk + file.data.blocks() * 512)
    })
}

/// Copies a tree with everything that it has.
pub fn copy(from: &Path, to: &Path) {
    let copied = Command::new("cp").args(["-a", "-T", "--"]).args([from, to]).status().expect("cp runs");
    assert!(copied.success(), "cp -a {from:?} {to:?}");
}

/// Removes a tree, also one with folders that their owner may not write.
pub fn remove(root: &Path) {
    let made = Command::new("chmod").args(["-R", "u+rwX", "--"]).arg(root).status().expect("chmod runs");
    assert!(made.success(), "chmod -R {root:?}");
    fs::remove_dir_all(root).expect("the tree can be removed");
}

/// The content of every file of a small tree, by its path; folders and links have none.
///
/// # Errors
/// It cannot be read, or changes meanwhile.
pub fn content(root: &Path) -> io::Result<BTreeMap<PathBuf, Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder))? {
            let entry = entry?;
            let path = folder.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else {
                found.insert(path, fs::read(entry.path())?);
            }
        }
    }
    Ok(found)
}

/// What is known of a path without its content.
struct Facts {
    data: Metadata,
    target: Option<PathBuf>,
    /// The first path with the same inode, where there are several.
    same_as: Option<PathBuf>,
    attributes: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// All paths below a folder, and itself, relative to it. Sockets, fifos and devices are left out.
fn walk(root: &Path) -> BTreeMap<PathBuf, Facts> {
    let mut found = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    found.insert(PathBuf::new(), facts(root));
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root.join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let kind = entry.file_type().expect("a type");
            let path = folder.join(entry.file_name());
            if kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device() {
                continue;
            }
            if kind.is_dir() {
                folders.push(path.clone());
            }
            found.insert(path, facts(&entry.path()));
        }
    }
    let mut first: HashMap<(u64, u64), PathBuf> = HashMap::new();
    for (path, facts) in &mut found {
        if facts.data.is_file() && facts.data.nlink() > 1 {
            let first = first.entry((facts.data.dev(), facts.data.ino())).or_insert_with(|| path.clone());
            facts.same_as = Some(first.clone());
        }
    }
    found
}

fn facts(path: &Path) -> Facts {
    let data = fs::symlink_metadata(path).expect("a path");
    let target = data.is_symlink().then(|| fs::read_link(path).expect("a link"));
    let attributes = if data.is_symlink() { BTreeMap::new() } else { attributes(path) };
    Facts { data, target, same_as: None, attributes }
}

/// Extended attributes; none where the file system has none.
fn attributes(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; 4096];
    let Ok(length) = rustix::fs::listxattr(path, &mut names) else { return BTreeMap::new() };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    names
        .map(|name| {
            let mut value = vec![0; 4096];
            let length = rustix::fs::getxattr(path, OsStr::from_bytes(name), &mut value).expect("an attribute");
            (name.to_vec(), value[..length].to_vec())
        })
        .collect()
}

/// What differs between two trees, in words: paths, types, modes, owners, sizes, times, links, attributes, content, and
/// holes that are filled now.
pub fn differences(was: &Path, is: &Path) -> Vec<String> {
    let (before, mut after) = (walk(was), walk(is));
    let mut told = Vec::new();
    for (path, old) in &before {
        match after.remove(path) {
            None => told.push(format!("{path:?} is missing")),
            Some(new) => {
                let differs = differs(old, &new, || same_content(&was.join(path), &is.join(path)));
                if !differs.is_empty() {
                    told.push(format!("{path:?} differs in {differs:?}"));
                }
            }
        }
    }
    told.extend(after.into_keys().map(|path| format!("{path:?} was not there")));
    let more = told.len().saturating_sub(TOLD);
    told.truncate(TOLD);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    told
}

fn differs(old: &Facts, new: &Facts, same_content: impl FnOnce() -> bool) -> Vec<&'static str> {
    let (was, is) = (&old.data, &new.data);
    let file = was.is_file() && is.is_file();
    let mut found = Vec::new();
    let mut tell = |differs: bool, what| {
        if differs {
            found.push(what);
        }
    };
    tell(was.file_type() != is.file_type(), "type");
    tell(was.mode() != is.mode(), "mode");
    tell((was.uid(), was.gid()) != (is.uid(), is.gid()), "owner");
    tell((was.mtime(), was.mtime_nsec()) != (is.mtime(), is.mtime_nsec()), "time");
    tell(old.target != new.target, "target");
    tell(old.same_as != new.same_as, "hard links");
    tell(old.attributes != new.attributes, "attributes");
    tell(file && was.len() != is.len(), "size");
    // A file system may round, or keep small files elsewhere.
    tell(file && is.blocks() * 512 > was.blocks() * 512 + was.len() / 8 + (64 << 10), "holes");
    tell(file && was.len() == is.len() && !same_content(), "content");
    found
}

fn same_content(one: &Path, other: &Path) -> bool {
    let mut files = [one, other].map(|path| File::open(path).expect("a file"));
    let mut blocks = [vec![0; BLOCK], vec![0; BLOCK]];
    loop {
        let mut lengths = [0; 2];
        for ((file, block), length) in files.iter_mut().zip(&mut blocks).zip(&mut lengths) {
            while *length < BLOCK {
                match file.read(&mut block[*length..]).expect("bytes") {
                    0 => break,
                    read => *length += read,
                }
            }
        }
        if lengths[0] != lengths[1] || blocks[0][..lengths[0]] != blocks[1][..lengths[1]] {
            return false;
        }
        if lengths[0] < BLOCK {
            return true;
        }
    }
}

fn write(path: &Path, bytes: &[u8]) {
    fs::write(path, bytes).unwrap_or_else(|error| panic!("{path:?}: {error}"));
}

fn set_mode(path: &Path, mode: RawMode) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{content, copy, differences, odd};

    #[test]
    fn every_kind_of_difference_is_found() {
        let folder = tempfile::tempdir().expect("a folder");
        let (was, is) = (folder.path().join("was"), folder.path().join("is"));
        odd(&was);
        copy(&was, &is);
        assert_eq!(differences(&was, &is), Vec::<String>::new(), "a copy");
        let plant = |what: &str, change: &dyn Fn()| {
            change();
            let found = differences(&was, &is);
            assert!(found.iter().any(|line| line.contains(what)), "{what}: {found:?}");
            fs::remove_dir_all(&is).expect("gone");
            copy(&was, &is);
        };
        plant("is missing", &|| fs::remove_file(is.join("-rf")).expect("gone"));
        plant("was not there", &|| fs::write(is.join("more"), "").expect("a file"));
        plant("mode", &|| super::set_mode(&is.join("#comment"), 0o640));
        plant("time", &|| fs::write(is.join("#comment"), "#comment").expect("a file"));
        plant("content", &|| fs::write(is.join("#comment"), "#commenT").expect("a file"));
        plant("size", &|| fs::write(is.join("#comment"), "#commenT2").expect("a file"));
        plant("holes", &|| {
            let bytes = fs::read(is.join("all hole")).expect("bytes");
            fs::write(is.join("all hole"), bytes).expect("a file");
        });
        plant("hard links", &|| {
            fs::remove_file(is.join("hard0")).expect("gone");
            fs::copy(is.join("-rf"), is.join("hard0")).expect("a copy");
        });
        plant("target", &|| {
            fs::remove_file(is.join("link0")).expect("gone");
            std::os::unix::fs::symlink("elsewhere", is.join("link0")).expect("a link");
        });
        plant("type", &|| {
            fs::remove_file(is.join("link0")).expect("gone");
            fs::create_dir(is.join("link0")).expect("a folder");
        });
    }

    #[test]
    fn content_is_that_of_the_files() {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("a")).expect("a folder");
        fs::write(folder.path().join("a/b"), "text").expect("a file");
        let found = content(folder.path()).expect("content");
        assert_eq!(found.into_iter().collect::<Vec<_>>(), [("a/b".into(), b"text".to_vec())]);
    }
}
