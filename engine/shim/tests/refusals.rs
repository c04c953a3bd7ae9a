//! A shim that may not start its command says why with its exit code, and leaves nothing but its pid.

// A test fails by panicking, its helpers too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::fs;
use std::io::Write;
use std::process::Stdio;

use common::{Place, Shim, exited, is_root, skip};
use runbook_shim::exit::Refusal;
use runbook_shim::files::{Claim, Ending, NotStarted, StopRequest};
use runbook_shim::{fence, files, lock, paths};

/// The shim ends with this refusal, and neither claims nor runs anything.
fn refuses(place: &Place, refusal: Refusal) {
    let claim = Claim::load(&place.dir).unwrap();
    let mut shim = Shim { child: place.command(&[]).spawn().unwrap() };
    let status = shim.wait();
    assert_eq!(status.code().and_then(Refusal::from_code), Some(refusal), "{status}");
    assert_eq!(Claim::load(&place.dir).unwrap(), claim);
    assert!(!place.dir.join(paths::CHILD).exists() && place.verdict().is_none());
    assert!(!place.beside("ran").exists());
}

fn touching() -> Place {
    Place::script("touch \"$T/ran\"")
}

#[test]
fn codes_and_refusals_are_one_to_one() {
    let known: Vec<Refusal> = (0..=255).filter_map(Refusal::from_code).collect();
    assert_eq!(known.len(), 12);
    for refusal in known {
        assert_eq!(Refusal::from_code(refusal.code()), Some(refusal));
        assert!(!refusal.to_string().is_empty());
    }
    assert_eq!(Refusal::from_code(0), None);
    assert_eq!(Refusal::from_code(101), None);
}

#[test]
fn wrong_arguments_are_refused() {
    for arguments in [&[][..], &["a", "b"], &["/no/such/directory"]] {
        let status = std::process::Command::new(env!("CARGO_BIN_EXE_runbook-shim"))
            .args(arguments)
            .stderr(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.code(), Some(Refusal::Usage.code()), "{arguments:?}");
    }
}

#[test]
fn a_missing_lock_is_refused() {
    let place = touching();
    place.place();
    fs::remove_file(place.dir.join(paths::LOCK)).unwrap();
    refuses(&place, Refusal::NoLock);
}

#[test]
fn a_second_shim_is_refused_while_the_first_lives() {
    let place = Place::script("echo here > \"$T/fifo\"; read x < \"$T/go\"");
    let (mut fifo, mut go) = (place.fifo("fifo"), place.fifo("go"));
    let shim = place.start();
    fifo.line();
    assert!(lock::is_held(&place.dir).unwrap());
    let holder = lock::holder(&place.dir).unwrap().unwrap();
    assert_eq!(holder.pid, shim.child.id());
    let mut second = Shim { child: place.command(&[]).spawn().unwrap() };
    assert_eq!(second.wait().code(), Some(Refusal::LockHeld.code()));
    assert_eq!(lock::holder(&place.dir).unwrap(), Some(holder), "the second leaves no trace");
    go.go();
    assert_eq!(place.finish(shim).ending, exited(0));
}

#[test]
fn looking_at_the_lock_never_disturbs_a_shim() {
    let place = Place::new(&["true"]);
    place.place();
    let mut shim = Shim { child: place.command(&[]).spawn().unwrap() };
    while shim.child.try_wait().unwrap().is_none() {
        lock::is_held(&place.dir).unwrap();
    }
    assert_eq!(place.verdict().unwrap().ending, exited(0));
}

#[test]
fn a_spec_that_is_absent_torn_or_wrong_is_refused() {
    let place = touching();
    refuses(&place, Refusal::Spec);
    place.place();
    let whole = fs::read(place.dir.join(paths::SPEC)).unwrap();
    fs::write(place.dir.join(paths::SPEC), &whole[..whole.len() - 1]).unwrap();
    refuses(&place, Refusal::Spec);
    files::place(&place.dir, &StopRequest { reason: "canceled".to_owned(), now: false }).unwrap();
    fs::rename(place.dir.join(paths::STOP), place.dir.join(paths::SPEC)).unwrap();
    refuses(&place, Refusal::Spec);
    // The lock is free again each time, and the next shim may start.
    assert_eq!(place.run().ending, exited(0));
    assert!(place.beside("ran").exists());
}

#[test]
fn another_boot_is_refused() {
    let mut place = touching();
    place.spec.boot_id = "00000000-0000-0000-0000-000000000000".to_owned();
    place.place();
    refuses(&place, Refusal::OtherBoot);
}

