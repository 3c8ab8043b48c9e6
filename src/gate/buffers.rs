//! Memory for the bytes of documents: how much all streams together hold, and how much of it the writer has at a time.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::refusal::Unavailable;
use crate::base::limits::{CHUNKS_COMMITTING_MAX, DOCUMENT_BUFFER_BYTES_MAX};

/// The memory. One for the vault, whatever the number of threads and streams.
pub struct Buffers {
    bytes: Arc<Semaphore>,
    chunks: Semaphore,
}

/// Memory that a stream may use; given back when dropped.
pub struct Reserved(#[expect(dead_code, reason = "held for its drop")] OwnedSemaphorePermit);

/// Chunks that may be handed to the writer; given back when dropped.
pub struct Turn<'b>(#[expect(dead_code, reason = "held for its drop")] tokio::sync::SemaphorePermit<'b>);

impl Buffers {
    pub(super) fn new() -> Self {
        Self {
            bytes: Arc::new(Semaphore::new(DOCUMENT_BUFFER_BYTES_MAX)),
            chunks: Semaphore::new(CHUNKS_COMMITTING_MAX),
        }
    }

    /// Memory for one stream.
    ///
    /// # Errors
    /// [`Unavailable::StreamsExhausted`] if there is not that much left.
    pub fn reserve(&self, bytes: usize) -> Result<Reserved, Unavailable> {
        let bytes = u32::try_from(bytes).map_err(|_| Unavailable::Internal)?;
        let permit = self.bytes.clone().try_acquire_many_owned(bytes);
        permit.map(Reserved).map_err(|_| Unavailable::StreamsExhausted)
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
        let first = buffers.reserve(half).expect("there is enough");
        let _second = buffers.reserve(half).expect("there is enough");
        assert_eq!(buffers.reserve(1).err(), Some(Unavailable::StreamsExhausted));
        drop(first);
        assert!(buffers.reserve(half).is_ok());
    }
}
