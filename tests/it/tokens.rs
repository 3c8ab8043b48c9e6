//! Tokens by which lists and streams go on. Whatever is done to one, and wherever it comes that it was not made for, it is
//! refused by its field, and nothing is shown.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use lacuna::api::proto::*;
use lacuna::server::certs::DEV_TRUST_DOMAIN;
use prost::Message;
use tokio::task::JoinSet;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::events::{batch, days_ago, send, visit_at};
use crate::holds::{LEGAL, open, placed, refused, release_of, whole};
use crate::program::subject;
use crate::samples::reason;
use crate::vault::{Recorded, STRANGER, TestVault};

/// A request that a token continues.
trait Listing: Message + Clone + Default + 'static {
    const METHOD: &'static str;
    const FIELD: &'static str;
    fn with(&self, context: CallContext, token: &str) -> Self;
    /// The token of an answer.
    fn token(answer: &[u8]) -> String;
}

macro_rules! listing {
    ($method:literal, $request:ident.$field:ident, $answer:ident.$next:ident) => {
        impl Listing for $request {
            const METHOD: &'static str = $method;
            const FIELD: &'static str = stringify!($field);

            fn with(&self, context: CallContext, token: &str) -> Self {
                Self { context: Some(context), $field: token.into(), ..self.clone() }
            }

            fn token(answer: &[u8]) -> String {
                $answer::decode(answer).expect("an answer").$next
            }
        }
    };
}

listing!("Vault/ListItems", ListItemsRequest.page_token, ListItemsResponse.next_page_token);
listing!("Vault/FindSubjects", FindSubjectsRequest.page_token, FindSubjectsResponse.next_page_token);
listing!("Vault/ReadEvents", ReadEventsRequest.resume_token, ReadEventsResponse.resume_token);
listing!("Audit/ListEntries", ListEntriesRequest.resume_token, ListEntriesResponse.resume_token);
listing!("Approvals/ListApprovals", ListApprovalsRequest.page_token, ListApprovalsResponse.next_page_token);
listing!("Holds/ListMatters", ListMattersRequest.page_token, ListMattersResponse.next_page_token);
listing!("Holds/ListHolds", ListHoldsRequest.page_token, ListHoldsResponse.next_page_token);
listing!("Holds/ListKeepReasons", ListKeepReasonsRequest.page_token, ListKeepReasonsResponse.next_page_token);
listing!("System/ListDue", ListDueRequest.page_token, ListDueResponse.next_page_token);

/// A request with a token, as it is sent.
type Encode = Box<dyn Fn(&str) -> Vec<u8>>;

/// A query by somebody, which any token can be given.
struct Query {
    what: &'static str,
    client: &'static str,
    encode: Encode,
}

/// A query whose answer goes on, and queries that are nearly the same.
struct List {
    method: &'static str,
    field: &'static str,
    own: Query,
    others: Vec<Query>,
    token_of: fn(&[u8]) -> String,
}

