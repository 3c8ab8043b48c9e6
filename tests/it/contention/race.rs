//! A hold and an erasure that reach the vault at the same moment, again and again on somebody new: whatever the one was told,
//! the other was told too.
//!
//! They are some fraction of a commit apart: what a call looks at beside the writer's thread is then what was there before the
//! other.

use std::time::{Duration, Instant};

use lacuna::api::proto::holds_client::HoldsClient;
use lacuna::api::proto::privacy_client::PrivacyClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use prost::Message as _;
use serde_json::json;
use tokio::task::JoinSet;

use super::caller::{Doors, legally, whole};
use crate::figures;
use crate::program::subject;
use crate::random::Random;
use crate::samples::{full_name, reason};
use crate::vault::{Recorded, TestVault};

/// Races of the short form, and lanes in which they are run.
const RACES: usize = 240;
const LANES: usize = 3;
/// A commit takes a while on every medium: so long a call that looks beside the writer's thread does not see what is on its
/// way.
const SLOW: &str = "commit_before=sleep(2)";
/// Races of a round of the long form.
const OF_A_ROUND: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn of_a_hold_and_an_erasure_at_the_same_moment_one_wins_for_both() {
    let rounds = std::env::var("LACUNA_ROUNDS").ok().map(|text| text.parse::<usize>().expect("a number"));
    let races = rounds.map_or(RACES, |rounds| rounds * OF_A_ROUND);
    let (mut random, seed) = Random::seeded();
    let mut vault = TestVault::start();
    vault.stop();
    vault.run(SLOW);
    let mut lanes = JoinSet::new();
    for number in 0..LANES {
        let lane = Lane::new(&vault, number).await;
        lanes.spawn(lane.run(races.div_ceil(LANES), Random::from(random.next())));
    }
    let ended = lanes.join_all().await;
    let won = |hold: bool| ended.iter().flatten().filter(|outcome| **outcome == Ok(hold)).count();
    let violations: Vec<&String> = ended.iter().flatten().filter_map(|outcome| outcome.as_ref().err()).collect();
    let figures = json!({
        "races": ended.iter().map(Vec::len).sum::<usize>(), "holds_won": won(true), "erasures_won": won(false),
        "violations": violations.len(),
    });
    assert!(violations.is_empty(), "seed {seed}: {figures}\n{violations:#?}");
    assert!(won(true) > races / 20 && won(false) > races / 20, "it was no race: {figures}");
    figures::note(10, "a hold and an erasure at the same moment", Some(seed), figures);
}

/// One race after another, by callers of their own.
struct Lane {
    name: String,
    doors: Doors,
    matter: String,
    holds: HoldsClient<Recorded>,
    officer: PrivacyClient<Recorded>,
    legal: VaultClient<Recorded>,
}

impl Lane {
    async fn new(vault: &TestVault, number: usize) -> Self {
        let (name, doors) = (format!("lane {number}"), Doors::of(vault));
        let matter = doors.open_matter(&name).await;
        let holds = HoldsClient::new(vault.service(Some("legal")));
        let (officer, legal) = (vault.privacy("privacy-officer"), vault.client("legal"));
        Self { name, doors, matter, holds, officer, legal }
    }

    /// Who won each: the hold, or the erasure; or what was wrong.
    async fn run(mut self, races: usize, mut random: Random) -> Vec<Result<bool, String>> {
        let mut ended = Vec::with_capacity(races);
        // How long a hold takes, as far as is known.
        let mut usual = Duration::from_millis(2);
        for number in 0..races {
            let name = format!("{} race {number}", self.name);
            let behind = usual.mul_f64(random.below(1_000) as f64 / 800.0);
            let Outcome { took, won } = self.race(&name, behind).await;
            usual = (usual * 7 + took) / 8;
            ended.push(won.map_err(|what| format!("{name}, the erasure {behind:?} behind: {what}")));
        }
        ended
    }

    async fn race(&mut self, name: &str, behind: Duration) -> Outcome {
        let created = self.doors.create(name, &[name.to_owned()]).await;
        let (id, item) = (created.subject_id, created.items[0].item_id.clone());
        let place = PlaceHoldRequest {
            context: legally(),
            matter_id: self.matter.clone(),
            subject: subject(&id),
            scope: Some(whole(true)),
            include_access_history: false,
        };
        let erase = EraseSubjectRequest { context: legally(), subject: subject(&id), ..Default::default() };
        let began = Instant::now();
        let placing = async {
            let placed = self.holds.place_hold(place).await;
            (placed, began.elapsed())
        };
        let erasing = async {
            // Timers are too coarse for it.
            while began.elapsed() < behind {
                tokio::task::yield_now().await;
            }
            self.officer.erase_subject(erase).await.expect("erases").into_inner()
        };
        let ((placed, took), erased) = tokio::join!(placing, erasing);
        let placed = placed.map(drop).map_err(|status| reason(&status));
        let request = GetItemRequest { context: legally(), item_id: item.clone(), ..Default::default() };
        let read = self.legal.get_item(request).await.map_err(|status| reason(&status));
        let read = read.map(|answer| full_name(&answer.into_inner().item.expect("an item")).map(str::to_owned));
        let body = ReceiptBody::decode(&erased.receipt.expect("a receipt").body[..]).expect("a statement");
        let listed: Vec<_> = body.kept_items.iter().map(|kept| (&kept.item_id, kept.version)).collect();
        let state = erased.erasure.expect("is stated").state();
        let told = (state, &listed[..], &read);
        let won = match &placed {
            Ok(()) if told == (ErasureState::Kept, &[(&item, 1)][..], &Ok(Some(name.to_owned()))) => Ok(true),
            Err(why) if why == "ERASED" && told == (ErasureState::Erased, &[][..], &Err("NOT_FOUND".into())) => {
                Ok(false)
            }
            placed => Err(format!("the hold: {placed:?}; the erasure: {told:?}")),
        };
        Outcome { took, won }
    }
}

/// How long the hold took, and who won.
struct Outcome {
    took: Duration,
    won: Result<bool, String>,
}
