//! Passwords: tested, never read, and told apart by nobody who may not know.

use std::time::Instant;

use super::*;
use crate::audit::event::Outcome;
use crate::base::limits::PASSWORD_TRIES_AT_ONCE;
use crate::base::reason::Reason;
use crate::catalog::classes::password::{Password, Verifier};
use crate::catalog::view::View;
use crate::crypto::passphrase::{Cost, PASSWORDS};
use crate::gate::refusal::{Access, State};
use crate::items::model::{PasswordTest, PutEntry, Update, Wait};
use crate::items::{delete, list, model, put, secret, update, verify};

fn password(secret: &str) -> NewItem {
    let value = ItemValue::Password(Password { secret: secret.into(), verifier: None });
    NewItem { class: "password".into(), value, metadata: NewMetadata::default() }
}

impl Bench {
    async fn put(&self, call: &Call, subject: SubjectId, item: NewItem) -> Result<Stamp, Refusal> {
        put::put(&self.vault, call, SubjectRef::Id(subject), item).await.map(|(_, stamp)| stamp)
    }

    /// A person with this password.
    pub(super) async fn member(&self, secret: &str) -> (SubjectId, Stamp) {
        let (subject, _) = self.person(&["Ana"]).await;
        let call = self.call(Action::PutItem).await;
        (subject, self.put(&call, subject, password(secret)).await.expect("is put"))
    }

    async fn verify_as(&self, caller: &str, test: PasswordTest) -> Result<bool, Refusal> {
        let (role, purpose) = (RoleId::Service, "service_delivery");
        let call = self.call_as(caller, role, purpose, Action::VerifyPassword, "", "").await;
        verify::verify(&self.vault, &call, test).await.map(|set| set.is_some())
    }

    async fn verify(&self, subject: SubjectId, secret: &str) -> Result<bool, Refusal> {
        self.verify_as("checkout", of(subject, secret)).await
    }
}

pub(super) fn of(subject: SubjectId, secret: &str) -> PasswordTest {
    PasswordTest { subject: SubjectRef::Id(subject), item: None, secret: secret.into() }
}

#[tokio::test]
async fn a_password_is_right_or_it_is_not() {
    let bench = Bench::new();
    let (subject, stamp) = bench.member("correct horse").await;
    assert_eq!(bench.verify(subject, "correct horse").await, Ok(true));
    for wrong in ["Correct horse", "correct horse ", "correct\u{a0}hors", "x", ""] {
        assert_eq!(bench.verify(subject, wrong).await, Ok(false), "{wrong:?}");
    }
    let test = |item| PasswordTest { item: Some(item), ..of(subject, "ｃorrect horse") };
    assert_eq!(bench.verify_as("checkout", test(stamp.item)).await, Ok(true), "as any keyboard writes it");
    assert_eq!(bench.verify_as("checkout", test(ItemId::from_bytes([3; 16]))).await, Ok(false));
    let leaves = bench.leaves();
    let outcomes: Vec<_> = leaves.iter().rev().take(8).map(|leaf| (leaf.outcome, leaf.reason)).collect();
    assert_eq!(outcomes[0], (Outcome::Refused, Reason::NotFound.number()), "the log has it as absent");
    assert!(outcomes[1..].iter().all(|outcome| *outcome == (Outcome::Done, 0)), "{outcomes:?}");
}

#[tokio::test]
async fn whoever_has_no_password_is_answered_like_whoever_has_another() {
    let bench = Bench::new();
    let (nobody, (bare, _)) = (SubjectId::from_bytes([9; 16]), bench.person(&["Bo"]).await);
    let (deleted, stamp) = bench.member("x").await;
    let call = bench.call(Action::DeleteItem).await;
    let gone =
        model::Delete { subject: SubjectRef::Id(deleted), item: stamp.item, etag: String::new(), wait: Wait::Logical };
    delete::delete(&bench.vault, &call, gone).await.expect("is deleted");
    for subject in [nobody, bare, deleted] {
        assert_eq!(bench.verify(subject, "x").await, Ok(false));
    }
    let external = SubjectRef::External("nobody".into());
    let test = PasswordTest { subject: external, item: None, secret: "x".into() };
    assert_eq!(bench.verify_as("checkout", test).await, Ok(false));
    assert_eq!(bench.last_leaf().reason, Reason::NotFound.number(), "the log tells them apart");
}

#[tokio::test]
async fn the_work_is_the_same_whatever_is_there() {
    let bench = Bench::new();
    let (subject, _) = bench.member("x").await;
    let (bare, _) = bench.person(&["Bo"]).await;
    for (who, secret, right) in
        [(subject, "x", true), (subject, "y", false), (bare, "x", false), (SubjectId::from_bytes([9; 16]), "x", false)]
    {
        let before = bench.vault.hashing().runs();
        assert_eq!(bench.verify(who, secret).await, Ok(right));
        assert_eq!(bench.vault.hashing().runs(), before + 1, "one hash, right or not: {right}");
    }
}

