//! Events to canonical bytes: what the log's hashes cover, byte for byte.
//!
//! ```text
//! u8  version = 1          u64 sequence             i64 time, ms since 1970
//! u8  actor kind           bytes actor              u8 + 16 token of the person acted for, if any
//! text role                text operation           text purpose             text class
//! u8  view                 u8 decision              text rule                8 policy version
//! u8  outcome              u16 reason, 0 if none    u32 count                u64 epoch
//! 16  request id           u8 about kind            0 or 16 bytes about
//! u8 + 32 receipt hash, if any                      u8 + 32 SHA-256 of the sealed detail, if any
//! ```
//! Numbers are big-endian; text and bytes carry a 32-bit length; "if any" is a flag byte. Actor kinds: 0 unknown,
//! 1 service, 2 person, 3 the vault. About kinds: 0 nobody, 1 a subject's token, 2 an erasure's receipt. A change of
//! any of this is a new version.

use super::event::{About, Actor, Decision, Event, Outcome, SubjectToken};
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{PolicyVersion, ReceiptId, RequestId};
use crate::base::reason::Reason;
use crate::base::time::Timestamp;
use crate::crypto::hash::{Digest, sha256};

const VERSION: u8 = 1;

/// The canonical bytes of an event at its place in the log.
pub fn encode(event: &Event, sequence: u64, time: Timestamp) -> Vec<u8> {
    let (kind, actor) = actor_bytes(&event.actor);
    let writer = Writer::with_capacity(256)
        .u8(VERSION)
        .u64(sequence)
        .i64(time.as_millis())
        .u8(kind)
        .bytes(actor)
        .option(event.on_behalf, |w, token| w.raw(&token))
        .text(event.role.as_str())
        .text(event.operation.as_str())
        .text(event.purpose.as_str())
        .text(event.class.as_str())
        .u8(event.view)
        .u8(event.decision as u8)
        .text(event.rule.as_str())
        .raw(&event.policy)
        .u8(event.outcome as u8)
        .u16(event.reason.map_or(0, Reason::number))
        .u32(event.count)
        .u64(event.epoch)
        .raw(event.request.as_bytes());
    let writer = match &event.about {
        About::Nobody => writer.u8(0),
        About::Subject(token) => writer.u8(1).raw(token),
        About::Erasure(receipt) => writer.u8(2).raw(receipt.as_bytes()),
    };
    let detail_hash = event.detail.as_ref().map(|detail| sha256(&[detail]));
    writer.option(event.receipt_hash, |w, hash| w.raw(&hash)).option(detail_hash, |w, hash| w.raw(&hash)).finish()
}

fn actor_bytes(actor: &Actor) -> (u8, &[u8]) {
    match actor {
        Actor::Unknown => (0, &[]),
        Actor::Service(identity) => (1, identity.as_str().as_bytes()),
        Actor::Person(id) => (2, id),
        Actor::Vault => (3, &[]),
    }
}

/// A leaf as an auditor reads it.
#[derive(Debug, PartialEq, Eq)]
pub struct Leaf {
    /// Place in the log, from 0.
    pub sequence: u64,
    /// When the group was committed.
    pub time: Timestamp,
    /// The kind of actor, as in the layout.
    pub actor_kind: u8,
    /// A service's identity as text, or 16 bytes.
    pub actor: Vec<u8>,
    /// The person acted for.
    pub on_behalf: Option<SubjectToken>,
    /// The acting role.
    pub role: String,
    /// The operation.
    pub operation: String,
    /// The purpose.
    pub purpose: String,
    /// The class, or empty.
    pub class: String,
    /// The view shown.
    pub view: u8,
    /// The decision.
    pub decision: Decision,
    /// The rule that decided.
    pub rule: String,
    /// The policies that decided.
    pub policy: PolicyVersion,
    /// How it ended.
    pub outcome: Outcome,
    /// Why it was refused or failed, by its number: a later release may know more.
    pub reason: u16,
    /// How many were concerned.
    pub count: u32,
    /// The epoch.
    pub epoch: u64,
    /// The call.
    pub request: RequestId,
    /// Whom it concerns.
    pub about: About,
    /// The receipt's hash.
    pub receipt_hash: Option<Digest>,
    /// The sealed detail's hash.
    pub detail_hash: Option<Digest>,
}

