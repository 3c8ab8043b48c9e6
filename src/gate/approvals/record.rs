//! One approval: what it is bound to, who said what, and its sealed row.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ActorId, ApprovalId, VaultId};
use crate::base::limits::{APPROVAL_TIME_MAX, APPROVALS_REQUIRED};
use crate::base::secret::{Key, PlainValue};
use crate::base::time::Timestamp;
use crate::catalog::text::Text;
use crate::crypto::hash::Digest;
use crate::crypto::{aead, kdf, label, mac};
use crate::gate::refusal::{Refusal, Unavailable};
use crate::policy::action::Action;
use crate::policy::caller::{PersonName, RoleId, ServiceName};

const VERSION: u8 = 1;

/// A person in a role, as a call showed them.
#[derive(Clone, PartialEq, Eq)]
pub struct Party {
    /// The random id that the log has.
    pub actor: ActorId,
    /// Who it is.
    pub person: PersonName,
    /// The certificate's name.
    pub identity: ServiceName,
    /// The acting role.
    pub role: RoleId,
    /// The purpose stated.
    pub purpose: String,
    /// Whether the call stated a ticket, which rules may ask for.
    pub ticket: bool,
}

/// One person's decision.
pub struct Decided {
    /// Who.
    pub by: Party,
    /// Whether they agreed.
    pub approved: bool,
    /// When.
    pub time: Timestamp,
    /// What they wrote.
    pub comment: Text,
}

/// How far a stored approval is; what time alone decides is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Stored {
    Open = 1,
    Rejected = 2,
    Used = 3,
}

/// Where an approval stands now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Waits for more people to agree.
    Pending,
    /// Agreed; the request may be sent once.
    Approved,
    /// Refused or withdrawn.
    Rejected,
    /// Used up.
    Used,
    /// Its time ran out unused.
    Expired,
}

/// A request that waits for, or got, another person's word.
pub struct Approval {
    /// Names it.
    pub id: ApprovalId,
    /// When it was opened; with the id, its place among the others.
    pub created: Timestamp,
    /// What is asked for.
    pub operation: Action,
    /// The ids it acts on.
    pub targets: Vec<String>,
    /// Who asked.
    pub requester: Party,
    /// The requester's reference.
    pub ticket: Text,
    /// Binds it to the exact request.
    pub digest: Digest,
    /// How many must agree.
    pub required: u32,
    /// Who said what, in order.
    pub decisions: Vec<Decided>,
    /// When it stops being usable.
    pub expires: Timestamp,
    /// When it was used.
    pub used: Option<Timestamp>,
    /// Counts its changes.
    pub revision: u32,
    pub(super) stored: Stored,
}

impl Approval {
    /// A new one.
    pub(super) fn open(id: ApprovalId, asked: Asked<'_>, requester: Party, now: Timestamp) -> Self {
        let time = i64::try_from(APPROVAL_TIME_MAX.as_millis()).unwrap_or(i64::MAX);
        Self {
            id,
            created: now,
            operation: asked.operation,
            targets: asked.targets,
            requester,
            ticket: asked.ticket.duplicate(),
            digest: asked.digest,
            required: APPROVALS_REQUIRED,
            decisions: Vec::new(),
            expires: Timestamp::from_millis(now.as_millis().saturating_add(time)),
            used: None,
            revision: 1,
            stored: Stored::Open,
        }
    }

    /// Where it stands.
    pub fn standing(&self, now: Timestamp) -> Standing {
        let agreed = self.decisions.iter().filter(|decided| decided.approved).count();
        match self.stored {
            Stored::Rejected => Standing::Rejected,
            Stored::Used => Standing::Used,
            Stored::Open if now >= self.expires || now < self.created => Standing::Expired,
            Stored::Open if agreed >= self.required as usize => Standing::Approved,
            Stored::Open => Standing::Pending,
        }
    }

    /// What changes with every decision.
    pub fn etag(&self) -> String {
        format!("a{}", self.revision)
    }

    fn encode(&self) -> Vec<u8> {
        let writer = Writer::with_capacity(4096)
            .u8(VERSION)
            .text(self.operation.as_str())
            .list(self.targets.iter(), |w, target| w.text(target));
        let writer = write_party(writer, &self.requester)
            .text(self.ticket.expose())
            .raw(&self.digest)
            .u32(self.required)
            .i64(self.expires.as_millis())
            .option(self.used, |w, time| w.i64(time.as_millis()))
            .u32(self.revision)
            .u8(self.stored as u8);
        let write = |w, decided: &Decided| {
            let w = write_party(w, &decided.by).u8(decided.approved.into()).i64(decided.time.as_millis());
            w.text(decided.comment.expose())
        };
        writer.list(self.decisions.iter(), write).finish()
    }

