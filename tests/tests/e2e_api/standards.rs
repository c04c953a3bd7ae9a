//! What any gRPC client expects: health, and reflection in both versions.

use runbook_tests::e2e::Project;
use runbook_tests::e2e::server::Server;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::NOTHING;

const SERVICES: [&str; 4] =
    ["runbook.v1.ApprovalService", "runbook.v1.RunService", "runbook.v1.RunbookService", "runbook.v1.SystemService"];

#[test]
fn health_answers_for_the_daemon_and_each_service() {
    let project = Project::with("a", NOTHING);
    let (_server, client) = Server::start(&project);
    let check = |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        client.block_on(HealthClient::new(client.channel()).check(request)).map(|answer| answer.into_inner().status())
    };
    for service in SERVICES.iter().chain([&""]) {
        assert_eq!(check(service).unwrap(), ServingStatus::Serving, "{service:?}");
    }
    assert_eq!(check("runbook.v1.Nothing").unwrap_err().code(), Code::NotFound);
}

/// The same test for a version of reflection.
macro_rules! reflection {
    ($test:ident, $version:ident) => {
        #[test]
        fn $test() {
            use tonic_reflection::pb::$version::ServerReflectionRequest;
            use tonic_reflection::pb::$version::server_reflection_client::ServerReflectionClient;
            use tonic_reflection::pb::$version::server_reflection_request::MessageRequest;
            use tonic_reflection::pb::$version::server_reflection_response::MessageResponse;

            let project = Project::with("a", NOTHING);
            let (_server, client) = Server::start(&project);
            let ask = |request: MessageRequest| {
                let request = ServerReflectionRequest { host: String::new(), message_request: Some(request) };
                client.block_on(async {
                    let stream = tokio_stream::once(request);
                    let mut reflection = ServerReflectionClient::new(client.channel());
                    let mut answers = reflection.server_reflection_info(stream).await.unwrap().into_inner();
                    answers.message().await.unwrap().unwrap().message_response.unwrap()
                })
            };
            let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())) else {
                panic!("no list of services");
            };
            let names: Vec<&str> = list.service.iter().map(|service| service.name.as_str()).collect();
            for service in SERVICES {
                assert!(names.contains(&service), "{service}: {names:?}");
            }
            let symbol = MessageRequest::FileContainingSymbol("runbook.v1.RunService".into());
            let MessageResponse::FileDescriptorResponse(files) = ask(symbol) else { panic!("no descriptors") };
            assert!(!files.file_descriptor_proto.is_empty());
        }
    };
}

reflection!(reflection_v1_answers, v1);
reflection!(reflection_v1alpha_answers, v1alpha);
