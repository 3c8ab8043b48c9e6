//! Batches on their way: a few at a time, each again until the vault has answered every entry.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use prost::Message as _;
use tokio::task::JoinSet;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

use super::journal::{Counts, Journal};
use super::mapping::Mapping;
use super::rejects::Rejects;
use super::rows::{Entry, Reject, entries, refused};
use super::source::{Place, Source};
use crate::api::proto::vault_client::VaultClient;
use crate::api::proto::{
    BatchPutItemsRequest, CallContext, ErrorReason, GetSubjectRequest, PutItemEntry, PutItemResult, put_item_result,
};
use crate::cli::failure::Failure;
use crate::cli::remote::{Remote, Session};

/// Entries of one batch.
pub const BATCH_ENTRIES: usize = 500;
/// Bytes of one batch, unless a single row has more.
pub const BATCH_BYTES: usize = 1 << 20;
/// Batches on their way.
const IN_FLIGHT_MAX: usize = 4;
/// For how long a batch is tried again while the vault does not answer, or cannot.
const RETRY_TIME_MAX: Duration = Duration::from_secs(60);
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// Rows that are sent together.
struct Batch {
    number: u64,
    end: Place,
    rows: u64,
    entries: Vec<PutItemEntry>,
    /// Of each entry, its row, and which item of the mapping it is of.
    of: Vec<(u64, Option<usize>)>,
    rejects: Vec<Reject>,
}

/// An import that is under way.
pub struct Import<'a> {
    /// What is sent how.
    pub mapping: &'a Mapping,
    /// The rows.
    pub source: Source,
    /// How far it is.
    pub journal: Journal,
    /// What was not stored.
    pub rejects: Rejects,
    /// Connection and call options.
    pub session: Session,
    /// The vault's id: no other takes the batches.
    pub vault: String,
    /// More rejected rows than this end the import.
    pub rejected_max: u64,
    /// For errors.
    pub remote: &'a Remote,
}

type Answered = (Batch, Result<Vec<PutItemResult>, Status>);

impl Import<'_> {
    /// Sends what is left. `progress` is told bytes read and what became of rows since the last time.
    pub async fn run(&mut self, mut progress: impl FnMut(u64, Counts)) -> Result<(), Failure> {
        let (_, mut number) = self.journal.from();
        let mut in_flight: JoinSet<Answered> = JoinSet::new();
        let mut ended = false;
        loop {
            while !ended && in_flight.len() < IN_FLIGHT_MAX {
                match self.next_batch(number).await? {
                    None => ended = true,
                    Some(batch) if self.journal.is_done(number) => drop(batch),
                    Some(batch) => {
                        self.journal.sending(number)?;
                        in_flight.spawn(self.sender(batch));
                    }
                }
                number += 1;
            }
            let Some(answered) = in_flight.join_next().await else { return Ok(()) };
            let (batch, results) = answered.map_err(|_| Failure::failed("a batch was not sent"))?;
            let results = results.map_err(|status| self.remote.refused(&status))?;
            let (end, counts) = (batch.end, self.finish(batch, &results)?);
            progress(end.offset, counts);
            if self.journal.counts().rejected > self.rejected_max {
                return Err(too_many_rejected(self.rejected_max));
            }
        }
    }

    /// The rows of a batch: as many as fit, whatever became of the batches before.
    async fn next_batch(&mut self, number: u64) -> Result<Option<Batch>, Failure> {
        let mut batch =
            Batch { number, end: self.source.place(), rows: 0, entries: vec![], of: vec![], rejects: vec![] };
        let in_doubt = self.journal.is_in_doubt(number);
        let mut bytes = 0;
        while batch.entries.len() < BATCH_ENTRIES && bytes < BATCH_BYTES && batch.rows < BATCH_ENTRIES as u64 {
            let Some(row) = self.source.next_row()? else { break };
            batch.rows += 1;
            match entries(self.mapping, row.number, row.value.as_ref()) {
                Err(rejects) => batch.rejects.extend(rejects),
                Ok(entries) if in_doubt && self.is_there(&entries).await? => {
                    let reason = ErrorReason::AlreadyExists;
                    drop(entries);
                    batch.rejects.push(Reject { row: row.number, column: None, field: String::new(), reason });
                }
                Ok(entries) => {
                    for (at, entry) in entries {
                        bytes += entry.encoded_len();
                        batch.of.push((row.number, at));
                        batch.entries.push(entry);
                    }
                }
            }
        }
        batch.end = self.source.place();
        Ok((batch.rows > 0).then_some(batch))
    }

    /// Whether the subject of a row exists: asked only where a batch was sent so long ago that it must not be again.
    async fn is_there(&self, entries: &[Entry]) -> Result<bool, Failure> {
        let subject = entries.first().and_then(|(_, entry)| entry.subject.clone());
        let request = GetSubjectRequest { context: self.session.context(), subject };
        match VaultClient::new(self.session.channel.clone()).get_subject(self.session.request(request)).await {
            Ok(_) => Ok(true),
            Err(status) if status.code() == Code::NotFound => Ok(false),
            Err(status) => Err(self.remote.refused(&status)),
        }
    }

    fn sender(&self, mut batch: Batch) -> impl Future<Output = Answered> + use<> {
        let idempotency_key = self.journal.key(batch.number);
        let context = self.session.context().map(|context| CallContext { idempotency_key, ..context });
        let (entries, vault_id) = (std::mem::take(&mut batch.entries), self.vault.clone());
        let request = BatchPutItemsRequest { context, entries, vault_id };
        let (channel, time) = (self.session.channel.clone(), self.remote.patience());
        async move {
            if request.entries.is_empty() {
                return (batch, Ok(Vec::new()));
            }
            let results = send(channel, request, time).await;
            (batch, results)
        }
    }

    /// Notes what became of a batch: first the rejects, then that it is done.
    fn finish(&mut self, batch: Batch, results: &[PutItemResult]) -> Result<Counts, Failure> {
        let mut rejects = batch.rejects;
        if results.len() != batch.of.len() {
            return Err(Failure::failed("the vault's answer does not fit the batch; run the same command again"));
        }
        for ((row, item), result) in batch.of.iter().zip(results) {
            if let Some(put_item_result::Outcome::Error(error)) = &result.outcome {
                rejects.extend(refused(self.mapping, *row, *item, error));
            }
        }
        keep_causes(&mut rejects);
        let rejected: HashSet<u64> = rejects.iter().map(|reject| reject.row).collect();
        let rejected = rejected.len() as u64;
        let counts = Counts { stored: batch.rows - rejected, rejected };
        let bytes = self.rejects.add(&rejects)?;
        self.journal.done(batch.number, batch.end, counts, bytes)?;
        Ok(counts)
    }
}

