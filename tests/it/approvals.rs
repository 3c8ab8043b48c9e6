//! Two people, and slots that leave the vault: every way round the second person, and what a lost slot keeps pending.

use std::path::Path;

use lacuna::api::proto::approvals_client::ApprovalsClient;
use lacuna::api::proto::*;
use lacuna::store::Engine as _;
use lacuna::store::batch::Batch;
use lacuna::store::keyspace::Space;
use tonic::Status;
use tonic_types::StatusExt as _;

use crate::samples::reason;
use crate::vault::{AGAIN, MACHINE, Recorded, TestVault};

const FIRST: &str = "key-admin";
const SECOND: &str = "key-admin-2";

/// A vault with three slots.
fn three_slots() -> TestVault {
    TestVault::start_with(|dir| {
        edit(dir, "lacuna.toml", "{ path = \"slots/b\" }", "{ path = \"slots/b\" }, { path = \"slots/c\" }");
    })
}

fn edit(dir: &Path, file: &str, from: &str, to: &str) {
    let text = std::fs::read_to_string(dir.join(file)).expect("a file");
    assert!(text.contains(from), "{file} has {from}");
    std::fs::write(dir.join(file), text.replace(from, to)).expect("is written");
}

/// One request, which can be sent again exactly.
#[derive(Clone)]
struct Asked {
    slot: String,
    ticket: String,
    approval: String,
}

impl Asked {
    async fn new(vault: &TestVault, name: &str) -> Self {
        let slots = vault.status().await.slots;
        let slot = slots.into_iter().find(|slot| slot.name == name).expect("a slot").slot_id;
        Self { slot, ticket: vault.canary(), approval: String::new() }
    }

    fn with(&self, approval: &str) -> Self {
        Self { approval: approval.into(), ..self.clone() }
    }

    fn context(&self) -> Option<CallContext> {
        let (ticket, approval_id) = (self.ticket.clone(), self.approval.clone());
        Some(CallContext { purpose: "security".into(), ticket, approval_id, ..Default::default() })
    }

    async fn remove(&self, vault: &TestVault, client: &str) -> Result<Slot, Status> {
        let request = RemoveSlotRequest { context: self.context(), slot_id: self.slot.clone() };
        Ok(vault.system(client).remove_slot(request).await?.into_inner().slot.expect("is stated"))
    }

    /// Opens an approval, and returns it as its second person sees it.
    async fn ask(&self, vault: &TestVault) -> Approval {
        let status = self.remove(vault, FIRST).await.expect_err("needs another person");
        let id = approval_id(&status);
        list(vault, SECOND).await.into_iter().find(|approval| approval.approval_id == id).expect("is listed")
    }

    async fn ask_and_get(&self, vault: &TestVault) -> Self {
        let approval = self.ask(vault).await;
        approve(vault, SECOND, &approval).await.expect("agrees");
        self.with(&approval.approval_id)
    }
}

fn approval_id(status: &Status) -> String {
    assert_eq!(reason(status), "APPROVAL_REQUIRED");
    status.get_details_error_info().expect("details").metadata["approval_id"].clone()
}

fn approvals(vault: &TestVault, client: &str) -> ApprovalsClient<Recorded> {
    ApprovalsClient::new(vault.service(Some(client)))
}

async fn list(vault: &TestVault, client: &str) -> Vec<Approval> {
    let request = ListApprovalsRequest { context: vault.context("security"), ..Default::default() };
    approvals(vault, client).list_approvals(request).await.expect("lists").into_inner().approvals
}

async fn state(vault: &TestVault, id: &str) -> ApprovalState {
    list(vault, FIRST).await.iter().find(|approval| approval.approval_id == id).expect("is listed").state()
}

async fn approve(vault: &TestVault, client: &str, approval: &Approval) -> Result<Approval, Status> {
    let request = ApproveRequest {
        context: vault.context("security"),
        approval_id: approval.approval_id.clone(),
        request_digest: approval.request_digest.clone(),
        etag: approval.etag.clone(),
        comment: vault.canary(),
    };
    Ok(approvals(vault, client).approve(request).await?.into_inner().approval.expect("is stated"))
}

async fn reject(vault: &TestVault, client: &str, id: &str) -> Result<Approval, Status> {
    let (context, approval_id) = (vault.context("security"), id.to_owned());
    let request = RejectRequest { context, approval_id, etag: String::new(), comment: vault.canary() };
    Ok(approvals(vault, client).reject(request).await?.into_inner().approval.expect("is stated"))
}

