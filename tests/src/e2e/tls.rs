//! TLS in front of a server that speaks none: it ends here, and what is inside goes on. Never knows what is said.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{RootCertStore, ServerConfig};

use super::{Authority, Pair};

/// The end of TLS, closed with the value.
#[derive(Debug)]
pub struct Tls {
    port: u16,
    refused: Arc<Mutex<Vec<String>>>,
    runtime: Option<Runtime>,
}

impl Tls {
    /// In front of a server on this machine. With `clients`, only who has a certificate of that authority comes through.
    pub fn before(server: SocketAddr, own: &Pair, clients: Option<&Authority>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().expect("versions of TLS");
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(certificate(&authority.pem())).expect("an authority");
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                builder.with_client_cert_verifier(verifier.build().expect("a verifier"))
            }
        };
        let key = PrivateKeyDer::from_pem_slice(own.key.as_bytes()).expect("a key");
        let config = builder.with_single_cert(vec![certificate(&own.certificate)], key).expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let refused: Arc<Mutex<Vec<String>>> = Arc::default();
        let told = Arc::clone(&refused);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, told) = (acceptor.clone(), Arc::clone(&told));
                tokio::spawn(async move {
                    match acceptor.accept(stream).into_fallible().await {
                        Ok(mut inside) => {
                            let mut behind = TcpStream::connect(server).await.expect("the server behind it");
                            // Whoever ends it without a word ends it all the same.
                            let _ = copy_bidirectional(&mut inside, &mut behind).await;
                        }
                        Err((error, mut outside)) => {
                            told.lock().unwrap_or_else(PoisonError::into_inner).push(error.to_string());
                            // An end while something is unread could overtake what it was told.
                            let _ = tokio::io::copy(&mut outside, &mut tokio::io::sink()).await;
                        }
                    }
                });
            }
        });
        Self { port, refused, runtime: Some(runtime) }
    }

    /// Its URL by the name `localhost`, without a slash at the end.
    pub fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// Why it let clients not through.
    pub fn refused(&self) -> Vec<String> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Tls {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate")
}
