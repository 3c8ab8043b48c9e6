//! The thread that turns committed leaves into tiles and checkpoints, beside the calls and never in their way.
//!
//! It works from what is stored, a second after the log has grown or at once when somebody waits for a checkpoint, and
//! hands its rows to the committer like everybody else. What it holds in memory changes only once a checkpoint is
//! written, so that a refused commit or a crash costs nothing but the work. A checkpoint is not waited for to be durable:
//! the leaves that it covers are, and from these a vault that lost power makes the same tree again.

pub mod keys;
mod rotate;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use parking_lot::{Condvar, Mutex};
use tokio::sync::watch;

use super::committer::{Committer, end_within};
use super::open::{OpenError, Signing};
use super::refusal::{Refusal, Unavailable};
use super::slots::SlotSet;
use crate::audit::check;
use crate::audit::integrate::Integrator;
use crate::audit::note::VerifierKey;
use crate::audit::sequence;
use crate::audit::stored::{SignedCheckpoint, StoredLog};
use crate::base::fault;
use crate::base::limits::{
    CHECKPOINT_PERIOD, CHECKPOINT_WAIT_MAX, LOG_ROUND_LEAVES, LOG_STEP_LEAVES, SHUTDOWN_TIME_MAX,
};
use crate::crypto::sign::PublicKey;
use crate::store::Engine;
use keys::LogKeys;

/// The audit log's checkpoints, and the way to what they cover.
pub struct Log {
    engine: Arc<dyn Engine>,
    origin: String,
    keys: Arc<ArcSwap<LogKeys>>,
    shared: Arc<Shared>,
    known: watch::Receiver<Known>,
    thread: Mutex<Option<JoinHandle<()>>>,
    checker: Mutex<Option<JoinHandle<()>>>,
}

/// How far the log is signed.
#[derive(Clone, Default)]
pub struct Known {
    /// The newest checkpoint; none in the first moments of a vault that is new, or was not stopped in order.
    pub newest: Option<Arc<SignedCheckpoint>>,
    /// The last note by which one signing key hands over to the next, if that was since the start.
    pub handover: Option<Arc<SignedCheckpoint>>,
    /// Why nothing is signed any more.
    pub ended: Option<Unavailable>,
}

impl Known {
    fn covers(&self, size: u64) -> bool {
        self.newest.as_ref().is_some_and(|signed| signed.checkpoint.size >= size)
    }
}

#[derive(Default)]
struct Shared {
    asked: Mutex<Asked>,
    wake: Condvar,
    ended: AtomicBool,
}

#[derive(Default)]
struct Asked {
    /// Somebody waits for a checkpoint over this many leaves.
    size: Option<u64>,
    /// Somebody waits for another signing key.
    rotations: Vec<rotate::Asked>,
    stopping: bool,
}

impl Log {
    /// Starts the thread where the last checkpoint left off.
    pub(super) fn start(
        engine: Arc<dyn Engine>,
        committer: Arc<Committer>,
        slots: Arc<SlotSet>,
        (signing, keys): (Signing, LogKeys),
        integrated: Integrator,
    ) -> Result<Self, OpenError> {
        let stored = StoredLog(&*engine).checkpoint()?.map(Arc::new);
        // One that was handed out before a power loss may have covered more than the one that is left: none is shown before
        // all that is durable is signed for again.
        let newest = stored.clone().filter(|stored| stored.checkpoint.size >= committer.log_size());
        let (tell, known) = watch::channel(Known { newest, ..Known::default() });
        let tell = Arc::new(tell);
        let told = tell.clone();
        let (shared, origin) = (Arc::new(Shared::default()), signing.key.name().to_owned());
        let keys = Arc::new(ArcSwap::from_pointee(keys));
        let runner = Runner {
            engine: engine.clone(),
            committer,
            slots,
            signing,
            keys: keys.clone(),
            integrated,
            shared: shared.clone(),
            tell,
        };
        let thread = std::thread::Builder::new().name("log".into()).spawn(move || runner.run());
        let thread = Mutex::new(Some(thread.map_err(|_| OpenError::Thread)?));
        let checker = Mutex::new(start_checker(engine.clone(), shared.clone(), (stored, told))?);
        Ok(Self { engine, origin, keys, shared, known, thread, checker })
    }

