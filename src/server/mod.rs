//! Wiring: configuration, certificates, listeners, signals, logs and metrics.
//!
//! No domain rule lives here; a call passes through to its service with its [`identity::Peer`] and its
//! [`Deadline`](crate::api::peer::Deadline). INVARIANT: no call reaches a service over a connection whose peer did
//! not prove, with TLS 1.3 and a certificate of the configured authority, to be a service we can name; plain
//! connections exist on loopback only.

pub mod accept;
mod arrival;
pub mod assemble;
pub mod calls;
pub mod certs;
pub mod config;
pub mod connection;
mod deadline;
pub mod dev_issuer;
pub mod end_users;
pub mod file;
mod health;
pub mod https;
pub mod identity;
pub mod listen;
pub mod live;
pub mod metrics;
pub mod ops;
pub mod outlet;
pub mod publication;
pub mod readiness;
pub mod serve;
pub mod stop;
pub mod telemetry;
pub mod tls;

#[cfg(test)]
mod tests;
