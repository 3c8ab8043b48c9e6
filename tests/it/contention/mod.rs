//! Row 10: 64 callers place and release holds, erase, correct, delete, write and read, all at once, while somebody downloads
//! a document and takes nothing, index keys are replaced, and the vault is killed. What was asked and answered about each
//! person must be what one caller after another could have been told: a hold wins or an erasure wins, never both.
//!
//! `LACUNA_ROUNDS` sets how often; see `scripts/reliability`.

mod caller;
mod person;
mod race;

use std::sync::Arc;
use std::time::{Duration, Instant};

use lacuna::api::proto::keys_client::KeysClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use serde_json::json;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::documents::pdf;
use crate::figures;
use crate::linear::model::{Call, Said};
use crate::program::{blocking, context, subject};
use crate::random::Random;
use crate::samples::reason;
use crate::vault::{MACHINE, TestVault};
use caller::{Ask, Caller, Doors};
use person::{Clock, Person};

/// People of a round, and callers of each.
const PEOPLE: usize = 8;
const CALLERS: usize = 8;
const ROUNDS: usize = 2;
/// What each caller asks before all of them meet, and afterwards.
const BEFORE: usize = 8;
const AFTER: usize = 4;
const FIRST_ITEMS: usize = 3;
/// More than a connection with small windows and the vault's own queues take of a download.
const DOCUMENT_BYTES: usize = 8 << 20;

