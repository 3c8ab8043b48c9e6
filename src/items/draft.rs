//! A new item on its way in: checked and canonical before the writer sees it, sealed and placed by the writer.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::id::{ItemId, SubjectId, VaultId};
use crate::base::limits::VALUE_BYTES_MAX;
use crate::base::log_safe::SafeText;
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::class::{ClassDef, ClassId, Form, Identifier};
use crate::catalog::classes::{ItemValue, class_of, payment};
use crate::catalog::registry::Registry;
use crate::catalog::text::Text;
use crate::catalog::view::View;
use crate::crypto::rng;
use crate::gate::call::Call;
use crate::gate::once::Once;
use crate::gate::record::Touched;
use crate::gate::refusal::{Access, Fault, FaultReason, Refusal, State, Unavailable};
use crate::gate::standpoint::Standpoint;
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;
use crate::keys::page::{Entry, Tree};
use crate::policy::question::Resource;
use crate::store::keyspace::Space;

use super::expiry;
use super::model::{NewItem, NewMetadata, Notes, Stamp};
use super::record::{ItemHead, encode_item, encode_notes, item_key};
use super::rows;

/// A value that passed every check.
pub struct Checked {
    /// Its class.
    pub class: ClassId,
    /// The canonical value, encoded.
    pub value: PlainValue,
    /// The identifiers in it.
    pub identifiers: Vec<Identifier>,
    /// A secret that is yet to become the value.
    pub secret: Option<Text>,
    /// When what it tells of took place, if it says so.
    pub time: Option<Timestamp>,
}

/// Checks a value against its class and brings it to its canonical form. `prefix` names the field that holds it.
pub fn check_value(value: ItemValue, prefix: &str) -> Result<Checked, Refusal> {
    let class = value.class().id;
    let mut canonical = value.validate().map_err(|violations| {
        let fault = |v: &crate::catalog::validate::Violation| {
            let path =
                if v.path.as_str().is_empty() { class.as_str().to_owned() } else { format!("{class}.{}", v.path) };
            Fault::new(format!("{prefix}.{path}"), FaultReason::Value(v.reason))
        };
        Refusal::Invalid(violations.iter().map(fault).collect())
    })?;
    let secret = canonical.take_secret();
    let value = canonical.encode();
    if value.len() > VALUE_BYTES_MAX {
        return Err(Fault::new(prefix, FaultReason::TooLarge).into());
    }
    let (identifiers, time) = (canonical.identifiers(), canonical.time());
    Ok(Checked { class, value, identifiers, secret, time })
}

/// Refuses a class whose values other methods take, and says which.
pub fn must_take_items(class: &ClassDef, field: &str) -> Result<(), Refusal> {
    let reason = match class.form {
        Form::Item | Form::ItemOrEvents | Form::Verifier => return Ok(()),
        Form::Events => FaultReason::KeptAsEvents,
        Form::Document => FaultReason::KeptAsDocuments,
    };
    Err(Fault::new(field, reason).into())
}

/// The rule that permits writing: whoever writes a value could read it back, as far as anybody can, and whoever sees only
/// a part of one would write the rest away.
pub fn permit_to_write(at: &Standpoint, data: Resource) -> Result<SafeText, Access> {
    let needed = data.class().and_then(|class| class_of(class.as_str())).map_or(View::Plain, ClassDef::view_max);
    let permit = at.permit(data)?;
    if permit.sees_all_of(needed) { Ok(permit.rule().clone()) } else { Err(Access::ViewNotAllowed) }
}

/// A new item, ready for the writer.
pub struct Draft {
    id: ItemId,
    checked: Checked,
    details: Details,
}

/// Metadata, completed from the registry.
pub struct Details {
    purposes: Vec<String>,
    legal_basis: String,
    expires: Option<Timestamp>,
    automated_decision: bool,
    notes: PlainValue,
}

