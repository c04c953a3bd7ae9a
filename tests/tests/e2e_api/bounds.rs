//! Garbage on the socket, requests above the limit, bombs: a clear refusal in bounded time and memory.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use runbook_proto::v1::{CheckRunbookRequest, CheckedFile, SourceFile, StartRunRequest};
use runbook_tests::e2e::server::{Client, Cpu, Server, rss_kib};
use runbook_tests::e2e::{Project, wait_for};
use tonic::{Code, Status};

use crate::{NOTHING, refused};

/// How long a hopeless text may take: far more than it does, far less than for ever.
const SOON: Duration = Duration::from_secs(20);

fn check(client: &Client, source: Vec<u8>) -> Result<CheckedFile, Status> {
    let request = CheckRunbookRequest { files: vec![SourceFile { file: "x.yaml".into(), source }] };
    let response = client.block_on(client.runbooks().check_runbook(request))?.into_inner();
    Ok(response.files.into_iter().next().unwrap())
}

#[test]
fn garbage_harms_nobody() {
    let project = Project::with("a", NOTHING);
    let (server, client) = Server::start(&project);
    let socket = project.path(".runbook/runbookd.sock");
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let noise: Vec<u8> = (0..65_536_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let begun: Vec<u8> = [&preface[..], &[0, 0xff, 0xff, 1, 5, 0, 0, 0, 1]].concat();
    let framed: Vec<u8> = [&preface[..], &noise].concat();
    let cases: [&[u8]; 6] = [&noise, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"\0", &preface[..10], &begun, &framed];
    let mut kept = Vec::new();
    for bytes in cases.iter().cycle().take(60) {
        let mut stream = UnixStream::connect(&socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(5))).unwrap();
        // It may be closed on us in the middle.
        let _ = stream.write_all(bytes);
        let _ = stream.read(&mut [0; 1_024]);
        kept.push(stream);
    }
    let run = client.exec("a");
    client.over(&run.name);
    drop(kept);
    let descriptors = || std::fs::read_dir(format!("/proc/{}/fd", server.pid())).unwrap().count();
    wait_for("the connections to be let go", || (descriptors() < 60).then_some(()));
    assert_eq!(client.info().unwrap().pid, server.pid());
}

#[test]
fn more_connections_than_there_is_room_for_wait_and_cost_nothing() {
    const MANY: usize = 600;
    let project = Project::with("a", NOTHING);
    // Fewer descriptors than connections: they must not be what attempts lack.
    let mut server = Server::spawn(&project, |command| {
        let program = command.get_program().to_owned();
        let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
        let variables: Vec<_> = command.get_envs().map(|(name, _)| name.to_owned()).collect();
        let mut limited = Command::new("sh");
        limited.args(["-c", "ulimit -n 100; exec \"$0\" \"$@\""]).arg(program).args(arguments);
        for name in variables {
            limited.env_remove(name);
        }
        limited.stdin(Stdio::null()).stdout(Stdio::null()).stderr(std::fs::File::create(project.path("log")).unwrap());
        *command = limited;
    });
    let client = server.ready();
    let socket = project.path(".runbook/runbookd.sock");
    let flood: Vec<UnixStream> = (0..MANY).map(|_| UnixStream::connect(&socket).unwrap()).collect();
    let log = || project.read("log").unwrap_or_default();
    wait_for("the limit to be met", || log().contains("no connection can be taken").then_some(()));
    // Who is connected is served.
    assert_eq!(client.info().unwrap().pid, server.pid());
    let before = Cpu::of(server.pid());
    let begin = Instant::now();
    wait_for("a second to pass", || (begin.elapsed() > Duration::from_secs(1)).then_some(()));
    let used = Cpu::of(server.pid()).since(&before);
    assert!(used < Duration::from_millis(100), "{used:?} of processor time to refuse connections");
    assert_eq!(log().matches("no connection can be taken").count(), 1, "{}", log());
    drop(flood);
    let other = wait_for("room", || Client::connect(&socket).filter(|client| client.info().is_ok()));
    other.over(&other.exec("a").name);
    let warnings = client.info().unwrap().warnings.join("\n");
    assert!(warnings.contains("max_attempts 64") && warnings.contains("LimitNOFILE"), "{warnings}");
}

