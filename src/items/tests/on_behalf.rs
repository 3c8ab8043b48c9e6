//! Calls that act for a person: the log names both parties, and only the person's own record is reached.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

use super::*;
use crate::audit::event::{About, Decision, Outcome};
use crate::base::reason::Reason;
use crate::base::secret::{PlainValue, Secret};
use crate::bearer::check::Trust;
use crate::bearer::jwks::KeySet;
use crate::crypto::label;
use crate::crypto::sign::Signer;
use crate::gate::call::NotOpened;
use crate::gate::end_users::Issuer;
use crate::gate::refusal::{Access, EndUserFault, Unavailable};
use crate::gate::tokens::{self, Bound};
use crate::items::model::{Delete, ListQuery, Wait};
use crate::items::{delete, list};

const ISSUER: &str = "https://id.example.com";

fn signer() -> Signer {
    Signer::from_seed(&Secret::copied(&[1; 32]))
}

fn keys() -> KeySet {
    let x = URL_SAFE_NO_PAD.encode(signer().public());
    let keys = json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "x": x, "kid": "1" }] });
    KeySet::parse(keys.to_string().as_bytes()).expect("a key set")
}

fn token(sub: &str, kid: &str, issued: i64) -> Presented {
    let part = |json: serde_json::Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({ "iss": ISSUER, "aud": "lacuna", "sub": sub, "iat": issued, "exp": issued + 900 });
    let signed = format!("{}.{}", part(json!({ "alg": "EdDSA", "kid": kid })), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(signer().sign(signed.as_bytes()));
    Presented::Token(PlainValue::new(format!("{signed}.{signature}").into_bytes()))
}

impl Bench {
    fn trusting(until: Option<Timestamp>) -> (Self, Arc<Issuer>) {
        let bench = Self::new();
        let own = str::to_owned;
        let trust = Trust { issuer: own(ISSUER), audience: own("lacuna"), subject_prefix: own("app:") };
        let issuer = Arc::new(Issuer::new(trust));
        issuer.replace(keys(), until);
        issuer.attempt_ended(true);
        bench.vault.end_users().trust(vec![issuer.clone()]);
        (bench, issuer)
    }

    async fn acting(&self, token: Presented, action: Action, role: RoleId) -> Result<Call, NotOpened> {
        let identity = "spiffe://example.org/dashboard".parse().expect("an identity");
        let request = CallRequest {
            token,
            find_person: crate::items::own::find_person,
            caller: Some(Arc::new(Caller { identity, roles: vec![role], person: None })),
            action,
            purpose: "service_delivery".into(),
            role: String::new(),
            ticket: Text::default(),
            idempotency_key: Text::default(),
            request_digest: CallRequest::digest(action.as_str(), b""),
            peer: "192.0.2.1:1".into(),
            deadline: None,
            approval: None,
            malformed: None,
        };
        self.vault.open_call(request).await
    }

    async fn named(&self, external_id: &str) -> (SubjectId, Vec<Stamp>) {
        let call = self.call(Action::CreateSubject).await;
        let new =
            NewSubject { external_id: external_id.into(), labels: vec![], items: vec![contact("A"), contact("B")] };
        let created = create::create(&self.vault, &call, new).await.expect("creates");
        (created.subject, created.items)
    }
}

fn subject_token(leaf: &Leaf) -> Option<[u8; 16]> {
    match leaf.about {
        About::Subject(token) => Some(token),
        About::Nobody | About::Erasure(_) => None,
    }
}

const NOW: i64 = NOON / 1000;

#[tokio::test]
async fn the_log_names_the_service_and_the_person() {
    let (bench, _) = Bench::trusting(None);
    let (own, items) = bench.named("app:user-1").await;
    let created = subject_token(&bench.last_leaf());
    let call = bench.acting(token("user-1", "1", NOW), Action::GetItem, RoleId::Subject).await.expect("opens");
    assert!(get::get(&bench.vault, &call, query(own, items[0].item)).await.is_ok());
    let leaf = bench.last_leaf();
    assert_eq!((leaf.actor_kind, leaf.actor.as_slice()), (1, &b"spiffe://example.org/dashboard"[..]));
    assert_eq!((leaf.role.as_str(), leaf.outcome, leaf.rule.as_str()), ("subject", Outcome::Done, "subject-reads-own"));
    assert!(created.is_some() && leaf.on_behalf == created && subject_token(&leaf) == created);

    // The erasure is not to be linked to the person's other entries.
    let call = bench.acting(token("user-1", "1", NOW), Action::DeleteItem, RoleId::Subject).await.expect("opens");
    let gone = Delete { subject: SubjectRef::Id(own), item: items[0].item, etag: String::new(), wait: Wait::Erased };
    assert!(delete::delete(&bench.vault, &call, gone).await.is_ok());
    let erasures = bench.leaves().into_iter().filter(|leaf| matches!(leaf.about, About::Erasure(_)));
    let erasures: Vec<Leaf> = erasures.collect();
    assert!(erasures.len() == 2 && erasures.iter().all(|leaf| leaf.on_behalf.is_none()));
    assert_eq!(erasures[0].role, "subject");
}

#[tokio::test]
async fn another_persons_record_is_absent_and_the_attempt_is_recorded_about_both() {
    let (bench, _) = Bench::trusting(None);
    bench.named("app:user-1").await;
    let own = subject_token(&bench.last_leaf());
    let (other, items) = bench.named("app:user-2").await;
    let others = subject_token(&bench.last_leaf());
    let acting = async |action| bench.acting(token("user-1", "1", NOW), action, RoleId::Subject).await.expect("opens");
    let absent = SubjectId::from_bytes([9; 16]);
    for subject in [SubjectRef::Id(other), SubjectRef::External("app:user-2".into())] {
        let asked = ItemQuery { subject: Some(subject.duplicate()), ..query(other, items[0].item) };
        let refusal = get::get(&bench.vault, &acting(Action::GetItem).await, asked).await.err().expect("is refused");
        assert_eq!((refusal.told(), refusal.reason()), (Reason::NotFound, Reason::AccessDenied));
        let asked = query(absent, items[0].item);
        let same = get::get(&bench.vault, &acting(Action::GetItem).await, asked).await.err().expect("is refused");
        assert_eq!((same.told(), same.to_string()), (Reason::NotFound, refusal.to_string()));

        let asked =
            ListQuery { subject, classes: vec![], view: None, fields: vec![], page_size: 0, page_token: String::new() };
        let refusal = list::list(&bench.vault, &acting(Action::ListItems).await, asked).await.err();
        assert_eq!(refusal.expect("no empty list").told(), Reason::NotFound);
        let leaf = bench.last_leaf();
        assert_eq!(
            (leaf.decision, leaf.outcome, leaf.rule.as_str()),
            (Decision::Denied, Outcome::Refused, "guard-own")
        );
        assert!(own.is_some() && leaf.on_behalf == own && subject_token(&leaf) == others);
    }
}

#[tokio::test]
async fn a_lists_token_opens_for_the_same_person_alone() {
    let (bench, _) = Bench::trusting(None);
    for name in ["app:user-1", "app:user-2"] {
        bench.named(name).await;
    }
    let acting =
        async |sub| bench.acting(token(sub, "1", NOW), Action::ListItems, RoleId::Subject).await.expect("opens");
    // A query that is the same for both.
    let bound = Bound { label: label::PAGE_TOKEN, query: b"query" };
    let sealed = tokens::seal(&acting("user-1").await, &bound, b"place", bench.vault.now()).expect("seals");
    let opened = |call| tokens::open(&call, &bound, &sealed, bench.vault.now(), |r| Ok(r.rest().to_vec())).is_some();
    assert!(opened(acting("user-1").await) && !opened(acting("user-2").await));
}

#[tokio::test]
async fn refused_tokens_are_recorded_without_anything_of_them() {
    let (bench, _) = Bench::trusting(None);
    bench.named("app:user-1").await;
    let cases = [
        (Presented::Nothing, Action::GetItem, RoleId::Subject, EndUserFault::Required),
        (Presented::Unreadable, Action::GetItem, RoleId::Subject, EndUserFault::Invalid),
        (Presented::Token(PlainValue::new(vec![0xff])), Action::GetItem, RoleId::Subject, EndUserFault::Invalid),
        (token("user-1", "1", NOW + 100), Action::GetItem, RoleId::Subject, EndUserFault::Invalid),
        (token("user-1", "1", NOW - 900), Action::GetItem, RoleId::Subject, EndUserFault::Expired),
        (token("user-1", "1", NOW - 301), Action::EraseSubject, RoleId::Subject, EndUserFault::Stale),
        (token("user-1", "1", NOW - 301), Action::ExportSubject, RoleId::Subject, EndUserFault::Stale),
        (token("user-1", "1", NOW), Action::GetItem, RoleId::Service, EndUserFault::OtherRole),
        (Presented::Unreadable, Action::GetItem, RoleId::Support, EndUserFault::OtherRole),
    ];
    for (token, action, role, expected) in cases {
        let refusal = bench.acting(token, action, role).await.err().expect("is refused").refusal;
        assert_eq!(refusal, Refusal::Access(Access::EndUser(expected)));
        let leaf = bench.last_leaf();
        assert_eq!((leaf.reason, leaf.decision), (refusal.reason().number(), Decision::Denied));
        // Whose a token is, is known only if the issuer said so.
        assert_eq!(leaf.on_behalf.is_some(), expected == EndUserFault::Stale, "{expected:?}");
    }
    let fresh = bench.acting(token("user-1", "1", NOW - 300), Action::EraseSubject, RoleId::Subject).await;
    assert!(fresh.is_ok(), "fresh enough");
}

#[tokio::test]
async fn old_keys_are_good_for_a_while_and_then_nobody_gets_in() {
    let until = Timestamp::from_millis(NOON + HOUR);
    let (bench, issuer) = Bench::trusting(Some(until));
    let opened = async |at: i64| {
        bench.at(at);
        let token = token("user-1", "1", (NOON + at) / 1000);
        bench.acting(token, Action::GetItem, RoleId::Subject).await.map(|_| ()).map_err(|not| not.refusal)
    };
    assert_eq!(opened(HOUR - 1).await, Ok(()));
    issuer.attempt_ended(false); // just now, so that the call causes no other
    assert_eq!(opened(HOUR).await, Err(Unavailable::IdentityProvider.into()));
    issuer.replace(keys(), None);
    assert_eq!(opened(HOUR).await, Ok(()));
}

#[tokio::test]
async fn a_key_that_is_not_known_is_asked_for_once_by_all_who_wait() {
    let own = str::to_owned;
    let trust = Trust { issuer: own(ISSUER), audience: own("lacuna"), subject_prefix: String::new() };
    let (bench, issuer) = (Bench::new(), Arc::new(Issuer::new(trust)));
    bench.vault.end_users().trust(vec![issuer.clone()]);
    let fetches = async {
        issuer.keys_wanted().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        issuer.replace(keys(), None);
        issuer.attempt_ended(true);
        // Two calls waited for this; a third key that is not known must not cause another so soon.
        tokio::time::timeout(Duration::from_millis(200), issuer.keys_wanted()).await.is_err()
    };
    let acting = |kid| bench.acting(token("user-1", kid, NOW), Action::GetItem, RoleId::Subject);
    let calls = async {
        let (one, two) = tokio::join!(acting("1"), acting("2"));
        let three = acting("3").await;
        (one.is_ok(), two.err().map(|not| not.refusal), three.err().map(|not| not.refusal))
    };
    let ((one, two, three), once) = tokio::join!(calls, fetches);
    let invalid = Some(Refusal::Access(Access::EndUser(EndUserFault::Invalid)));
    assert!(one && once);
    assert_eq!((two, three), (invalid.clone(), invalid));
}
