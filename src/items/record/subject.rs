//! The row of a subject, and its own keys.

use super::VERSION;
use crate::audit::detail::DetailKeys;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ReceiptId, SubjectId, VaultId};
use crate::base::secret::Key;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::catalog::purpose::PurposeId;
use crate::catalog::text::Text;
use crate::gate::receipts;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads, Txn};
use crate::items::model::RestrictionGround;
use crate::keys::envelope::{Envelope, Kind, Part, Place};
use crate::keys::page::{Entry, Tree};
use crate::policy::question::{Resource, Standing};
use crate::store::keyspace::Space;

/// The subject's own keys, at fixed positions of its tree.
pub const AUDIT_POSITION: u64 = 0;
/// See [`AUDIT_POSITION`].
pub const RECORD_POSITION: u64 = 1;

/// A purpose to which a person objects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objection {
    /// The purpose.
    pub purpose: String,
    /// For this class only; none for all.
    pub class: Option<ClassId>,
    /// Since when.
    pub since: Timestamp,
}

impl Objection {
    /// Whether it is one to processing this class for this purpose.
    pub fn covers(&self, purpose: &str, class: ClassId) -> bool {
        self.purpose == purpose && self.class.is_none_or(|only| only == class)
    }
}

/// The row of a subject.
pub struct SubjectRow {
    /// Its position among the subjects.
    pub position: u64,
    /// When it was created.
    pub created: Timestamp,
    /// What access rules may know of it: labels, and whether its processing is restricted. In clear.
    pub standing: Standing,
    /// Why its processing is restricted. INVARIANT: stated exactly if the standing says so.
    ground: Option<RestrictionGround>,
    /// Purposes to which the person objects: for one class, or for all. In clear.
    pub objections: Vec<Objection>,
    /// How many holds are in force: rows that lead to holds cannot be taken away unnoticed. None if the row was written
    /// before holds were counted.
    pub holds: Option<u32>,
    /// The caller's id, sealed.
    pub external: Vec<u8>,
}

impl SubjectRow {
    /// Of a new subject.
    pub fn new(position: u64, created: Timestamp, standing: Standing, external: Vec<u8>) -> Self {
        Self { position, created, standing, ground: None, objections: Vec::new(), holds: Some(0), external }
    }

    /// Why its processing is restricted, if it is.
    pub fn restriction(&self) -> Option<RestrictionGround> {
        self.ground
    }

    /// Restricts its processing, or lifts that.
    pub fn restrict(&mut self, ground: Option<RestrictionGround>) {
        self.ground = ground;
        self.standing.restricted = ground.is_some();
    }

    /// The row, authenticated under the record key.
    pub fn encode(&self, vault: &VaultId, id: &SubjectId, record: &Entry) -> Vec<u8> {
        let clear = self.clear(record.extra);
        let envelope = Envelope::derive(Kind::Subject, &record.key);
        let code = envelope.authenticate(subject_place(vault, id, record), &clear);
        Writer::new().bytes(&clear).raw(&code).raw(envelope.commitment()).finish()
    }

    fn clear(&self, counter: u64) -> Vec<u8> {
        let writer = Writer::new()
            .u8(if self.holds.is_some() { COUNTING } else { VERSION })
            .u64(self.position)
            .u64(counter)
            .i64(self.created.as_millis())
            .list(self.standing.labels.iter(), |w, (name, value)| w.text(name).text(value))
            .u8(self.ground.map_or(0, RestrictionGround::number))
            .list(self.objections.iter(), |w, objection| {
                let w = w.text(&objection.purpose).option(objection.class, |w, class| w.text(class.as_str()));
                w.i64(objection.since.as_millis())
            })
            .bytes(&self.external);
        match self.holds {
            None => writer.finish(),
            Some(holds) => writer.u32(holds).finish(),
        }
    }

    fn decode(clear: &[u8]) -> Result<(Self, u64), Malformed> {
        let mut r = Reader::new(clear);
        let version = r.u8()?;
        if ![VERSION, COUNTING].contains(&version) {
            return Err(Malformed);
        }
        let (position, counter) = (r.u64()?, r.u64()?);
        let created = Timestamp::from_millis(r.i64()?);
        let labels = r.list(|r| Ok((r.text()?.to_owned(), r.text()?.to_owned())))?.into();
        let ground = match r.u8()? {
            0 => None,
            number => Some(RestrictionGround::from_number(number).ok_or(Malformed)?),
        };
        let row = Self {
            position,
            created,
            standing: Standing { labels, restricted: ground.is_some(), own: false }, // own: for the call to say
            ground,
            objections: r.list(|r| {
                let purpose = r.text()?.to_owned();
                let class = r.option(|r| class_of(r.text()?).map(|c| c.id).ok_or(Malformed))?;
                Ok(Objection { purpose, class, since: Timestamp::from_millis(r.i64()?) })
            })?,
            external: r.bytes()?.to_vec(),
            holds: if version == COUNTING { Some(r.u32()?) } else { None },
        };
        r.finish()?;
        Ok((row, counter))
    }
}

/// The version of a row that counts holds.
const COUNTING: u8 = 2;

/// Whose items they are: as much as it takes to find them and their keys, also once the subject's row is a tombstone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The subject.
    pub id: SubjectId,
    /// Its position among the subjects.
    pub position: u64,
}

impl Owner {
    /// The tree of its keys.
    pub fn tree(self) -> Tree {
        Tree::Subject(self.id, self.position)
    }
}

/// A subject whose row and keys fit together.
pub struct OpenSubject {
    /// Its id.
    pub id: SubjectId,
    /// Its row.
    pub row: SubjectRow,
    /// The key of its record, and the counter.
    pub record: Entry,
    commitment: [u8; 32],
}

