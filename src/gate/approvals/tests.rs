//! What an approval is bound to, and how its time runs out, on a vault in memory with a clock that is moved by hand.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::base::id::{ActorId, ApprovalId, InstanceId, SlotId};
use crate::base::limits::{APPROVAL_KEEP_DAYS, APPROVAL_TIME_MAX};
use crate::base::secret::Key;
use crate::base::time::{ManualClock, Timestamp};
use crate::catalog::text::Text;
use crate::gate::call::{Call, CallRequest};
use crate::gate::former::{End, FormerSlot};
use crate::gate::open::{Parts, open};
use crate::gate::refusal::{Approving, Refusal};
use crate::gate::vault::{Patience, Vault};
use crate::keys::outer::source::Source;
use crate::policy::bindings::Bindings;
use crate::policy::caller::{Caller, RoleId, ServiceName};
use crate::policy::rules::Rules;
use crate::store::Engine as _;
use crate::store::keyspace::Space;
use crate::store::memory::MemoryEngine;

const DAY: i64 = 86_400_000;
const START: i64 = 20_000 * DAY;
const PEOPLE: &str = "[[binding]]\nidentity = \"dns:kim\"\nroles = [\"key-admin\"]\nperson = \"Kim\"\n\
                      [[binding]]\nidentity = \"dns:lee\"\nroles = [\"key-admin\"]\nperson = \"Lee\"\n";

struct Bench {
    vault: Arc<Vault>,
    clock: Arc<ManualClock>,
    engine: MemoryEngine,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let (dir, engine) = (tempfile::tempdir().expect("a folder"), MemoryEngine::new());
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(START)));
        let parts = Parts {
            engine: Arc::new(engine.clone()),
            store_bytes: Box::new(|| 0),
            room: crate::gate::room::Room::endless(),
            slots: ["a", "b", "c"].map(|name| dir.path().join(name)).to_vec(),
            accepts_e0: true,
            apart_from: vec![],
            published: None,
            instance: InstanceId::from_bytes([7; 16]),
            outer: Source::Key(Key::copied(&[9; 32])),
            rules: Rules::shipped().expect("the shipped rules"),
            clock: clock.clone(),
            patience: Patience { drain: Duration::ZERO, epoch_delay: Duration::ZERO, finds_per_minute: 100 },
        };
        let open = move || {
            let vault = open(parts).expect("opens");
            vault.replace_bindings(Arc::new(Bindings::parse(PEOPLE).expect("bindings"))).expect("records");
            vault
        };
        let vault = std::thread::spawn(open).join().expect("opens");
        Self { vault, clock, engine, _dir: dir }
    }

    fn at(&self, after: i64) {
        self.clock.set(Timestamp::from_millis(START + after));
    }

    async fn call(&self, who: &str, action: Action, approval: Option<ApprovalId>) -> Call {
        let identity: ServiceName = format!("dns:{who}").parse().expect("an identity");
        let bindings = Bindings::parse(PEOPLE).expect("bindings");
        let person = bindings.person_of(&identity).cloned();
        let request = CallRequest {
            token: crate::gate::end_users::Presented::Nothing,
            find_person: |_, _| Ok(None),
            caller: Some(Arc::new(Caller { identity, roles: vec![RoleId::KeyAdmin], person })),
            action,
            purpose: "security".into(),
            role: String::new(),
            ticket: Text::from("T-1"),
            idempotency_key: Text::default(),
            request_digest: [3; 32],
            approval,
            peer: String::new(),
            deadline: None,
            malformed: None,
        };
        self.vault.open_call(request).await.expect("is open to the role")
    }

    fn slot(&self) -> SlotId {
        self.vault.status().slots[2].slot
    }

    async fn remove(&self, approval: Option<ApprovalId>) -> Result<FormerSlot, Refusal> {
        let call = self.call("kim", Action::RemoveSlot, approval).await;
        self.vault.remove_slot(&call, self.slot()).await
    }

    async fn ask(&self) -> ApprovalId {
        match self.remove(None).await {
            Err(Refusal::Approving(Approving::Required(id))) => id,
            _ => panic!("needs another person"),
        }
    }

    async fn list(&self, who: &str) -> Vec<(Approval, Standing)> {
        let query =
            ListQuery { states: vec![], operation: None, decidable: false, page_size: 100, page_token: String::new() };
        let call = self.call(who, Action::ListApprovals, None).await;
        self.vault.list_approvals(&call, &query).await.expect("lists").approvals
    }

    async fn approve(&self, who: &str, id: ApprovalId) -> Result<Standing, Refusal> {
        let listed = self.list("kim").await;
        let digest = listed.iter().find(|(approval, _)| approval.id == id).expect("is listed").0.digest;
        let decision = Decision { id, agrees_to: Some(digest), etag: String::new(), comment: Text::default() };
        let call = self.call(who, Action::Approve, None).await;
        self.vault.decide(&call, decision).await.map(|(_, standing)| standing)
    }
}

