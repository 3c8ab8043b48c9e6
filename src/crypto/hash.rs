//! SHA-256 (FIPS 180-4) of public bytes.

/// A SHA-256 digest.
pub type Digest = [u8; 32];

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
