//! Memory for the bytes of documents: how much all streams together hold, how much of it is one caller's, and how much
//! the writer has at a time.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Semaphore;

use super::refusal::Unavailable;
use crate::base::limits::{CHUNKS_COMMITTING_MAX, DOCUMENT_BUFFER_BYTES_MAX, DOCUMENT_BUFFER_CALLER_BYTES_MAX};

/// The memory. One for the vault, whatever the number of threads and streams.
pub struct Buffers {
    taken: Arc<Mutex<Taken>>,
    chunks: Semaphore,
}

/// What is in use, by all and by each caller who has any.
#[derive(Default)]
struct Taken {
    bytes: usize,
    by_caller: HashMap<String, usize>,
}

/// Memory that a stream may use; given back when dropped.
pub struct Reserved {
    taken: Arc<Mutex<Taken>>,
    caller: String,
    bytes: usize,
}

impl Drop for Reserved {
    fn drop(&mut self) {
        let mut taken = self.taken.lock();
        taken.bytes -= self.bytes;
        if let Some(own) = taken.by_caller.get_mut(&self.caller) {
            *own -= self.bytes;
            if *own == 0 {
                taken.by_caller.remove(&self.caller);
            }
        }
    }
}

/// Chunks that may be handed to the writer; given back when dropped.
pub struct Turn<'b>(#[expect(dead_code, reason = "held for its drop")] tokio::sync::SemaphorePermit<'b>);

impl Buffers {
    pub(super) fn new() -> Self {
        Self { taken: Arc::default(), chunks: Semaphore::new(CHUNKS_COMMITTING_MAX) }
    }

    /// Memory for one stream of a caller. One caller alone cannot have all: something is left for the others.
    ///
    /// # Errors
    /// [`Unavailable::StreamsExhausted`] if there is not that much left.
    pub fn reserve(&self, caller: &str, bytes: usize) -> Result<Reserved, Unavailable> {
        let mut taken = self.taken.lock();
        let (all, own) = (taken.bytes + bytes, taken.by_caller.get(caller).copied().unwrap_or_default() + bytes);
        if all > DOCUMENT_BUFFER_BYTES_MAX || own > DOCUMENT_BUFFER_CALLER_BYTES_MAX {
            return Err(Unavailable::StreamsExhausted);
        }
        taken.bytes = all;
        taken.by_caller.insert(caller.to_owned(), own);
        Ok(Reserved { taken: self.taken.clone(), caller: caller.to_owned(), bytes })
    }

    /// Waits until so many chunks may be handed to the writer: a group that it commits has few of them, and other
    /// calls' changes never wait for many.
    pub async fn turn(&self, chunks: usize) -> Result<Turn<'_>, Unavailable> {
        let chunks = u32::try_from(chunks).map_err(|_| Unavailable::Internal)?;
        self.chunks.acquire_many(chunks).await.map(Turn).map_err(|_| Unavailable::Stopping)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_given_until_it_is_used_up_and_again_when_it_is_back() {
        let buffers = Buffers::new();
        let half = DOCUMENT_BUFFER_BYTES_MAX / 2;
        let first = buffers.reserve("a", half).expect("there is enough");
        let _second = buffers.reserve("b", half).expect("there is enough");
        assert_eq!(buffers.reserve("c", 1).err(), Some(Unavailable::StreamsExhausted));
        drop(first);
        let _third = buffers.reserve("c", half).expect("it is back");
    }

    #[test]
    fn one_caller_leaves_something_for_the_others() {
        let buffers = Buffers::new();
        let all = buffers.reserve("a", DOCUMENT_BUFFER_CALLER_BYTES_MAX).expect("there is enough");
        assert_eq!(buffers.reserve("a", 1).err(), Some(Unavailable::StreamsExhausted));
        let rest = DOCUMENT_BUFFER_BYTES_MAX - DOCUMENT_BUFFER_CALLER_BYTES_MAX;
        let _other = buffers.reserve("b", rest).expect("there is some for another");
        drop(all);
        assert!(buffers.reserve("a", 1).is_ok());
        assert_eq!(buffers.taken.lock().by_caller.len(), 1, "who has none is not remembered");
    }
}