impl Draft {
    /// Checks a new item. Whether it may be written is for whoever knows the subject to ask.
    pub fn check(call: &Call, item: NewItem, now: Timestamp, prefix: &str) -> Result<Self, Refusal> {
        let registered = call.registry().class(&item.class).map(|rule| rule.class);
        let def = registered.ok_or_else(|| Fault::new(format!("{prefix}.class"), FaultReason::ClassUnknown))?;
        let class = def.id;
        call.may_touch(class)?;
        must_take_items(def, &format!("{prefix}.class"))?;
        if item.value.class().id != class {
            return Err(Fault::new(format!("{prefix}.value"), FaultReason::ClassMismatch).into());
        }
        let at = format!("{prefix}.metadata");
        let details = Details::complete(call.registry(), class, item.metadata, now, &at)?;
        let checked = check_value(item.value, &format!("{prefix}.value"))?;
        let id = ItemId::from_bytes(rng::make_bytes().map_err(|_| Unavailable::Internal)?);
        Ok(Self { id, checked, details })
    }

    /// Turns a secret into its verifier, which takes time; see [`Checked::harden`].
    pub async fn harden(&mut self, vault: &Vault, once: Option<Once>) -> Result<Option<Once>, Refusal> {
        self.checked.harden(vault, once).await
    }

    /// Whether that is yet to be done.
    pub fn is_secret(&self) -> bool {
        self.checked.secret.is_some()
    }

    /// The class.
    pub fn class(&self) -> ClassId {
        self.checked.class
    }

    /// The item's id.
    pub fn id(&self) -> ItemId {
        self.id
    }

    /// Gives the item a key in the subject's tree and stores its sealed row. `order` counts the items that one change
    /// creates.
    pub fn store(
        self,
        txn: &mut Txn<'_>,
        vault: &VaultId,
        (subject, tree): (&SubjectId, Tree),
        order: usize,
    ) -> Result<Stamp, Refusal> {
        let (details, checked) = (self.details, self.checked);
        if checked.secret.is_some() {
            return Err(Unavailable::Internal.into()); // nobody made its verifier
        }
        let order = u32::try_from(order).unwrap_or(u32::MAX);
        let head = details.head(ItemHead::first(checked.class, txn.now(), order));
        let notes = details.notes;
        rows::put_index(txn, subject, (&self.id, head.version), &checked.identifiers)?;
        store_version(txn, vault, subject, tree, Version { id: self.id, head, value: checked.value, notes })
    }
}

/// What new items are recorded as.
pub fn touched(drafts: &[Draft], rule: Option<SafeText>) -> Touched {
    let first = drafts.first();
    let same = drafts.iter().all(|draft| first.is_some_and(|first| first.class() == draft.class()));
    Touched {
        class: first.filter(|_| same).map(Draft::class),
        rule,
        count: u32::try_from(drafts.len()).unwrap_or(u32::MAX),
        items: drafts.iter().map(|draft| (draft.id(), 1)).collect(),
        ..Touched::default()
    }
}

impl Details {
    /// Fills in what the caller left out. `at` names the field that holds the metadata.
    pub fn complete(
        registry: &Registry,
        class: ClassId,
        metadata: NewMetadata,
        now: Timestamp,
        at: &str,
    ) -> Result<Self, Refusal> {
        let rule = registry.class(class.as_str()).ok_or(Unavailable::Internal)?;
        if class == payment::ID {
            refuse_card_numbers(&metadata.notes, at)?;
        }
        let purposes = match metadata.purposes {
            named if named.is_empty() => rule.default_purposes.iter().map(ToString::to_string).collect(),
            named => named,
        };
        let mut latest = rule.keep_max.as_ref().map(|period| period.end_after(now));
        let mut basis = metadata.legal_basis;
        for (i, name) in purposes.iter().enumerate() {
            let unknown = || Fault::new(format!("{at}.purposes[{i}]"), FaultReason::Malformed);
            let purpose = registry.purpose(name).ok_or_else(unknown)?;
            registry.cap(&purpose.id, class).ok_or_else(unknown)?;
            let end = purpose.keep_max.end_after(now);
            latest = Some(latest.map_or(end, |known| known.min(end)));
            if basis.is_empty() {
                basis = purpose.legal_basis.as_str().to_owned();
            }
        }
        if crate::catalog::purpose::LegalBasis::parse(&basis).is_none() {
            return Err(Fault::new(format!("{at}.legal_basis"), FaultReason::Malformed).into());
        }
        if let (Some(wanted), Some(latest)) = (metadata.expires, latest)
            && wanted > latest
        {
            return Err(Fault::new(format!("{at}.expire_time"), FaultReason::KeepTooLong).into());
        }
        Ok(Self {
            purposes,
            legal_basis: basis,
            expires: metadata.expires.or(latest),
            automated_decision: metadata.automated_decision,
            notes: encode_notes(&metadata.notes),
        })
    }

