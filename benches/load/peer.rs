//! What the servers that a vault is compared with have in common: our listener, the vault's certificates and its name.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use lacuna::base::time::{Clock, SystemClock};
use lacuna::server::accept::{Security, live_bindings};
use lacuna::server::config::Config;
use lacuna::server::serve::{Hooks, Listener, serve};
use lacuna::server::stop::Signals;
use lacuna::server::tls::{DevCertificates, Tls};
use tonic::body::Body;
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::NamedService;
use tonic::service::Routes;

use super::Error;

/// The configuration of a vault of `lacuna dev`, and a listener with its certificates on a free port.
pub fn listener(dir: &Path) -> Result<(Config, Listener), Error> {
    let config = Config::load(&dir.join("lacuna.toml"))?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let tls = Arc::new(Tls::live(config.tls.clone(), DevCertificates::Accepted, clock)?);
    let bindings = Arc::new(live_bindings(config.files.bindings.clone())?);
    let listener = Listener::api(([127, 0, 0, 1], 0).into(), config.listen.threads, Security::Api(tls, bindings));
    Ok((config, listener))
}

/// Serves until a signal; prints its address when ready.
pub fn run<H: Handler>(listener: &Listener, handler: H, hooks: &Hooks) -> Result<(), Error> {
    let mut signals = Signals::take_over()?;
    let running = serve(listener, move || Routes::new(Vault(handler.clone())), hooks)?;
    println!("{}", running.address());
    std::io::stdout().flush()?;
    signals.wait(|| ());
    running.stop();
    Ok(())
}

/// Answers the methods of `Vault` that it knows.
pub trait Handler: Clone + Send + Sync + 'static {
    /// One call.
    fn answer(self, request: http::Request<Body>) -> impl Future<Output = http::Response<Body>> + Send;
}

#[derive(Clone)]
struct Vault<H>(H);

impl<H> NamedService for Vault<H> {
    const NAME: &'static str = "lacuna.v1.Vault";
}

impl<H: Handler> Service<http::Request<Body>> for Vault<H> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = self.0.clone();
        Box::pin(async move { Ok(handler.answer(request).await) })
    }
}
