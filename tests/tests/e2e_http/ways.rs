//! How a request reaches the other side: over TLS with authorities of its own and a certificate of its own, and through a
//! proxy.

use runbook_proto::v1::{RunStatus, StepStatus};
use runbook_tests::e2e::injection::skip;
use runbook_tests::e2e::{Authority, Proxy, Reply, Tls, Web, step};
use serde_json::json;

use crate::{assert_clean, outputs, project, run};

#[test]
fn only_the_authority_that_is_named_is_trusted() {
    let web = Web::serve(|asked, _| Reply::text(200, &format!("over TLS {}", asked.path)));
    let (authority, other) = (Authority::new(), Authority::new());
    let tls = Tls::before(web.address(), &authority.signs(&["localhost"]), None);
    let elsewhere = Tls::before(web.address(), &authority.signs(&["elsewhere.test"]), None);
    let body = r#"
on_failure: continue
steps:
  good: {uses: http, with: {url: TLS/good, ca: authority.pem}}
  write: {uses: http, with: {method: POST, url: TLS/write, json: {a: 1}, ca: authority.pem}}
  system: {uses: http, with: {url: TLS/system}}
  other: {uses: http, with: {url: TLS/other, ca: other.pem}}
  name: {uses: http, with: {url: ELSEWHERE/name, ca: authority.pem}}
  none: {uses: http, with: {url: TLS/none, ca: empty.pem}}
"#;
    let project = project(&web, &body.replace("TLS", &tls.url()).replace("ELSEWHERE", &elsewhere.url()));
    project.file("authority.pem", &authority.pem());
    project.file("other.pem", &other.pem());
    project.file("empty.pem", "nothing\n");
    let (daemon, run) = run(&project);
    assert_eq!(outputs(step(&run, "good"))["body"], json!("over TLS /good"), "{run:#?}\n{}", daemon.log());
    assert_eq!(step(&run, "write").status(), StepStatus::Succeeded, "{run:#?}");
    for id in ["system", "other", "name"] {
        let step = step(&run, id);
        // A certificate that is not trusted will not be the next time either.
        assert_eq!((step.status(), step.attempts), (StepStatus::Failed, 1), "{step:#?}");
        assert!(step.message.contains("the server is not trusted: invalid peer certificate"), "{step:#?}");
        assert!(step.message.ends_with("; name its authority by `ca:`, or mend the certificate"), "{step:#?}");
    }
    let none = &step(&run, "none").message;
    assert!(none.ends_with("empty.pem holds no certificate; PEM is wanted"), "{none}");
    let paths: Vec<_> = web.asked().into_iter().map(|asked| asked.path).collect();
    assert_eq!((paths.len(), paths.contains(&"/good".to_owned())), (2, true), "{paths:?}");
}

#[test]
fn a_server_that_wants_a_certificate_gets_it_from_a_file_or_a_secret() {
    let web = Web::serve(|_, _| Reply::text(200, "known"));
    let (authority, clients, other) = (Authority::new(), Authority::new(), Authority::new());
    let tls = Tls::before(web.address(), &authority.signs(&["localhost"]), Some(&clients));
    let body = r#"
requires: {secrets: [key]}
on_failure: continue
defaults: {retry: {attempts: 2, backoff: {initial: 10ms, jitter: none}}}
steps:
  files: {uses: http, with: {method: POST, url: TLS/a, ca: ca.pem, client_cert: me.pem, client_key: me.key}}
  secret: {uses: http, with: {method: POST, url: TLS/b, ca: ca.pem, client_cert: me.pem, client_key: "${{ secrets.key }}"}}
  together: {uses: http, with: {method: POST, url: TLS/c, ca: ca.pem, client_cert: both.pem}}
  bare: {uses: http, with: {method: POST, url: TLS/d, ca: ca.pem}}
  stranger: {uses: http, with: {method: POST, url: TLS/e, ca: ca.pem, client_cert: stranger.pem}}
  keyless: {uses: http, with: {url: TLS/f, ca: ca.pem, client_cert: me.pem}}
"#;
    let project = project(&web, &body.replace("TLS", &tls.url()));
    let (me, stranger) = (clients.signs(&["me"]), other.signs(&["stranger"]));
    project.file("ca.pem", &authority.pem());
    project.file("me.pem", &me.certificate);
    project.file("me.key", &me.key);
    project.file("both.pem", &format!("{}{}", me.certificate, me.key));
    project.file("stranger.pem", &format!("{}{}", stranger.certificate, stranger.key));
    project.file("runbookd.yaml", "secrets: {key: {file: key, multiline: true}}\n");
    project.private("key", &me.key);
    let (daemon, run) = run(&project);
    for id in ["files", "secret", "together"] {
        assert_eq!(step(&run, id).status(), StepStatus::Succeeded, "{run:#?}\n{}", daemon.log());
    }
    // Nothing of the request was sent before the server knew who asks, so nothing is unknown.
    for id in ["bare", "stranger"] {
        let step = step(&run, id);
        assert_eq!((step.status(), step.attempts), (StepStatus::Failed, 1), "{step:#?}");
        assert!(step.message.contains("the server does not take our certificate: "), "{step:#?}");
    }
    let keyless = &step(&run, "keyless").message;
    assert!(keyless.contains("a certificate chain and its private key, as PEM, are wanted"), "{keyless}");
    assert_eq!(web.asked().len(), 3);
    assert!(tls.refused().iter().any(|why| why.contains("certificate")), "{:?}", tls.refused());
}