/// Which vault it is that answers. So it is found out early, too, that the caller may not call at all.
pub async fn vault_of(session: &Session) -> Result<String, Status> {
    let request = BatchPutItemsRequest { context: session.context(), ..Default::default() };
    let answer = VaultClient::new(session.channel.clone()).batch_put_items(session.request(request)).await?;
    Ok(answer.into_inner().vault_id)
}

/// That an import ends since hardly anybody can mean it to go on.
pub fn too_many_rejected(max: u64) -> Failure {
    Failure::failed(format!("more than {max} rows were rejected; to go on all the same, raise --rejected-max"))
}

/// Entries that create one subject are refused together: of those, what is really wrong is kept.
fn keep_causes(rejects: &mut Vec<Reject>) {
    let is_consequence = |reject: &Reject| reject.field == "create_subject";
    let causes: HashSet<u64> =
        rejects.iter().filter(|reject| !is_consequence(reject)).map(|reject| reject.row).collect();
    let mut seen = HashSet::new();
    rejects.retain(|reject| !is_consequence(reject) || (!causes.contains(&reject.row) && seen.insert(reject.row)));
    rejects.sort_by_key(|reject| reject.row);
}

/// Sends a batch until every entry has an answer that stays. Its idempotency key makes that harmless.
async fn send(channel: Channel, request: BatchPutItemsRequest, time: Duration) -> Result<Vec<PutItemResult>, Status> {
    let begun = Instant::now();
    loop {
        let mut message = Request::new(request.clone());
        message.set_timeout(time);
        let answer = VaultClient::new(channel.clone()).batch_put_items(message).await;
        let over = begun.elapsed() > RETRY_TIME_MAX;
        match answer {
            Ok(answer) => {
                let results = answer.into_inner().results;
                if over || !results.iter().any(is_for_later) {
                    return Ok(results);
                }
            }
            Err(status) if over || !may_pass(&status) => return Err(status),
            Err(_) => {}
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

fn is_for_later(result: &PutItemResult) -> bool {
    matches!(&result.outcome, Some(put_item_result::Outcome::Error(error)) if error.retryable)
}

fn may_pass(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::Unavailable
            | Code::ResourceExhausted
            | Code::Aborted
            | Code::DeadlineExceeded
            | Code::Cancelled
            | Code::Unknown
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_refused_together_with_a_row_that_is_wrong_is_named_once() {
        let reject =
            |row, field: &str| Reject { row, column: None, field: field.into(), reason: ErrorReason::FieldInvalid };
        let mut rejects = vec![
            reject(2, "create_subject"),
            reject(2, "create_subject"),
            reject(1, "item.value.contact.full_name"),
            reject(1, "create_subject"),
        ];
        keep_causes(&mut rejects);
        assert_eq!(rejects, [reject(1, "item.value.contact.full_name"), reject(2, "create_subject")]);
    }
}