    fn decode(id: ApprovalId, created: Timestamp, plain: &[u8]) -> Result<Self, Malformed> {
        let mut r = Reader::new(plain);
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let approval = Self {
            id,
            created,
            operation: read_action(r.text()?)?,
            targets: r.list(|r| r.text().map(str::to_owned))?,
            requester: read_party(&mut r)?,
            ticket: r.text()?.into(),
            digest: r.array()?,
            required: r.u32()?,
            expires: Timestamp::from_millis(r.i64()?),
            used: r.option(|r| r.i64().map(Timestamp::from_millis))?,
            revision: r.u32()?,
            stored: read_stored(r.u8()?)?,
            decisions: r.list(|r| {
                Ok(Decided {
                    by: read_party(r)?,
                    approved: r.u8()? == 1,
                    time: Timestamp::from_millis(r.i64()?),
                    comment: r.text()?.into(),
                })
            })?,
        };
        r.finish()?;
        if approval.required == 0 { Err(Malformed) } else { Ok(approval) }
    }
}

/// What a call asks for that needs an approval.
pub(super) struct Asked<'a> {
    pub operation: Action,
    pub targets: Vec<String>,
    pub ticket: &'a Text,
    pub digest: Digest,
}

/// What is derived from the key of a period.
pub(super) struct ApprovalKeys {
    seal: Key,
    digest: Key,
}

impl ApprovalKeys {
    pub fn of(key: &Key) -> Self {
        let [seal, digest] = kdf::split::<64, 2>(kdf::derive(b"", key, label::APPROVAL_KEYS, &[]));
        Self { seal, digest }
    }

    /// The digest of a request: its method and content, who asks, in which role, for what, with which reference.
    pub fn digest(&self, operation: Action, requester: &Party, ticket: &Text, request: &Digest) -> Digest {
        let parts: [&[u8]; 7] = [
            operation.service().as_bytes(),
            operation.as_str().as_bytes(),
            requester.actor.as_bytes(),
            requester.role.name().as_bytes(),
            requester.purpose.as_bytes(),
            ticket.expose().as_bytes(),
            request,
        ];
        mac::mac(&self.digest, label::APPROVAL_DIGEST, &parts)
    }

    pub fn seal(&self, vault: &VaultId, approval: &Approval) -> Result<Vec<u8>, Refusal> {
        let plain = PlainValue::new(approval.encode());
        let aad = aad(vault, &approval.id, approval.created);
        Ok(aead::seal(&self.seal, &aad, plain.expose()).map_err(|_| Unavailable::Internal)?)
    }

    pub fn open(
        &self,
        vault: &VaultId,
        id: ApprovalId,
        created: Timestamp,
        sealed: &[u8],
    ) -> Result<Approval, Malformed> {
        let plain = aead::open(&self.seal, &aad(vault, &id, created), sealed).map_err(|_| Malformed)?;
        Approval::decode(id, created, plain.expose())
    }
}

fn aad(vault: &VaultId, id: &ApprovalId, created: Timestamp) -> Vec<u8> {
    let writer = Writer::new().bytes(label::APPROVAL_RECORD.as_bytes()).bytes(vault.as_bytes());
    writer.bytes(id.as_bytes()).i64(created.as_millis()).finish()
}

fn write_party(w: Writer, party: &Party) -> Writer {
    let w = w.raw(party.actor.as_bytes()).text(party.person.expose()).text(party.identity.as_str());
    w.text(party.role.name()).text(&party.purpose).u8(party.ticket.into())
}

fn read_party(r: &mut Reader<'_>) -> Result<Party, Malformed> {
    Ok(Party {
        actor: ActorId::from_bytes(r.array()?),
        person: r.text()?.parse().map_err(|_| Malformed)?,
        identity: r.text()?.parse().map_err(|_| Malformed)?,
        role: r.text()?.parse().map_err(|_| Malformed)?,
        purpose: r.text()?.to_owned(),
        ticket: r.u8()? == 1,
    })
}

fn read_action(name: &str) -> Result<Action, Malformed> {
    Action::ALL.iter().copied().find(|action| action.as_str() == name).ok_or(Malformed)
}

fn read_stored(tag: u8) -> Result<Stored, Malformed> {
    [Stored::Open, Stored::Rejected, Stored::Used].into_iter().find(|stored| *stored as u8 == tag).ok_or(Malformed)
}