impl List {
    /// What a client asks in a role for a purpose. The same is asked by somebody else, and elsewhere: in that role, for
    /// that purpose.
    fn new<L: Listing>(
        (client, role, purpose): (&'static str, &str, &str),
        elsewhere: &[(&str, &str)],
        own: L,
        others: impl IntoIterator<Item = (&'static str, L)>,
    ) -> Self {
        let query = |what, client, role: &str, purpose: &str, request: L| {
            let context = CallContext { purpose: purpose.into(), role: role.into(), ..Default::default() };
            let encode = move |token: &str| request.with(context.clone(), token).encode_to_vec();
            Query { what, client, encode: Box::new(encode) }
        };
        let mut all = vec![query("by somebody else", STRANGER, role, purpose, own.clone())];
        let elsewhere =
            elsewhere.iter().map(|(role, purpose)| query("elsewhere", STRANGER, role, purpose, own.clone()));
        all.extend(elsewhere);
        all.extend(others.into_iter().map(|(what, other)| query(what, client, role, purpose, other)));
        let own = query("its own", client, role, purpose, own);
        Self { method: L::METHOD, field: L::FIELD, own, others: all, token_of: L::token }
    }

    async fn ask(&self, vault: &TestVault, query: &Query, token: &str) -> Result<Vec<Vec<u8>>, Status> {
        crate::raw::call(vault.service(Some(query.client)), self.method, (query.encode)(token)).await
    }

    /// The token of a query's first page; it must go on.
    async fn token(&self, vault: &TestVault, query: &Query) -> String {
        let answer = self.ask(vault, query, "").await;
        let answer = answer.unwrap_or_else(|status| panic!("{} {}: {status}", self.method, query.what));
        let token = (self.token_of)(answer.last().expect("a message"));
        assert!(!token.is_empty(), "{} {} does not go on", self.method, query.what);
        token
    }

    /// That the query goes on by its token, with something else.
    async fn goes_on(&self, vault: &TestVault, token: &str) {
        let first = self.ask(vault, &self.own, "").await.expect("begins");
        let second = self.ask(vault, &self.own, token).await.expect("goes on");
        assert_ne!(first, second, "{}", self.method);
    }

    /// That it takes none of these tokens.
    async fn refuses(&self, vault: &TestVault, tokens: impl IntoIterator<Item = String>) {
        // All on one connection, some at a time.
        let (service, limit) = (vault.service(Some(self.own.client)), Arc::new(tokio::sync::Semaphore::new(4)));
        let mut calls = JoinSet::new();
        for token in tokens {
            let (service, method, message) = (service.clone(), self.method, (self.own.encode)(&token));
            let turn = limit.clone().acquire_owned().await.expect("is open");
            calls.spawn(async move {
                let answer = crate::raw::call(service, method, message).await;
                drop(turn);
                (token, answer)
            });
        }
        while let Some(asked) = calls.join_next().await {
            let (token, answer) = asked.expect("no panic");
            self.is_refused(&format!("{token:?}"), answer);
        }
    }

    fn is_refused(&self, what: &str, answer: Result<Vec<Vec<u8>>, Status>) {
        let status = answer.map(|_| ()).expect_err(&format!("{} with {what}", self.method));
        let expected = if self.field == "page_token" { "PAGE_TOKEN_INVALID" } else { "RESUME_TOKEN_INVALID" };
        assert_eq!(reason(&status), expected, "{} with {what}: {status}", self.method);
        let violations = status.get_details_bad_request().expect("names fields").field_violations;
        let fields: Vec<&str> = violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, [self.field], "{} with {what}", self.method);
    }
}

/// A token with each of its letters and bytes changed, cut at every length from either end, and made longer.
fn damaged(token: &str) -> Vec<String> {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let bytes = URL_SAFE_NO_PAD.decode(token).expect("a token is base64");
    let mut all = Vec::new();
    for at in 0..token.len() {
        let mut letters = token.as_bytes().to_vec();
        let value = LETTERS.iter().position(|letter| *letter == letters[at]).expect("a letter");
        letters[at] = LETTERS[value ^ (1 << (at % 6))];
        all.push(String::from_utf8(letters).expect("letters"));
        all.extend([token[at + 1..].to_owned(), token[..at].to_owned()].into_iter().filter(|cut| !cut.is_empty()));
    }
    for at in 0..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1 << (at % 8);
        all.push(URL_SAFE_NO_PAD.encode(bytes));
    }
    for more in [&[0][..], &[0; 16], &bytes] {
        all.push(URL_SAFE_NO_PAD.encode([&bytes[..], more].concat()));
        all.push(URL_SAFE_NO_PAD.encode([more, &bytes[..]].concat()));
    }
    all.extend(["A", "AAAA", "=", "==", " ", "\n"].map(|more| format!("{token}{more}")));
    all.extend(["", " ", "x", "\u{0}"].map(|junk| format!("{junk} {junk}")));
    all
}

/// Somebody else who may do all that is done here.
fn with_another(dir: &Path) {
    let path = dir.join("tls/bindings.toml");
    let text = std::fs::read_to_string(&path).expect("a file");
    let roles = "\"service\", \"auditor\", \"legal\", \"privacy-officer\", \"operator\"";
    let binding = format!(
        "\n[[binding]]\nidentity = \"spiffe://{DEV_TRUST_DOMAIN}/{STRANGER}\"\nroles = [{roles}]\nperson = \"Somebody\"\n"
    );
    std::fs::write(path, text + &binding).expect("is written");
}

