//! Records events in batches and reads those of a span of time.

use std::time::{SystemTime, UNIX_EPOCH};

use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::{
    AccessEvent, CreateSubjectRequest, Event, ItemValue, NewEvent, ReadEventsRequest, RecordEventsRequest, item_value,
    well_known,
};
use tonic::Status;
use tonic::transport::Channel;

use super::client::{Failure, connect, context, repeat, request, subject, unique};

fn moment(seconds: u64) -> Option<well_known::Timestamp> {
    Some(well_known::Timestamp { seconds: seconds as i64, nanos: 0 })
}

fn visit(subject_id: &str, seconds: u64, number: u32) -> NewEvent {
    let visit = AccessEvent {
        time: moment(seconds),
        ip_address: if number == 7 { "somewhere" } else { "192.0.2.7" }.into(),
        page: format!("/servers/{number}"),
        method: "GET".into(),
        status: 200,
        ..Default::default()
    };
    let value = Some(ItemValue { value: Some(item_value::Value::AccessEvent(visit)) });
    NewEvent { subject: subject(subject_id), class: "access_event".into(), value }
}

/// One attempt to record what is left, on one stream. Each batch has a key, by which a repeat is known and stored once.
async fn record(
    vault: &VaultClient<Channel>,
    left: &mut Vec<RecordEventsRequest>,
    said: &mut Vec<String>,
) -> Result<u32, Status> {
    let mut stored = 0;
    let mut batches = left.clone();
    if let Some(first) = batches.first_mut() {
        first.context = context(""); // once per stream
    }
    let mut answers = vault.clone().record_events(request(tokio_stream::iter(batches))).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        // One per batch, in order; durable when it comes.
        left.retain(|batch| batch.batch_key != answer.batch_key);
        stored += answer.stored_count;
        for rejected in answer.rejected {
            said.push(format!("not stored: event {}, {}", rejected.index, rejected.error.unwrap_or_default().message));
        }
    }
    Ok(stored)
}

/// One attempt to read what is missing of a span. A stream that breaks off is asked for the rest.
async fn read(
    vault: &VaultClient<Channel>,
    wanted: &mut ReadEventsRequest,
    events: &mut Vec<Event>,
) -> Result<(), Status> {
    let mut answers = vault.clone().read_events(request(wanted.clone())).await?.into_inner();
    while let Some(answer) = answers.message().await? {
        events.extend(answer.events);
        wanted.resume_token = answer.resume_token;
    }
    Ok(())
}

/// What the sample says.
pub async fn run(dev: &serde_json::Value) -> Result<Vec<String>, Failure> {
    let vault = VaultClient::new(connect(dev, "service").await?);
    let create = CreateSubjectRequest { context: context(""), ..Default::default() };
    let created = repeat(async || vault.clone().create_subject(request(create.clone())).await).await?.into_inner();

    let hour = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() - 3600;
    let visits: Vec<_> = (0..300).map(|number| visit(&created.subject_id, hour + u64::from(number), number)).collect();
    let batch =
        |events: &[NewEvent]| RecordEventsRequest { context: None, batch_key: unique(), events: events.to_vec() };
    let mut left: Vec<RecordEventsRequest> = visits.chunks(100).map(batch).collect();
    let (mut said, mut stored) = (Vec::new(), 0);
    repeat(async || {
        stored += record(&vault, &mut left, &mut said).await?;
        Ok(())
    })
    .await?;
    said.push(format!("stored: {stored} events"));

    let mut wanted = ReadEventsRequest {
        context: context(""),
        subject: subject(&created.subject_id),
        classes: vec!["access_event".into()],
        start_time: moment(hour + 100),
        end_time: moment(hour + 110),
        ..Default::default()
    };
    let mut events = Vec::new();
    repeat(async || read(&vault, &mut wanted, &mut events).await).await?;
    let pages = events.into_iter().filter_map(|event| match event.value?.value? {
        item_value::Value::AccessEvent(visit) => Some(visit.page),
        _ => None,
    });
    said.push(format!("read back: {}", pages.collect::<Vec<_>>().join(", ")));
    Ok(said)
}
