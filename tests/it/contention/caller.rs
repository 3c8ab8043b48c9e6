//! One caller: asks, and notes what was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use lacuna::api::proto::approvals_client::ApprovalsClient;
use lacuna::api::proto::holds_client::HoldsClient;
use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use prost::Message as _;
use tokio::sync::Semaphore;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;

use super::person::Person;
use crate::linear::model::{Call, Left, Listed, Said, Scope};
use crate::program::{contact, context, subject};
use crate::random::Random;
use crate::samples::{full_name, named, reason};
use crate::vault::{Recorded, TestVault};

/// Releases that are under way at a time: a person may have 16 approvals open.
static RELEASES: Semaphore = Semaphore::const_new(8);

/// How long a caller in a hurry waits.
const HURRY: Duration = Duration::from_millis(40);

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    Read,
    ReadNamed,
    ReadKept,
    List,
    Put,
    Correct,
    Delete,
    Erase,
    Place,
    Release,
}

/// The connections of a few callers.
#[derive(Clone)]
pub struct Doors {
    service: Recorded,
    officer: Recorded,
    legal: Recorded,
    second: Recorded,
}

impl Doors {
    /// New ones to a running vault.
    pub fn of(vault: &TestVault) -> Self {
        let door = |name| vault.service(Some(name));
        Self {
            service: door("service"),
            officer: door("privacy-officer"),
            legal: door("legal"),
            second: door("legal-2"),
        }
    }

    /// Opens a matter.
    pub async fn open_matter(&self, name: &str) -> String {
        let matter = Matter { name: name.into(), authority: "a court".into(), ..Default::default() };
        let matter = Matter { review_time: Some(Default::default()), ..matter };
        let request = OpenMatterRequest { context: legally(), matter: Some(matter) };
        let opened = HoldsClient::new(self.legal.clone()).open_matter(request).await.expect("opens");
        opened.into_inner().matter.expect("a matter").matter_id
    }

    /// Creates a person with items of these values.
    pub async fn create(&self, external_id: &str, values: &[String]) -> CreateSubjectResponse {
        let items = values.iter().map(|value| contact(value)).collect();
        let request =
            CreateSubjectRequest { context: context(), external_id: external_id.into(), items, ..Default::default() };
        VaultClient::new(self.service.clone()).create_subject(request).await.expect("creates").into_inner()
    }
}

/// One caller of some.
pub struct Caller {
    name: String,
    doors: Doors,
    random: Random,
    /// Holds that this caller placed and has not released: their numbers and ids.
    holds: Vec<(u32, String)>,
    asked: u32,
    /// Whether this caller places holds of its own accord.
    pub may_hold: bool,
    /// Whether the vault has gone.
    gone: bool,
}

/// An answer's way into the history.
type Answer<T> = Result<T, Status>;

impl Caller {
    /// A new one.
    pub fn new(name: String, doors: Doors, random: Random) -> Self {
        Self { name, doors, random, holds: Vec::new(), asked: 0, may_hold: true, gone: false }
    }

    /// Goes on with a vault that was started again.
    pub fn reconnect(&mut self, doors: Doors) {
        (self.doors, self.gone) = (doors, false);
    }

    /// Whether this caller has holds that are not released.
    pub fn has_holds(&self) -> bool {
        !self.holds.is_empty()
    }

    /// Something at random.
    pub async fn act(&mut self, person: &Person) {
        let ask = match self.random.below(100) {
            0..24 => Ask::Read,
            24..32 => Ask::ReadNamed,
            32..42 => Ask::ReadKept,
            42..48 => Ask::List,
            48..57 => Ask::Put,
            57..76 => Ask::Correct,
            76..83 => Ask::Delete,
            83..93 if self.may_hold => Ask::Place,
            83..93 => Ask::Read,
            _ => Ask::Release,
        };
        self.ask(person, ask).await;
    }

    /// Asks one thing, unless the vault has gone.
    pub async fn ask(&mut self, person: &Person, ask: Ask) {
        if self.gone {
            return;
        }
        self.asked += 1;
        match ask {
            Ask::Read => self.read(person, false).await,
            Ask::ReadNamed => self.read(person, true).await,
            Ask::ReadKept => {
                let (item, newest, _) = person.item(self.random.next() as usize >> 1);
                let version = 1 + self.random.below(newest as usize) as u64;
                self.read_kept(person, &item, version).await;
            }
            Ask::List => self.list(person).await,
            Ask::Put => self.put(person).await,
            Ask::Correct => self.correct(person).await,
            Ask::Delete => self.delete(person).await,
            Ask::Erase => self.erase(person).await,
            Ask::Place => self.place(person).await,
            Ask::Release => self.release(person).await,
        }
    }

