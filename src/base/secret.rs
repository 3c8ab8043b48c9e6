//! Bytes that must not be seen: keys and personal data.
//!
//! Neither type has `Debug`, `Display`, `Clone`, `PartialEq` or serde. Both are wiped when dropped. The one door
//! is `expose`, so a search for that word finds every place that looks at clear bytes.

use zeroize::{Zeroize, Zeroizing};

/// A fixed-size secret, such as a 32-byte key. Lives on the heap so that moving it leaves no copy behind.
pub struct Secret<const N: usize>(Box<[u8; N]>);

/// A 256-bit key.
pub type Key = Secret<32>;

impl<const N: usize> Secret<N> {
    /// Lets `fill` write the secret in place, so that no copy stays on the stack.
    pub fn filled<E>(fill: impl FnOnce(&mut [u8; N]) -> Result<(), E>) -> Result<Self, E> {
        let mut secret = Self(Box::new([0; N]));
        fill(&mut secret.0)?;
        Ok(secret)
    }

    /// Copies a secret out of a larger buffer; the caller wipes that buffer.
    pub fn copied(bytes: &[u8; N]) -> Self {
        Self(Box::new(*bytes))
    }

    /// Copies a secret out of a slice of exactly `N` bytes.
    pub fn from_slice(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self::copied)
    }

    /// A second copy, wiped on its own. Named so that every duplication of a secret can be found.
    pub fn duplicate(&self) -> Self {
        Self(self.0.clone())
    }

    /// The clear bytes.
    pub fn expose(&self) -> &[u8; N] {
        &self.0
    }
}

impl<const N: usize> Drop for Secret<N> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// A person's data in the clear, of any length, wiped when dropped.
pub struct PlainValue(Zeroizing<Vec<u8>>);

impl PlainValue {
    /// Takes over a buffer; it is wiped when this value drops.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// The clear bytes.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The buffer itself, still to be wiped when it is dropped.
    pub fn into_exposed(self) -> Zeroizing<Vec<u8>> {
        self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
