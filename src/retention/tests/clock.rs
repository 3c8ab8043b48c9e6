//! A clock that jumps, and more that is due than is plausible: nothing goes until somebody has confirmed exactly that.

use super::*;
use crate::gate::jumps;
use crate::retention::confirm::confirm;
use crate::retention::due::{self, DueQuery, Kind};

impl Bench {
    async fn confirm(&self, sweep: &Sweep, etag: &str) -> Result<Sweep, Refusal> {
        let role = (RoleId::PrivacyOfficer, "legal_compliance");
        let call = self.call_as("officer", role.0, role.1, Action::ConfirmSweep, "", "").await;
        confirm(&self.vault, &call, (sweep.id, etag.to_owned())).await
    }
}

const YEAR: i64 = 366 * DAY;

#[tokio::test]
async fn a_clock_that_jumps_ahead_sweeps_nothing_until_that_is_confirmed() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let (soon, later) = (bench.expiring(subject, DAY).await.item, bench.expiring(subject, 2 * YEAR).await.item);
    bench.sweep(ANY).await;
    bench.at(YEAR);
    // The entry of somebody's call comes first: it must not make the new time plausible.
    assert!(bench.is_there(subject, soon).await);
    bench.sweep(ANY).await;
    bench.sweep(ANY).await;
    assert!(bench.is_there(subject, soon).await);
    let sweep = bench.stopped().expect("it stopped");
    assert_eq!((sweep.halt, sweep.due, sweep.as_of), (Halt::Clock, 1, Timestamp::from_millis(NOON + YEAR)));
    assert_eq!(sweep.last_entry, Some(Timestamp::from_millis(NOON)));
    assert_eq!(bench.entries("SweepStopped").len(), 1);
    assert_eq!(bench.confirm(&sweep, "s9").await, Err(State::EtagMismatch.into()));
    assert!(bench.is_there(subject, soon).await);
    // Confirmed: what was due then goes, once.
    bench.confirm(&sweep, &sweep.etag()).await.expect("is confirmed");
    assert_eq!(bench.confirm(&sweep, &sweep.etag()).await, Err(State::NotFromHere.into()));
    bench.sweep(ANY).await;
    assert!(!bench.is_there(subject, soon).await && bench.is_there(subject, later).await);
    assert_eq!((bench.stopped(), bench.vault.read(jumps::find)), (None, Ok(None)));
    assert_eq!(bench.confirm(&sweep, &sweep.etag()).await, Err(State::NotFound.into()));
    let ended = bench.entries("SweepEnded");
    assert_eq!(ended.iter().map(|leaf| leaf.count).collect::<Vec<_>>(), [1]);
}

#[tokio::test]
async fn a_clock_that_is_right_again_withdraws_what_had_stopped() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let item = bench.expiring(subject, 3 * DAY).await.item;
    for jump in [YEAR, -YEAR] {
        bench.at(jump);
        bench.sweep(ANY).await;
        assert!(bench.is_there(subject, item).await);
        bench.sweep(ANY).await;
    }
    // Back from a year too late; and then from a year too early, which is a jump as well.
    assert_eq!(bench.stopped(), None);
    assert_eq!(bench.entries("SweepWithdrawn").len(), 1);
    bench.at(HOUR);
    bench.sweep(ANY).await;
    let sweep = bench.stopped().expect("a year ahead of the last entry");
    assert_eq!((sweep.halt, sweep.due), (Halt::Clock, 0));
    bench.confirm(&sweep, &sweep.etag()).await.expect("is confirmed");
    bench.sweep(ANY).await;
    bench.pass(HOUR, 3 * DAY - 1).await;
    assert!(bench.is_there(subject, item).await);
    bench.at(3 * DAY);
    bench.sweep(ANY).await;
    assert!(!bench.is_there(subject, item).await);
}

#[tokio::test]
async fn a_quiet_time_is_no_jump() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let item = bench.expiring(subject, 30 * DAY).await.item;
    bench.pass(0, 30 * DAY).await;
    assert_eq!(bench.stopped(), None);
    assert!(!bench.is_there(subject, item).await);
    let entries = bench.entries("NothingDue").len();
    assert!((30..=60).contains(&entries), "{entries}");
}

