//! Clients, made when they are first wanted and kept with their connections, one for each way to the other side. Never
//! knows requests.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Identity, Proxy, Url};

use super::request::{Key, Way};

/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);
/// Clients that are kept.
const CLIENTS: usize = 64;
/// A file of certificates or keys, in bytes.
const PEM_BYTES: u64 = 1 << 20;
/// As whom we make requests.
const AGENT: &str = concat!("runbook/", env!("CARGO_PKG_VERSION"));

/// The clients of one daemon.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    kept: Mutex<HashMap<Way, Client>>,
}

impl Clients {
    /// The client for a way.
    ///
    /// # Errors
    /// In words: a file of certificates cannot be read or used, or the proxy is none.
    pub(crate) async fn of(&self, way: &Way) -> Result<Client, String> {
        // Files may have been renewed since: what is made of them is made anew.
        let plain = way.ca.is_none() && way.cert.is_none();
        if plain && let Some(client) = self.kept().get(way) {
            return Ok(client.clone());
        }
        let client = make(way).await?;
        if plain {
            let mut kept = self.kept();
            if kept.len() >= CLIENTS {
                kept.clear();
            }
            kept.insert(way.clone(), client.clone());
        }
        Ok(client)
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, HashMap<Way, Client>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn make(way: &Way) -> Result<Client, String> {
    static PROVIDER: Once = Once::new();
    // One that is there already is as good.
    PROVIDER.call_once(|| drop(rustls::crypto::ring::default_provider().install_default()));
    let mut builder = builder(way)?;
    if let Some(path) = &way.ca {
        let pem = read(path, "ca").await?;
        let authorities = Certificate::from_pem_bundle(&pem).map_err(|error| format!("with.ca: {}", tell(&error)))?;
        if authorities.is_empty() {
            return Err(format!("with.ca: {} holds no certificate; PEM is wanted", path.display()));
        }
        builder = builder.tls_certs_only(authorities);
    }
    if let Some(path) = &way.cert {
        let mut pem = read(path, "client_cert").await?;
        match &way.key {
            Some(Key::File(path)) => pem.extend(read(path, "client_key").await?),
            Some(Key::Text(text)) => pem.extend_from_slice(text.as_bytes()),
            None => {}
        }
        let identity = Identity::from_pem(&pem).map_err(|error| {
            format!("with.client_cert: {}; a certificate chain and its private key, as PEM, are wanted", tell(&error))
        })?;
        builder = builder.identity(identity);
    }
    match builder.build() {
        Ok(client) => Ok(client),
        // A machine without certificate authorities can still do without them where no TLS is spoken.
        Err(_) if way.ca.is_none() && way.cert.is_none() => {
            let builder = self::builder(way)?.tls_certs_only([]);
            builder.build().map_err(|error| format!("no client can be made: {}", tell(&error)))
        }
        Err(error) => Err(format!("no client can be made: {}", tell(&error))),
    }
}

fn builder(way: &Way) -> Result<ClientBuilder, String> {
    let redirects = match way.redirects {
        0 => Policy::none(),
        most => {
            let (limited, at_home) = (Policy::limited(most as usize), way.at_home);
            Policy::custom(move |attempt| {
                let from = attempt.previous().last().map(Url::origin);
                match at_home && from.is_some_and(|from| from != attempt.url().origin()) {
                    true => attempt.stop(),
                    false => limited.redirect(attempt),
                }
            })
        }
    };
    let mut builder = Client::builder()
        .user_agent(AGENT)
        .redirect(redirects)
        .referer(false)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE);
    if !way.pooled {
        builder = builder.pool_max_idle_per_host(0);
    }
    match way.proxy.as_deref() {
        None => {}
        Some("none") => builder = builder.no_proxy(),
        Some(proxy) => {
            // The error would repeat the URL, and that may hold a password.
            let proxy = Proxy::all(proxy).map_err(|_| "with.proxy: it is no URL of a proxy".to_owned())?;
            builder = builder.proxy(proxy);
        }
    }
    Ok(builder)
}

/// A file of certificates or keys.
///
/// # Errors
/// In words: it cannot be read, or is too long to be one.
pub(crate) async fn read(path: &Path, key: &str) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| format!("with.{key}: {}: {error}", path.display());
    let length = tokio::fs::metadata(path).await.map_err(wrong)?.len();
    if length > PEM_BYTES {
        return Err(format!("with.{key}: {} has {length} bytes, the limit is {PEM_BYTES}", path.display()));
    }
    tokio::fs::read(path).await.map_err(wrong)
}

/// An error with its causes, each said once, and without the URL: that may hold a secret.
pub(super) fn tell(error: &reqwest::Error) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let text = cause.to_string();
        // Which layer of the client noticed it helps nobody.
        if !text.starts_with("client error (") && !told.iter().any(|known| known.contains(&text)) {
            told.push(text);
        }
        next = cause.source();
    }
    match told.is_empty() {
        // Without a cause its own text is all there is; what follows the URL in it would be a cause.
        true => error.to_string().split(" for url").next().unwrap_or_default().to_owned(),
        false => told.join(": "),
    }
}
