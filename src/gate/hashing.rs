//! Work that is slow by design: hashing passwords. Off the threads that answer calls, a few at a time.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::refusal::Unavailable;
use crate::base::limits::{PASSWORD_RUNS_MAX, PASSWORD_RUNS_WAITING_MAX};

/// Runs that are in progress or waiting.
pub struct Hashing {
    /// Room to wait or run.
    room: Arc<Semaphore>,
    /// Turns to run: each takes a processor, and the memory that a hash needs.
    turns: Arc<Semaphore>,
    #[cfg(test)]
    runs: std::sync::atomic::AtomicU64,
}

impl Default for Hashing {
    /// Half of the processors, so that calls that need no hash are answered beside it.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self::with_turns((processors / 2).clamp(1, PASSWORD_RUNS_MAX), PASSWORD_RUNS_WAITING_MAX)
    }
}

impl Hashing {
    fn with_turns(turns: usize, waiting: usize) -> Self {
        Self {
            room: Arc::new(Semaphore::new(turns + waiting)),
            turns: Arc::new(Semaphore::new(turns)),
            #[cfg(test)]
            runs: Default::default(),
        }
    }

    /// How many runs there were.
    #[cfg(test)]
    pub(crate) fn runs(&self) -> u64 {
        self.runs.load(std::sync::atomic::Ordering::Relaxed)
    }

    /// Runs slow work on a thread that may block, when its turn comes.
    ///
    /// # Errors
    /// [`Unavailable::Overloaded`] at once if too many are waiting.
    pub async fn run<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Unavailable> {
        let room = self.room.clone().try_acquire_owned().map_err(|_| Unavailable::Overloaded)?;
        let turn = self.turns.clone().acquire_owned().await.map_err(|_| Unavailable::Stopping)?;
        #[cfg(test)]
        self.runs.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // A caller that gives up cannot stop the work: the turn ends with it, not with the call.
        let done = tokio::task::spawn_blocking(move || {
            let done = work();
            drop((turn, room));
            done
        });
        done.await.map_err(|_| Unavailable::Internal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn one_too_many_is_refused_at_once_and_the_others_are_served() {
        let hashing = Hashing::with_turns(1, 1);
        let (release, wait) = std::sync::mpsc::channel::<()>();
        let first = hashing.run(move || wait.recv().is_ok());
        let second = hashing.run(|| true);
        tokio::pin!(first, second);
        assert!(futures_pending(first.as_mut()).await && futures_pending(second.as_mut()).await);
        assert_eq!(hashing.run(|| ()).await, Err(Unavailable::Overloaded));
        release.send(()).expect("is waited for");
        assert_eq!((first.await, second.await), (Ok(true), Ok(true)));
        assert_eq!(hashing.run(|| 7).await, Ok(7), "there is room again");
    }

    async fn futures_pending<T>(mut future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
        std::future::poll_fn(|context| std::task::Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }
}