fn external(id: &str) -> Option<SubjectRef> {
    Some(SubjectRef { r#ref: Some(subject_ref::Ref::ExternalId(id.into())) })
}

fn contact(emails: &[&String]) -> NewItem {
    let address = |email: &&String| EmailAddress { address: (*email).clone(), ..Default::default() };
    let contact = Contact { emails: emails.iter().map(address).collect(), ..Default::default() };
    let value = Some(ItemValue { value: Some(item_value::Value::Contact(contact)) });
    NewItem { class: "contact".into(), value, metadata: None }
}

/// Two people with the same two addresses, who hold and are held, and all lists of theirs.
async fn lists(vault: &TestVault) -> Vec<List> {
    let emails = [(); 2].map(|()| format!("{}@example.com", vault.canary()));
    let mut people = Vec::new();
    for _ in 0..2 {
        let external_id = vault.canary();
        let items = [(); 3].map(|()| contact(&[&emails[0], &emails[1]])).into();
        let context = vault.delivery();
        let create = CreateSubjectRequest { context, external_id: external_id.clone(), items, ..Default::default() };
        let id = vault.client("service").create_subject(create).await.expect("creates").into_inner().subject_id;
        let visits = (0..3).map(|number| visit_at(vault, &id, days_ago(number), &vault.canary())).collect();
        send(vault, vec![batch(vault, &vault.canary(), visits)]).await.1.expect("are stored");
        people.push((id, external_id));
    }
    let matters = [open(vault).await, open(vault).await];
    for _ in 0..2 {
        for ((id, _), matter) in [(&people[0], &matters[0]), (&people[1], &matters[0]), (&people[0], &matters[1])] {
            let hold = placed(vault, matter, id, whole(&[], true)).await;
            let asked = crate::holds::holds(vault, LEGAL).release_hold(release_of(vault, &hold)).await;
            assert_eq!(refused(asked), "APPROVAL_REQUIRED");
        }
    }
    let [(one, one_external), (two, _)] = &people[..] else { unreachable!("two") };
    let mut lists = of_vault(one, one_external, two, &emails);
    lists.extend(of_keeping([one, two], [&matters[0], &matters[1]]));
    lists
}

fn of_vault(one: &str, one_external: &str, two: &str, emails: &[String; 2]) -> Vec<List> {
    const SERVICE: (&str, &str, &str) = ("service", "service", "service_delivery");
    let items = ListItemsRequest { subject: subject(one), page_size: 1, ..Default::default() };
    let find = |email: &String| FindSubjectsRequest {
        identifier: Some(Identifier { identifier: Some(identifier::Identifier::Email(email.clone())) }),
        page_size: 1,
        ..Default::default()
    };
    let events = ReadEventsRequest { subject: subject(one), ..Default::default() };
    let entries = ListEntriesRequest { limit: 2, ..Default::default() };
    let of_roles = |role: &str| Some(AuditFilter { roles: vec![role.into()], ..Default::default() });
    vec![
        List::new(
            SERVICE,
            &[("service", "security"), ("legal", "legal_compliance")],
            items.clone(),
            [
                ("of somebody else", ListItemsRequest { subject: subject(two), ..items.clone() }),
                ("by the other id", ListItemsRequest { subject: external(one_external), ..items.clone() }),
                ("of a class", ListItemsRequest { classes: vec!["contact".into()], ..items.clone() }),
                ("in a view", ListItemsRequest { view: View::Masked.into(), ..items.clone() }),
                ("of a field", ListItemsRequest { fields: vec!["emails".into()], ..items }),
            ],
        ),
        List::new(
            SERVICE,
            &[("service", "security"), ("legal", "legal_compliance")],
            find(&emails[0]),
            [("by another address", find(&emails[1]))],
        ),
        List::new(
            SERVICE,
            &[("service", "security"), ("legal", "legal_compliance")],
            events.clone(),
            [
                ("of somebody else", ReadEventsRequest { subject: subject(two), ..events.clone() }),
                ("by the other id", ReadEventsRequest { subject: external(one_external), ..events.clone() }),
                ("of a class", ReadEventsRequest { classes: vec!["access_event".into()], ..events.clone() }),
                ("from a time", ReadEventsRequest { start_time: Some(Default::default()), ..events.clone() }),
                ("until a time", ReadEventsRequest { end_time: later(), ..events.clone() }),
                ("in a view", ReadEventsRequest { view: View::Masked.into(), ..events.clone() }),
                ("of a field", ReadEventsRequest { fields: vec!["time".into()], ..events }),
            ],
        ),
        List::new(
            ("auditor", "auditor", "security"),
            &[("auditor", "legal_compliance")],
            entries.clone(),
            [
                ("of a role", ListEntriesRequest { filter: of_roles("service"), ..entries.clone() }),
                ("from an index", ListEntriesRequest { start_index: 1, ..entries.clone() }),
                ("until an index", ListEntriesRequest { end_index: 5, ..entries.clone() }),
                ("the newest first", ListEntriesRequest { newest_first: true, ..entries.clone() }),
                ("so many", ListEntriesRequest { limit: 3, ..entries.clone() }),
            ],
        ),
    ]
}

fn of_keeping([one, two]: [&str; 2], [first, second]: [&str; 2]) -> Vec<List> {
    use list_keep_reasons_request::Target;
    const COUNSEL: (&str, &str, &str) = (LEGAL, LEGAL, "legal_compliance");
    let approvals = ListApprovalsRequest { page_size: 1, ..Default::default() };
    let waiting = ApprovalState::Pending.into();
    let matters = ListMattersRequest { page_size: 1, ..Default::default() };
    let holds = ListHoldsRequest { page_size: 1, ..Default::default() };
    let under = |matter: &str| ListHoldsRequest { matter_id: matter.into(), ..holds.clone() };
    let on = |id: &str| ListHoldsRequest { subject: subject(id), ..holds.clone() };
    let kept = |target| ListKeepReasonsRequest { target: Some(target), page_size: 1, ..Default::default() };
    let of = |id: &str| kept(Target::Subject(subject(id).expect("is set")));
    let due = ListDueRequest { page_size: 1, ..Default::default() };
    vec![
        List::new(
            ("legal-2", LEGAL, "legal_compliance"),
            &[],
            approvals.clone(),
            [
                ("that wait", ListApprovalsRequest { states: vec![waiting], ..approvals.clone() }),
                (
                    "of a method",
                    ListApprovalsRequest { operation: "lacuna.v1.Holds/ReleaseHold".into(), ..approvals.clone() },
                ),
                ("to decide", ListApprovalsRequest { decidable: true, ..approvals.clone() }),
            ],
        ),
        List::new(
            COUNSEL,
            &[],
            matters.clone(),
            [
                ("that are open", ListMattersRequest { state: MatterState::Open.into(), ..matters.clone() }),
                ("to review", ListMattersRequest { review_before_time: later(), ..matters }),
            ],
        ),
        List::new(
            COUNSEL,
            &[],
            holds.clone(),
            [
                ("under a matter", under(first)),
                ("under the other matter", under(second)),
                ("on somebody", on(one)),
                ("on somebody else", on(two)),
                ("in force", ListHoldsRequest { state: HoldState::Active.into(), ..holds.clone() }),
            ],
        ),
        List::new(COUNSEL, &[("privacy-officer", "legal_compliance")], of(one), [("of somebody else", of(two))]),
        List::new(
            COUNSEL,
            &[("privacy-officer", "legal_compliance"), ("operator", "security")],
            due.clone(),
            [
                ("of a kind", ListDueRequest { kinds: vec![DueKind::MatterReview.into()], ..due.clone() }),
                ("until a time", ListDueRequest { before_time: later(), ..due }),
            ],
        ),
    ]
}

fn later() -> Option<well_known::Timestamp> {
    Some(well_known::Timestamp { seconds: days_ago(-60), nanos: 0 })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_good_for_what_it_was_made_for_and_as_it_was_made() {
    let mut vault = TestVault::start_with(with_another);
    let lists = lists(&vault).await;
    let mut tokens = Vec::new();
    for list in &lists {
        tokens.push(list.token(&vault, &list.own).await);
    }
    for (number, (list, token)) in lists.iter().zip(&tokens).enumerate() {
        list.goes_on(&vault, token).await;
        // Each of these is answered, and goes on by a token of its own; by this one it does not.
        for other in &list.others {
            let its = list.token(&vault, other).await;
            list.is_refused(other.what, list.ask(&vault, other, token).await);
            list.is_refused(other.what, list.ask(&vault, &list.own, &its).await);
        }
        let foreign = tokens.iter().enumerate().filter(|(other, _)| *other != number);
        list.refuses(&vault, foreign.map(|(_, token)| token.clone())).await;
        list.refuses(&vault, damaged(token)).await;
    }
    vault.kill();
    vault.run("");
    for (list, token) in lists.iter().zip(&tokens) {
        list.goes_on(&vault, token).await;
        list.refuses(&vault, damaged(token).into_iter().step_by(29)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_made_for_a_person_is_not_taken_from_another_by_the_same_service() {
    let vault = TestVault::start();
    let mut people = Vec::new();
    for _ in 0..2 {
        let external_id = vault.canary();
        let items = [(); 2].map(|()| vault.item("contact")).into();
        let context = vault.delivery();
        let create = CreateSubjectRequest { context, external_id: external_id.clone(), items, ..Default::default() };
        vault.client("service").create_subject(create).await.expect("creates");
        people.push(external_id);
    }
    let ask = async |person: &Recorded, token: &str| {
        let context = CallContext { purpose: "service_delivery".into(), ..Default::default() };
        let request = ListItemsRequest { subject: external(&people[0]), page_size: 1, ..Default::default() };
        let message = request.with(context, token).encode_to_vec();
        let answer = crate::raw::call(person.clone(), ListItemsRequest::METHOD, message).await;
        answer.map(|messages| ListItemsResponse::decode(&messages[0][..]).expect("an answer"))
    };
    let [one, two] = [0, 1].map(|person: usize| vault.acting_for(&people[person]));
    let token = ask(&one, "").await.expect("lists").next_page_token;
    assert_eq!(ask(&one, &token).await.expect("goes on").items.len(), 1);
    // Another word of the same issuer for the same person.
    let earlier = vault.token(&people[0], Duration::from_secs(60));
    assert!(ask(&vault.service(Some("subject")).with_token(&earlier), &token).await.is_ok());
    assert_eq!(refused(ask(&two, &token).await), "PAGE_TOKEN_INVALID");
    assert_eq!(refused(ask(&two, "").await), "NOT_FOUND");
}
