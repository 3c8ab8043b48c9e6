//! A tally of all pages of the key tree: a page that is put back as it was earlier, or taken away, is missed.
//!
//! A page's parent says which key opens it, not how often that key has sealed it. So a page of the same generation, put back
//! together with the rows of then, opens: it hides what was added since. The tally is a keyed hash of the multiset of all
//! pages as they are, each as its place, its generation and the number of its seals; it changes with every batch that
//! changes a page, at the cost of that page alone. Who walks through the tree can compare.
//!
//! ```text
//! tally = sum over all pages of HMAC-SHA256(key; row key | seals), modulo 2^256
//! row   = AES-256-GCM(key of the root in force and the log's size, aad = label | vault | the log's size; key | pages | tally)
//! ```
//! The construction is MSet-Add-Hash (Clarke, Devadas, van Dijk, Gassend, Suh: "Incremental Multiset Hash Functions and Their
//! Application to Memory Integrity Checking", ASIACRYPT 2003). Sealed, so that nobody learns by how much a change moves it;
//! bound to the size of the log, so that an older row is not taken for the newest.

use super::page::PageId;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::VaultId;
use crate::base::secret::{Key, PlainValue};
use crate::crypto::rng::{self, RandomFailed};
use crate::crypto::{aead, label, mac};

/// A page as it was stored: each seal under one key has a number of its own. Only what a power loss took before anybody was told
/// of it may have had the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Version {
    /// Its place.
    pub id: PageId,
    /// Counts the keys it has had.
    pub generation: u64,
    /// How often that key has sealed it.
    pub seals: u32,
}

/// The hash of a multiset of pages, and how many there are.
pub struct Tally {
    key: Key,
    pages: u64,
    sum: [u8; LEN],
}

const VERSION: u8 = 1;
const LEN: usize = 32;

impl Tally {
    /// Of no pages, under a new key.
    pub fn new() -> Result<Self, RandomFailed> {
        Ok(Self { key: rng::make_secret()?, pages: 0, sum: [0; LEN] })
    }

    /// Of no pages, under the same key: for who counts anew.
    pub fn restart(&self) -> Self {
        Self { key: self.key.duplicate(), pages: 0, sum: [0; LEN] }
    }

    /// A second copy.
    pub fn duplicate(&self) -> Self {
        Self { key: self.key.duplicate(), ..*self }
    }

    /// How many pages there are.
    pub fn pages(&self) -> u64 {
        self.pages
    }

    /// Counts a page in.
    pub fn add(&mut self, page: &Version) {
        let (code, mut carry) = (self.code(page), 0);
        for (own, other) in self.sum.iter_mut().zip(code) {
            let digit = u16::from(*own) + u16::from(other) + carry;
            (*own, carry) = (digit as u8, digit >> 8);
        }
        self.pages = self.pages.wrapping_add(1);
    }

    /// Counts a page out.
    pub fn remove(&mut self, page: &Version) {
        let (code, mut borrow) = (self.code(page), 0);
        for (own, other) in self.sum.iter_mut().zip(code) {
            let digit = i16::from(*own) - i16::from(other) - borrow;
            (*own, borrow) = (digit as u8, i16::from(digit < 0));
        }
        self.pages = self.pages.wrapping_sub(1);
    }

    /// Counts a page that was sealed: it takes the place of what its key sealed before.
    pub fn replace(&mut self, sealed: &Version) {
        if let Some(seals) = sealed.seals.checked_sub(1).filter(|seals| *seals > 0) {
            self.remove(&Version { seals, ..*sealed });
        }
        self.add(sealed);
    }

    /// Whether it is of the same pages. Both must be under one key.
    pub fn is(&self, other: &Self) -> bool {
        self.pages == other.pages && mac::equal(&self.sum, &other.sum)
    }

    /// The row, for a log of that size.
    pub fn seal(&self, key: &Key, vault: &VaultId, log_size: u64) -> Result<Vec<u8>, RandomFailed> {
        let plain =
            Writer::with_capacity(80).u8(VERSION).raw(self.key.expose()).u64(self.pages).raw(&self.sum).finish();
        aead::seal(key, &place(vault, log_size), PlainValue::new(plain).expose())
    }

    /// Reads the row.
    ///
    /// # Errors
    /// It was not sealed under this key for a log of that size.
    pub fn open(key: &Key, vault: &VaultId, log_size: u64, row: &[u8]) -> Result<Self, Malformed> {
        let plain = aead::open(key, &place(vault, log_size), row).map_err(|_| Malformed)?;
        let mut r = Reader::new(plain.expose());
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let tally =
            Self { key: Key::from_slice(r.raw(LEN)?).ok_or(Malformed)?, pages: r.u64()?, sum: r.array::<LEN>()? };
        r.finish().map(|()| tally)
    }

