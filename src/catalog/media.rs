//! Media types of documents: which are accepted, and whether a content begins as one of its type does.
//!
//! | type | what a content begins with |
//! |---|---|
//! | `image/jpeg` | the marker of its start, and another one |
//! | `image/png` | the signature, then the header chunk, 13 bytes long |
//! | `image/webp` | a RIFF of form `WEBP` whose first chunk is `VP8 `, `VP8L` or `VP8X` |
//! | `image/heic`, `image/heif` | a `ftyp` box that names a brand of HEVC images; for `heif` also `mif1` |
//! | `image/tiff` | the byte order and the number 42 in it |
//! | `application/pdf` | `%PDF-1.` or `%PDF-2.` and a digit |
//!
//! Checked at the very first byte. That the rest is sound, or of no other type too, is not checked: a file can be a PDF
//! to one reader and an archive to another. Whoever opens a document must treat it as hostile.

use std::fmt;

use crate::base::log_safe::LogSafe;

/// Bytes of a content that decide, if it has as many.
pub const HEAD_BYTES: usize = 64;

/// An accepted media type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MediaType {
    /// `image/jpeg`
    Jpeg,
    /// `image/png`
    Png,
    /// `image/webp`
    Webp,
    /// `image/heic`
    Heic,
    /// `image/heif`
    Heif,
    /// `image/tiff`
    Tiff,
    /// `application/pdf`
    Pdf,
}

impl MediaType {
    /// Every accepted type.
    pub const ALL: [Self; 7] = [Self::Jpeg, Self::Png, Self::Webp, Self::Heic, Self::Heif, Self::Tiff, Self::Pdf];

    /// Its name, as in the IANA registry.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Heic => "image/heic",
            Self::Heif => "image/heif",
            Self::Tiff => "image/tiff",
            Self::Pdf => "application/pdf",
        }
    }

    /// The type of a name, in any case. Parameters are not accepted.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.as_str().eq_ignore_ascii_case(name))
    }

    /// Whether a content that begins like this may be of the type. `head` is [`HEAD_BYTES`] long, or all there is.
    pub fn fits(self, head: &[u8]) -> bool {
        match self {
            Self::Jpeg => matches!(head, [0xff, 0xd8, 0xff, 0xc0..=0xfe, ..]),
            Self::Png => head.starts_with(b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR"),
            Self::Webp => matches!(
                head,
                [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', b'V', b'P', b'8', b' ' | b'L' | b'X', ..]
            ),
            Self::Heic => has_brand(head, &HEVC),
            Self::Heif => has_brand(head, &HEVC) || has_brand(head, &[*b"mif1", *b"msf1"]),
            Self::Tiff => head.starts_with(b"II*\0") || head.starts_with(b"MM\0*"),
            Self::Pdf => matches!(head, [b'%', b'P', b'D', b'F', b'-', b'1' | b'2', b'.', b'0'..=b'9', ..]),
        }
    }
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for MediaType {}

/// Brands of images coded as HEVC (ISO/IEC 23008-12, annex B).
const HEVC: [[u8; 4]; 4] = [*b"heic", *b"heix", *b"heim", *b"heis"];

/// Whether the file type box at the start names one of these brands: as its major one, or among those of its
/// compatible ones that are in the head.
fn has_brand(head: &[u8], brands: &[[u8; 4]]) -> bool {
    let Some((size, rest)) = head.split_first_chunk() else { return false };
    let Some((b"ftyp", rest)) = rest.split_first_chunk() else { return false };
    let Some(inner) = (u32::from_be_bytes(*size) as usize).checked_sub(8).filter(|inner| *inner >= 8) else {
        return false;
    };
    let rest = &rest[..inner.min(rest.len())];
    // Major brand, minor version, compatible brands.
    let is_named = |(at, brand): (usize, &[u8])| at != 1 && brands.iter().any(|known| known == brand);
    rest.chunks_exact(4).enumerate().any(is_named)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The start of a file of each type.
    const SAMPLES: &[(MediaType, &[u8])] = &[
        (MediaType::Jpeg, b"\xff\xd8\xff\xe0\0\x10JFIF\0"),
        (MediaType::Jpeg, b"\xff\xd8\xff\xdb\0\x43"),
        (MediaType::Png, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\0\x01"),
        (MediaType::Webp, b"RIFF\x24\0\0\0WEBPVP8 \x18\0\0\0"),
        (MediaType::Webp, b"RIFF\x24\0\0\0WEBPVP8X"),
        (MediaType::Heic, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"),
        (MediaType::Heic, b"\0\0\0\x1cftypmif1\0\0\0\0mif1heic"),
        (MediaType::Tiff, b"II*\0\x08\0\0\0"),
        (MediaType::Tiff, b"MM\0*\0\0\0\x08"),
        (MediaType::Pdf, b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"),
        (MediaType::Pdf, b"%PDF-2.0\n"),
    ];

    #[test]
    fn a_content_fits_its_own_type_and_no_other() {
        for (media, head) in SAMPLES {
            for other in MediaType::ALL {
                let is_kin = *media == MediaType::Heic && other == MediaType::Heif;
                assert_eq!(other.fits(head), other == *media || is_kin, "{other} of {head:?}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_before_it_decides_fits_nothing() {
        for (media, head) in SAMPLES {
            let needed = (0..head.len()).find(|len| media.fits(&head[..*len])).unwrap_or(head.len());
            assert!(needed >= 4, "{media}: {needed} bytes decide");
            assert!(MediaType::ALL.iter().all(|other| !other.fits(&head[..3])));
        }
        assert!(MediaType::ALL.iter().all(|media| !media.fits(b"")));
    }

    #[test]
    fn near_misses_do_not_fit() {
        for (media, head) in [
            (MediaType::Jpeg, &b"\xff\xd8\xff\xff"[..]),
            (MediaType::Jpeg, b" \xff\xd8\xff\xe0"),
            (MediaType::Png, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIDAT"),
            (MediaType::Png, b"\x89PNG\n\x1a\n"),
            (MediaType::Webp, b"RIFF\x24\0\0\0WAVEfmt "),
            (MediaType::Heic, b"\0\0\0\x18ftypavif\0\0\0\0mif1miaf"),
            (MediaType::Heic, b"\0\0\0\x10ftypmif1heicmif1"), // a minor version is no brand
            (MediaType::Heic, b"\0\0\0\x10ftypmif1\0\0\0\0heic"), // beyond the box
            (MediaType::Heif, b"\0\0\0\x08ftypheic"),
            (MediaType::Heif, b"\0\0\0\x18ftypisom\0\0\0\0isomiso2"),
            (MediaType::Tiff, b"II+\0"), // larger than 4 GiB
            (MediaType::Pdf, b"\n%PDF-1.7"),
            (MediaType::Pdf, b"%PDF-9.7"),
            (MediaType::Pdf, b"<html>%PDF-1.7"),
        ] {
            assert!(!media.fits(head), "{media} of {head:?}");
        }
    }

    #[test]
    fn names_are_read_in_any_case_and_without_parameters() {
        assert_eq!(MediaType::parse("Image/JPEG"), Some(MediaType::Jpeg));
        for name in ["", "image", "image/jpg", "image/jpeg ", "image/jpeg; q=1", "image/svg+xml", "text/html"] {
            assert_eq!(MediaType::parse(name), None, "{name}");
        }
    }
}
