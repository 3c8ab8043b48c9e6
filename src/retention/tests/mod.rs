//! What ends by itself, on a vault in memory with a clock that is moved by hand.

mod clock;
mod days;
mod each;
mod expiry;
mod periods;

use std::collections::BTreeMap;

use crate::audit::event::{About, Outcome};
use crate::audit::leaf::Leaf;
use crate::base::id::{ItemId, SubjectId};
use crate::base::time::Timestamp;
use crate::catalog::registry::DEFAULT;
use crate::gate::refusal::{Refusal, State};
use crate::items::model::{Delete, NewItem, NewMetadata, Stamp, SubjectRef, Wait};
use crate::items::record::{ItemRow, decode_item};
use crate::items::tests::{Bench, HOUR, NOON, contact};
use crate::items::{delete, expiry as index, put};
use crate::policy::action::Action;
use crate::policy::caller::RoleId;
use crate::store::keyspace::Space;

use super::state::{self, Halt, Sweep};
use super::sweeper::{Bounds, Run, work};

const DAY: i64 = 24 * HOUR;

/// So many are never implausible.
const ANY: Bounds = Bounds { percent_max: 100, items_free: u64::MAX };

impl Bench {
    /// Steps until there is nothing more to do at once, then waits for the epochs.
    async fn sweep(&self, bounds: Bounds) {
        let vault = self.vault.clone();
        let steps = tokio::task::spawn_blocking(move || {
            let mut run = Run::default();
            for _ in 0..1000 {
                if !work(&vault, bounds, &mut run).expect("a step") {
                    return;
                }
            }
            panic!("it goes on for ever");
        });
        steps.await.expect("no panic");
        self.settle().await;
    }

    /// Lets time pass as it passes for a vault that runs, up to so long after noon of the first day.
    async fn pass(&self, from: i64, until: i64) {
        let mut now = from;
        while now < until {
            now = (now + 10 * HOUR).min(until);
            self.at(now);
            self.sweep(ANY).await;
        }
    }

    /// A contact that expires so long after noon of the first day.
    async fn expiring(&self, subject: SubjectId, after_noon: i64) -> Stamp {
        let expires = Some(Timestamp::from_millis(NOON + after_noon));
        let item = NewItem { metadata: NewMetadata { expires, ..NewMetadata::default() }, ..contact("Ada") };
        let call = self.call(Action::PutItem).await;
        put::put(&self.vault, &call, SubjectRef::Id(subject), item).await.expect("puts").1
    }

    async fn is_there(&self, subject: SubjectId, item: ItemId) -> bool {
        match self.name(subject, item).await {
            Ok(_) => true,
            Err(Refusal::State(State::NotFound)) => false,
            Err(other) => panic!("{other}"),
        }
    }

    async fn delete(&self, subject: SubjectId, item: ItemId) {
        let call = self.call(Action::DeleteItem).await;
        let wanted = Delete { subject: SubjectRef::Id(subject), item, etag: String::new(), wait: Wait::Erased };
        delete::delete(&self.vault, &call, wanted).await.expect("deletes");
    }

    fn stopped(&self) -> Option<Sweep> {
        self.vault.read(state::find).expect("reads")
    }

    /// Entries of one operation.
    fn entries(&self, operation: &str) -> Vec<Leaf> {
        self.leaves().into_iter().filter(|leaf| leaf.operation == operation).collect()
    }

    /// The index has a row for every live item that expires, and no other, and counts them.
    fn check_index(&self) {
        let mut expected = BTreeMap::new();
        let mut counts: BTreeMap<(i32, &str), u64> = BTreeMap::new();
        for (key, row) in self.rows(Space::Item) {
            let id = ItemId::from_bytes(key[16..].try_into().expect("an item"));
            let ItemRow::Live(item) = decode_item(id, &row).expect("a row") else { continue };
            if let Some(at) = item.head.expires {
                expected.insert((at, key), item.head.class);
                *counts.entry((at.day(), item.head.class.as_str())).or_default() += 1;
            }
        }
        let found = self.vault.read(|reads| index::list(reads, &[], usize::MAX)).expect("reads");
        let key = |row: &index::Expiring| [&row.subject.as_bytes()[..], row.item.as_bytes()].concat();
        let found: BTreeMap<_, _> = found.iter().map(|row| ((row.at, key(row)), row.class)).collect();
        assert_eq!(found, expected);
        let counted = self.vault.read(|reads| index::counts(reads, &[], usize::MAX)).expect("reads");
        let counted: BTreeMap<_, _> =
            counted.iter().map(|count| ((count.day, count.class.as_str()), count.items)).collect();
        assert_eq!(counted, counts);
    }
}
