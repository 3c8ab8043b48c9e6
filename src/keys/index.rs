//! Keys of the blind index: they turn an identifier into a token, and seal what the token leads to.
//!
//! A row's key is `prefix | token | place`. The token is a truncated keyed code of the identifier, so that all rows of
//! one identifier lie together; the place is one of the item version that holds it, so that each has a row of its own
//! and nobody without the key sees which rows lead to the same item. An identifier of the subject itself has no place:
//! it is one person's. The value names the subject and the item; it is sealed under a key of its own, bound to its row.

use crate::base::codec::Writer;
use crate::base::id::{ItemId, SubjectId, VaultId};
use crate::base::secret::Key;
use crate::catalog::class::{Identifier, IdentifierField};
use crate::crypto::aead::{self, OpenFailed};
use crate::crypto::rng::RandomFailed;
use crate::crypto::{kdf, label, mac};

/// Bytes of a token, and of a place.
const CODE_LEN: usize = 16;
/// Marks prefixes that hold the key's number.
const NUMBERED: u8 = 0x80;

/// The index key of one field, of one rotation.
pub struct IndexKey {
    field: IdentifierField,
    number: u32,
    token: Key,
    place: Key,
    seal: Key,
}

/// What holds an identifier: an item version, or the subject itself.
pub type Holder<'a> = Option<(&'a ItemId, u64)>;

/// What a row leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Lead {
    /// The subject.
    pub subject: SubjectId,
    /// The item that holds the identifier; none where the subject itself does.
    pub item: Option<ItemId>,
}

impl IndexKey {
    /// From the key in the tree.
    pub fn derive(field: IdentifierField, number: u32, key: &Key) -> Self {
        let derive = |label| kdf::derive_key(b"", key, label, &[field.as_str().as_bytes()]);
        let (token, place, seal) = (derive(label::INDEX_TOKEN), derive(label::INDEX_PLACE), derive(label::INDEX_SEAL));
        Self { field, number, token, place, seal }
    }

    /// Counts the keys that the field has had.
    pub fn number(&self) -> u32 {
        self.number
    }

    /// The start of the keys of all rows under one index key. Those of the first do without its number.
    pub fn prefix(field: IdentifierField, number: u32) -> Vec<u8> {
        match number {
            1 => vec![field.code()],
            _ => Writer::new().u8(NUMBERED | field.code()).u32(number).finish(),
        }
    }

    /// Under which key a row is: its field, and its number among the keys of that.
    pub fn of_row(row: &[u8]) -> Option<(IdentifierField, u32)> {
        let (first, rest) = row.split_first()?;
        let field = IdentifierField::ALL.iter().find(|field| field.code() == first & !NUMBERED)?;
        let number = if first & NUMBERED == 0 { Some(1) } else { rest.first_chunk().copied().map(u32::from_be_bytes) };
        Some((*field, number?))
    }

    /// The start of the keys of all rows of an identifier.
    pub fn rows(&self, identifier: &Identifier) -> Vec<u8> {
        let field = self.field.as_str().as_bytes();
        let code = mac::mac(&self.token, label::INDEX_TOKEN, &[field, identifier.value.expose().as_bytes()]);
        [&Self::prefix(self.field, self.number)[..], &code[..CODE_LEN]].concat()
    }

    /// The key of the row of an identifier that a holder has.
    pub fn row(&self, identifier: &Identifier, holder: Holder<'_>) -> Vec<u8> {
        self.row_below(self.rows(identifier), holder)
    }

    /// As [`IndexKey::row`], from the start that all rows of the identifier share.
    pub fn row_below(&self, rows: Vec<u8>, holder: Holder<'_>) -> Vec<u8> {
        let Some((item, version)) = holder else { return rows };
        let code = mac::mac(&self.place, label::INDEX_PLACE, &[&rows, item.as_bytes(), &version.to_be_bytes()]);
        [&rows[..], &code[..CODE_LEN]].concat()
    }