#[tokio::test]
async fn nobody_reads_a_password() {
    let bench = Bench::new();
    let (subject, stamp) = bench.member("canary-19d7").await;
    let get = async |view| {
        let call = bench.call(Action::GetItem).await;
        get::get(&bench.vault, &call, ItemQuery { view, ..query(subject, stamp.item) }).await
    };
    let shown = get(None).await.expect("exists");
    assert!(shown.view == View::Exists && shown.value.is_none() && shown.metadata.is_none());
    for view in [View::Last4, View::Masked, View::Plain] {
        assert_eq!(get(Some(view)).await.err(), Some(Access::ViewNotAllowed.into()), "{view}");
    }
    let call = bench.call(Action::ListItems).await;
    let listed = list::list(
        &bench.vault,
        &call,
        model::ListQuery {
            subject: SubjectRef::Id(subject),
            classes: vec!["password".into()],
            view: None,
            fields: vec![],
            page_size: 0,
            page_token: String::new(),
        },
    );
    let listed = listed.await.expect("is listed").items;
    assert!(listed.len() == 1 && listed[0].value.is_none());
}

#[tokio::test]
async fn no_role_reads_a_password_for_any_purpose_under_any_view() {
    let bench = Bench::new();
    let (subject, stamp) = bench.member("canary-52b8").await;
    let mut answered = 0;
    for role in RoleId::ALL.iter().copied().filter(|role| *role != RoleId::Subject) {
        for purpose in ["service_delivery", "security", "improvement", "legal_compliance"] {
            for action in [Action::GetItem, Action::ListItems] {
                let Ok(call) = bench.vault.open_call(bench.request("all", role, purpose, action, "", "")).await else {
                    continue;
                };
                for view in [None].into_iter().chain(View::ALL.map(Some)) {
                    let shown = match action {
                        Action::GetItem => {
                            let wanted = ItemQuery { view, ..query(subject, stamp.item) };
                            get::get(&bench.vault, &call, wanted).await.into_iter().collect()
                        }
                        _ => {
                            let wanted = model::ListQuery {
                                subject: SubjectRef::Id(subject),
                                classes: vec!["password".into()],
                                view,
                                fields: vec![],
                                page_size: 0,
                                page_token: String::new(),
                            };
                            list::list(&bench.vault, &call, wanted).await.map(|page| page.items).unwrap_or_default()
                        }
                    };
                    answered += shown.len();
                    let told = |item: &model::ItemView| item.value.is_some() || item.view > View::Exists;
                    assert!(!shown.iter().any(told), "{role:?} for {purpose} under {view:?}");
                }
            }
        }
    }
    assert!(answered > 0, "some may know that it is there");
}

#[tokio::test]
async fn the_newest_password_is_found_among_any_number_of_items() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let call = bench.call(Action::PutItem).await;
    for n in 0..150 {
        bench.at(n); // one after another
        let item = match n {
            20 => password("the first"),
            90 => password("the second"),
            _ => contact("Ana"),
        };
        bench.put(&call, subject, item).await.expect("is put");
    }
    assert_eq!(bench.verify(subject, "the second").await, Ok(true));
    assert_eq!(bench.verify(subject, "the first").await, Ok(false));
}

#[tokio::test]
async fn tries_are_counted_where_nobody_is_too() {
    let bench = Bench::new();
    let nobody = SubjectId::from_bytes([9; 16]);
    for _ in 0..PASSWORD_TRIES_AT_ONCE {
        assert_eq!(bench.verify(nobody, "x").await, Ok(false));
    }
    assert!(matches!(bench.verify(nobody, "x").await, Err(Refusal::RateLimited { .. })));
    let external = |name: &str| {
        let subject = SubjectRef::External(name.into());
        PasswordTest { subject, item: None, secret: "x".into() }
    };
    for _ in 0..PASSWORD_TRIES_AT_ONCE {
        assert_eq!(bench.verify_as("checkout", external("nobody")).await, Ok(false));
    }
    assert!(matches!(bench.verify_as("checkout", external("nobody")).await, Err(Refusal::RateLimited { .. })));
}

