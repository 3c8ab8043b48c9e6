//! One synced record per group of calls, gathered as the vault's committer does: the writer is woken when the runtime is
//! about to sleep, and wakes it once per group.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use lacuna::base::limits::COMMIT_GATHER_COUNT;
use lacuna::store::Engine;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use lacuna::store::rocks::RocksEngine;
use parking_lot::{Condvar, Mutex};
use tokio::sync::{Notify, oneshot};

struct Waiting {
    entry: Vec<u8>,
    reply: oneshot::Sender<()>,
}

#[derive(Default)]
struct Shared {
    queue: Mutex<Vec<Waiting>>,
    wake: Condvar,
    durable: Mutex<Vec<oneshot::Sender<()>>>,
    notify: Notify,
}

/// The log: entries go in, and are durable.
pub struct Log {
    shared: Arc<Shared>,
    pumping: AtomicBool,
}

impl Log {
    /// Starts its writer.
    pub fn start(engine: Arc<RocksEngine>) -> Self {
        let shared = Arc::new(Shared::default());
        let writer = shared.clone();
        std::thread::spawn(move || write(&writer, &engine));
        Self { shared, pumping: AtomicBool::new(false) }
    }

    /// Waits until an entry is durable; none if the writer is gone.
    pub async fn append(&self, entry: Vec<u8>) -> Option<()> {
        if !self.pumping.swap(true, Ordering::Relaxed) {
            tokio::spawn(pump(self.shared.clone()));
        }
        let (reply, durable) = oneshot::channel();
        self.queue(Waiting { entry, reply });
        durable.await.ok()
    }

    fn queue(&self, waiting: Waiting) {
        let mut queue = self.shared.queue.lock();
        queue.push(waiting);
        if queue.len() == COMMIT_GATHER_COUNT {
            self.shared.wake.notify_one();
        }
    }

    /// To be called when the runtime is about to sleep.
    pub fn runtime_parks(&self) {
        if !self.shared.queue.lock().is_empty() {
            self.shared.wake.notify_one();
        }
    }
}

async fn pump(shared: Arc<Shared>) {
    loop {
        shared.notify.notified().await;
        let durable = std::mem::take(&mut *shared.durable.lock());
        for reply in durable {
            let _ = reply.send(()); // its caller may be gone
        }
    }
}

fn write(shared: &Shared, engine: &RocksEngine) {
    for number in 0_u64.. {
        let mut queue = shared.queue.lock();
        while queue.is_empty() {
            shared.wake.wait(&mut queue);
        }
        let group = std::mem::take(&mut *queue);
        drop(queue);
        let (entries, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|w| (w.entry, w.reply)).unzip();
        let mut batch = Batch::new();
        batch.put(Space::Log, number.to_be_bytes(), entries.concat());
        if engine.commit(batch).is_err() {
            return; // whoever waits is told by the loss of its reply
        }
        shared.durable.lock().extend(replies);
        shared.notify.notify_one();
    }
}
