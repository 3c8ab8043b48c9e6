//! DownloadDocument: a document's description, then its content chunk by chunk, then that nothing is missing.
//!
//! The key of the content is held by a registered reader. When something of the item's is forgotten, the reader is cut:
//! it lets go of the key, looks again, and goes on only if the very same content is still there, as after a change of
//! metadata. A caller that takes nothing holds up no epoch.

use std::sync::Arc;

use crate::audit::event::Event;
use crate::base::id::ItemId;
use crate::base::limits::{CHUNK_BYTES, DOWNLOAD_BUFFER_BYTES};
use crate::base::secret::PlainValue;
use crate::catalog::class::{ClassId, Form};
use crate::catalog::classes::{CanonicalValue, class_of};
use crate::catalog::view::View;
use crate::crypto::hash::Hasher;
use crate::gate::buffers::Reserved;
use crate::gate::call::Call;
use crate::gate::readings::Reading;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Document, Refusal, State, Unavailable};
use crate::gate::txn::Fault;
use crate::gate::uploads::UploadPlace;
use crate::gate::vault::Vault;
use crate::keys::chunks::ChunkNumber;
use crate::keys::page::Entry;

use super::content::{Chunks, Described, chunk_count, document_of};
use super::kept::{self, Pick, Sought};
use super::model::{DocumentQuery, ItemView, SubjectRef, WholeContent};
use super::record::{StoredItem, Target, same};
use super::recorded::refuse;
use super::show::{find, permit, show};

/// A download that goes on chunk by chunk.
pub struct Download {
    vault: Arc<Vault>,
    call: Call,
    sought: Sought,
    item: ItemId,
    class: ClassId,
    version: u64,
    /// None while it is cut, and is not known to be there still.
    chunks: Option<Arc<Chunks>>,
    whole: WholeContent,
    /// Where the next piece begins.
    next: u64,
    /// Of all that was sent; none where the download does not begin with the first byte.
    hasher: Option<Hasher>,
    _room: Reserved,
}

/// A piece of the content.
pub struct Piece {
    /// Where it begins.
    pub offset: u64,
    /// Its bytes, with those of the chunk that were to be skipped.
    pub bytes: PlainValue,
    /// How many of them are to be skipped.
    pub skip: usize,
}

/// Opens a download: the item as it is described, and what is to follow.
///
/// # Durability
/// The entry that records it is durable when this returns: nothing is revealed before.
///
/// # Errors
/// What is wrong with the request; a denial; [`Document`]; [`Unavailable`].
pub async fn open(vault: Arc<Vault>, call: Call, query: DocumentQuery) -> Result<(ItemView, Download), Refusal> {
    match try_open(&vault, &call, &query).await {
        Ok(opened) => Ok(opened),
        Err(refusal) => {
            let touched = Touched { count: 1, items: vec![(query.item, query.version)], ..Touched::default() };
            Err(refuse(&vault, &call, query.subject.as_ref(), touched, refusal).await)
        }
    }
}

async fn try_open(vault: &Arc<Vault>, call: &Call, query: &DocumentQuery) -> Result<(ItemView, Download), Refusal> {
    let room = vault.buffers().reserve(call.caller(), DOWNLOAD_BUFFER_BYTES)?;
    let pick = Pick { item: query.item, version: query.version, etag: "" };
    let sought = Sought::find(vault, call, query.subject.as_ref(), pick)?;
    let reading = vault.readings().begin(sought.owner, Some(query.item));
    let live = |target: &Target| see_live(vault, call, query, target);
    let Seen { view, entry, described } = sought.look(vault, call, pick, live, || see_kept(vault, call, pick))?;
    let whole = WholeContent { size: described.size, sha256: described.sha256 };
    if query.offset > whole.size {
        return Err(Document::PastEnd.into());
    }
    reading.unless_cut(vault.record(vec![entry])).await.ok_or_else(|| reading.ended_by())??;
    let place = UploadPlace { subject: sought.owner, item: view.item, upload: described.content.upload() };
    let download = Download {
        vault: vault.clone(),
        call: call.clone(),
        sought,
        item: view.item,
        class: view.class,
        version: view.version,
        chunks: Some(Arc::new(Chunks::new(vault.clone(), place, described.content, reading))),
        whole,
        next: query.offset,
        hasher: (query.offset == 0).then(Hasher::default),
        _room: room,
    };
    Ok((view, download))
}

/// A document as it is described, and the entry that must be durable before.
struct Seen {
    view: ItemView,
    entry: Event,
    described: Described,
}

fn see_live(vault: &Vault, call: &Call, query: &DocumentQuery, target: &Target) -> Result<Seen, Refusal> {
    let (view, described, rule, keys) = vault.read(|reads| {
        let subject = target.open(reads, call)?;
        let item = find(reads, &subject, query.item, query.version)?;
        // Content is shown whole or not at all.
        let (permit, shown) = permit(call, &subject, &item, Some(View::Plain))?;
        let described = describe(&item, &item.entry(reads, vault.id(), subject.tree())?, vault)?;
        let view = show(reads, call, &subject, &item, (&permit, shown), &[])?;
        Ok((view, described, permit.rule().clone(), subject.detail_keys(reads)?))
    })?;
    let touched = Touched {
        class: Some(view.class),
        view: Some(view.view),
        rule: Some(rule),
        count: 1,
        items: vec![(view.item, view.version)],
        ..Touched::default()
    };
    let entry = call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, (vault.now(), vault.epoch()))?;
    Ok(Seen { view, entry, described })
}

