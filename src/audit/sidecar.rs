//! The sealed details of a bundle's entries, as they are published beside it: what `tlog-tiles` has no place for.
//!
//! For each entry of the bundle in turn: a flag byte, 1 if the entry has a detail, and then the detail's length in 32
//! bits, big-endian, and its bytes. The entry's leaf holds the detail's SHA-256.

use super::tile::Malformed;
use crate::base::codec::{Reader, Writer};

/// The details of a bundle's entries, in order.
pub fn encode<'d>(details: impl Iterator<Item = Option<&'d [u8]>>) -> Vec<u8> {
    details.fold(Writer::new(), |w, detail| w.option(detail, Writer::bytes)).finish()
}

/// The details of a known count of entries.
pub fn decode(bytes: &[u8], count: u64) -> Result<Vec<Option<&[u8]>>, Malformed> {
    let mut r = Reader::new(bytes);
    let mut details = Vec::new();
    for _ in 0..count {
        details.push(r.option(Reader::bytes).map_err(|_| Malformed)?);
    }
    r.finish().map(|()| details).map_err(|_| Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn details_read_back_and_nothing_else_does() {
        let details = [Some(&b"sealed"[..]), None, Some(&b""[..])];
        let bytes = encode(details.into_iter());
        assert_eq!(bytes, [&[1, 0, 0, 0, 6][..], b"sealed", &[0], &[1, 0, 0, 0, 0]].concat());
        assert_eq!(decode(&bytes, 3), Ok(details.to_vec()));
        for (bytes, count) in [(&bytes[..], 2), (&bytes[..], 4), (&bytes[1..], 3), (&[2][..], 1)] {
            assert_eq!(decode(bytes, count), Err(Malformed));
        }
    }
}