#[test]
fn secrets_that_are_none_are_refused() {
    let place = touching();
    place.place();
    for bytes in
        ["{", "{\"format\":2}", "{\"format\":1,\"env\":{\"A=B\":\"x\"}}", "{\"format\":1,\"files\":{\"../x\":\"x\"}}"]
    {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes.as_bytes()).unwrap();
        let mut shim = Shim { child: place.command(&[]).stdin(file).spawn().unwrap() };
        assert_eq!(shim.wait().code(), Some(Refusal::Secrets.code()), "{bytes}");
        assert_eq!(Claim::load(&place.dir).unwrap(), None);
    }
}

#[test]
fn who_leads_a_group_already_is_refused() {
    use std::os::unix::process::CommandExt;
    let place = touching();
    place.place();
    let mut shim = Shim { child: place.command(&[]).process_group(0).spawn().unwrap() };
    let status = shim.wait();
    assert_eq!(status.code(), Some(Refusal::Setup.code()), "{status}");
}

#[test]
fn who_leads_a_group_in_a_foreign_session_is_refused() {
    if !is_root() || !["unshare", "bash"].into_iter().all(common::has_program) {
        return skip("a pid namespace needs root, unshare and bash");
    }
    let place = touching();
    place.place();
    // The session's leader is outside of the namespace, and has no number in it. Under `set -m` each command leads a group.
    let inside = ["unshare", "--pid", "--fork", "bash", "-c", "set -m; \"$@\" & wait $!", "bash"];
    let status = Shim { child: place.command(&inside).spawn().unwrap() }.wait();
    assert_eq!(status.code(), Some(Refusal::Setup.code()), "{status}");
}

#[test]
fn a_claim_of_another_shim_is_refused() {
    let place = touching();
    place.place();
    fs::write(place.dir.join(paths::CLAIM), "").unwrap();
    refuses(&place, Refusal::Claimed);
    assert!(!fence(&place.dir).unwrap(), "what a shim claimed cannot be fenced");
}

#[test]
fn a_fence_holds_for_ever() {
    let place = touching();
    place.place();
    assert!(fence(&place.dir).unwrap());
    assert_eq!(Claim::load(&place.dir).unwrap(), Some(Claim::Daemon));
    refuses(&place, Refusal::Claimed);
    assert!(fence(&place.dir).unwrap(), "a fence may be made again");
    assert!(!place.dir.join(paths::CLAIM_NEW).exists());
    assert_eq!(fence(&place.dir.join("absent")).unwrap_err().kind(), std::io::ErrorKind::NotFound);
}

#[test]
fn fence_and_shim_never_both_win() {
    for _ in 0..30 {
        let place = touching();
        let mut shim = place.start();
        let fenced = fence(&place.dir).unwrap();
        let code = shim.wait().code().unwrap();
        match fenced {
            true => assert_eq!(Refusal::from_code(code), Some(Refusal::Claimed)),
            false => assert_eq!((code, place.verdict().unwrap().ending), (0, exited(0))),
        }
        assert_eq!(place.beside("ran").exists(), !fenced);
    }
}

#[test]
fn a_stop_before_the_claim_starts_nothing() {
    let place = touching();
    let stop = StopRequest { reason: "canceled".to_owned(), now: true };
    files::place(&place.dir, &stop).unwrap();
    let verdict = place.run();
    assert_eq!(verdict.ending, Ending::NotStarted { reason: NotStarted::Canceled });
    assert_eq!((verdict.stop, verdict.pid), (Some(stop), None));
    assert!(!place.beside("ran").exists() && !place.dir.join(paths::CHILD).exists());
    assert_eq!(Claim::load(&place.dir).unwrap(), Some(Claim::Shim));
}

#[test]
fn a_torn_stop_counts_as_absent() {
    let place = touching();
    fs::write(place.dir.join(paths::STOP), "runbook-stop 1 30 0000").unwrap();
    assert_eq!(place.run().ending, exited(0));
}

#[test]
fn a_directory_that_may_not_be_written_is_refused() {
    if !is_root() || !common::has_program("setpriv") {
        return skip("a directory without permissions needs root and setpriv");
    }
    let place = touching();
    place.place();
    let user = ["setpriv", "--reuid=54321", "--regid=54321", "--clear-groups"];
    let run = |place: &Place| Shim { child: place.command(&user).spawn().unwrap() }.wait().code();
    assert_eq!(run(&place), Some(Refusal::NoLock.code()), "the lock is another user's");
    for name in [paths::LOCK, paths::SPEC] {
        std::os::unix::fs::chown(place.dir.join(name), Some(54321), None).unwrap();
    }
    assert_eq!(run(&place), Some(Refusal::NoRoom.code()), "no file can be made");
    assert_eq!(Claim::load(&place.dir).unwrap(), None);
}