    /// Little-endian: the first byte is the least.
    fn code(&self, page: &Version) -> [u8; LEN] {
        mac::mac(&self.key, label::TALLY, &[&page.id.row_key(page.generation), &page.seals.to_be_bytes()])
    }
}

fn place(vault: &VaultId, log_size: u64) -> Vec<u8> {
    Writer::new().bytes(label::TALLY_RECORD.as_bytes()).bytes(vault.as_bytes()).u64(log_size).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::page::Tree;
    use proptest::prelude::*;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);

    fn page(index: u64, generation: u64, seals: u32) -> Version {
        Version { id: PageId { tree: Tree::Subjects, level: 0, index }, generation, seals }
    }

    fn tally(key: u8, pages: &[Version]) -> Tally {
        let mut tally = Tally { key: Key::copied(&[key; 32]), pages: 0, sum: [0; LEN] };
        pages.iter().for_each(|page| tally.add(page));
        tally
    }

    proptest! {
        #[test]
        fn the_order_makes_no_difference_and_what_is_counted_out_leaves_nothing(
            kept in prop::collection::vec((0u64..9, 1u64..4, 1u32..4), 0..12),
            gone in prop::collection::vec((0u64..9, 1u64..4, 1u32..4), 0..12),
        ) {
            let pages = |of: &[(u64, u64, u32)]| -> Vec<Version> { of.iter().map(|(i, g, s)| page(*i, *g, *s)).collect() };
            let (kept, gone) = (pages(&kept), pages(&gone));
            let mut mixed = tally(1, &gone);
            kept.iter().rev().for_each(|page| mixed.add(page));
            gone.iter().rev().for_each(|page| mixed.remove(page));
            prop_assert!(mixed.is(&tally(1, &kept)));
            prop_assert_eq!(mixed.pages(), kept.len() as u64);
        }
    }

    #[test]
    fn every_page_generation_and_seal_counts() {
        let whole = [page(1, 1, 1), page(2, 3, 4)];
        let of = tally(1, &whole);
        for other in [
            &whole[..1],
            &[page(1, 1, 1), page(2, 3, 3)],
            &[page(1, 1, 1), page(2, 2, 4)],
            &[page(1, 1, 1), page(3, 3, 4)],
            &[page(1, 1, 1), page(2, 3, 4), page(2, 3, 4)],
            &[page(1, 1, 1), page(1, 1, 1)],
        ] {
            assert!(!of.is(&tally(1, other)), "{other:?}");
        }
        assert!(of.is(&tally(1, &whole)) && !of.is(&tally(2, &whole)));
        let mut read = tally(1, &[page(1, 1, 1), page(2, 3, 3)]);
        read.replace(&page(2, 3, 4));
        assert!(read.is(&of));
        let mut fresh = tally(1, &whole[1..]);
        fresh.replace(&page(1, 1, 1));
        assert!(fresh.is(&of), "what is sealed for the first time takes no other's place");
    }

    #[test]
    fn a_carry_goes_through_all_bytes_and_back() {
        let mut of = tally(1, &[]);
        of.sum = [0xff; LEN];
        let before = of.duplicate();
        of.add(&page(1, 1, 1));
        assert_ne!(of.sum, before.sum);
        of.remove(&page(1, 1, 1));
        assert!(of.is(&before));
        let mut zero = tally(1, &[]);
        zero.remove(&page(1, 1, 1));
        zero.add(&page(1, 1, 1));
        assert!(zero.is(&tally(1, &[])));
    }

    #[test]
    fn a_row_opens_under_its_root_in_its_vault_and_for_its_log_only() {
        let (key, of) = (Key::copied(&[2; 32]), tally(1, &[page(1, 1, 1)]));
        let row = of.seal(&key, &VAULT, 7).expect("a nonce");
        assert!(Tally::open(&key, &VAULT, 7, &row).is_ok_and(|read| read.is(&of)));
        assert!(Tally::open(&key, &VAULT, 8, &row).is_err(), "an older one");
        assert!(Tally::open(&Key::copied(&[3; 32]), &VAULT, 7, &row).is_err());
        assert!(Tally::open(&key, &VaultId::from_bytes([9; 16]), 7, &row).is_err());
        assert!(Tally::open(&key, &VAULT, 7, &row[..row.len() - 1]).is_err());
    }
}