#[derive(Default)]
struct Totals {
    operations: usize,
    unanswered: usize,
    steps: usize,
    /// Histories whose search was given up.
    undecided: usize,
    kills: usize,
    stalled: usize,
    holds_won: usize,
    erasures_won: usize,
    violations: Vec<String>,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hold_wins_or_an_erasure_wins_and_every_answer_is_that_of_one_vault() {
    let rounds = std::env::var("LACUNA_ROUNDS").ok().map(|text| text.parse().expect("a number")).unwrap_or(ROUNDS);
    let (mut random, seed) = Random::seeded();
    let mut vault = TestVault::start();
    let (clock, mut totals) = (Clock::default(), Totals::default());
    for round in 0..rounds {
        // Every third is killed.
        let kill = (round % 3 == 1).then(|| Duration::from_millis(random.below(400) as u64));
        let people = one_round(&mut vault, round, kill, &clock, &mut random, &mut totals).await;
        totals.judge(&people);
        assert!(totals.violations.is_empty(), "seed {seed}, round {round}:\n{}", totals.violations.join("\n\n"));
        if round % 20 == 19 {
            eprintln!("{} of {rounds} rounds, {} operations", round + 1, totals.operations);
        }
    }
    assert!(totals.undecided * 10 <= rounds * PEOPLE, "seed {seed}: {} histories are undecided", totals.undecided);
    let figures = json!({
        "callers": PEOPLE * CALLERS, "rounds": rounds, "people": rounds * PEOPLE,
        "operations": totals.operations, "unanswered": totals.unanswered, "kills": totals.kills,
        "stalled_downloads_cut": totals.stalled, "holds_won": totals.holds_won, "erasures_won": totals.erasures_won,
        "search_steps": totals.steps, "undecided": totals.undecided, "violations": totals.violations.len(),
    });
    assert!(totals.operations > rounds * PEOPLE * CALLERS * 4 && totals.holds_won > 0, "{figures}");
    figures::note(10, "holds, erasures, corrections, reads and kills at once", Some(seed), figures);
}

impl Totals {
    fn judge(&mut self, people: &[Arc<Person>]) {
        let judged: Vec<_> = blocking(|| {
            std::thread::scope(|threads| {
                let judging: Vec<_> = people.iter().map(|person| threads.spawn(|| person.judge())).collect();
                judging.into_iter().map(|thread| thread.join().expect("no panic")).collect()
            })
        });
        for (person, judged) in people.iter().zip(judged) {
            match judged {
                Ok((operations, unanswered, steps)) => {
                    self.operations += operations;
                    self.unanswered += unanswered;
                    self.steps += steps.unwrap_or(0);
                    self.undecided += usize::from(steps.is_none());
                }
                Err(violation) => self.violations.push(violation.0),
            }
            let kept = |call: &Call| matches!(call, Call::Erase { said: Said::Done(Some(listed)), .. } if !listed.known.is_empty());
            self.holds_won += usize::from(person.count(kept) > 0);
            self.erasures_won += person.count(|call| matches!(call, Call::Place { said: Said::Erased, .. }));
        }
    }
}

/// People of their own, from their creation to the release of the last hold.
async fn one_round(
    vault: &mut TestVault,
    round: usize,
    kill: Option<Duration>,
    clock: &Clock,
    random: &mut Random,
    totals: &mut Totals,
) -> Vec<Arc<Person>> {
    let (mut people, mut groups) = (Vec::new(), Vec::new());
    for number in 0..PEOPLE {
        let doors = Doors::of(vault);
        let name = format!("round {round} person {number}");
        let values: Vec<String> = (0..FIRST_ITEMS).map(|item| format!("{name} item {item}")).collect();
        let external_id = format!("r{round}p{number}");
        let created = doors.create(&external_id, &values).await;
        let matters = vec![doors.open_matter(&name).await, doors.open_matter(&name).await];
        people.push(Arc::new(Person::new(&created, external_id, &values, matters, clock.clone())));
        let caller =
            |number| Caller::new(format!("{name} caller {number}"), doors.clone(), Random::from(random.next()));
        groups.push((0..CALLERS).map(caller).collect::<Vec<_>>());
    }
    let stalled = match kill {
        None => Some(stall(vault).await),
        Some(_) => None,
    };
    replace_index_keys(vault).await;

    let mut running = JoinSet::new();
    for (at, (person, group)) in people.iter().zip(groups).enumerate() {
        let meeting = Arc::new(Barrier::new(CALLERS));
        for (number, caller) in group.into_iter().enumerate() {
            running.spawn(at_once(at, number, caller, person.clone(), meeting.clone()));
        }
    }
    if let Some(after) = kill {
        tokio::time::sleep(after).await;
        vault.kill();
        totals.kills += 1;
    }
    if let Some(stalled) = stalled {
        cut(vault, stalled).await;
        totals.stalled += 1;
    }
    let mut callers = running.join_all().await;
    if kill.is_some() {
        vault.run("");
        let doors: Vec<Doors> = people.iter().map(|_| Doors::of(vault)).collect();
        callers.iter_mut().for_each(|(at, caller)| caller.reconnect(doors[*at].clone()));
    }
    settle(callers, &people).await;
    people
}

/// What one caller of a group does: something at random; then all of them meet, and one erases the person while two place
/// holds and the others do what erasing ends; and something at random again.
async fn at_once(
    at: usize,
    number: usize,
    mut caller: Caller,
    person: Arc<Person>,
    meeting: Arc<Barrier>,
) -> (usize, Caller) {
    // Of every second person the first hold comes when they are erased.
    caller.may_hold = at.is_multiple_of(2);
    for _ in 0..BEFORE {
        caller.act(&person).await;
    }
    meeting.wait().await;
    caller.may_hold = true;
    let ask = match number {
        0 => Ask::Erase,
        1 | 2 => Ask::Place,
        3 => Ask::Correct,
        4 => Ask::Delete,
        5 => Ask::ReadNamed,
        6 => Ask::Release,
        _ => Ask::Read,
    };
    caller.ask(&person, ask).await;
    for _ in 0..AFTER {
        caller.act(&person).await;
    }
    (at, caller)
}

/// Afterwards: the erasure again, by everybody; what is kept is read; every hold goes; and nothing is kept any more.
async fn settle(callers: Vec<(usize, Caller)>, people: &[Arc<Person>]) {
    let mut running = JoinSet::new();
    for (at, mut caller) in callers {
        let person = people[at].clone();
        running.spawn(async move {
            caller.ask(&person, Ask::Erase).await;
            for _ in 0..2 {
                caller.ask(&person, Ask::ReadKept).await;
            }
            let until = Instant::now() + Duration::from_secs(60);
            while caller.has_holds() && Instant::now() < until {
                caller.ask(&person, Ask::Release).await;
            }
            (at, caller)
        });
    }
    let mut last = JoinSet::new();
    let mut seen = [false; PEOPLE];
    for (at, mut caller) in running.join_all().await {
        if !std::mem::replace(&mut seen[at], true) {
            let person = people[at].clone();
            last.spawn(async move {
                for (item_id, newest) in person.items() {
                    for version in 1..=newest {
                        caller.read_kept(&person, &item_id, version).await;
                    }
                }
                caller.ask(&person, Ask::Read).await;
                caller.ask(&person, Ask::Erase).await;
            });
        }
    }
    last.join_all().await;
}

/// A person with a document, and somebody who downloads it and takes nothing but the first message.
struct Stalled {
    subject_id: String,
    stream: tonic::Streaming<DownloadDocumentResponse>,
}

async fn stall(vault: &TestVault) -> Stalled {
    let request = CreateSubjectRequest { context: context(), ..Default::default() };
    let subject_id = vault.client("service").create_subject(request).await.expect("creates").into_inner().subject_id;
    let item_id = vault.store_document(&subject_id, &pdf(vault, DOCUMENT_BYTES)).await.item_id;
    let narrow = vault.program().endpoint(Some("service")).initial_stream_window_size(65_535);
    let narrow = narrow.initial_connection_window_size(65_535).connect_lazy();
    let request =
        DownloadDocumentRequest { context: context(), subject: subject(&subject_id), item_id, ..Default::default() };
    let mut stream = VaultClient::new(narrow).download_document(request).await.expect("opens").into_inner();
    stream.message().await.expect("comes").expect("comes");
    Stalled { subject_id, stream }
}

/// Erases the person: who takes nothing is cut, and must not keep it from ending.
async fn cut(vault: &TestVault, stalled: Stalled) {
    let Stalled { subject_id, mut stream } = stalled;
    let erased = vault.erase(&subject_id, "").await.expect("erases");
    assert_eq!(erased.erasure.expect("is stated").state(), ErasureState::Erased, "a stalled download holds it up");
    loop {
        match stream.message().await {
            Ok(Some(answer)) => {
                let ended = matches!(answer.part, Some(download_document_response::Part::End(_)));
                assert!(!ended, "a document is read to its end after its person was erased");
            }
            Ok(None) => panic!("it ends with an error"),
            Err(status) => return assert_eq!(reason(&status), "SUBJECT_ERASED"),
        }
    }
}

/// Has the keys replaced by which people are found, beside everything else.
async fn replace_index_keys(vault: &TestVault) {
    let mut client = KeysClient::new(vault.service(Some(MACHINE)));
    let context = || Some(CallContext { purpose: "security".into(), ..Default::default() });
    let status = GetKeyStatusRequest { context: context(), kinds: vec![KeyKind::Index.into()], ..Default::default() };
    for key in client.get_key_status(status).await.expect("tells").into_inner().keys {
        if key.state() == KeyState::Active {
            let request = StartRotationRequest { context: context(), key_id: key.key_id, ..Default::default() };
            if let Err(status) = client.start_rotation(request).await {
                let known = ["ROTATION_RUNNING", "STATE_TRANSITION_INVALID"];
                assert!(known.contains(&reason(&status).as_str()), "{status:?}");
            }
        }
    }
}
