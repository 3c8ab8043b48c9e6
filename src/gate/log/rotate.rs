//! Replacing the key that signs the log: one commit, in which the old key signs for the last time.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::keys::{LogKeys, ROW, verifier};
use super::{Log, Runner};
use crate::audit::checkpoint::Checkpoint;
use crate::audit::event::Event;
use crate::audit::handover::{self, Handover};
use crate::audit::sequence::Head;
use crate::audit::stored::{SignedCheckpoint, StoredLog};
use crate::base::fault;
use crate::base::limits::LOG_STEP_LEAVES;
use crate::base::log_safe::SafeText;
use crate::base::secret::Key;
use crate::crypto::rng;
use crate::crypto::sign::{PublicKey, Signer};
use crate::gate::open::{AUDIT_KEY, Signing};
use crate::gate::record::own_event;
use crate::gate::refusal::{Refusal, Unavailable};
use crate::gate::txn::Txn;
use crate::store::keyspace::Space;

/// A rotation that somebody waits for.
pub(super) struct Asked {
    /// The key to be replaced.
    old: PublicKey,
    /// The entry of the call that asks for it.
    entry: Event,
    reply: oneshot::Sender<Result<Option<u64>, Refusal>>,
}

impl Log {
    /// Replaces the signing key, if it is still this one. The index of the entry by which both keys sign each other's
    /// place.
    ///
    /// # Durability
    /// On return the new key, the entry and the call's own entry are durable, and the old private key's row is replaced.
    /// That key was only ever stored sealed under the outer key; old bytes of the store's files still hold it so. Its copy
    /// in memory is freed, not wiped: the library that holds it does not.
    ///
    /// # Errors
    /// [`Unavailable`]; then the old key is still in place.
    pub(in crate::gate) async fn rotate(&self, old: PublicKey, entry: Event) -> Result<Option<u64>, Refusal> {
        let (reply, done) = oneshot::channel();
        self.shared.asked.lock().rotations.push(Asked { old, entry, reply });
        self.shared.wake.notify_one();
        done.await.unwrap_or_else(|_| Err(Unavailable::Stopping.into()))
    }
}

impl Runner {
    /// Carries out what was asked for. The caller may be gone: the change stands.
    pub(super) fn rotate_all(&mut self) {
        let asked = std::mem::take(&mut self.shared.asked.lock().rotations);
        for Asked { old, entry, reply } in asked {
            let is_current = self.keys.load().current().public == old;
            let _ = reply.send(if is_current { self.rotate(entry).map(Some) } else { Ok(None) });
        }
    }

    fn rotate(&mut self, entry: Event) -> Result<u64, Refusal> {
        let seed: Key = rng::make_secret().map_err(|_| Unavailable::Internal)?;
        let sealed = self.slots.seal_signing(AUDIT_KEY, &seed).map_err(|_| Unavailable::Internal)?;
        let next = Arc::new(Signer::from_seed(&seed));
        drop(seed);
        let origin = self.signing.key.name().to_owned();
        let key = verifier(&origin, next.public()).map_err(|_| Unavailable::Internal)?;
        let change = self.change(origin, entry, sealed, next.clone());
        // Alone, so that the entry's place is known while it is made: behind every entry, also one that need not last yet.
        let (note, keys) = self.committer.commit_blocking(change, true)?;
        fault::point("log_key_changed");
        let index = note.checkpoint.size;
        self.signing = Signing { signer: next, key: key.clone() };
        self.keys.store(Arc::new(keys));
        self.tell.send_modify(|known| known.handover = Some(Arc::new(note)));
        tracing::info!(index, "the log is signed by a new key");
        Ok(index)
    }

    /// The change, for the writer's thread: the tree up to the entry, the note by both keys, and the rows.
    fn change(
        &self,
        origin: String,
        entry: Event,
        sealed: Vec<u8>,
        next: Arc<Signer>,
    ) -> impl FnOnce(&mut Txn<'_>) -> Result<(SignedCheckpoint, LogKeys), Refusal> + Send + 'static {
        let (engine, mut integrated) = (self.engine.clone(), self.integrated.clone());
        let (old, keys) = (self.signing.signer.clone(), LogKeys::clone(&self.keys.load()));
        move |txn| {
            let end = Head::load(&*engine)?.size();
            while integrated.size() < end {
                // What becomes final by this is written later, with the next checkpoint.
                integrated.step(StoredLog(&*engine), end, LOG_STEP_LEAVES)?;
            }
            let checkpoint = Checkpoint { origin, size: end, root: integrated.root() };
            let note = Handover::sign(checkpoint.clone(), &old, &next).map_err(|_| Unavailable::Internal)?;
            let operation = SafeText::constant(handover::OPERATION);
            txn.record(Event { detail: Some(note.clone().into_bytes()), ..own_event(operation, txn.epoch())? });
            txn.record(entry);
            let keys = keys.replaced(*next.public(), end, txn.now());
            txn.put(Space::Meta, AUDIT_KEY.as_bytes(), sealed);
            txn.put(Space::Meta, ROW, keys.encode());
            Ok((SignedCheckpoint { checkpoint, note }, keys))
        }
    }
}
