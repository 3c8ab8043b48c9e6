//! Days of events go by themselves when what the catalog keeps them for is over.

use super::*;
use crate::gate::call::Call;
use crate::gate::receipts;
use crate::holds::model::{NewMatter, Placing, PlacingScope};
use crate::holds::{matters, place};
use crate::items::events::model::EventQuery;
use crate::items::events::read;
use crate::items::tests::events::{all_of, names, store, visit};
use crate::keep::matter::Texts;

async fn counsel(bench: &Bench, action: Action) -> Call {
    bench.call_as("counsel", RoleId::Legal, "legal_compliance", action, "", "").await
}

async fn hold(bench: &Bench, subject: SubjectId, scope: PlacingScope) {
    let texts = Texts { name: "a case".into(), authority: "a court".into(), reference: "".into() };
    let new = NewMatter { texts, review: Timestamp::from_millis(NOON) };
    let matter = matters::open(&bench.vault, &counsel(bench, Action::OpenMatter).await, new).await.expect("opens").id;
    let placing = Placing { matter, subject: SubjectRef::Id(subject), scope, history: false };
    place::place(&bench.vault, &counsel(bench, Action::PlaceHold).await, placing).await.expect("places");
}

/// When the next day begins.
const MIDNIGHT: i64 = 12 * HOUR;

impl Bench {
    /// Two events of one day and one of the next. The days' items, and after noon of the first day, when they end.
    async fn two_days(&self, subject: SubjectId) -> [(ItemId, i64); 2] {
        self.at(13 * HOUR);
        let event = |after, page| visit(subject, NOON + after, page);
        let stored = store(self, vec![event(0, "/1"), event(1, "/2"), event(MIDNIGHT, "/3")]).await;
        assert!(stored.rejected.is_empty());
        let ends = self.vault.read(|reads| index::list(reads, &[], usize::MAX)).expect("reads");
        let ends = ends.into_iter().filter(|row| row.class.as_str() == "access_event" && row.subject == subject);
        let ends: Vec<_> = ends.map(|row| (row.item, row.at.as_millis() - NOON)).collect();
        let [first, second] = ends[..] else { panic!("two days") };
        assert!(first.1 < second.1);
        [first, second]
    }

    /// How many events the legal role reads of a day that only a reason keeps.
    async fn kept_events(&self, item: ItemId) -> Result<usize, Refusal> {
        let query = EventQuery { subject: None, kept: Some(item), ..all_of(SubjectId::from_bytes([0; 16])) };
        let call = counsel(self, Action::ReadEvents).await;
        let mut reading = read::open(self.vault.clone(), call, query).await?;
        let mut count = 0;
        while let Some(part) = reading.next().await? {
            count += part.events.len();
        }
        Ok(count)
    }

    /// Rows of segments, and rows that lead to days.
    fn of_days(&self) -> [usize; 2] {
        [Space::EventSegment, Space::EventDay].map(|space| self.rows(space).len())
    }
}

#[tokio::test]
async fn a_day_of_events_goes_when_its_time_is_over_and_the_next_one_stays() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let [(_, first), (_, second)] = bench.two_days(subject).await;
    assert!(first > 80 * DAY, "ninety days, as the catalog says");
    bench.check_index();
    bench.pass(13 * HOUR, first - 1).await;
    assert_eq!(names(&bench, all_of(subject)).await, Ok(vec!["/1".into(), "/2".into(), "/3".into()]));
    assert_eq!(bench.of_days(), [2, 2]);

    bench.at(first);
    bench.sweep(ANY).await;
    assert_eq!(names(&bench, all_of(subject)).await, Ok(vec!["/3".into()]));
    assert_eq!(bench.of_days(), [1, 1]);
    bench.check_index();
    let begun = bench.entries("ItemExpired").pop().expect("an entry");
    assert_eq!((begun.class.as_str(), begun.count, begun.outcome), ("access_event", 1, Outcome::Started));
    let About::Erasure(receipt) = begun.about else { panic!("about an erasure") };
    let record = bench.vault.read(|reads| receipts::look_up(reads, &receipt)).expect("reads").expect("a receipt");
    assert!(record.signed.is_some());

    bench.pass(first, second).await;
    assert_eq!(names(&bench, all_of(subject)).await, Ok(vec![]));
    assert_eq!(bench.of_days(), [0, 0]);
    bench.check_index();
}

#[tokio::test]
async fn a_day_that_is_held_goes_for_its_account_alone() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&["Ada"]).await;
    let [(held, first), (other, second)] = bench.two_days(subject).await;
    hold(&bench, subject, PlacingScope::Items(vec![(held, 0)])).await;
    bench.pass(13 * HOUR, second).await;
    assert!(first < second);
    assert_eq!(names(&bench, all_of(subject)).await, Ok(vec![]));
    assert_eq!(bench.kept_events(held).await, Ok(2));
    assert_eq!(bench.kept_events(other).await, Err(State::NotFound.into()));
    assert_eq!(bench.of_days(), [1, 0], "its segment stays where it is");
    bench.check_index();
}
