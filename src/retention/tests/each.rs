//! What falls due, item by item; and the purge.

use std::time::Duration;

use super::*;
use crate::gate::call::Call;
use crate::policy::rules::Rules;
use crate::retention::due::{self, Due, DuePage, DueQuery, Kind, Thing};

fn query(kinds: &[Kind], each_item: bool) -> DueQuery {
    DueQuery { kinds: kinds.to_vec(), before: None, page_size: 50, page_token: String::new(), each_item }
}

impl Bench {
    async fn lister(&self, role: RoleId, purpose: &str) -> Call {
        self.call_as("office", role, purpose, Action::ListDue, "", "").await
    }

    async fn due(&self, query: DueQuery) -> Result<DuePage, Refusal> {
        let call = self.lister(RoleId::PrivacyOfficer, "legal_compliance").await;
        due::list(&self.vault, &call, query).await
    }
}

#[tokio::test]
async fn items_are_listed_one_by_one_for_those_who_may_list_them() {
    let bench = Bench::new();
    let (ada, _) = bench.person(&["Ada"]).await;
    let (ben, _) = bench.person(&["Ben"]).await;
    let mut expected = Vec::new();
    for (subject, after) in [(ada, DAY), (ben, HOUR), (ada, 2 * HOUR), (ben, 3 * DAY), (ada, 90 * DAY)] {
        expected.push((after, subject, bench.expiring(subject, after).await.item));
    }
    expected.sort();
    expected.pop();
    bench.at(2 * HOUR);
    let (mut found, mut token, mut pages) = (Vec::new(), String::new(), 0);
    loop {
        let page = bench.due(DueQuery { page_size: 3, page_token: token, ..query(&[], true) }).await.expect("lists");
        found.extend(page.entries);
        (token, pages) = (page.next, pages + 1);
        if token.is_empty() {
            break;
        }
    }
    let told = |(due, late): &(Due, bool)| match &due.thing {
        Thing::Item { class, subject, item } => {
            assert_eq!((due.kind, class.as_str(), due.count), (Kind::Expiry, "contact", 1));
            assert_eq!(*late, due.at.as_millis() <= NOON + 2 * HOUR);
            (due.at.as_millis() - NOON, *subject, *item)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!((found.iter().map(told).collect::<Vec<_>>(), pages), (expected.clone(), 2));
    let entry = bench.entries("ListDue").pop().expect("is recorded");
    assert_eq!((entry.count, entry.about), (1, About::Nobody), "those of the last page");

    // The rows prove nothing: what the items say, and that they are there, decides.
    let row = bench.vault.read(|reads| index::list(reads, &[], 1)).expect("reads").remove(0);
    let stray = index::Expiring { at: Timestamp::from_millis(NOON), ..row };
    let planted = bench.vault.committer().commit(move |txn| {
        txn.put(Space::Expiry, stray.key(), stray.class.as_str().as_bytes());
        Ok(())
    });
    planted.await.expect("is planted");
    let page = bench.due(query(&[Kind::Expiry], true)).await.expect("lists");
    assert_eq!(page.entries.iter().map(told).collect::<Vec<_>>(), expected);

    assert!(matches!(bench.due(query(&[Kind::PeriodEnd], true)).await.map(drop), Err(Refusal::Invalid(_))));
    // Who runs the vault sees how many, and not whose.
    let operator = bench.lister(RoleId::Operator, "security").await;
    let refused = due::list(&bench.vault, &operator, query(&[], true)).await.map(drop);
    assert!(matches!(refused, Err(Refusal::Access(_))), "{refused:?}");
    let operator = bench.lister(RoleId::Operator, "security").await;
    let page = due::list(&bench.vault, &operator, query(&[Kind::Expiry], false)).await.expect("lists");
    assert!(page.entries.iter().all(|(due, _)| matches!(due.thing, Thing::Class(_))));
}

#[tokio::test]
async fn items_of_classes_that_may_not_be_listed_are_left_out() {
    let bench = Bench::new();
    let (ada, stamps) = bench.person(&["Ada"]).await;
    let item = bench.expiring(ada, HOUR).await.item;
    let listed = async |bench: &Bench| bench.due(query(&[], true)).await.expect("lists").entries.len();
    assert_eq!((listed(&bench).await, stamps.len()), (1, 1));
    let forbids = format!(
        "{}\n@id(\"no-contacts\")\nforbid (principal, action == Lacuna::Action::\"ListItems\", resource is Lacuna::Data)\n\
         when {{ resource.class == Lacuna::Class::\"contact\" }};\n",
        crate::policy::policies::DEFAULT
    );
    let rules = Rules::load(DEFAULT, &[("roles.cedar".to_owned(), forbids)]).expect("rules");
    let vault = bench.vault.clone();
    tokio::task::spawn_blocking(move || vault.replace_rules(rules)).await.expect("no panic").expect("replaces");
    assert_eq!(listed(&bench).await, 0);
    assert!(bench.is_there(ada, item).await);
    let counted = bench.due(query(&[Kind::Expiry], false)).await.expect("lists").entries;
    assert_eq!(counted.len(), 1, "they are counted");
}

#[tokio::test]
async fn the_purge_is_due_thirty_days_after_what_it_is_of_and_not_once_it_is_done() {
    let bench = Bench::new();
    let (subject, stamps) = bench.person(&["Ada"]).await;
    let long = Duration::from_secs(400 * 24 * 3600);
    bench.purge(long).await;
    let listed = async |bench: &Bench| bench.due(query(&[Kind::Purge], false)).await.expect("lists").entries;
    assert_eq!(listed(&bench).await, vec![], "nothing was forgotten yet");
    bench.at(HOUR);
    bench.delete(subject, stamps[0].item).await;
    let at = Timestamp::from_millis(NOON + 30 * DAY);
    let due = Due { at, kind: Kind::Purge, thing: Thing::Whole, count: 1 };
    assert_eq!(listed(&bench).await, [(due.clone(), false)]);
    bench.at(31 * DAY);
    assert_eq!(listed(&bench).await, [(due, true)]);
    bench.purge(Duration::ZERO).await;
    assert_eq!(listed(&bench).await, vec![]);
}
