//! What a command gets, and how its end is told.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions, Permissions};
use std::os::unix::fs::PermissionsExt;

use common::{Place, errno, exited};
use runbook_shim::files::{self, Child, Ending, NotStarted, Outputs};
use runbook_shim::log::Stream;
use runbook_shim::time::now_micros;
use runbook_shim::{lock, paths};

#[test]
fn exit_codes_are_told() {
    for code in [0, 1, 3, 126, 255] {
        assert_eq!(Place::script(&format!("exit {code}")).run().ending, exited(code));
    }
}

#[test]
fn a_signal_from_elsewhere_is_told() {
    for (name, signal) in [("TERM", 15), ("KILL", 9), ("SEGV", 11)] {
        let verdict = Place::script(&format!("kill -{name} $$")).run();
        assert_eq!((verdict.ending, verdict.stop), (Ending::Signaled { signal }, None));
    }
}

#[test]
fn times_processor_and_memory_are_told() {
    let before = now_micros();
    // A grandchild works and holds memory: it counts, too.
    let place = Place::script(
        "sh -c 'x=$(head -c 20000000 /dev/zero | tr \"\\0\" x); i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done'",
    );
    let verdict = place.run();
    let after = now_micros();
    assert_eq!(verdict.ending, exited(0));
    assert!(before <= verdict.started_at && verdict.started_at <= verdict.ended_at && verdict.ended_at <= after);
    assert!(verdict.duration_micros > 0 && verdict.duration_micros <= (after - before) as u64 + 1000);
    assert!(verdict.cpu_user_micros + verdict.cpu_system_micros > 1_000, "{verdict:?}");
    assert!(verdict.max_rss_kib > 20_000 && verdict.max_rss_kib < 1_000_000, "{verdict:?}");
}