#[test]
fn requests_go_through_the_proxy_that_is_named_with_its_password_hidden() {
    const PASSWORD: &str = "pr0xy-passw0rd-value";
    let Some(proxy) = Proxy::serve("me", PASSWORD) else {
        return skip("proxy: there is no tinyproxy here");
    };
    let web = Web::serve(|asked, _| Reply::text(200, &format!("via {}", asked.header("via").unwrap_or("nobody"))));
    let authority = Authority::new();
    let tls = Tls::before(web.address(), &authority.signs(&["localhost"]), None);
    let body = r#"
requires: {secrets: [proxy]}
on_failure: continue
defaults: {retry: {attempts: 2, backoff: {initial: 10ms, jitter: none}}}
steps:
  plain: {uses: http, with: {url: URL/plain, proxy: "http://me:${{ secrets.proxy }}@PROXY"}}
  tunnel: {uses: http, with: {url: TLS/tunnel, ca: ca.pem, proxy: "http://me:${{ secrets.proxy }}@PROXY"}}
  around: {uses: http, with: {url: URL/around, proxy: none}}
  stranger: {uses: http, with: {method: POST, url: URL/stranger, proxy: "http://PROXY"}}
  strange_tunnel: {uses: http, with: {method: POST, url: TLS/stranger, ca: ca.pem, proxy: "http://PROXY"}}
  gone: {uses: http, with: {method: POST, url: URL/gone, proxy: "http://127.0.0.1:1"}}
"#;
    let project = project(&web, &body.replace("TLS", &tls.url()).replace("PROXY", &proxy.address()));
    project.file("ca.pem", &authority.pem());
    project.file("runbookd.yaml", "secrets: {proxy: {file: password}}\n");
    project.private("password", PASSWORD);
    let (daemon, run) = run(&project);
    let body = |id: &str| outputs(step(&run, id))["body"].clone();
    assert!(body("plain").as_str().unwrap_or_default().contains("tinyproxy"), "{run:#?}\n{}", daemon.log());
    // Inside of a tunnel nobody sees who is on the way.
    assert_eq!((body("tunnel"), body("around")), (json!("via nobody"), json!("via nobody")), "{run:#?}");
    let asked = proxy.asked();
    let port = tls.url().rsplit_once(':').unwrap().1.to_owned();
    assert!(asked.contains(&format!("GET {}/plain HTTP/1.1", web.url())), "{asked:#?}");
    assert!(asked.contains(&format!("CONNECT localhost:{port} HTTP/1.1")), "{asked:#?}");
    let ended = |id: &str| (step(&run, id).status(), step(&run, id).attempts);
    assert_eq!(ended("stranger"), (StepStatus::Failed, 1), "{run:#?}");
    assert!(step(&run, "stranger").message.contains("407 Proxy Authentication Required"), "{run:#?}");
    assert_eq!(ended("strange_tunnel"), (StepStatus::Failed, 1), "{run:#?}");
    assert!(step(&run, "strange_tunnel").message.contains("the proxy does not let us through: "), "{run:#?}");
    assert_eq!(ended("gone"), (StepStatus::Failed, 2), "{run:#?}");
    assert!(step(&run, "gone").message.contains("no connection: "), "{run:#?}");
    assert_eq!(run.status(), RunStatus::Failed);
    drop(daemon);
    assert_clean(&project, PASSWORD);
}