    /// The log as it is stored.
    pub fn stored(&self) -> StoredLog<'_> {
        StoredLog(&*self.engine)
    }

    /// The key that verifies its checkpoints from now on.
    pub fn key(&self) -> VerifierKey {
        self.verifier(&self.keys.load().current().public)
    }

    /// Every key that has signed it.
    pub fn keys(&self) -> Arc<LogKeys> {
        self.keys.load_full()
    }

    /// What verifies the signatures of one of its keys.
    pub fn verifier(&self, public: &PublicKey) -> VerifierKey {
        keys::verifier(&self.origin, public).expect("it is the name of the key that the log was opened with")
    }

    /// How far the log is signed, now and from now on.
    pub fn known(&self) -> watch::Receiver<Known> {
        self.known.clone()
    }

    /// Why nothing is signed any more, if so.
    pub fn ended(&self) -> Option<Unavailable> {
        if !self.shared.ended.load(Ordering::Acquire) {
            return None; // asked by every call
        }
        self.known.borrow().ended
    }

    /// The newest checkpoint, once it covers `size` leaves; these must be durable already.
    ///
    /// # Errors
    /// [`Unavailable`]: the log is damaged, the vault stops, or the checkpoint cannot be written for seconds.
    pub async fn checkpoint(&self, size: u64) -> Result<Arc<SignedCheckpoint>, Refusal> {
        let mut known = self.known.clone();
        if !known.borrow().covers(size) {
            self.shared.ask(size);
        }
        let wait = known.wait_for(|known| known.ended.is_some() || known.covers(size));
        let known = match tokio::time::timeout(CHECKPOINT_WAIT_MAX, wait).await {
            Ok(Ok(known)) => known.clone(),
            Ok(Err(_)) => return Err(Unavailable::Stopping.into()),
            Err(_) => return Err(Unavailable::Overloaded.into()),
        };
        match (known.ended, known.newest) {
            (None, Some(newest)) => Ok(newest),
            (ended, _) => Err(ended.unwrap_or(Unavailable::Internal).into()),
        }
    }

    /// What tells that a checkpoint over all that is durable will be asked for.
    pub(super) fn expectation(&self) -> Expectation {
        Expectation(self.shared.clone())
    }

    /// Signs what there is, then ends the thread.
    pub fn stop(&self) {
        self.shared.asked.lock().stopping = true;
        self.shared.wake.notify_one();
        let threads = [self.checker.lock().take(), self.thread.lock().take()];
        for thread in threads.into_iter().flatten() {
            end_within(SHUTDOWN_TIME_MAX, thread);
        }
    }
}

/// The state of the thread.
struct Runner {
    engine: Arc<dyn Engine>,
    committer: Arc<Committer>,
    slots: Arc<SlotSet>,
    signing: Signing,
    keys: Arc<ArcSwap<LogKeys>>,
    integrated: Integrator,
    shared: Arc<Shared>,
    tell: Arc<watch::Sender<Known>>,
}

/// Why a round ended without a checkpoint.
enum Cut {
    /// No other round can do better.
    Ended(Unavailable),
    /// The writer did not take the rows; it may the next time.
    Refused,
}

impl From<sequence::Error> for Cut {
    fn from(error: sequence::Error) -> Self {
        tracing::error!("no checkpoint is signed any more: {error}");
        Self::Ended(match error {
            sequence::Error::Damaged(_) => Unavailable::Damaged,
            sequence::Error::Store(_) => Unavailable::StorageFailed,
        })
    }
}

/// Tells that a checkpoint is about to be asked for, so that it is signed meanwhile.
pub(super) struct Expectation(Arc<Shared>);

impl Expectation {
    /// One over so many leaves, which are durable.
    pub fn tell(&self, size: u64) {
        self.0.ask(size);
    }
}