    /// A row's value.
    pub fn seal(&self, vault: &VaultId, row: &[u8], lead: Lead) -> Result<Vec<u8>, RandomFailed> {
        let item = lead.item.as_ref().map_or(&[][..], |item| item.as_bytes());
        aead::seal(&self.seal, &aad(vault, row), &[&lead.subject.as_bytes()[..], item].concat())
    }

    /// What a row leads to.
    ///
    /// # Errors
    /// The value is not what was sealed for this row.
    pub fn open(&self, vault: &VaultId, row: &[u8], sealed: &[u8]) -> Result<Lead, OpenFailed> {
        let plain = aead::open(&self.seal, &aad(vault, row), sealed)?;
        let (subject, item) = plain.expose().split_first_chunk().ok_or(OpenFailed)?;
        let item = match item {
            [] => None,
            item => Some(ItemId::from_bytes(item.try_into().map_err(|_| OpenFailed)?)),
        };
        Ok(Lead { subject: SubjectId::from_bytes(*subject), item })
    }
}

fn aad(vault: &VaultId, row: &[u8]) -> Vec<u8> {
    Writer::new().bytes(label::INDEX_ROW.as_bytes()).bytes(vault.as_bytes()).bytes(row).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;
    use crate::catalog::text::Text;

    const VAULT: VaultId = VaultId::from_bytes([1; 16]);
    const ITEM: ItemId = ItemId::from_bytes([3; 16]);

    fn key(number: u32) -> IndexKey {
        IndexKey::derive(IdentifierField::Email, number, &Secret::copied(&[number as u8; 32]))
    }

    fn email(value: &str) -> Identifier {
        Identifier { field: IdentifierField::Email, value: Text::from(value) }
    }

    #[test]
    fn rows_of_one_identifier_lie_together_and_each_holder_has_one() {
        let (key, ana) = (key(1), email("ana@example.com"));
        let of = |item: u8, version| key.row(&ana, Some((&ItemId::from_bytes([item; 16]), version)));
        let rows = [of(3, 1), of(3, 2), of(4, 1)];
        assert!(rows.iter().all(|row| row.starts_with(&key.rows(&ana)) && row.len() == 1 + 2 * CODE_LEN));
        assert!(rows[0] != rows[1] && rows[0] != rows[2]);
        assert!(!of(3, 1).starts_with(&key.rows(&email("bob@example.com"))));
        assert!(!rows[0].windows(16).any(|window| window == ITEM.as_bytes()));
    }

    #[test]
    fn another_key_has_other_tokens_below_another_prefix() {
        let ana = email("ana@example.com");
        let (old, new) = (key(1).rows(&ana), key(2).rows(&ana));
        assert!(old.starts_with(&IndexKey::prefix(IdentifierField::Email, 1)));
        assert!(new.starts_with(&IndexKey::prefix(IdentifierField::Email, 2)));
        assert_ne!(old[1..], new[5..]);
        let prefixes: Vec<Vec<u8>> =
            IdentifierField::ALL.iter().flat_map(|field| [1, 2, 258].map(|n| IndexKey::prefix(*field, n))).collect();
        for (i, a) in prefixes.iter().enumerate() {
            assert!(prefixes.iter().enumerate().all(|(j, b)| i == j || !b.starts_with(a)), "{a:?}");
        }
    }

    #[test]
    fn a_value_opens_in_its_own_row_only() {
        let (key, ana) = (key(1), email("ana@example.com"));
        let row = key.row(&ana, Some((&ITEM, 1)));
        let other = key.row(&ana, Some((&ITEM, 2)));
        let subject = SubjectId::from_bytes([2; 16]);
        for lead in [Lead { subject, item: Some(ITEM) }, Lead { subject, item: None }] {
            let sealed = key.seal(&VAULT, &row, lead).expect("seals");
            assert_eq!(key.open(&VAULT, &row, &sealed), Ok(lead));
            assert_eq!(key.open(&VAULT, &other, &sealed), Err(OpenFailed));
            assert_eq!(key.open(&VaultId::from_bytes([9; 16]), &row, &sealed), Err(OpenFailed));
            assert_eq!(super::tests::key(2).open(&VAULT, &row, &sealed), Err(OpenFailed));
        }
    }
}