fn refused<T>(answer: Result<T, Status>) -> String {
    answer.map(|_| String::new()).unwrap_or_else(|status| reason(&status))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_gets_round_the_second_person() {
    let vault = three_slots();
    let asked = Asked::new(&vault, "c").await;

    // A service may not ask; a person opens one approval, however often they ask.
    assert_eq!(refused(asked.remove(&vault, MACHINE).await), "PERSON_REQUIRED");
    let approval = asked.ask(&vault).await;
    assert_eq!(asked.ask(&vault).await.approval_id, approval.approval_id, "the open one is found");
    assert_eq!((approval.state(), approval.decisions.len()), (ApprovalState::Pending, 0));
    assert_eq!(approval.operation, "lacuna.v1.System/RemoveSlot");
    assert_eq!((&approval.target_ids[..], &approval.ticket), (&[asked.slot.clone()][..], &asked.ticket));
    let with = asked.with(&approval.approval_id);
    assert_eq!(refused(with.remove(&vault, FIRST).await), "APPROVAL_INVALID", "nobody has agreed");

    // Oneself, with the same certificate and with another one; a service; whoever may not; another request; another etag.
    for own in [FIRST, AGAIN] {
        assert_eq!(refused(approve(&vault, own, &approval).await), "SELF_APPROVAL", "{own}");
    }
    assert_eq!(refused(approve(&vault, MACHINE, &approval).await), "PERSON_REQUIRED");
    assert_eq!(refused(approve(&vault, "operator", &approval).await), "ACCESS_DENIED");
    let other = Approval { request_digest: vec![7; 32], ..approval.clone() };
    assert_eq!(refused(approve(&vault, SECOND, &other).await), "APPROVAL_INVALID");
    let short = Approval { request_digest: vec![7; 31], ..approval.clone() };
    assert_eq!(refused(approve(&vault, SECOND, &short).await), "FIELD_INVALID");
    let stale = Approval { etag: "a7".into(), ..approval.clone() };
    assert_eq!(refused(approve(&vault, SECOND, &stale).await), "ETAG_MISMATCH");
    let unknown =
        Approval { approval_id: approval.approval_id.replace("apr_", "apr_a")[..30].into(), ..approval.clone() };
    assert!(["NOT_FOUND", "ID_MALFORMED"].contains(&&refused(approve(&vault, SECOND, &unknown).await)[..]));

    let agreed = approve(&vault, SECOND, &approval).await.expect("agrees");
    assert_eq!((agreed.state(), agreed.decisions.len()), (ApprovalState::Approved, 1));
    assert_ne!(agreed.decisions[0].actor, agreed.requester);
    assert_eq!(refused(approve(&vault, SECOND, &agreed).await), "SELF_APPROVAL", "has decided already");

    // Another request: another slot, another reference, another person. Then the request itself, once.
    let changed = Asked { slot: Asked::new(&vault, "b").await.slot, ..with.clone() };
    assert_eq!(refused(changed.remove(&vault, FIRST).await), "APPROVAL_INVALID");
    let changed = Asked { ticket: vault.canary(), ..with.clone() };
    assert_eq!(refused(changed.remove(&vault, FIRST).await), "APPROVAL_INVALID");
    assert_eq!(refused(with.remove(&vault, SECOND).await), "APPROVAL_INVALID");
    let (one, two) = tokio::join!(with.remove(&vault, FIRST), with.remove(&vault, FIRST));
    let mut outcomes = [refused(one), refused(two)];
    outcomes.sort();
    assert!(outcomes[0].is_empty() && !outcomes[1].is_empty(), "exactly one wins: {outcomes:?}");
    assert_eq!(state(&vault, &approval.approval_id).await, ApprovalState::Used);
    assert_ne!(refused(with.remove(&vault, FIRST).await), "", "used up");
    assert_eq!(refused(reject(&vault, SECOND, &approval.approval_id).await), "APPROVAL_INVALID", "too late");
    let left: Vec<_> = vault.status().await.slots.into_iter().map(|slot| (slot.name.clone(), slot.state())).collect();
    let current = SlotState::Current;
    assert_eq!(left, [("a".into(), current), ("b".into(), current), ("c".into(), SlotState::Destroyed)]);
    let destroyed = std::fs::read(vault.dir().join("slots/c")).expect("a file");
    assert!(destroyed[8192..].iter().all(|byte| *byte == 0), "its secrets are overwritten");

    // With two slots left, nobody is asked for nothing.
    let asked = Asked::new(&vault, "b").await;
    assert_eq!(refused(asked.remove(&vault, FIRST).await), "TOO_FEW_SLOTS");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_final_and_ones_own_request_can_be_withdrawn() {
    let vault = three_slots();
    let asked = Asked::new(&vault, "c").await;
    for (who, agreed_before) in [(SECOND, false), (SECOND, true), (FIRST, false), (AGAIN, true)] {
        let approval = asked.ask(&vault).await;
        if agreed_before {
            approve(&vault, SECOND, &approval).await.expect("agrees");
        }
        let rejected = reject(&vault, who, &approval.approval_id).await.expect("refuses");
        assert_eq!(rejected.state(), ApprovalState::Rejected);
        assert_eq!(refused(asked.with(&approval.approval_id).remove(&vault, FIRST).await), "APPROVAL_INVALID");
        let again = approve(&vault, SECOND, &Approval { etag: String::new(), ..approval.clone() }).await;
        assert!(["APPROVAL_INVALID", "SELF_APPROVAL"].contains(&&refused(again)[..]));
    }
    assert_eq!(refused(reject(&vault, MACHINE, &list(&vault, FIRST).await[0].approval_id).await), "PERSON_REQUIRED");
}

#[tokio::test(flavor = "multi_thread")]
async fn open_approvals_are_bounded_and_listed_in_pages() {
    let vault = three_slots();
    let asked = Asked::new(&vault, "c").await;
    for _ in 0..16 {
        Asked { ticket: vault.canary(), ..asked.clone() }.ask(&vault).await;
    }
    assert_eq!(refused(asked.remove(&vault, FIRST).await), "APPROVALS_FULL");
    let page = async |client: &str, token: &str, decidable| {
        let request = ListApprovalsRequest {
            context: vault.context("security"),
            page_size: 10,
            page_token: token.into(),
            decidable,
            ..Default::default()
        };
        Ok::<_, Status>(approvals(&vault, client).list_approvals(request).await?.into_inner())
    };
    let first = page(SECOND, "", true).await.expect("lists");
    let second = page(SECOND, &first.next_page_token, true).await.expect("lists");
    assert_eq!((first.approvals.len(), second.approvals.len(), &second.next_page_token[..]), (10, 6, ""));
    let all: Vec<_> = first.approvals.iter().chain(&second.approvals).collect();
    let time = |approval: &&Approval| approval.create_time.map(|time| (time.seconds, time.nanos));
    assert!(all.is_sorted_by_key(|approval| std::cmp::Reverse(time(approval))), "newest first");
    assert_eq!(refused(page(FIRST, &first.next_page_token, true).await), "PAGE_TOKEN_INVALID");
    assert!(page(FIRST, "", true).await.expect("lists").approvals.is_empty(), "nobody decides about their own");
    // Withdrawing one makes room.
    reject(&vault, FIRST, &all[0].approval_id).await.expect("withdraws");
    asked.ask(&vault).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_agreed_must_still_be_entitled_when_it_is_used() {
    for (from, to) in [
        ("/key-admin-2\"\nroles = [\"key-admin\"]", "/key-admin-2\"\nroles = [\"operator\"]"),
        ("person = \"Dev Second Key Admin\"", "person = \"Somebody Else\""),
        ("person = \"Dev Second Key Admin\"", ""),
    ] {
        let mut vault = three_slots();
        let asked = Asked::new(&vault, "c").await.ask_and_get(&vault).await;
        vault.stop();
        edit(&vault.dir(), "tls/bindings.toml", from, to);
        vault.run("");
        assert_eq!(refused(asked.remove(&vault, FIRST).await), "APPROVAL_INVALID", "{to}");
        vault.stop();
        edit(&vault.dir(), "tls/bindings.toml", if to.is_empty() { "roles = [\"key-admin\"]\n\n" } else { to }, &{
            if to.is_empty() { format!("roles = [\"key-admin\"]\n{from}\n") } else { from.to_owned() }
        });
        vault.run("");
        assert_eq!(asked.remove(&vault, FIRST).await.expect("stands again").state(), SlotState::Destroyed, "{to}");
    }
}

/// Each named point that the use of an approval passes, and whether the slot has left the vault then.
const KILLS: &[(&str, bool)] = &[
    ("commit_before=return(kill)", false),
    ("commit_after=return(kill)", true),
    ("slot_left=return(kill)", true),
    ("slot_retired=return(kill)", true),
    ("slot_retired=1*off->return(kill)", true),
    ("slot_destroyed=return(kill)", true),
    ("commit_before=1*off->return(kill)", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_step_an_approval_is_used_if_and_only_if_the_slot_has_left() {
    let mut origin = three_slots();
    let asked = Asked::new(&origin, "c").await.ask_and_get(&origin).await;
    let created = origin.create(&["contact", "contact"]).await;
    origin.stop();
    for (point, left) in KILLS {
        let mut vault = origin.fork();
        // What a start and the first call of a person commit is over before the point is armed: it counts from the call.
        vault.run("");
        vault.status().await;
        vault.stop();
        vault.run(&format!("log_round=pause;{point}"));
        assert!(asked.remove(&vault, FIRST).await.is_err(), "{point}");
        vault.wait_for_death();
        vault.run("");
        let found = state(&vault, &asked.approval).await;
        assert_eq!(found == ApprovalState::Used, *left, "{point}: {found:?}");
        if !left {
            asked.remove(&vault, FIRST).await.expect("is done now");
        }
        settled(&vault, SlotState::Destroyed, point).await;
        let erasure = vault.delete(&created.subject_id, &created.items[0].item_id).await.expect("deletes");
        assert_eq!(erasure.state(), ErasureState::Erased, "{point}");
        vault.read(&created.subject_id, &created.items[1].item_id).await.expect("the other is there");
        // The configuration names the slot still, and then no more.
        vault.stop();
        vault.run("");
        vault.stop();
        edit(&vault.dir(), "lacuna.toml", ", { path = \"slots/c\" }", "");
        vault.run("");
        vault.read(&created.subject_id, &created.items[1].item_id).await.expect("the other is there");
    }
}

/// Waits until the slot `c` is in a state and nothing is pending.
async fn settled(vault: &TestVault, wanted: SlotState, why: &str) {
    settled_as(vault, "c", wanted, why).await;
}

async fn settled_as(vault: &TestVault, name: &str, wanted: SlotState, why: &str) {
    for _ in 0..200 {
        let status = vault.status().await;
        let found = status.slots.iter().find(|slot| slot.name == name).map(Slot::state);
        if found == Some(wanted) && status.pending_erasure_count == 0 && status.state() == VaultState::Serving {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("{why}: not {wanted:?} and settled in time: {:?}", vault.status().await);
}

async fn lose(vault: &mut TestVault) -> Asked {
    vault.stop();
    std::fs::rename(vault.dir().join("slots/c"), vault.dir().join("away")).expect("is moved");
    vault.run("");
    let asked = Asked::new(vault, "c").await;
    let asked = asked.ask_and_get(vault).await;
    let slot = asked.remove(vault, FIRST).await.expect("is removed");
    assert_eq!(slot.state(), SlotState::Lost);
    asked
}

/// A statement about a slot's end.
fn attest(asked: &Asked, seconds: i64, method: DestructionMethod, evidence: &str) -> AttestSlotDestroyedRequest {
    AttestSlotDestroyedRequest {
        context: asked.context(),
        slot_id: asked.slot.clone(),
        method: method.into(),
        destroy_time: Some(well_known::Timestamp { seconds, nanos: 0 }),
        evidence: evidence.into(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_slot_could_open_stays_pending_until_two_people_attest_its_end() {
    let mut vault = three_slots();
    let created = vault.create(&["contact", "contact", "contact", "contact"]).await;
    let (id, items) = (created.subject_id.clone(), created.items.clone());
    let keys = [vault.canary(), vault.canary(), vault.canary()];
    let delete = async |vault: &TestVault, at: usize| {
        let key = keys.get(at).cloned().unwrap_or_else(|| vault.canary());
        vault.delete_once(&id, &items[at].item_id, &key).await.expect("is accepted")
    };

    // Asked for before the slot is removed, and after it.
    vault.stop();
    std::fs::rename(vault.dir().join("slots/c"), vault.dir().join("away")).expect("is moved");
    vault.run("");
    let mut asked = Asked::new(&vault, "c").await;
    assert_eq!(delete(&vault, 0).await.state(), ErasureState::Pending);
    let request = async |vault: &TestVault, asked: &Asked, seconds, method, evidence: &str| {
        vault.system(FIRST).attest_slot_destroyed(attest(asked, seconds, method, evidence)).await
    };
    let purged = DestructionMethod::Purged;
    assert_eq!(refused(request(&vault, &asked, 1, purged, "x").await), "SLOT_NOT_REPLACED");
    asked = asked.ask_and_get(&vault).await;
    assert_eq!(asked.remove(&vault, FIRST).await.expect("is removed").state(), SlotState::Lost);
    let later = delete(&vault, 1).await;
    assert_eq!((later.state(), &later.waiting_slot_ids), (ErasureState::Pending, &vec![asked.slot.clone()]));
    assert!(vault.read(&id, &items[1].item_id).await.is_err(), "nobody reads it meanwhile");

    // It stays so across a restart, whatever was carried out meanwhile.
    vault.stop();
    vault.run("");
    assert_eq!(delete(&vault, 0).await.state(), ErasureState::Pending);
    assert_eq!(delete(&vault, 2).await.state(), ErasureState::Pending);
    let status = vault.status().await;
    assert_eq!((status.state(), status.pending_erasure_count), (VaultState::Degraded, 3));
    let lost = status.slots.iter().find(|slot| slot.state() == SlotState::Lost).expect("is shown");
    assert_eq!((lost.name.as_str(), lost.waiting_erasure_count), ("c", 3));

    // Two people say so: when, how, and where the evidence is.
    asked = asked.with("");
    let evidence = vault.canary();
    let future = i64::from(u32::MAX);
    assert_eq!(refused(request(&vault, &asked, future, purged, &evidence).await), "FIELD_INVALID");
    assert_eq!(refused(request(&vault, &asked, 1, purged, "").await), "FIELD_REQUIRED");
    let unspecified = DestructionMethod::Unspecified;
    assert_eq!(refused(request(&vault, &asked, 1, unspecified, &evidence).await), "FIELD_REQUIRED");
    let opened = request(&vault, &asked, 1, purged, &evidence).await.expect_err("needs another person");
    let approval = approval_id(&opened);
    let listed = list(&vault, SECOND).await.into_iter().find(|known| known.approval_id == approval).expect("listed");
    approve(&vault, SECOND, &listed).await.expect("agrees");
    asked = asked.with(&approval);
    for (seconds, method, evidence) in
        [(2, purged, &evidence[..]), (1, DestructionMethod::Overwritten, &evidence), (1, purged, "y")]
    {
        assert_eq!(refused(request(&vault, &asked, seconds, method, evidence).await), "APPROVAL_INVALID");
    }
    let answer = request(&vault, &asked, 1, purged, &evidence).await.expect("is attested").into_inner();
    assert_eq!(answer.released_erasure_count, 3);
    let slot = answer.slot.expect("is stated");
    let said = slot.attestation.clone().expect("is stated");
    assert_eq!((slot.state(), said.grade_max()), (SlotState::Attested, SlotGrade::E1));
    assert_ne!(said.actor, said.approver);
    assert_eq!(refused(request(&vault, &asked.with(""), 1, purged, &evidence).await), "STATE_TRANSITION_INVALID");

    for at in [0, 1, 2, 3] {
        assert_eq!(delete(&vault, at).await.state(), ErasureState::Erased, "{at}");
    }
    vault.stop();
    vault.run("");
    settled(&vault, SlotState::Attested, "after a restart").await;
    // Every receipt says what it relies on.
    vault.stop();
    let receipts = vault.store().scan(Space::Receipt, &[], &[], usize::MAX).expect("reads");
    let word = said.attestation_id.as_bytes();
    let relying = receipts.iter().filter(|(_, row)| row.windows(word.len()).any(|part| part == word)).count();
    assert!(relying >= 4, "{relying} of {}", receipts.len());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_slot_that_comes_back_is_destroyed_and_nothing_waits_for_it() {
    let mut vault = three_slots();
    let created = vault.create(&["contact"]).await;
    lose(&mut vault).await;
    let key = vault.canary();
    let delete = async |vault: &TestVault| {
        let erasure = vault.delete_once(&created.subject_id, &created.items[0].item_id, &key).await;
        erasure.expect("is accepted").state()
    };
    assert_eq!(delete(&vault).await, ErasureState::Pending);
    std::fs::rename(vault.dir().join("away"), vault.dir().join("slots/c")).expect("is moved");
    settled(&vault, SlotState::Destroyed, "it is back").await;
    assert_eq!(delete(&vault).await, ErasureState::Erased);
    let destroyed = std::fs::read(vault.dir().join("slots/c")).expect("a file");
    assert!(destroyed[8192..].iter().all(|byte| *byte == 0), "its secrets are overwritten");
}

/// What is carried out and waits for a lost slot has yet to get its statement.
#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_lost_slot_gets_no_statement_of_a_row_that_somebody_changed() {
    let mut vault = three_slots();
    let created = vault.create(&["contact", "contact"]).await;
    let keys = [vault.canary(), vault.canary()];
    lose(&mut vault).await;
    let delete = async |vault: &TestVault, at: usize| {
        let erasure = vault.delete_once(&created.subject_id, &created.items[at].item_id, &keys[at]).await;
        erasure.expect("is accepted").state()
    };
    for at in 0..2 {
        assert_eq!(delete(&vault, at).await, ErasureState::Pending);
    }
    // Carried out, but for the end of what waits.
    while vault.status().await.slots.iter().all(|slot| slot.waiting_erasure_count < 2) {
        tokio::time::sleep(std::time::Duration::from_millis(25)).await;
    }
    vault.stop();
    std::fs::rename(vault.dir().join("away"), vault.dir().join("slots/c")).expect("is moved");
    let rows = vault.store().scan(Space::Held, &[], &[], usize::MAX).expect("reads");
    let [(one, of_one), (two, of_two)] = &rows[..] else { panic!("two wait") };
    let mut changed = of_one.clone();
    changed[30] ^= 1;
    let (waits, is_erased) = (ErasureState::Pending, ErasureState::Erased);
    for (name, puts, states) in [
        ("changed", vec![(one, &changed)], [waits, is_erased]),
        ("exchanged", vec![(one, of_two), (two, of_one)], [waits, waits]),
        ("another's", vec![(two, of_one)], [is_erased, waits]),
    ] {
        let mut fork = vault.fork();
        let put = |fork: &TestVault, puts: Vec<(&Vec<u8>, &Vec<u8>)>| {
            let mut batch = Batch::new();
            puts.into_iter().for_each(|(key, row)| batch.put(Space::Held, &key[..], &row[..]));
            fork.store().commit(batch).expect("is written");
        };
        put(&fork, puts);
        fork.run("");
        for _ in 0..400 {
            if fork.printed().contains("is not released") {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(25)).await;
        }
        assert!(fork.printed().contains("is not released"), "{name}: {}", fork.printed());
        let are = async |fork: &TestVault, states: [ErasureState; 2]| {
            for _ in 0..400 {
                if [delete(fork, 0).await, delete(fork, 1).await] == states {
                    return;
                }
                tokio::time::sleep(std::time::Duration::from_millis(25)).await;
            }
            panic!("{name}: not in time {states:?}: {}", fork.printed());
        };
        are(&fork, states).await;
        fork.stop();
        let waiting = rows.iter().zip(states).filter(|(_, state)| *state == waits);
        put(&fork, waiting.map(|((key, row), _)| (key, row)).collect());
        fork.run("");
        settled(&fork, SlotState::Destroyed, name).await;
        are(&fork, [is_erased; 2]).await;
    }
}

async fn replace(vault: &TestVault, slot: &str, name: &str) -> Result<ReplaceSlotResponse, Status> {
    let request =
        ReplaceSlotRequest { context: vault.context("security"), slot_id: slot.into(), new_slot_name: name.into() };
    Ok(vault.system(MACHINE).replace_slot(request).await?.into_inner())
}

/// A vault of two slots whose second one is out of reach, with a place for a third.
fn with_a_spare_place(vault: &mut TestVault) {
    vault.stop();
    std::fs::rename(vault.dir().join("slots/b"), vault.dir().join("away")).expect("is moved");
    edit(&vault.dir(), "lacuna.toml", "{ path = \"slots/b\" }", "{ path = \"slots/b\" }, { path = \"slots/c\" }");
}

const REPLACE_KILLS: &[(&str, bool)] = &[
    ("slot_making=return(kill)", false),
    ("slot_made=return(kill)", false),
    ("commit_before=1*off->return(kill)", false),
    ("commit_after=1*off->return(kill)", true),
    ("slot_left=return(kill)", true),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_slot_is_replaced_by_one_at_a_spare_place_whenever_it_is_killed() {
    let mut origin = TestVault::start();
    let created = origin.create(&["contact", "contact"]).await;
    let (id, items) = (&created.subject_id, &created.items);
    let b = Asked::new(&origin, "b").await.slot;
    with_a_spare_place(&mut origin);
    for (point, left) in REPLACE_KILLS {
        let mut vault = origin.fork();
        vault.run("");
        vault.status().await;
        assert_eq!(refused(replace(&vault, &b, "nowhere").await), "FIELD_INVALID");
        assert_eq!(refused(replace(&vault, &b, "a").await), "FIELD_INVALID");
        vault.stop();
        vault.run(&format!("log_round=pause;{point}"));
        assert!(replace(&vault, &b, "c").await.is_err(), "{point}");
        vault.wait_for_death();
        vault.run("");
        if !left {
            let answer = replace(&vault, &b, "c").await.expect("is replaced now");
            let states = [answer.slot, answer.replaced_slot].map(|slot| slot.expect("is stated").state());
            assert_eq!(states, [SlotState::Current, SlotState::Lost], "{point}");
        }
        let slots: Vec<_> =
            vault.status().await.slots.into_iter().map(|slot| (slot.name.clone(), slot.state())).collect();
        let wanted = [("a", SlotState::Current), ("c", SlotState::Current), ("b", SlotState::Lost)];
        assert_eq!(slots, wanted.map(|(name, state)| (name.to_owned(), state)), "{point}");
        let key = vault.canary();
        let erasure = vault.delete_once(id, &items[0].item_id, &key).await.expect("deletes");
        assert_eq!(
            (erasure.state(), &erasure.waiting_slot_ids[..]),
            (ErasureState::Pending, &[b.clone()][..]),
            "{point}"
        );
        // The new one alone opens the vault; the old one is destroyed when it is back.
        vault.stop();
        std::fs::rename(vault.dir().join("slots/a"), vault.dir().join("a")).expect("is moved");
        vault.run("");
        vault.read(id, &items[1].item_id).await.expect("is there");
        vault.stop();
        std::fs::rename(vault.dir().join("a"), vault.dir().join("slots/a")).expect("is moved");
        std::fs::rename(vault.dir().join("away"), vault.dir().join("slots/b")).expect("is moved");
        edit(&vault.dir(), "lacuna.toml", "{ path = \"slots/b\" }, ", "");
        vault.run("");
        settled_as(&vault, "b", SlotState::Destroyed, point).await;
        assert_eq!(
            vault.delete_once(id, &items[0].item_id, &key).await.expect("deletes").state(),
            ErasureState::Erased
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_an_attestation_it_is_used_if_and_only_if_it_stands() {
    let mut origin = three_slots();
    let created = origin.create(&["contact"]).await;
    let removal = lose(&mut origin).await;
    let key = origin.canary();
    let delete = async |vault: &TestVault| {
        let erasure = vault.delete_once(&created.subject_id, &created.items[0].item_id, &key).await;
        erasure.expect("is accepted").state()
    };
    assert_eq!(delete(&origin).await, ErasureState::Pending);
    let said = async |vault: &TestVault, asked: &Asked| {
        let request = attest(asked, 1, DestructionMethod::PhysicallyDestroyed, "certificate 17");
        vault.system(FIRST).attest_slot_destroyed(request).await
    };
    let asked = removal.with("");
    let id = approval_id(&said(&origin, &asked).await.expect_err("needs another person"));
    let listed = list(&origin, SECOND).await.into_iter().find(|known| known.approval_id == id).expect("is listed");
    approve(&origin, SECOND, &listed).await.expect("agrees");
    let asked = asked.with(&id);
    origin.stop();
    for (point, stands) in [("commit_before", false), ("commit_after", true), ("slot_attested", true)] {
        let mut vault = origin.fork();
        vault.run(&format!("log_round=pause;{point}=return(kill)"));
        assert!(said(&vault, &asked).await.is_err(), "{point}");
        vault.wait_for_death();
        vault.run("");
        assert_eq!(state(&vault, &id).await == ApprovalState::Used, stands, "{point}");
        if !stands {
            assert_eq!(delete(&vault).await, ErasureState::Pending, "{point}");
            said(&vault, &asked).await.expect("is attested now");
        }
        settled(&vault, SlotState::Attested, point).await;
        assert_eq!(delete(&vault).await, ErasureState::Erased, "{point}");
    }
}
