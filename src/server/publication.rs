//! The published log over HTTP: `/checkpoint`, `/tile/...` (C2SP `tlog-tiles`), and sealed details under `/details/...`.

use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::accept::LiveBindings;
use super::identity::Peer;
use crate::audit::tile::Resource;
use crate::base::time::{Clock as _, SystemClock};
use crate::gate::publication::{Reader, Right};
use crate::gate::refusal::Refusal;
use crate::gate::vault::Vault;

/// The log, and who may read it.
#[derive(Clone)]
pub struct Publication {
    /// Whose log.
    pub vault: Arc<Vault>,
    /// What identities are bound to; none where everybody may read.
    pub bindings: Option<Arc<LiveBindings>>,
}

/// The files of the log. What is not there, or has another spelling, is `404`; who may not read is told `403`.
pub fn routes(publication: &Publication) -> Router {
    let file = || {
        let publication = publication.clone();
        get(move |request: Request| {
            let (publication, reader) = (publication.clone(), publication.reader(&request));
            let uri = request.into_parts().0.uri;
            async move { publication.answer(&uri, &reader).await }
        })
    };
    Router::new().route("/checkpoint", file()).route("/tile/{*path}", file()).route("/details/{*path}", file())
}

impl Publication {
    async fn answer(&self, uri: &Uri, reader: &Reader) -> Response {
        // Of the path as it was sent: each file has one spelling, and no encoded one.
        let resource = uri.path().strip_prefix('/').and_then(|path| path.parse::<Resource>().ok());
        let Some(resource) = resource.filter(|_| uri.query().is_none()) else { return plain(StatusCode::NOT_FOUND) };
        match self.vault.published(reader, resource).await {
            Ok(Some(bytes)) => file(resource, bytes),
            Ok(None) => plain(StatusCode::NOT_FOUND),
            Err(Refusal::Access(_)) => plain(StatusCode::FORBIDDEN),
            Err(
                Refusal::RateLimited { .. }
                | Refusal::Unavailable(_)
                | Refusal::Invalid(_)
                | Refusal::State(_)
                | Refusal::Approving(_)
                | Refusal::Slots(_)
                | Refusal::Document(_),
            ) => plain(StatusCode::SERVICE_UNAVAILABLE),
        }
    }

    fn reader(&self, request: &Request) -> Reader {
        let peer = request.extensions().get::<Peer>();
        let right = match &self.bindings {
            None => Right::Open,
            Some(bindings) => {
                Right::Held(peer.and_then(|peer| peer.caller(&bindings.current(), SystemClock.now()).ok()))
            }
        };
        Reader { right, peer: peer.map(|peer| peer.address().to_string()).unwrap_or_default() }
    }
}

fn file(resource: Resource, bytes: Vec<u8>) -> Response {
    // What a tile or a bundle of some width holds never changes. Not for caches that are shared: they ask nobody for
    // a certificate.
    let (kind, cache) = match resource {
        Resource::Checkpoint => ("text/plain; charset=utf-8", "no-store"),
        Resource::Tile(..) | Resource::Entries(..) | Resource::Details(..) => {
            ("application/octet-stream", "private, max-age=31536000, immutable")
        }
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(cache)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ];
    (headers, bytes).into_response()
}

fn plain(code: StatusCode) -> Response {
    let text = format!("{}\n", code.canonical_reason().unwrap_or_default().to_lowercase());
    (code, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], text).into_response()
}