impl Shared {
    fn ask(&self, size: u64) {
        let mut asked = self.asked.lock();
        asked.size = asked.size.max(Some(size));
        drop(asked);
        self.wake.notify_one();
    }

    fn end(&self, tell: &watch::Sender<Known>, why: Unavailable) {
        self.ended.store(true, Ordering::Release);
        tell.send_modify(|known| known.ended = Some(why));
    }
}

/// Reads the whole log once, beside the calls: what start-up checks is its end. None if nothing is signed yet.
fn start_checker(
    engine: Arc<dyn Engine>,
    shared: Arc<Shared>,
    (stored, tell): (Option<Arc<SignedCheckpoint>>, Arc<watch::Sender<Known>>),
) -> Result<Option<JoinHandle<()>>, OpenError> {
    let Some(signed) = stored else { return Ok(None) };
    let check = move || {
        let goes_on = || !shared.asked.lock().stopping;
        match check::whole(StoredLog(&*engine), &signed.checkpoint, goes_on) {
            Ok(true) => tracing::info!(entries = signed.checkpoint.size, "the audit log was read whole and fits"),
            Ok(false) => {}
            Err(error) => match Cut::from(error) {
                Cut::Ended(ended) => shared.end(&tell, ended),
                Cut::Refused => {}
            },
        }
    };
    let thread = std::thread::Builder::new().name("log-check".into()).spawn(check);
    thread.map(Some).map_err(|_| OpenError::Thread)
}

impl Runner {
    fn run(mut self) {
        // What was not signed when the process before this one ended is signed at once.
        let mut at_once = self.tell.borrow().newest.is_none() && self.committer.log_size() > 0;
        loop {
            let stopping = if std::mem::take(&mut at_once) { false } else { self.wait() };
            if self.shared.ended.load(Ordering::Acquire) {
                return; // what the checker found is not to be signed for
            }
            self.rotate_all();
            match self.catch_up() {
                Ok(()) if stopping => return,
                Ok(()) | Err(Cut::Refused) => {}
                Err(Cut::Ended(ended)) => return self.shared.end(&self.tell, ended),
            }
        }
    }

    /// Waits until somebody asks for more than is signed, or a period is over. Whether to stop after this time.
    fn wait(&self) -> bool {
        let mut asked = self.shared.asked.lock();
        let is_urgent = |asked: &Asked| {
            asked.stopping
                || !asked.rotations.is_empty()
                || asked.size.is_some_and(|size| !self.tell.borrow().covers(size))
        };
        if !is_urgent(&asked) {
            self.shared.wake.wait_for(&mut asked, CHECKPOINT_PERIOD);
        }
        asked.size = None;
        asked.stopping
    }

    fn catch_up(&mut self) -> Result<(), Cut> {
        while !self.tell.borrow().covers(self.committer.log_size()) {
            self.round()?;
        }
        Ok(())
    }

    /// Integrates what is durable now, in steps, and signs it.
    fn round(&mut self) -> Result<(), Cut> {
        fault::point("log_round");
        let end = self.committer.log_size().min(self.integrated.size() + LOG_ROUND_LEAVES);
        let mut integrated = self.integrated.clone();
        loop {
            let mut batch = integrated.step(StoredLog(&*self.engine), end, LOG_STEP_LEAVES)?;
            let is_last = integrated.size() >= end;
            let signed = is_last.then(|| integrated.seal(&mut batch, self.signing.key.name(), &self.signing.signer));
            let signed = signed.transpose()?;
            let put = move |txn: &mut super::txn::Txn<'_>| {
                txn.put_all(batch);
                Ok(())
            };
            self.committer.commit_derived(put).map_err(|refusal| match refusal {
                Refusal::Unavailable(ended @ (Unavailable::StorageFailed | Unavailable::Stopping)) => Cut::Ended(ended),
                _ => Cut::Refused,
            })?;
            if let Some(signed) = signed {
                self.integrated = integrated;
                self.tell.send_modify(|known| known.newest = Some(Arc::new(signed)));
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
