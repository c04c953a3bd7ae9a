//! What clients that are not ours send: another authority, messages of another kind, methods of another version.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use runbook_proto::v1::{DrainResponse, GetInfoResponse, ListRunsRequest};
use runbook_tests::e2e::server::{Client, Server};
use runbook_tests::e2e::{PATIENCE, Project};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;

use crate::{NOTHING, refused};

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(kind: u8, flags: u8, stream: u8, payload: &[u8]) -> Vec<u8> {
    let length = u8::try_from(payload.len()).expect("a short frame");
    [&[0, 0, length, kind, flags, 0, 0, 0, stream], payload].concat()
}

/// Texts of HPACK (RFC 7541), as they are.
fn text(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).ok().filter(|length| *length < 127).expect("a short text");
    [&[length], text.as_bytes()].concat()
}

/// A header that no table takes up: its name is the static table's, or written out.
fn header(name: Result<&[u8], &str>, value: &str) -> Vec<u8> {
    match name {
        Ok(index) => [index, &text(value)].concat(),
        Err(name) => [&[0], &text(name)[..], &text(value)].concat(),
    }
}

/// How a request was answered: the frame that the stream began with or was ended by, and what is in it.
fn ask(socket: &Path, authority: &str, path: &str, message: &[u8]) -> (u8, Vec<u8>) {
    const POST_HTTP: [u8; 2] = [0x83, 0x86];
    let headers = [
        &POST_HTTP[..],
        &header(Ok(&[0x04]), path),
        &header(Ok(&[0x01]), authority),
        &header(Ok(&[0x0f, 0x10]), "application/grpc"),
        &header(Err("te"), "trailers"),
    ]
    .concat();
    let length = u32::try_from(message.len()).expect("a short message").to_be_bytes();
    let body = [&[0], &length[..], message].concat();
    let request = [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        frame(SETTINGS, 0, 0, &[]),
        frame(HEADERS, END_HEADERS, 1, &headers),
        frame(DATA, END_STREAM, 1, &body),
    ]
    .concat();
    let mut stream = UnixStream::connect(socket).expect("a connection");
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.write_all(&request).expect("a request");
    loop {
        let mut head = [0; 9];
        stream.read_exact(&mut head).expect("a frame");
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]);
        let mut payload = vec![0; length as usize];
        stream.read_exact(&mut payload).expect("a frame");
        if head[8] == 1 && [HEADERS, RST_STREAM].contains(&head[3]) {
            return (head[3], payload);
        }
    }
}

const INFO: &str = "/runbook.v1.SystemService/GetInfo";

/// As docs/api.md says: clients that name the socket's path as authority have to be told another one.
#[test]
fn an_authority_is_a_host_and_no_path() {
    const PROTOCOL_ERROR: [u8; 4] = [0, 0, 0, 1];
    let project = Project::with("a", NOTHING);
    let (_server, _client) = Server::start(&project);
    let socket = project.path(".runbook/runbookd.sock");
    for authority in ["localhost", "runbook", "localhost:1"] {
        assert_eq!(ask(&socket, authority, INFO, b"").0, HEADERS, "{authority}");
    }
    for authority in ["%2Ftmp%2Frunbookd.sock", "/tmp/runbookd.sock"] {
        assert_eq!(ask(&socket, authority, INFO, b""), (RST_STREAM, PROTOCOL_ERROR.to_vec()), "{authority}");
    }
}

/// Sends a message of another kind than any method takes: its first field is a number, theirs are texts.
fn call(client: &Client, path: &'static str) -> Result<(), Status> {
    client.block_on(async {
        let mut grpc = tonic::client::Grpc::new(client.channel());
        grpc.ready().await.expect("a connection");
        let codec = ProstCodec::<DrainResponse, GetInfoResponse>::default();
        let request = Request::new(DrainResponse { live_attempts: 7 });
        grpc.unary(request, PathAndQuery::from_static(path), codec).await.map(drop)
    })
}

#[test]
fn what_is_no_message_of_a_method_is_refused_by_type() {
    let project = Project::with("a", NOTHING);
    let (_server, client) = Server::start(&project);
    for path in [
        "/runbook.v1.RunService/StartRun",
        "/runbook.v1.RunService/WatchRun",
        "/runbook.v1.RunbookService/GetRunbook",
        "/runbook.v1.SystemService/Drain",
    ] {
        refused(call(&client, path), Code::InvalidArgument, "MALFORMED_REQUEST");
    }
    refused(call(&client, "/runbook.v1.RunService/StopRun"), Code::Unimplemented, "NOT_IMPLEMENTED");
    assert!(!client.info().expect("an answer").draining);
    assert!(client.list(ListRunsRequest::default()).runs.is_empty());
}
