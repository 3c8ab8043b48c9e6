//! SHA-256 (FIPS 180-4).

/// A SHA-256 digest.
pub type Digest = [u8; 32];

/// SHA-256 over what comes piece by piece and may be personal data: its state is wiped.
#[derive(Default)]
pub struct Hasher(sha2::Sha256);

impl Hasher {
    /// Takes the next piece.
    pub fn update(&mut self, piece: &[u8]) {
        sha2::Digest::update(&mut self.0, piece);
    }

    /// The digest of all pieces.
    pub fn finish(self) -> Digest {
        sha2::Digest::finalize(self.0).into()
    }
}

/// A running hash over rows in their order, to find out whether one of them is missing, changed or another's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Chain(Digest);

impl Chain {
    /// As it was stored.
    pub fn stored(digest: Digest) -> Self {
        Self(digest)
    }

    /// Takes the next row.
    pub fn add(&mut self, row: &[u8]) {
        self.0 = sha256(&[&self.0, row]);
    }

    /// As it is stored.
    pub fn digest(&self) -> &Digest {
        &self.0
    }
}

/// SHA-256 over the parts, one after another.
pub fn sha256(parts: &[&[u8]]) -> Digest {
    let mut context = ring::digest::Context::new(&ring::digest::SHA256);
    for part in parts {
        context.update(part);
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(context.finish().as_ref());
    digest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_knows_its_rows_and_their_order() {
        let of = |rows: &[&[u8]]| {
            let mut chain = Chain::default();
            rows.iter().for_each(|row| chain.add(row));
            chain
        };
        let chain = of(&[b"a", b"bc"]);
        assert_eq!(Chain::stored(*chain.digest()), chain);
        for other in [&[&b"bc"[..], b"a"][..], &[b"a"], &[b"ab", b"c"], &[b"a", b"bc", b""], &[b"abc"], &[]] {
            assert_ne!(of(other), chain, "{other:?}");
        }
    }

    #[test]
    fn pieces_hash_as_the_whole_does() {
        let whole: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
        let mut hasher = Hasher::default();
        whole.chunks(777).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.finish(), sha256(&[&whole]));
        assert_eq!(Hasher::default().finish(), sha256(&[]));
    }
}
