//! Canaries: random texts that are planted wherever a caller can write, and searched for wherever the program writes.
//!
//! What makes the search honest:
//! - Everything the store writes passes through its write-ahead log, which is not compressed. A table is: with LZ4,
//!   which only replaces bytes that occurred shortly before and leaves the rest as they are. A random text has no
//!   earlier copy to be replaced by, or else that copy is found.
//! - A log record may be cut where a block ends, and keys in a table leave out what they share with the key before.
//!   So each half of a canary is searched for by itself: one cut leaves one half whole.
//! - A canary is found in the spellings that code produces by accident: as it is, in upper case, and each of these in
//!   hexadecimal and in base 64 at all three alignments.

use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Mutex;

use aho_corasick::{AhoCorasick, Match};
use lacuna::crypto::rng;

/// The canaries planted in one vault.
#[derive(Default)]
pub struct Canaries(Mutex<Vec<Canary>>);

#[derive(Clone)]
struct Canary {
    text: String,
    halves: bool,
}

impl Canaries {
    /// A new one: 24 characters of base 32, 120 random bits.
    pub fn make(&self) -> String {
        const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
        let random: [u8; 24] = rng::make_bytes().expect("random bytes");
        let text: String = random.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect();
        self.plant(text.clone(), true);
        text
    }

    /// A phone number. It is short, so it is searched for as a whole, without the plus sign.
    pub fn make_phone(&self) -> String {
        let random: [u8; 8] = rng::make_bytes().expect("random bytes");
        let digits = format!("4915{:09}", u64::from_be_bytes(random) % 1_000_000_000);
        self.plant(digits.clone(), false);
        format!("+{digits}")
    }

    /// The same ones, to which others are added apart: a search takes as long as there are canaries.
    pub fn copy(&self) -> Self {
        Self(Mutex::new(self.0.lock().expect("no panic").clone()))
    }

    /// The search for all of them.
    pub fn search(&self) -> Search {
        let mut needles = Needles::default();
        for canary in self.0.lock().expect("no panic").iter() {
            let (first, second) = canary.text.split_at(canary.text.len() / 2);
            let parts = if canary.halves { vec![first, second] } else { vec![canary.text.as_str()] };
            for part in parts {
                needles.add(part, "plain");
                needles.add(&part.to_uppercase(), "upper case");
            }
        }
        needles.search()
    }

    fn plant(&self, text: String, halves: bool) {
        self.0.lock().expect("no panic").push(Canary { text, halves });
    }
}

/// What to look for: bytes, and of which part in which spelling.
#[derive(Default)]
struct Needles {
    bytes: Vec<Vec<u8>>,
    names: Vec<(String, &'static str)>,
    known: HashSet<Vec<u8>>,
}

/// A search for all needles at once.
pub struct Search {
    needles: AhoCorasick,
    names: Vec<(String, &'static str)>,
}

/// A canary where none may be.
#[derive(Debug, PartialEq, Eq)]
pub struct Leak {
    place: String,
    offset: usize,
    part: String,
    spelling: &'static str,
}

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at byte {}: {} ({})", self.place, self.offset, self.part, self.spelling)
    }
}

impl Search {
    /// The canaries in some bytes.
    pub fn bytes(&self, place: &str, bytes: &[u8]) -> Vec<Leak> {
        let leak = |found: Match| {
            let (part, spelling) = self.names[found.pattern().as_usize()].clone();
            Leak { place: place.to_owned(), offset: found.start(), part, spelling }
        };
        self.needles.find_overlapping_iter(bytes).map(leak).collect()
    }

    /// The canaries in every file below a directory, and in the names of the files.
    pub fn directory(&self, dir: &Path) -> Vec<Leak> {
        let mut leaks = Vec::new();
        for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
            let path = entry.path();
            let name = path.to_string_lossy().into_owned();
            leaks.extend(self.bytes("a file's name", entry.file_name().as_encoded_bytes()));
            match path.is_dir() {
                true => leaks.extend(self.directory(&path)),
                false => leaks.extend(self.bytes(&name, &std::fs::read(&path).expect("a file"))),
            }
        }
        leaks
    }
}

impl Needles {
    fn add(&mut self, part: &str, spelling: &'static str) {
        let hex = |digits: fn(u8) -> String| part.bytes().map(digits).collect::<String>();
        self.add_bytes(part, spelling, part.as_bytes());
        self.add_bytes(part, "hexadecimal", hex(|byte| format!("{byte:02x}")).as_bytes());
        self.add_bytes(part, "hexadecimal", hex(|byte| format!("{byte:02X}")).as_bytes());
        for shift in 0..3 {
            self.add_bytes(part, "base 64", base64_within(part, shift).as_bytes());
        }
    }

    fn add_bytes(&mut self, part: &str, spelling: &'static str, bytes: &[u8]) {
        // Hexadecimal without letters is the same in upper case.
        if self.known.insert(bytes.to_owned()) {
            self.bytes.push(bytes.to_owned());
            self.names.push((part.to_owned(), spelling));
        }
    }

    fn search(self) -> Search {
        Search { needles: AhoCorasick::new(self.bytes).expect("few enough"), names: self.names }
    }
}

/// The digits of base 64 that depend on nothing but the text, when it begins `shift` bytes into a group of three.
/// Letters and figures never give a digit in which the alphabets of base 64 differ.
fn base64_within(text: &str, shift: usize) -> String {
    use base64::Engine as _;
    let padded = [&[0; 2][..shift], text.as_bytes()].concat();
    let encoded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(&padded);
    encoded[(shift * 8).div_ceil(6)..padded.len() * 8 / 6].to_owned()
}

#[test]
fn a_canary_is_found_in_every_spelling() {
    use base64::Engine as _;
    let canaries = Canaries::default();
    let text = canaries.make();
    let search = canaries.search();
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let base64 = |before: &str| base64::engine::general_purpose::URL_SAFE.encode(format!("{before}{text} after"));
    let spellings =
        [text.clone(), text.to_uppercase(), hex.clone(), hex.to_uppercase(), base64(""), base64("x"), base64("xy")];
    for spelling in spellings {
        assert_eq!(search.bytes("here", format!("before {spelling} after").as_bytes()).len(), 2, "{spelling}");
    }
    let (first, second) = text.split_at(15);
    assert_eq!(search.bytes("here", format!("{first}\0{second}").as_bytes()).len(), 1, "a cut leaves one half");
    assert!(search.bytes("here", b"nothing").is_empty());
}