    /// When the item ends at the latest.
    pub fn expires(&self) -> Option<Timestamp> {
        self.expires
    }

    /// The free text, encoded.
    pub fn notes(&self) -> &PlainValue {
        &self.notes
    }

    /// The free text, to be sealed.
    pub fn into_notes(self) -> PlainValue {
        self.notes
    }

    /// The details as bytes, to be sealed until they are needed.
    pub fn encode(&self) -> PlainValue {
        let names: usize = self.purposes.iter().map(|purpose| purpose.len() + 4).sum();
        let writer = Writer::with_capacity(64 + names + self.legal_basis.len() + self.notes.len())
            .list(self.purposes.iter(), |w, purpose| w.text(purpose))
            .text(&self.legal_basis)
            .option(self.expires, |w, time| w.i64(time.as_millis()))
            .u8(self.automated_decision.into())
            .bytes(self.notes.expose());
        PlainValue::new(writer.finish())
    }

    /// Reads back what [`Details::encode`] wrote.
    pub fn decode(bytes: &PlainValue) -> Result<Self, Malformed> {
        let mut r = Reader::new(bytes.expose());
        let details = Self {
            purposes: r.list(|r| r.text().map(str::to_owned))?,
            legal_basis: r.text()?.to_owned(),
            expires: r.option(|r| r.i64().map(Timestamp::from_millis))?,
            automated_decision: r.u8()? == 1,
            notes: PlainValue::new(r.bytes()?.to_vec()),
        };
        r.finish()?;
        Ok(details)
    }

    /// The clear part of an item, with these details in place of its own.
    pub fn head(&self, head: ItemHead) -> ItemHead {
        ItemHead {
            expires: self.expires,
            purposes: self.purposes.clone(),
            legal_basis: self.legal_basis.clone(),
            automated_decision: self.automated_decision,
            ..head
        }
    }
}

/// Refuses card numbers in what comes with a payment: its class does in the payment itself.
fn refuse_card_numbers(notes: &Notes, at: &str) -> Result<(), Refusal> {
    let mut texts = vec![(format!("{at}.source"), &notes.source)];
    for (i, recipient) in notes.recipients.iter().enumerate() {
        texts.push((format!("{at}.recipients[{i}].name"), &recipient.name));
        texts.push((format!("{at}.recipients[{i}].safeguard"), &recipient.safeguard));
    }
    texts.push((format!("{at}.automated_decision_logic"), &notes.automated_decision_logic));
    match payment::card_number_among(texts.iter().map(|(_, text)| text.expose())) {
        None => Ok(()),
        Some(found) => {
            let reason = FaultReason::Value(crate::catalog::validate::Reason::CardNumber);
            Err(Fault::new(texts.swap_remove(found).0, reason).into())
        }
    }
}

/// One version of an item to be stored under a fresh key.
pub struct Version {
    /// The item.
    pub id: ItemId,
    /// Its clear part; the position is filled in.
    pub head: ItemHead,
    /// The encoded value.
    pub value: PlainValue,
    /// The encoded free text.
    pub notes: PlainValue,
}

/// Stores a version under a fresh key at a fresh position.
pub fn store_version(
    txn: &mut Txn<'_>,
    vault: &VaultId,
    subject: &SubjectId,
    tree: Tree,
    mut version: Version,
) -> Result<Stamp, Refusal> {
    let position = txn.claim_position(tree)?;
    if position >= crate::base::limits::ITEMS_PER_SUBJECT_MAX {
        return Err(State::SubjectFull.into());
    }
    let key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
    let entry = Entry { generation: 1, extra: version.head.counter, key };
    version.head.position = position;
    let row = encode_item(vault, &version.id, &version.head, &entry, &version.value, &version.notes)?;
    txn.set(tree, position, &entry)?;
    txn.put(Space::Item, item_key(subject, &version.id), row);
    expiry::note(txn, subject, &version.id, &version.head)?;
    let head = version.head;
    Ok(Stamp { item: version.id, version: head.version, etag: head.etag(), expires: head.expires })
}