#[tokio::test]
async fn an_approval_runs_out_before_and_after_it_is_given() {
    let time = i64::try_from(APPROVAL_TIME_MAX.as_millis()).expect("fits");
    let bench = Bench::new();
    let id = bench.ask().await;
    bench.at(time);
    assert_eq!(bench.approve("lee", id).await, Err(Approving::Invalid.into()), "not given in time");
    assert_eq!(bench.list("lee").await[0].1, Standing::Expired);
    let second = bench.ask().await;
    assert_ne!(second, id, "an expired one is not found again");
    assert_eq!(bench.approve("lee", second).await, Ok(Standing::Approved));
    bench.at(2 * time - 1);
    assert_eq!(bench.ask().await, second, "still usable");
    bench.at(2 * time);
    assert_eq!(bench.remove(Some(second)).await.err(), Some(Approving::Invalid.into()), "not used in time");
    bench.at(-1);
    assert_eq!(bench.remove(Some(second)).await.err(), Some(Approving::Invalid.into()), "a clock that was put back");
    let third = bench.ask().await;
    assert_eq!(bench.approve("lee", third).await, Ok(Standing::Approved));
    assert_eq!(bench.remove(Some(third)).await.expect("in time").end, End::Destroyed);
}

#[tokio::test]
async fn old_approvals_are_swept_with_their_keys_and_operators_keep_their_ids() {
    let bench = Bench::new();
    let id = bench.ask().await;
    let actor = bench.list("kim").await[0].0.requester.actor;
    bench.at(i64::from(APPROVAL_KEEP_DAYS + 310) * DAY);
    let swept = async |space: Space, prefix: &[u8]| {
        for _ in 0..500 {
            if bench.engine.scan(space, prefix, &[], 9).expect("reads").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{space:?} is not swept");
    };
    swept(Space::Approval, &[]).await;
    swept(Space::ServiceKey, &[5]).await;
    let again = bench.ask().await;
    let listed = bench.list("kim").await;
    assert_eq!((listed[0].0.id, listed[0].0.requester.actor), (again, actor), "the name moved to the present key");
    assert_ne!(again, id);
}

#[test]
fn every_part_of_a_request_is_in_its_digest() {
    let party = |role, purpose: &str, actor| Party {
        actor: ActorId::from_bytes([actor; 16]),
        person: "Kim".parse().expect("a name"),
        identity: "dns:kim".parse().expect("an identity"),
        role,
        purpose: purpose.into(),
        ticket: true,
    };
    let keys = record::ApprovalKeys::of(&Key::copied(&[1; 32]));
    let base = || party(RoleId::KeyAdmin, "security", 1);
    let ticket = Text::from("T");
    let digests = [
        keys.digest(Action::RemoveSlot, &base(), &ticket, &[1; 32]),
        keys.digest(Action::AttestSlotDestroyed, &base(), &ticket, &[1; 32]),
        keys.digest(Action::RemoveSlot, &party(RoleId::Operator, "security", 1), &ticket, &[1; 32]),
        keys.digest(Action::RemoveSlot, &party(RoleId::KeyAdmin, "improvement", 1), &ticket, &[1; 32]),
        keys.digest(Action::RemoveSlot, &party(RoleId::KeyAdmin, "security", 2), &ticket, &[1; 32]),
        keys.digest(Action::RemoveSlot, &base(), &Text::from("U"), &[1; 32]),
        keys.digest(Action::RemoveSlot, &base(), &ticket, &[2; 32]),
        record::ApprovalKeys::of(&Key::copied(&[2; 32])).digest(Action::RemoveSlot, &base(), &ticket, &[1; 32]),
    ];
    let different: std::collections::BTreeSet<_> = digests.iter().collect();
    assert_eq!(different.len(), digests.len());
}

#[tokio::test]
async fn an_approvals_record_opens_under_its_own_id_and_time_alone() {
    let bench = Bench::new();
    bench.ask().await;
    let approval = bench.list("kim").await.remove(0).0;
    let keys = record::ApprovalKeys::of(&Key::copied(&[1; 32]));
    let (vault, id, created) = (bench.vault.id(), approval.id, approval.created);
    let sealed = keys.seal(vault, &approval).expect("seals");
    let opens = |id, created| keys.open(vault, id, created, &sealed).is_ok();
    assert!(opens(id, created));
    assert!(!opens(ApprovalId::from_bytes([9; 16]), created));
    assert!(!opens(id, Timestamp::from_millis(created.as_millis() + 1)));
}
