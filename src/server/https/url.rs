//! Addresses: where an issuer publishes its keys, and where checkpoints go.

use tonic::codegen::http::Uri;

use crate::base::limits::END_USER_NAME_BYTES_MAX;

/// The text is no address that may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write https://HOST/PATH, or http://127.0.0.1/PATH for a server on this machine; no user, no fragment")]
pub struct BadUrl;

/// An address of the form `https://HOST[:PORT]/PATH`, or `http` on a loopback address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Url {
    host: String,
    port: u16,
    tls: bool,
    path: String,
}

impl Url {
    /// Reads an address.
    ///
    /// # Errors
    /// [`BadUrl`]: other schemes, and `http` to another machine, where anybody between could answer.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        if text.len() > END_USER_NAME_BYTES_MAX || text.contains('#') {
            return Err(BadUrl);
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl)?;
        let authority = uri.authority().ok_or(BadUrl)?;
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") if is_loopback(&host) => false,
            _ => return Err(BadUrl),
        };
        if host.is_empty() || authority.as_str().contains('@') {
            return Err(BadUrl);
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Self { host, port, tls, path })
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is protected by TLS.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// Path and query.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The address of what is below this one.
    pub fn below(&self, name: &str) -> Self {
        Self { path: format!("{}/{name}", self.path.trim_end_matches('/')), ..self.clone() }
    }

    /// The host and port as a request names them.
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        match (self.tls, self.port) {
            (true, 443) | (false, 80) => host,
            (_, port) => format!("{host}:{port}"),
        }
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn https_anywhere_and_http_on_this_machine() {
        for (text, host, port, path) in [
            ("https://id.example.com/keys", "id.example.com", 443, "/keys"),
            ("https://id.example.com:8443/a?b=c", "id.example.com", 8443, "/a?b=c"),
            ("https://id.example.com", "id.example.com", 443, "/"),
            ("http://127.0.0.1:9000/jwks.json", "127.0.0.1", 9000, "/jwks.json"),
            ("http://[::1]/jwks", "::1", 80, "/jwks"),
            ("http://localhost/jwks", "localhost", 80, "/jwks"),
        ] {
            let url = Url::parse(text).unwrap();
            assert_eq!((url.host(), url.port(), url.path()), (host, port, path), "{text}");
        }
        assert_eq!(Url::parse("https://[2001:db8::1]:444/").unwrap().authority(), "[2001:db8::1]:444");
        for base in ["https://a.example/b", "https://a.example/b/"] {
            assert_eq!(Url::parse(base).unwrap().below("c/d").path(), "/b/c/d");
        }
        for text in [
            "",
            "id.example.com/keys",
            "/keys",
            "ftp://id.example.com/keys",
            "http://id.example.com/keys",
            "http://localhost.example.com/keys",
            "http://10.0.0.1/keys",
            "https://user:secret@id.example.com/keys",
            "https:///keys",
            "https://id.example.com/keys#1",
            "https://id.example.com/a b",
        ] {
            assert_eq!(Url::parse(text), Err(BadUrl), "{text}");
        }
    }
}