fn see_kept(vault: &Vault, call: &Call, pick: Pick<'_>) -> Result<Seen, Refusal> {
    let (view, described, seen) = vault.read(|reads| {
        let seen = kept::see(reads, vault, call, pick, Some(View::Plain))?;
        Ok((seen.show(vault, call, &[])?, describe(&seen.item, &seen.entry, vault)?, seen))
    })?;
    Ok(Seen { view, entry: seen.entry_of(vault, call, &[])?, described })
}

/// What a stored document says of its content. `entry` is that of its key.
fn describe(item: &StoredItem, entry: &Entry, vault: &Vault) -> Result<Described, Fault> {
    if class_of(item.head.class.as_str()).is_none_or(|class| class.form != Form::Document) {
        return Err(Refusal::from(Document::IsNone).into());
    }
    let content = item.open_with(vault.id(), entry)?;
    document_of(CanonicalValue::decode(item.head.class, content.value.expose()).map_err(|_| Fault::Torn)?)
}

impl Download {
    /// The call.
    pub fn call(&self) -> &Call {
        &self.call
    }

    /// The whole content.
    pub fn whole(&self) -> WholeContent {
        self.whole
    }

    /// The next piece, authenticated; the same again until [`Download::sent`] says that it was sent. None at the end,
    /// when nothing is missing.
    ///
    /// # Errors
    /// [`State::SubjectErased`] or [`State::ItemErased`] if the content is forgotten; [`Unavailable::Damaged`] if what
    /// is stored is not what was.
    pub async fn next(&mut self) -> Result<Option<Piece>, Refusal> {
        let whole = self.whole;
        if self.next == whole.size {
            return match self.hasher.take().map(Hasher::finish) {
                Some(sha256) if sha256 != whole.sha256 => Err(Unavailable::Damaged.into()),
                _ => Ok(None),
            };
        }
        loop {
            let chunks = match &self.chunks {
                Some(chunks) if !chunks.reading().is_cut() => chunks.clone(),
                _ => self.look_again()?,
            };
            let index = u32::try_from(self.next / CHUNK_BYTES as u64).map_err(|_| Unavailable::Internal)?;
            let number = ChunkNumber { index, last: index + 1 == chunk_count(whole.size) };
            let opened = tokio::task::spawn_blocking(move || (chunks.open(number), chunks.reading().is_cut()));
            let (opened, is_cut) = opened.await.map_err(|_| Unavailable::Internal)?;
            if is_cut {
                continue; // its rows may be gone, or not; what is there now decides
            }
            let (bytes, skip) = (opened?, (self.next % CHUNK_BYTES as u64) as usize);
            let expected = (whole.size - u64::from(index) * CHUNK_BYTES as u64).min(CHUNK_BYTES as u64);
            if bytes.len() as u64 != expected {
                return Err(Unavailable::Damaged.into());
            }
            return Ok(Some(Piece { offset: self.next, bytes, skip }));
        }
    }

    /// Runs `work`, such as the sending of a message, unless the reading is cut meanwhile: then none.
    pub async fn unless_cut<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        let done = match &self.chunks {
            Some(chunks) => chunks.reading().unless_cut(work).await,
            None => None,
        };
        if done.is_none() {
            self.chunks = None; // and with it the key
        }
        done
    }

    /// Notes that a piece was sent.
    pub fn sent(&mut self, piece: &[u8]) {
        if let Some(hasher) = &mut self.hasher {
            hasher.update(piece);
        }
        self.next += piece.len() as u64;
    }

    /// Records that it ended for this reason.
    pub async fn refuse(&self, refusal: Refusal) -> Refusal {
        let named = SubjectRef::Id(self.sought.owner);
        let items = vec![(self.item, self.version)];
        let touched = Touched { class: Some(self.class), count: 1, items, ..Touched::default() };
        refuse(&self.vault, &self.call, Some(&named), touched, refusal).await
    }

    /// After a cut: the same content once more, if it is still there.
    fn look_again(&mut self) -> Result<Arc<Chunks>, Refusal> {
        let upload = self.chunks.take().map(|chunks| chunks.upload());
        let Self { vault, call, sought, .. } = &*self;
        let reading: Reading = vault.readings().begin(sought.owner, Some(self.item));
        let pick = Pick { item: self.item, version: self.version, etag: "" };
        let live = |target: &Target| {
            vault.read(|reads| {
                let subject = same(target, reads, call, sought.owner)?;
                let item = find(reads, &subject, self.item, self.version)?;
                describe(&item, &item.entry(reads, vault.id(), subject.tree())?, vault)
            })
        };
        let kept = || {
            vault.read(|reads| {
                let seen = kept::see(reads, vault, call, pick, Some(View::Plain))?;
                describe(&seen.item, &seen.entry, vault)
            })
        };
        let described = sought.look(vault, call, pick, live, kept).map_err(|refusal| match refusal {
            Refusal::State(State::NotFound) => State::ItemErased.into(),
            other => other,
        })?;
        let found = described.content.upload();
        if upload.is_some_and(|upload| upload != found) || described.sha256 != self.whole.sha256 {
            return Err(State::ItemErased.into());
        }
        let place = UploadPlace { subject: sought.owner, item: self.item, upload: found };
        let chunks = Arc::new(Chunks::new(vault.clone(), place, described.content, reading));
        self.chunks = Some(chunks.clone());
        Ok(chunks)
    }
}
