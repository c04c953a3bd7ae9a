//! A forward proxy on this machine for one test: tinyproxy, which Debian has.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use super::wait_for;

/// The proxy, ended with the value. It wants a user with a password.
#[derive(Debug)]
pub struct Proxy {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Proxy {
    /// Serves; `None` where there is no tinyproxy on this machine.
    pub fn serve(user: &str, password: &str) -> Option<Self> {
        let version = Command::new("tinyproxy").arg("-v").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        // It cannot be told to take a free port, so it gets one that was free just now.
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let log = folder.path().join("log");
        let said = format!(
            "Port {port}\nListen 127.0.0.1\nAllow 127.0.0.1\nBasicAuth {user} {password}\nLogLevel Connect\nLogFile \"{}\"\n",
            log.display()
        );
        let config = folder.path().join("config");
        fs::write(&config, said).expect("a configuration");
        let mut proxy = Command::new("tinyproxy");
        let proxy = proxy.args(["-d", "-c"]).arg(&config).stdout(Stdio::null()).stderr(Stdio::null());
        let child = proxy.spawn().expect("a proxy");
        wait_for("the proxy", || TcpStream::connect(("127.0.0.1", port)).ok());
        Some(Self { child, port, folder })
    }

    /// Where it is: what is between `http://` and the end.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// What it was asked for: lines such as `CONNECT localhost:443 HTTP/1.1`.
    pub fn asked(&self) -> Vec<String> {
        let log: PathBuf = self.folder.path().join("log");
        let text = fs::read_to_string(log).unwrap_or_default();
        let asked = text.lines().filter_map(|line| line.split_once("Request (file descriptor ")?.1.split_once("): "));
        asked.map(|(_, asked)| asked.to_owned()).collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