#[test]
fn a_quiet_command_leaves_only_what_it_needs() {
    let place = Place::new(&["true"]);
    let verdict = place.run();
    assert_eq!((verdict.ending, verdict.out), (exited(0), Outputs::Absent));
    let mut names: Vec<String> =
        fs::read_dir(&place.dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    assert_eq!(names, ["child", "claim", "lock", "spec", "verdict"]);
    assert_eq!(fs::read(place.dir.join(paths::CLAIM)).unwrap(), b"");
    let holder = lock::holder(&place.dir).unwrap().unwrap();
    let child: Child = files::load(&place.dir).unwrap().unwrap();
    assert_eq!(verdict.pid, Some(child.pgid));
    assert!(child.start_time >= holder.start_time);
    for name in names {
        let mode = fs::metadata(place.dir.join(&name)).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{name}");
    }
}

#[test]
fn the_environment_is_exactly_what_was_given() {
    let mut place = Place::new(&["env"]);
    place.spec.env = BTreeMap::from(
        [("PATH", "/usr/bin:/bin"), ("A", "1"), ("LINES", "x\ny")].map(|(k, v)| (k.to_owned(), v.to_owned())),
    );
    place.secrets.env = BTreeMap::from([("A".to_owned(), "2".to_owned()), ("S".to_owned(), "s3cret".to_owned())]);
    let verdict = place.run();
    assert_eq!(verdict.ending, exited(0));
    let mut lines = place.lines(Stream::Out);
    lines.sort();
    let id = format!("RUNBOOK_ATTEMPT_ID={}", place.spec.attempt_id);
    assert_eq!(lines, ["A=2", "LINES=x", "PATH=/usr/bin:/bin", &id, "S=s3cret", "y"]);
}

#[test]
fn arguments_directory_group_and_umask_are_right() {
    let mut place = Place::new(&[
        "sh",
        "-c",
        "pwd; umask; ps -o pgid= -p $$; echo $$; echo \"$0\"; printf '<%s>' \"$@\"",
        "a b",
        "",
        "*",
        "ü\n",
    ]);
    place.spec.working_dir = "/usr".to_owned();
    assert_eq!(place.run().ending, exited(0));
    let lines = place.lines(Stream::Out);
    assert_eq!(lines[..2], ["/usr", "0022"]);
    assert_eq!(lines[2].trim(), lines[3], "it leads its own process group");
    assert_eq!(lines[4..], ["a b", "<><*><ü", ">"]);
}

#[test]
fn no_signal_is_blocked_or_ignored_and_no_descriptor_is_open() {
    let place = Place::new(&[
        "sh",
        "-c",
        "grep -E '^(SigBlk|SigIgn)' /proc/self/status; ls /proc/self/fd | sort -n | tr '\\n' ' '",
    ]);
    place.place();
    // As a daemon under nohup, with a descriptor that leaked.
    let leak = OpenOptions::new().read(true).open("/").unwrap();
    rustix::io::fcntl_setfd(&leak, rustix::io::FdFlags::empty()).unwrap();
    let words = ["sh", "-c", "trap '' HUP INT QUIT PIPE CHLD USR1; exec \"$@\"", "sh"];
    let shim = common::Shim { child: place.command(&words).spawn().unwrap() };
    assert_eq!(place.finish(shim).ending, exited(0));
    let lines = place.lines(Stream::Out);
    for line in &lines[..2] {
        let signals = u64::from_str_radix(line.split('\t').next_back().unwrap(), 16).unwrap();
        // 32 and 33 are the C library's own, which nobody can change through it.
        assert_eq!(signals & 0x7fff_ffff, 0, "{line}");
    }
    // 3 is the directory that ls itself reads.
    assert_eq!(lines.last().unwrap().trim(), "0 1 2 3");
}

#[test]
fn standard_input_is_empty_or_the_given_text() {
    assert_eq!(
        Place::script("test -z \"$(cat)\" && test \"$(readlink /proc/self/fd/0)\" = /dev/null").run().ending,
        exited(0)
    );
    let mut place = Place::script("cat");
    place.spec.stdin = Some("public".to_owned());
    place.run();
    assert_eq!(place.lines(Stream::Out), ["public"]);
    let mut place = Place::script("head -c 3; wc -c");
    place.spec.stdin = Some("public".to_owned());
    place.secrets.stdin = Some("x".repeat(1_000_000));
    place.run();
    assert_eq!(place.lines(Stream::Out), ["xxx999997"]);
}

#[test]
fn files_are_written_for_their_owner_alone() {
    let mut place = Place::script(
        "cd \"$T/1.0.1/files\" && cat a sub/b sub/secret && ./run.sh && stat -c '%a %n' . a sub sub/b sub/secret run.sh",
    );
    for (name, content) in
        [("a", "A\n"), ("sub/b", "B\n"), ("run.sh", "#!/bin/sh\necho ran\n"), ("sub/secret", "not this")]
    {
        place.spec.files.insert(name.to_owned(), content.to_owned());
    }
    place.spec.executable.insert("run.sh".to_owned());
    place.secrets.files.insert("sub/secret".to_owned(), "C\n".to_owned());
    assert_eq!(place.run().ending, exited(0), "{}", place.log());
    let lines = ["A", "B", "C", "ran", "700 .", "600 a", "700 sub", "600 sub/b", "600 sub/secret", "700 run.sh"];
    assert_eq!(place.lines(Stream::Out), lines);
    assert!(place.dir.join("files").symlink_metadata().is_err(), "what was in memory is gone");
}

#[test]
fn files_with_secrets_are_on_no_disk() {
    let mut place =
        Place::script("readlink \"$T/1.0.1/files\" && cat \"$T/1.0.1/files/public\" \"$T/1.0.1/files/secret\"");
    place.spec.files.insert("public".to_owned(), "P\n".to_owned());
    place.spec.files.insert("secret".to_owned(), String::new());
    place.secrets.files.insert("secret".to_owned(), "S\n".to_owned());
    assert_eq!(place.run().ending, exited(0), "{}", place.log());
    let lines = place.lines(Stream::Out);
    assert!(lines[0].starts_with("/dev/shm/runbook-") && lines[1..] == ["P", "S"], "{lines:?}");
    assert!(!std::path::Path::new(&lines[0]).exists());
    // Nothing of it is there for files that everybody may read.
    let mut place = Place::script("test -d \"$T/1.0.1/files\" && ! test -L \"$T/1.0.1/files\"");
    place.spec.files.insert("public".to_owned(), "P\n".to_owned());
    assert_eq!(place.run().ending, exited(0), "{}", place.log());
}

#[test]
fn a_program_is_found_in_the_path_of_its_environment() {
    let mut place = Place::new(&["hello", "you"]);
    let bin = place.beside("bin");
    for (dir, mode) in [("no", 0o644), ("bin", 0o755)] {
        let dir = place.beside(dir);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("hello"), "#!/bin/sh\necho \"$0\" \"$1\"\n").unwrap();
        fs::set_permissions(dir.join("hello"), Permissions::from_mode(mode)).unwrap();
    }
    place.spec.env.insert("PATH".to_owned(), "/nowhere:no:bin:/bin".to_owned());
    let verdict = place.run();
    assert_eq!(verdict.ending, exited(0), "relative parts of PATH are below the working directory");
    assert_eq!(place.lines(Stream::Out), [format!("{} you", bin.join("hello").display())]);

    let place = Place::new(&["./bin/program"]);
    fs::create_dir(place.beside("bin")).unwrap();
    fs::copy("/bin/true", place.beside("bin/program")).unwrap();
    assert_eq!(place.run().ending, exited(0), "a relative program is below the working directory");
}