/// Reads a leaf back.
pub fn decode(bytes: &[u8]) -> Result<Leaf, Malformed> {
    let mut r = Reader::new(bytes);
    if r.u8()? != VERSION {
        return Err(Malformed);
    }
    let leaf = Leaf {
        sequence: r.u64()?,
        time: Timestamp::from_millis(r.i64()?),
        actor_kind: r.u8()?,
        actor: r.bytes()?.to_vec(),
        on_behalf: r.option(Reader::array)?,
        role: r.text()?.to_owned(),
        operation: r.text()?.to_owned(),
        purpose: r.text()?.to_owned(),
        class: r.text()?.to_owned(),
        view: r.u8()?,
        decision: decision(r.u8()?)?,
        rule: r.text()?.to_owned(),
        policy: r.array()?,
        outcome: outcome(r.u8()?)?,
        reason: r.u16()?,
        count: r.u32()?,
        epoch: r.u64()?,
        request: RequestId::from_bytes(r.array()?),
        about: match r.u8()? {
            0 => About::Nobody,
            1 => About::Subject(r.array()?),
            2 => About::Erasure(ReceiptId::from_bytes(r.array()?)),
            _ => return Err(Malformed),
        },
        receipt_hash: r.option(Reader::array)?,
        detail_hash: r.option(Reader::array)?,
    };
    r.finish()?;
    Ok(leaf)
}

fn decision(byte: u8) -> Result<Decision, Malformed> {
    [Decision::Permitted, Decision::Denied, Decision::NotAsked].into_iter().find(|d| *d as u8 == byte).ok_or(Malformed)
}

fn outcome(byte: u8) -> Result<Outcome, Malformed> {
    let all = [Outcome::Done, Outcome::Refused, Outcome::Failed, Outcome::Started];
    all.into_iter().find(|o| *o as u8 == byte).ok_or(Malformed)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::base::log_safe::SafeText;
    use proptest::prelude::*;

    pub fn sample() -> Event {
        Event {
            actor: Actor::Service(SafeText::constant("spiffe://example.org/billing")),
            on_behalf: None,
            role: SafeText::constant("billing"),
            operation: SafeText::constant("GetItem"),
            purpose: SafeText::constant("service_delivery"),
            class: SafeText::constant("payment"),
            view: 2,
            decision: Decision::Permitted,
            rule: SafeText::constant("billing-reads-payment"),
            policy: [8; 8],
            outcome: Outcome::Refused,
            reason: Some(Reason::ViewNotAllowed),
            count: 1,
            epoch: 7,
            request: RequestId::from_bytes([1; 16]),
            about: About::Subject([2; 16]),
            receipt_hash: None,
            detail: Some(b"sealed".to_vec()),
        }
    }

    #[test]
    fn a_leaf_keeps_its_bytes_for_ever() {
        let bytes = encode(&sample(), 42, Timestamp::from_millis(1_700_000_000_000));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, include_str!("../../tests/vectors/audit-leaf-1.hex").trim());
        let leaf = decode(&bytes).expect("decodes");
        assert_eq!((leaf.sequence, leaf.operation.as_str(), leaf.view), (42, "GetItem", 2));
        assert_eq!((leaf.policy, leaf.reason), ([8; 8], Reason::ViewNotAllowed.number()));
        assert_eq!(leaf.detail_hash, Some(sha256(&[b"sealed"])));
    }

    #[test]
    fn every_kind_of_entry_reads_back() {
        let actors = [Actor::Unknown, Actor::Person([3; 16]), Actor::Vault, sample().actor];
        let abouts = [About::Nobody, About::Subject([5; 16]), About::Erasure(ReceiptId::from_bytes([6; 16]))];
        for actor in actors {
            for about in abouts {
                let event =
                    Event { actor: actor.clone(), about, receipt_hash: Some([7; 32]), detail: None, ..sample() };
                let event = Event { on_behalf: Some([9; 16]), reason: None, ..event };
                let leaf = decode(&encode(&event, 1, Timestamp::from_millis(2))).expect("decodes");
                assert_eq!((leaf.about, leaf.receipt_hash, leaf.detail_hash), (about, Some([7; 32]), None));
                assert_eq!((leaf.on_behalf, leaf.reason), (Some([9; 16]), 0));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>) {
            let _ = decode(&bytes);
        }

        #[test]
        fn a_truncated_leaf_is_refused(cut in 0usize..200) {
            let bytes = encode(&sample(), 42, Timestamp::from_millis(0));
            prop_assume!(cut < bytes.len());
            prop_assert!(decode(&bytes[..cut]).is_err());
        }
    }
}