#[tokio::test]
async fn tries_are_limited_per_caller_and_person() {
    let bench = Bench::new();
    let (subject, _) = bench.member("x").await;
    let wrong = async |caller, subject| bench.verify_as(caller, of(subject, "y")).await;
    for _ in 1..PASSWORD_TRIES_AT_ONCE {
        assert_eq!(wrong("checkout", subject).await, Ok(false));
    }
    assert_eq!(bench.verify(subject, "x").await, Ok(true), "a right one gives all tries back");
    for who in [subject, SubjectId::from_bytes([9; 16])] {
        for _ in 0..PASSWORD_TRIES_AT_ONCE {
            assert_eq!(wrong("checkout", who).await, Ok(false));
        }
        let refused = bench.verify(who, "x").await;
        let Err(Refusal::RateLimited { retry_after: wait }) = refused else { panic!("{refused:?}") };
        assert!(wait > Duration::ZERO);
        assert_eq!(bench.last_leaf().reason, Reason::RateLimited.number());
    }
    assert_eq!(wrong("kiosk", subject).await, Ok(false), "another caller has tries of its own");
}

#[tokio::test]
async fn a_corrected_password_is_the_new_one_and_the_old_one_is_wrong() {
    let bench = Bench::new();
    let (subject, stamp) = bench.member("old").await;
    let call = bench.call(Action::UpdateItem).await;
    let correction = Update {
        subject: SubjectRef::Id(subject),
        item: stamp.item,
        etag: stamp.etag,
        value: Some(password("new").value),
        metadata: None,
        wait: Wait::Erased,
    };
    let (stamp, erasure) = update::update(&bench.vault, &call, correction).await.expect("is corrected");
    assert!(stamp.version == 2 && erasure.is_some());
    assert_eq!((bench.verify(subject, "old").await, bench.verify(subject, "new").await), (Ok(false), Ok(true)));
}

#[tokio::test]
async fn a_repeat_is_the_same_password_and_its_record_no_shortcut_to_it() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ana"]).await;
    let put = async |secret| {
        let call = bench.call_once(Action::PutItem, "key", "the request without its password").await;
        bench.put(&call, subject, password(secret)).await
    };
    let first = put("canary-55c1").await.expect("is put");
    assert_eq!(put("canary-55c1").await.as_ref(), Ok(&first));
    assert_eq!(put("canary-55c2").await.err(), Some(State::IdempotencyKeyReused.into()));
    let batch = async |secret: &str| {
        let call = bench.call_once(Action::BatchPutItems, "batch", "").await;
        let entry = PutEntry {
            subject: SubjectRef::Id(subject),
            item: Some(password(secret)),
            create_subject: false,
            labels: vec![],
            digest: [1; 32],
        };
        let mut done = put::put_batch(&bench.vault, &call, vec![entry]).await.expect("answers");
        done.remove(0).map(|done| done.item)
    };
    let first = batch("a").await.expect("is put");
    assert_eq!(batch("a").await, Ok(first));
    assert_eq!(batch("b").await, Err(State::IdempotencyKeyReused.into()));
}

#[tokio::test]
async fn a_verifier_that_became_too_cheap_is_made_anew_when_the_password_is_right() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ana"]).await;
    let cheap = Cost { memory_kib: 64, passes: 1, lanes: 1 };
    let (salt, set) = ([5; 16], Timestamp::from_millis(NOON - HOUR));
    let tag = secret::hash(&"x".into(), &salt, cheap).expect("hashes");
    let verifier = Verifier { memory_kib: 64, passes: 1, lanes: 1, salt, tag, set };
    let value = ItemValue::Password(Password { secret: Text::default(), verifier: Some(verifier) });
    let call = bench.call(Action::PutItem).await;
    let old = bench.put(&call, subject, NewItem { value, ..password("") }).await.expect("is put");
    let etag = async || {
        let call = bench.call(Action::GetItem).await;
        let view = get::get(&bench.vault, &call, query(subject, old.item)).await.expect("exists");
        (view.version, view.etag)
    };
    assert_eq!(bench.verify(subject, "y").await, Ok(false));
    assert_eq!(etag().await, (1, old.etag.clone()), "a wrong one changes nothing");
    let call = bench.call(Action::VerifyPassword).await;
    assert_eq!(verify::verify(&bench.vault, &call, of(subject, "x")).await, Ok(Some(set)));
    let (version, renewed) = etag().await;
    assert!(version == 1 && renewed != old.etag);
    bench.settle().await;
    assert!(
        bench.leaves().iter().any(|leaf| leaf.operation == "VersionErased" && leaf.class == "password"),
        "the old key is gone"
    );
    let began = Instant::now();
    assert_eq!(verify::verify(&bench.vault, &call, of(subject, "x")).await, Ok(Some(set)));
    assert_eq!(etag().await.1, renewed, "once is enough");
    assert!(began.elapsed() > Duration::from_millis(2), "it costs what {PASSWORDS:?} costs");
}
