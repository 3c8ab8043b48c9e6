//! The data set: subjects of five items of about 300 bytes each, asked for uniformly.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use lacuna::api::proto::*;
use lacuna::base::time::Timestamp;
use tokio::runtime::Runtime;

use super::Error;
use super::servers::Server;

/// Items of one subject.
pub const ITEMS: usize = 5;
/// Progress is said after so many subjects.
const SAID_EVERY: usize = 10_000;
/// Subjects being created at a time.
const CALLERS: usize = 192;

/// What was stored, as far as callers name it.
#[derive(Default)]
pub struct Stored(Vec<(String, Vec<String>)>);

/// Persons that were created so far, whoever they are for: none has another's id.
static CREATED: AtomicUsize = AtomicUsize::new(0);

/// One item of one subject.
pub struct Pick<'a> {
    /// The subject's id.
    pub subject: &'a str,
    /// The item's id.
    pub item: &'a str,
}

impl Stored {
    /// Creates so many subjects of so many items each; says how far it is.
    pub fn create(runtime: &Runtime, server: &Server, subjects: usize, items: usize) -> Result<Arc<Self>, Error> {
        let first = CREATED.fetch_add(subjects, Ordering::Relaxed);
        let next = Arc::new(AtomicUsize::new(first));
        let end = first + subjects;
        let start = Instant::now();
        let mut stored = Vec::with_capacity(subjects);
        runtime.block_on(async {
            let callers: Vec<_> = (0..CALLERS)
                .map(|number| tokio::spawn(create(server.client(number), next.clone(), (first..end, items), start)))
                .collect();
            for caller in callers {
                stored.extend(caller.await??);
            }
            Ok::<_, Error>(())
        })?;
        eprintln!("stored {subjects} subjects of {items} items in {:.0} s", start.elapsed().as_secs_f64());
        Ok(Arc::new(Self(stored)))
    }

    /// The subject of that number, if there are so many.
    pub fn subject(&self, number: usize) -> Option<&str> {
        self.0.get(number).map(|(subject, _)| subject.as_str())
    }

    /// Any item, all equally likely.
    pub fn pick(&self, random: &mut Random) -> Pick<'_> {
        let (subject, items) = &self.0[random.below(self.0.len())];
        Pick { subject, item: &items[random.below(items.len())] }
    }
}

/// Repeatable numbers (SplitMix64); nothing here needs to be secret.
pub struct Random(u64);

impl Random {
    /// The sequence of a seed.
    pub fn seeded(seed: u64) -> Self {
        Self(seed.wrapping_mul(0xd134_2543_de82_ef95))
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % end as u64) as usize
    }
}

/// The context of every call.
pub fn context() -> Option<CallContext> {
    Some(CallContext { purpose: "service_delivery".into(), ..Default::default() })
}

/// A reference to a subject by the vault's id.
pub fn subject(id: &str) -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId(id.to_owned())) })
}

/// A contact of about 300 bytes. Nobody's.
pub fn item(random: &mut Random) -> NewItem {
    let number = random.below(1_000_000);
    let contact = Contact {
        full_name: format!("Ada Example of Number {number:06}"),
        given_name: "Ada".into(),
        family_name: format!("Example of Number {number:06}"),
        emails: vec![EmailAddress {
            address: format!("ada.example.{number:06}@mail.example.com"),
            label: "for receipts and reminders".into(),
            primary: true,
            ..Default::default()
        }],
        phones: vec![PhoneNumber { number: "+14155550143".into(), label: "weekdays".into(), ..Default::default() }],
        addresses: vec![PostalAddress {
            country_code: "US".into(),
            lines: vec![format!("{number} Example Street"), "Building 7, Floor 12, Apartment 1204".into()],
            locality: "Springfield".into(),
            administrative_area: "IL".into(),
            postal_code: "62701".into(),
            ..Default::default()
        }],
        language_code: "en-US".into(),
        ..Default::default()
    };
    let value = ItemValue { value: Some(item_value::Value::Contact(contact)) };
    NewItem { class: "contact".into(), value: Some(value), metadata: None }
}

/// A visit of about 200 bytes. Nobody's.
pub fn event(subject_id: &str, now: Timestamp, random: &mut Random) -> NewEvent {
    let (seconds, nanos) = (now.as_millis() / 1_000, 0);
    let event = AccessEvent {
        time: Some(well_known::Timestamp { seconds, nanos }),
        ip_address: format!("192.0.2.{}", random.below(256)),
        user_agent: "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0".into(),
        browser: "Firefox 128".into(),
        os: "Linux".into(),
        page: format!("/projects/{}/servers", random.below(1_000_000)),
        method: "GET".into(),
        status: 200,
        ..Default::default()
    };
    let value = ItemValue { value: Some(item_value::Value::AccessEvent(event)) };
    NewEvent { subject: subject(subject_id), class: "access_event".into(), value: Some(value) }
}

async fn create(
    mut client: vault_client::VaultClient<tonic::transport::Channel>,
    next: Arc<AtomicUsize>,
    (numbers, items): (Range<usize>, usize),
    start: Instant,
) -> Result<Vec<(String, Vec<String>)>, Error> {
    let mut stored = Vec::new();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= numbers.end {
            return Ok(stored);
        }
        let done = number - numbers.start;
        if done > 0 && done.is_multiple_of(SAID_EVERY) {
            let rate = done as f64 / start.elapsed().as_secs_f64();
            eprintln!("storing: {done} of {} subjects, {rate:.0} a second", numbers.len());
        }
        let mut random = Random::seeded(number as u64);
        let request = CreateSubjectRequest {
            context: context(),
            external_id: format!("customer-{number}"),
            items: (0..items).map(|_| item(&mut random)).collect(),
            ..Default::default()
        };
        let created = client.create_subject(request).await?.into_inner();
        stored.push((created.subject_id, created.items.into_iter().map(|item| item.item_id).collect()));
    }
}