#[test]
fn a_request_above_the_limit_is_refused() {
    let project = Project::with("a", NOTHING);
    let (server, client) = Server::start(&project);
    // 10 MB is a request, and no runbook.
    let findings = check(&client, vec![b'#'; 10_000_000]).unwrap().findings;
    assert_eq!(findings[0].code, "file-too-large");
    let before = rss_kib(server.pid());
    for _ in 0..3 {
        let large = check(&client, vec![b'#'; 50_000_000]);
        let message = large.as_ref().expect_err("50 MB").message();
        assert!(message.contains("16777216") && message.contains("50000"), "{message}");
        refused(large, Code::InvalidArgument, "REQUEST_TOO_LARGE");
    }
    let grown = rss_kib(server.pid()).saturating_sub(before);
    assert!(grown < 64 << 10, "{grown} KiB more");
    let start = StartRunRequest { source: vec![b'#'; 50_000_000], ..Default::default() };
    refused(client.start(start), Code::InvalidArgument, "REQUEST_TOO_LARGE");
    client.over(&client.exec("a").name);
}

#[test]
fn hopeless_texts_are_refused_soon() {
    let project = Project::with("a", NOTHING);
    let (server, client) = Server::start(&project);
    let bomb: String = (1..9).fold("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n".to_owned(), |text, n| {
        let all = format!("*a{},", n - 1).repeat(10);
        text + &format!("a{n}: &a{n} [{all}]\n")
    });
    let cycle: String =
        (0..10_000).map(|n| format!("  s{n}: {{needs: [s{}], effect: read, argv: [x]}}\n", (n + 1) % 10_000)).collect();
    let many: String = (0..60_000).map(|n| format!("  s{n}: {{effect: read, argv: [x]}}\n")).collect();
    let head = "name: x\nlanguage: 1\n";
    let cases: [(&str, Vec<u8>, &str); 8] = [
        ("not UTF-8", b"name: \xff\xfe".to_vec(), "not-utf8"),
        ("nothing", Vec::new(), "empty-document"),
        ("no YAML", b"name: [".to_vec(), "invalid-yaml"),
        ("10,000 deep", "[".repeat(10_000).into_bytes(), "nested-too-deep"),
        ("an anchor bomb", (head.to_owned() + &bomb).into_bytes(), "too-many-nodes"),
        ("a cycle of 10,000", format!("{head}steps:\n{cycle}").into_bytes(), "cycle"),
        ("60,000 steps", format!("{head}steps:\n{many}").into_bytes(), "over-limit"),
        (
            "an id with a slash",
            format!("{head}steps:\n  a/b: {{effect: read, argv: [x]}}\n").into_bytes(),
            "invalid-id",
        ),
    ];
    let before = rss_kib(server.pid());
    for (what, source, code) in cases {
        let begin = Instant::now();
        let response = check(&client, source.clone()).unwrap();
        let codes: Vec<&str> = response.findings.iter().map(|finding| finding.code.as_str()).collect();
        assert!(codes.contains(&code), "{what}: {codes:?}");
        assert!(response.runbook.is_none() && codes.len() <= 200, "{what}");
        // Checking the large ones twice would only take time.
        if source.len() < 100_000 {
            let request =
                StartRunRequest { source, source_file: "x.yaml".into(), runbook: String::new(), ..Default::default() };
            assert!(client.start(request).is_err_and(|status| status.code() == Code::InvalidArgument), "{what}");
        }
        println!("{what}: {:?}", begin.elapsed());
        assert!(begin.elapsed() < SOON, "{what}: {:?}", begin.elapsed());
    }
    let grown = rss_kib(server.pid()).saturating_sub(before);
    println!("{grown} KiB more");
    assert!(grown < 400 << 10, "{grown} KiB");
    // Nothing of it is kept, and nobody was held up.
    let kept = std::fs::read_dir(project.path(".runbook/definitions")).map_or(0, Iterator::count);
    assert_eq!(kept, 0);
    client.over(&client.exec("a").name);
}