#[test]
fn a_refused_start_tells_the_errno_and_what_to_do() {
    let place = Place::new(&["no-such-program"]);
    let verdict = place.run();
    assert_eq!(errno(&verdict), libc::ENOENT);
    let Ending::NotStarted { reason: NotStarted::Errno { text, .. } } = &verdict.ending else { unreachable!() };
    assert!(text.contains("no-such-program") && text.contains("PATH"), "{text}");
    assert_eq!((verdict.pid, verdict.leftover), (None, 0));
    assert!(!place.dir.join(paths::CHILD).exists());

    assert_eq!(errno(&Place::new(&["/no/such/program"]).run()), libc::ENOENT);
    assert_eq!(errno(&Place::new(&["/etc"]).run()), libc::EACCES);

    let mut place = Place::new(&["true"]);
    place.spec.working_dir = "/no/such/directory".to_owned();
    let verdict = place.run();
    assert_eq!(errno(&verdict), libc::ENOENT);
    assert!(format!("{:?}", verdict.ending).contains("working directory"), "{verdict:?}");

    let mut place = Place::new(&["true"]);
    place.spec.env.insert("BIG".to_owned(), "x".repeat(4 << 20));
    assert_eq!(errno(&place.run()), libc::E2BIG);
}

#[test]
fn a_program_that_cannot_be_executed_tells_why() {
    let write = |content: &str, mode| {
        let place = Place::new(&["./program"]);
        fs::write(place.beside("program"), content).unwrap();
        fs::set_permissions(place.beside("program"), Permissions::from_mode(mode)).unwrap();
        place
    };
    assert_eq!(errno(&write("#!/bin/sh\n", 0o644).run()), libc::EACCES);
    let verdict = write("#!/no/such/interpreter\n", 0o755).run();
    assert_eq!(errno(&verdict), libc::ENOENT);
    assert!(format!("{:?}", verdict.ending).contains("interpreter"), "{verdict:?}");
    assert_eq!(errno(&write("echo no first line\n", 0o755).run()), libc::ENOEXEC);

    let place = write("#!/bin/sh\n", 0o755);
    let _open = OpenOptions::new().append(true).open(place.beside("program")).unwrap();
    assert_eq!(errno(&place.run()), libc::ETXTBSY);
}