#[tokio::test]
async fn more_than_is_plausible_stops_and_a_confirmation_is_good_for_what_was_shown() {
    let bench = Bench::new();
    let bounds = Bounds { percent_max: 10, items_free: 3 };
    let (subject, _) = bench.person(&["Ada"; 20]).await;
    for _ in 0..3 {
        bench.expiring(subject, HOUR).await;
    }
    bench.at(HOUR);
    bench.sweep(bounds).await;
    assert_eq!((bench.stopped(), bench.entries("ItemExpired").len()), (None, 3), "few are nothing to stop for");
    let mut due = Vec::new();
    for _ in 0..4 {
        due.push(bench.expiring(subject, 2 * HOUR).await.item);
    }
    let next = bench.expiring(subject, 3 * HOUR).await.item;
    bench.at(2 * HOUR);
    bench.sweep(bounds).await;
    let sweep = bench.stopped().expect("4 of 25");
    assert_eq!((sweep.halt, sweep.due), (Halt::Share, 4));
    // Another becomes due while it waits, and one is put in that was due before: neither was shown.
    bench.at(3 * HOUR);
    let before = bench.expiring(subject, HOUR).await.item;
    bench.sweep(bounds).await;
    assert_eq!(bench.stopped().as_ref(), Some(&sweep), "what waits does not change");
    bench.confirm(&sweep, &sweep.etag()).await.expect("is confirmed");
    // Carried out under bounds that let nothing through by themselves.
    let none = Bounds { percent_max: 0, items_free: 0 };
    bench.sweep(none).await;
    assert_eq!(bench.entries("ItemExpired").len(), 3 + 4, "no more than was counted");
    assert!(bench.is_there(subject, next).await);
    assert!(!bench.is_there(subject, before).await, "the earliest first");
    bench.sweep(none).await;
    let left = bench.stopped().expect("what is left is judged anew");
    assert_eq!((left.halt, left.due, left.id == sweep.id), (Halt::Share, 2, false));
}

#[tokio::test]
async fn a_confirmation_is_refused_while_the_clock_is_behind_it_or_has_jumped_again() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let item = bench.expiring(subject, HOUR).await.item;
    bench.at(2 * HOUR);
    bench.sweep(Bounds { percent_max: 5, items_free: 0 }).await;
    let sweep = bench.stopped().expect("1 of 2");
    bench.at(HOUR);
    assert_eq!(bench.confirm(&sweep, &sweep.etag()).await, Err(State::ClockImplausible.into()));
    bench.at(3 * DAY);
    assert_eq!(bench.confirm(&sweep, &sweep.etag()).await, Err(State::ClockImplausible.into()));
    bench.sweep(ANY).await;
    let newer = bench.stopped().expect("a new picture");
    assert_eq!((newer.halt, newer.id == sweep.id), (Halt::Clock, false));
    assert_eq!(bench.confirm(&sweep, &sweep.etag()).await, Err(State::NotFound.into()));
    assert!(bench.is_there(subject, item).await);
}

#[tokio::test]
async fn what_falls_due_is_listed_by_day_and_class_the_earliest_first() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    for after in [DAY, HOUR, DAY, 3 * DAY] {
        bench.expiring(subject, after).await;
    }
    let list = async |query: DueQuery| {
        let role = (RoleId::PrivacyOfficer, "legal_compliance");
        let call = bench.call_as("officer", role.0, role.1, Action::ListDue, "", "").await;
        due::list(&bench.vault, &call, query).await.expect("lists")
    };
    let before = Some(Timestamp::from_millis(NOON + 2 * DAY));
    let mut token = String::new();
    let mut found = Vec::new();
    loop {
        let page =
            list(DueQuery { kinds: vec![Kind::Expiry], before, page_size: 1, page_token: token, each_item: false })
                .await;
        found.extend(
            page.entries.iter().map(|(due, late)| ((due.at.as_millis() - NOON + DAY / 2) / DAY, due.count, *late)),
        );
        token = page.next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(found, [(0, 1, false), (1, 2, false)]);
    bench.at(DAY);
    let page =
        list(DueQuery { kinds: vec![], before: None, page_size: 50, page_token: String::new(), each_item: false })
            .await;
    assert!(page.entries.iter().any(|(due, late)| due.kind == Kind::Expiry && *late));
    assert!(page.halted.is_none());
}