impl OpenSubject {
    /// Whose its items are.
    pub fn owner(&self) -> Owner {
        Owner { id: self.id, position: self.row.position }
    }

    /// The tree of its keys.
    pub fn tree(&self) -> Tree {
        self.owner().tree()
    }

    /// Items of a class of it, as access rules see them.
    pub fn data(&self, purpose: &PurposeId, class: ClassId) -> Resource {
        let objected = self.row.objections.iter().any(|objection| objection.covers(purpose.as_str(), class));
        Resource::Data { class, standing: self.row.standing.clone(), objected, kept: false }
    }

    /// Stores its row as it is now, under the same key and with the next count.
    pub fn store(&mut self, txn: &mut Txn<'_>, vault: &VaultId) -> Result<(), Refusal> {
        self.record.extra += 1;
        txn.set(self.tree(), RECORD_POSITION, &self.record)?;
        txn.put(Space::Subject, *self.id.as_bytes(), self.row.encode(vault, &self.id, &self.record));
        Ok(())
    }

    /// The key of records that die with the person.
    pub fn companion(&self) -> Key {
        Envelope::derive(Kind::Subject, &self.record.key).into_companion()
    }

    /// The keys of its entries in the log.
    pub fn detail_keys(&self, reads: &dyn Reads) -> Result<DetailKeys, Fault> {
        let audit = reads.entry(self.tree(), AUDIT_POSITION)?.ok_or(Fault::Torn)?;
        Ok(DetailKeys::derive(&audit.key))
    }

    /// The caller's id for it.
    pub fn external_id(&self, vault: &VaultId) -> Result<Text, Fault> {
        if self.row.external.is_empty() {
            return Ok(Text::default());
        }
        let envelope = Envelope::derive(Kind::Subject, &self.record.key);
        let place = subject_place(vault, &self.id, &self.record);
        let plain = envelope.open(place, Part::Value, &self.commitment, &self.row.external).map_err(|_| Fault::Torn)?;
        std::str::from_utf8(plain.expose()).map(Text::from).map_err(|_| Fault::Torn)
    }
}

/// Seals a caller's id for a subject's row.
pub fn seal_external(vault: &VaultId, id: &SubjectId, record: &Entry, external: &Text) -> Result<Vec<u8>, Refusal> {
    if external.is_empty() {
        return Ok(Vec::new());
    }
    let envelope = Envelope::derive(Kind::Subject, &record.key);
    let sealed = envelope.seal(subject_place(vault, id, record), Part::Value, external.expose().as_bytes());
    Ok(sealed.map_err(|_| Unavailable::Internal)?)
}

/// The row that stands for a subject from the moment its erasure is durable, and for good: whose erasure the receipt is
/// of, and nothing else.
pub fn subject_tombstone(receipt: &ReceiptId) -> Vec<u8> {
    Writer::new().u8(ERASED).raw(receipt.as_bytes()).finish()
}

/// The first byte of a tombstone. A subject's own row begins with the length of its clear part, which is short.
const ERASED: u8 = 2;

fn tombstoned(row: &[u8]) -> Option<ReceiptId> {
    let (first, rest) = row.split_first()?;
    let receipt = rest.try_into().map(ReceiptId::from_bytes).ok()?;
    (*first == ERASED).then_some(receipt)
}

/// Reads a subject and checks that its row is the newest and its own.
///
/// # Errors
/// [`State::NotFound`]; [`State::Erased`] from the moment its erasure is durable.
pub fn open_subject(reads: &dyn Reads, vault: &VaultId, id: SubjectId) -> Result<OpenSubject, Fault> {
    let row = reads.row(Space::Subject, id.as_bytes())?.ok_or(Fault::Refused(State::NotFound.into()))?;
    if let Some(receipt) = tombstoned(&row) {
        return Err(Fault::Refused(State::Erased(Some(receipt)).into()));
    }
    let torn = |_| Fault::Torn;
    let mut r = Reader::new(&row);
    let clear = r.bytes().map_err(torn)?;
    let code: [u8; 32] = r.array().map_err(torn)?;
    let commitment: [u8; 32] = r.array().map_err(torn)?;
    r.finish().map_err(torn)?;
    let (row, counter) = SubjectRow::decode(clear).map_err(torn)?;
    let record = reads.entry(Tree::Subject(id, row.position), RECORD_POSITION)?.ok_or(Fault::Torn)?;
    let place = subject_place(vault, &id, &record);
    if counter != record.extra || Envelope::check_only(Kind::Subject, &record.key, place, clear, &code).is_err() {
        return Err(Fault::Torn);
    }
    Ok(OpenSubject { id, row, record, commitment })
}

/// As [`open_subject`], for who tells a caller: that a person is erased is said only where the receipt is of their erasure.
/// Another person's tombstone is nobody's end.
///
/// # Errors
/// As there; [`Fault::Torn`] for another person's tombstone.
pub fn open_subject_to_tell(reads: &dyn Reads, vault: &VaultId, id: SubjectId) -> Result<OpenSubject, Fault> {
    let opened = open_subject(reads, vault, id);
    if let Err(Fault::Refused(Refusal::State(State::Erased(Some(receipt))))) = &opened {
        let matter = receipts::look_up(reads, receipt)?.and_then(|record| record.matter);
        if matter.is_none_or(|matter| matter.subject != Some(id)) {
            return Err(Fault::Torn);
        }
    }
    opened
}

fn subject_place<'a>(vault: &'a VaultId, id: &'a SubjectId, record: &Entry) -> Place<'a> {
    Place { vault, owner: id.as_bytes(), class: "", version: 1, generation: record.generation }
}
