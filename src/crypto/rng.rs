//! Keys, nonces and random identifiers from the operating system: the one random source.

use ring::rand::{SecureRandom, SystemRandom};

use crate::base::secret::Secret;

/// The system source gave nothing. There is no fallback: the caller stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system random source failed")]
pub struct RandomFailed;

/// A fresh secret of `N` random bytes.
pub fn make_secret<const N: usize>() -> Result<Secret<N>, RandomFailed> {
    Secret::filled(|bytes| fill(bytes))
}

/// Random bytes that are not secret: identifiers and nonces.
pub fn make_bytes<const N: usize>() -> Result<[u8; N], RandomFailed> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

fn fill(bytes: &mut [u8]) -> Result<(), RandomFailed> {
    SystemRandom::new().fill(bytes).map_err(|_| RandomFailed)
}
