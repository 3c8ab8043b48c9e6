//! What the caller chose, sealed: item ids, fields, ticket, address.
//!
//! Where a subject is concerned the key comes from the subject's audit key and dies with it; otherwise from a day's
//! key, which has the log's retention. The same keys make the pseudonyms in leaves.

use super::event::SubjectToken;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, RequestId, SubjectId, VaultId};
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::aead::{self, OpenFailed};
use crate::crypto::rng::RandomFailed;
use crate::crypto::{kdf, label, mac};

/// Days that share one pseudonym of a subject.
pub const TOKEN_PERIOD_DAYS: i32 = 28;

/// The sealed half of an entry.
#[derive(Default)]
pub struct Detail {
    /// The subject, where the leaf itself must not say.
    pub subject: Option<SubjectId>,
    /// The items concerned, and which version of each; 0 for the newest.
    pub items: Vec<(ItemId, u64)>,
    /// The fields asked for.
    pub fields: Vec<String>,
    /// The caller's ticket.
    pub ticket: Text,
    /// The caller's network address.
    pub peer: Text,
}

impl Detail {
    /// Seals the detail for one call.
    pub fn seal(&self, keys: &DetailKeys, vault: &VaultId, request: &RequestId) -> Result<Vec<u8>, RandomFailed> {
        let plain = PlainValue::new(
            Writer::new()
                .u8(1)
                .option(self.subject, |w, id| w.raw(id.as_bytes()))
                .list(self.items.iter(), |w, (id, version)| w.raw(id.as_bytes()).u64(*version))
                .list(self.fields.iter(), |w, field| w.text(field))
                .text(self.ticket.expose())
                .text(self.peer.expose())
                .finish(),
        );
        aead::seal(&keys.seal, &aad(vault, request), plain.expose())
    }

    /// Opens a sealed detail.
    pub fn open(keys: &DetailKeys, vault: &VaultId, request: &RequestId, sealed: &[u8]) -> Result<Self, OpenFailed> {
        let plain = aead::open(&keys.seal, &aad(vault, request), sealed)?;
        Self::decode(plain.expose()).map_err(|_| OpenFailed)
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes);
        if r.u8()? != 1 {
            return Err(Malformed);
        }
        let detail = Self {
            subject: r.option(|r| r.array().map(SubjectId::from_bytes))?,
            items: r.list(|r| Ok((r.array().map(ItemId::from_bytes)?, r.u64()?)))?,
            fields: r.list(|r| r.text().map(str::to_owned))?,
            ticket: r.text()?.into(),
            peer: r.text()?.into(),
        };
        r.finish()?;
        Ok(detail)
    }
}

/// Seals details and makes pseudonyms; derived from a subject's audit key or from a day's key.
pub struct DetailKeys {
    seal: Key,
    token: Key,
}

impl DetailKeys {
    /// Derives both keys.
    pub fn derive(audit_key: &Key) -> Self {
        let [seal, token] = kdf::split::<64, 2>(kdf::derive(b"", audit_key, label::AUDIT_SEAL, &[]));
        Self { seal, token }
    }

    /// The subject's pseudonym in the period of `time`.
    pub fn token(&self, time: Timestamp) -> SubjectToken {
        self.token_of(period(time))
    }

    /// The pseudonyms of every period between two times, and of one more on either side: an entry that is decided about
    /// at the end of a period may be written in the next.
    pub fn tokens(&self, first: Timestamp, last: Timestamp) -> Vec<SubjectToken> {
        (period(first) - 1..=period(last) + 1).map(|period| self.token_of(period)).collect()
    }

    fn token_of(&self, period: i32) -> SubjectToken {
        let mut token = [0; 16];
        token.copy_from_slice(&mac::mac(&self.token, label::AUDIT_TOKEN, &[&period.to_be_bytes()])[..16]);
        token
    }
}

fn period(time: Timestamp) -> i32 {
    time.day().div_euclid(TOKEN_PERIOD_DAYS)
}

fn aad(vault: &VaultId, request: &RequestId) -> Vec<u8> {
    Writer::new().bytes(label::AUDIT_DETAIL.as_bytes()).bytes(vault.as_bytes()).bytes(request.as_bytes()).finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::secret::Secret;

    #[test]
    fn a_detail_opens_for_its_own_call_only() {
        let keys = DetailKeys::derive(&Secret::copied(&[1; 32]));
        let (vault, request) = (VaultId::from_bytes([2; 16]), RequestId::from_bytes([3; 16]));
        let detail = Detail {
            subject: Some(SubjectId::from_bytes([4; 16])),
            items: vec![(ItemId::from_bytes([5; 16]), 1)],
            ticket: "T-1".into(),
            ..Detail::default()
        };
        let sealed = detail.seal(&keys, &vault, &request).expect("nonce");
        let opened = Detail::open(&keys, &vault, &request, &sealed).expect("opens");
        assert_eq!((opened.subject, opened.items, opened.ticket.expose()), (detail.subject, detail.items, "T-1"));
        assert!(Detail::open(&keys, &vault, &RequestId::from_bytes([9; 16]), &sealed).is_err());
        assert!(Detail::open(&DetailKeys::derive(&Secret::copied(&[9; 32])), &vault, &request, &sealed).is_err());
    }

    #[test]
    fn a_pseudonym_changes_with_the_period_and_the_subject() {
        let keys = DetailKeys::derive(&Secret::copied(&[1; 32]));
        let day = |day: i64| Timestamp::from_millis(day * 86_400_000);
        assert_eq!(keys.token(day(0)), keys.token(day(27)));
        assert_ne!(keys.token(day(27)), keys.token(day(28)));
        assert_ne!(keys.token(day(0)), DetailKeys::derive(&Secret::copied(&[2; 32])).token(day(0)));
    }
}