    /// Reads what is kept of a version, if anything is.
    pub async fn read_kept(&mut self, person: &Person, item_id: &str, version: u64) {
        let request = GetItemRequest { context: legally(), item_id: item_id.into(), version, ..Default::default() };
        let invoked = person.tick();
        let answer = VaultClient::new(self.doors.legal.clone()).get_item(request).await;
        let said = self.said(person, answer, |answer| person.number(&name_of(&answer.into_inner())));
        person.note(invoked, [Call::ReadKept { item: person.number(item_id), version, said }]);
    }

    async fn read(&mut self, person: &Person, by_name: bool) {
        let (item_id, ..) = person.item(self.random.next() as usize >> 1);
        let external = SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(person.external_id.clone())) };
        let whose = if by_name { Some(external) } else { subject(&person.subject_id) };
        let request =
            GetItemRequest { context: context(), subject: whose, item_id: item_id.clone(), ..Default::default() };
        let invoked = person.tick();
        let answer = self.service().get_item(request).await;
        let said = self.said(person, answer, |answer| {
            let answer = answer.into_inner();
            let item = answer.item.as_ref().expect("an item");
            person.seen(&item.item_id, item.version, &item.etag);
            (item.version, person.number(&name_of(&answer)))
        });
        let item = person.number(&item_id);
        person.note(invoked, [if by_name { Call::ReadNamed { item, said } } else { Call::Read { item, said } }]);
    }

    async fn list(&mut self, person: &Person) {
        let subject = subject(&person.subject_id);
        let request = ListItemsRequest { context: context(), subject, page_size: 1_000, ..Default::default() };
        let invoked = person.tick();
        let answer = self.service().list_items(request).await;
        let said = self.said(person, answer, |answer| {
            let items = answer.into_inner().items;
            items.iter().map(|item| (person.number(&item.item_id), item.version)).collect::<BTreeMap<_, _>>()
        });
        person.note(invoked, [Call::List { said }]);
    }

    async fn put(&mut self, person: &Person) {
        let value = self.value();
        let request =
            PutItemRequest { context: context(), subject: subject(&person.subject_id), item: Some(contact(&value)) };
        let request = self.perhaps_in_a_hurry(request);
        let invoked = person.tick();
        let answer = self.service().put_item(request).await;
        let mut item = None;
        let said = self.said(person, answer, |answer| {
            let stamp = answer.into_inner().item.expect("is named");
            item = Some(person.number(&stamp.item_id));
            person.seen(&stamp.item_id, stamp.version, &stamp.etag);
        });
        let item = item.unwrap_or_else(|| person.fresh());
        person.note(invoked, [Call::Put { item, value: person.number(&value), said }]);
    }

    async fn correct(&mut self, person: &Person) {
        let (item_id, version, etag) = person.item(self.random.next() as usize >> 1);
        let (value, careful) = (self.value(), self.random.below(2) == 0);
        let wait = if self.random.below(3) == 0 { Wait::Erased } else { Wait::Logical };
        let request = self.perhaps_in_a_hurry(UpdateItemRequest {
            context: context(),
            subject: subject(&person.subject_id),
            item_id: item_id.clone(),
            etag: if careful { etag } else { String::new() },
            value: Some(named(&value)),
            metadata: None,
            wait: wait.into(),
        });
        let invoked = person.tick();
        let answer = self.service().update_item(request).await;
        let mut told = Forgotten::default();
        let said = self.said(person, answer, |answer| {
            let answer = answer.into_inner();
            let stamp = answer.item.expect("is named");
            person.seen(&stamp.item_id, stamp.version, &stamp.etag);
            told = Forgotten::of(person, &answer.erasure.expect("something was replaced"));
            stamp.version
        });
        let (item, value) = (person.number(&item_id), person.number(&value));
        let act = told.act.unwrap_or_else(|| person.fresh());
        let seen = careful.then_some(version);
        person.note(invoked, told.then(Call::Correct { act, item, seen, value, said }));
    }

    async fn delete(&mut self, person: &Person) {
        let (item_id, ..) = person.item(self.random.next() as usize >> 1);
        let request = self.perhaps_in_a_hurry(DeleteItemRequest {
            context: context(),
            subject: subject(&person.subject_id),
            item_id: item_id.clone(),
            ..Default::default()
        });
        let invoked = person.tick();
        let answer = self.service().delete_item(request).await;
        let mut told = Forgotten::default();
        let said = self.said(person, answer, |answer| {
            told = Forgotten::of(person, &answer.into_inner().erasure.expect("is stated"));
        });
        let act = told.act.unwrap_or_else(|| person.fresh());
        person.note(invoked, told.then(Call::Delete { act, item: person.number(&item_id), said }));
    }

    async fn erase(&mut self, person: &Person) {
        let subject = subject(&person.subject_id);
        let request =
            self.perhaps_in_a_hurry(EraseSubjectRequest { context: legally(), subject, ..Default::default() });
        let invoked = person.tick();
        let answer = PrivacyClient::new(self.doors.officer.clone()).erase_subject(request).await;
        let mut told = Forgotten::default();
        let said = self.said(person, answer, |answer| {
            let answer = answer.into_inner();
            told = Forgotten::of(person, &answer.erasure.expect("is stated"));
            answer.receipt.map(|receipt| {
                let body = ReceiptBody::decode(&receipt.body[..]).expect("a statement");
                let listed = body.kept_items.iter().map(|kept| (person.number(&kept.item_id), kept.version));
                Listed { known: listed.collect(), others: 0 }
            })
        });
        let act = told.act.unwrap_or_else(|| person.fresh());
        person.note(invoked, told.then(Call::Erase { act, said }));
    }

    async fn place(&mut self, person: &Person) {
        let (item_id, ..) = person.item(self.random.next() as usize >> 1);
        let (scope, wanted) = match self.random.below(3) {
            0 => (Scope::Future, whole(true)),
            1 => (Scope::Present, whole(false)),
            _ => {
                let items = vec![ItemVersionRef { item_id: item_id.clone(), version: 0 }];
                (Scope::Item(person.number(&item_id)), place_hold_request::Scope::ItemScope(ItemScope { items }))
            }
        };
        let matter = self.random.below(person.matters.len());
        let request = self.perhaps_in_a_hurry(PlaceHoldRequest {
            context: legally(),
            matter_id: person.matters[matter].clone(),
            subject: subject(&person.subject_id),
            scope: Some(wanted),
            include_access_history: false,
        });
        let hold = person.fresh();
        let invoked = person.tick();
        let answer = HoldsClient::new(self.doors.legal.clone()).place_hold(request).await;
        let mut placed = None;
        let said = self.said(person, answer, |answer| {
            let answer = answer.into_inner();
            placed = Some(answer.hold.expect("a hold").hold_id);
            answer.covered_item_count
        });
        self.holds.extend(placed.map(|id| (hold, id)));
        person.note(invoked, [Call::Place { hold, matter, scope, said }]);
    }

    /// Releases the hold that this caller placed last, with the word of a second person.
    async fn release(&mut self, person: &Person) {
        let Some((hold, hold_id)) = self.holds.last().cloned() else { return };
        let _turn = RELEASES.acquire().await.expect("is never closed");
        let mut request = ReleaseHoldRequest { context: legally(), hold_id, wait: Wait::Erased.into() };
        let mut client = HoldsClient::new(self.doors.legal.clone());
        // An earlier attempt may have been cut off anywhere.
        let invoked = person.tick();
        match client.release_hold(request.clone()).await {
            Err(status) if reason(&status) == "APPROVAL_REQUIRED" => {
                let details = status.get_details_error_info().expect("details");
                let id = details.metadata["approval_id"].clone();
                if let Err(status) = self.approve(&id).await {
                    self.said(person, Answer::<()>::Err(status), drop);
                    return;
                }
                request.context.as_mut().expect("is set").approval_id = id;
            }
            Err(status) if reason(&status) == "STATE_TRANSITION_INVALID" => {
                self.holds.pop();
                person.note(invoked, [Call::Release { hold, said: Said::Absent }]);
                return;
            }
            other => {
                if other.is_ok() {
                    person.note_unexpected("a hold was released by one person".into());
                }
                self.said(person, other, drop);
                return;
            }
        }
        let request = self.perhaps_in_a_hurry(request);
        let invoked = person.tick();
        let answer = client.release_hold(request).await;
        let said = self.said(person, answer, |answer| match answer.into_inner().erasure {
            None => Left::Nothing,
            Some(erasure) => match erasure.state() {
                ErasureState::Erased => Left::Gone,
                ErasureState::Kept => Left::Kept,
                ErasureState::Pending | ErasureState::Unspecified => Left::Pending,
            },
        });
        if said != Said::Nothing {
            self.holds.pop();
        }
        person.note(invoked, [Call::Release { hold, said }]);
    }

    async fn approve(&self, id: &str) -> Result<(), Status> {
        let mut client = ApprovalsClient::new(self.doors.second.clone());
        let list = ListApprovalsRequest {
            context: legally(),
            states: vec![ApprovalState::Pending.into()],
            page_size: 100,
            ..Default::default()
        };
        let listed = client.list_approvals(list).await?.into_inner().approvals;
        // It is not among them if an attempt before was cut off after it was approved.
        let Some(approval) = listed.into_iter().find(|approval| approval.approval_id == id) else { return Ok(()) };
        let (approval_id, request_digest) = (id.to_owned(), approval.request_digest);
        let approve = ApproveRequest { context: legally(), approval_id, request_digest, ..Default::default() };
        client.approve(approve).await.map(drop)
    }

    fn service(&self) -> VaultClient<Recorded> {
        VaultClient::new(self.doors.service.clone())
    }

    fn value(&self) -> String {
        format!("{} value {}", self.name, self.asked)
    }

    /// One call in sixteen has little time.
    fn perhaps_in_a_hurry<T>(&mut self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        if self.random.below(16) == 0 {
            request.set_timeout(HURRY);
        }
        request
    }

    /// What an answer says. One that nobody should get is noted; a connection that has gone, too.
    fn said<A, T>(&mut self, person: &Person, answer: Answer<A>, done: impl FnOnce(A) -> T) -> Said<T> {
        let status = match answer {
            Ok(answer) => return Said::Done(done(answer)),
            Err(status) => status,
        };
        match (status.code(), reason(&status).as_str()) {
            (_, "NOT_FOUND") => Said::Absent,
            (_, "ERASED" | "SUBJECT_ERASED") => Said::Erased,
            (_, "ETAG_MISMATCH") => Said::Changed,
            // A reading that was cut, and whoever was in a hurry.
            (_, "ITEM_ERASED" | "DEADLINE_EXCEEDED") | (Code::DeadlineExceeded, "") => Said::Nothing,
            (Code::Cancelled, "") if status.message().contains("imeout") => Said::Nothing,
            (Code::Unavailable | Code::Unknown | Code::Cancelled | Code::Internal, "") => {
                self.gone = true;
                Said::Nothing
            }
            _ => {
                person.note_unexpected(format!("{status:?}"));
                Said::Nothing
            }
        }
    }
}

/// What an act of forgetting was said to be.
#[derive(Default)]
struct Forgotten {
    act: Option<u32>,
    kept: Option<bool>,
}

impl Forgotten {
    fn of(person: &Person, erasure: &Erasure) -> Self {
        let kept = match erasure.state() {
            ErasureState::Erased => Some(false),
            ErasureState::Kept => Some(true),
            ErasureState::Pending | ErasureState::Unspecified => None,
        };
        Self { act: Some(person.number(&erasure.receipt_id)), kept }
    }

    /// The call, and what was said when it was answered.
    fn then(self, call: Call) -> impl Iterator<Item = Call> {
        let told = self.act.zip(self.kept).map(|(act, kept)| Call::Told { act, kept });
        [call].into_iter().chain(told)
    }
}

pub fn legally() -> Option<CallContext> {
    Some(CallContext { purpose: "legal_compliance".into(), ..Default::default() })
}

pub fn whole(include_future_items: bool) -> place_hold_request::Scope {
    place_hold_request::Scope::SubjectScope(SubjectScope { classes: Vec::new(), include_future_items })
}

fn name_of(answer: &GetItemResponse) -> String {
    full_name(answer.item.as_ref().expect("an item")).unwrap_or_default().to_owned()
}
