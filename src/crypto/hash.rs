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
    fn pieces_hash_as_the_whole_does() {
        let whole: Vec<u8> = (0..10_000u32).map(|i| i as u8).collect();
        let mut hasher = Hasher::default();
        whole.chunks(777).for_each(|piece| hasher.update(piece));
        assert_eq!(hasher.finish(), sha256(&[&whole]));
        assert_eq!(Hasher::default().finish(), sha256(&[]));
    }
}
