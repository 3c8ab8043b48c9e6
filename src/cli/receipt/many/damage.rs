//! Rows of persons of many items that somebody changed, exchanged or took away, and items that do not read.

use super::*;

/// Rows of one kind, by their keys.
fn rows(bench: &Bench, space: Space) -> BTreeMap<Vec<u8>, Vec<u8>> {
    bench.rows(space).into_iter().collect()
}

impl Bench {
    /// A step after rows were written over, which must be refused; then the rows are as they were.
    async fn is_refused(&self, what: &str, space: Space, changed: Vec<(Vec<u8>, Vec<u8>)>) {
        let before = rows(self, space);
        let heal: Vec<_> = changed.iter().map(|(key, _)| (space, (key.clone(), before[key].clone()))).collect();
        self.write_over(changed.into_iter().map(|row| (space, row)));
        let of = [Space::Item, Space::Kept, Space::Parting, Space::Intent, Space::Page];
        let all = |bench: &Self| of.map(|space| rows(bench, space));
        let was = all(self);
        self.part().await;
        assert!(all(self) == was && self.is_parting(), "{what}: something was done");
        self.write_over(heal);
    }
}

/// Each of these persons has more items than one step takes, and one in ten is held.
async fn two_partings(bench: &Bench) -> [(SubjectId, ReceiptId, BTreeSet<ItemId>); 2] {
    let matter = bench.matter().await;
    let mut people = Vec::new();
    for _ in 0..2 {
        let (subject, items) = bench.person_of(many(MANY)).await;
        let held: BTreeSet<ItemId> = items.iter().step_by(10).copied().collect();
        bench.hold(matter, subject, &held.iter().copied().collect::<Vec<_>>()).await.expect("places");
        let call = bench.officer(Action::EraseSubject).await;
        let wanted = EraseSubject { subject: SubjectRef::Id(subject), ground: Ground::Request, wait: Wait::Logical };
        let erasure = erase(&bench.vault, &call, wanted).await.expect("is answered").0;
        people.push((subject, erasure.receipt, held));
    }
    people.try_into().expect("two")
}

#[tokio::test]
async fn a_row_of_how_far_it_is_that_somebody_changed_is_refused() {
    let bench = Bench::new();
    let people = two_partings(&bench).await;
    let first = rows(&bench, Space::Parting);
    let [(one, of_one), (two, of_two)] = &first.iter().collect::<Vec<_>>()[..] else { panic!("two") };
    // Every byte for itself is the ledger's and the envelope's own test; here some of each part, the flags among them.
    for at in (0..of_one.len()).step_by(7).chain(of_one.len() - 32..of_one.len() - 30) {
        let mut row = (*of_one).clone();
        row[at] ^= 1;
        let mut other = (*of_two).clone();
        other[at % of_two.len()] ^= 1;
        let changed = vec![((*one).clone(), row), ((*two).clone(), other)];
        bench.is_refused(&format!("byte {at}"), Space::Parting, changed).await;
    }
    let exchanged = vec![((*one).clone(), (*of_two).clone()), ((*two).clone(), (*of_one).clone())];
    bench.is_refused("exchanged", Space::Parting, exchanged).await;

    bench.part().await;
    let second = rows(&bench, Space::Parting);
    let stepped = |key: &&Vec<u8>| key[0] == 1 && second[*key] != first[*key];
    let [key] = &first.keys().filter(stepped).collect::<Vec<_>>()[..] else { panic!("one made a step") };
    let mut old = vec![((*key).clone(), first[*key].clone())];
    // The other one must not make a step in its stead.
    let other = first.keys().find(|other| other != key).expect("two");
    old.push((other.clone(), [&first[other][..], &[0]].concat()));
    bench.is_refused("an old one", Space::Parting, old).await;

    bench.part_all().await;
    for (_, receipt, held) in &people {
        assert_eq!(bench.verdict(*receipt).await, Verdict::PartlyKept);
        for item in held {
            assert_eq!(bench.kept(*item).await, Ok(()));
        }
    }
}

#[tokio::test]
async fn what_the_steps_have_noted_for_the_statement_cannot_be_changed() {
    let bench = Bench::new();
    let (ann, items) = bench.person_of(many(MANY)).await;
    let matter = bench.matter().await;
    bench.hold(matter, ann, &items[..items.len() / 2]).await.expect("places");
    let (_, receipt) = bench.ask_for_erasure(ann, Wait::Logical).await;
    bench.part().await;
    // The names of keys that are kept, and the list of versions.
    for (space, tag) in [(Space::Parting, 2), (Space::Kept, 11)] {
        let noted: Vec<_> = rows(&bench, space).into_iter().filter(|(key, _)| key[0] == tag).collect();
        assert!(!noted.is_empty());
        for (key, row) in &noted {
            let mut changed = row.clone();
            *changed.last_mut().expect("bytes") ^= 1;
            bench.write_over([(space, (key.clone(), changed))]);
            bench.part().await;
            assert_eq!(bench.rows(Space::Intent), vec![], "no statement is made of it");
            bench.take_away(space, [key.clone()]);
            bench.part().await;
            assert!(bench.is_parting() && bench.rows(Space::Intent).is_empty(), "nor without it");
            bench.write_over([(space, (key.clone(), row.clone()))]);
        }
    }
    bench.part_all().await;
    let (shown, _) = bench.receipt_page(receipt, 0, String::new()).await.expect("is final");
    let body = ReceiptBody::decode(&shown.body[..]).expect("a statement");
    assert_eq!(body.kept_items.len(), items.len() / 2);
    assert_eq!(body.key_count as usize, MANY - items.len() / 2 + 2 + (MANY + 2).div_ceil(64) + 1);
}

#[tokio::test]
async fn a_row_of_how_far_it_is_that_is_missing_is_noticed() {
    let bench = Bench::new();
    let (ann, _) = bench.person_of(many(MANY)).await;
    let (_, receipt) = bench.ask_for_erasure(ann, Wait::Logical).await;
    assert_eq!(bench.verdict(receipt).await, Verdict::Pending);
    let [(key, row)] = &bench.rows(Space::Parting)[..] else { panic!("one") };
    bench.take_away(Space::Parting, [key.clone()]);
    bench.part().await;
    let call = bench.officer(Action::VerifyErasure).await;
    let told = verify(&bench.vault, &call, Which::Receipt(receipt)).await;
    assert_eq!(told, Err(Unavailable::Damaged.into()));
    assert_eq!(bench.vault.epochs().pending(), 1, "it counts as pending");
    bench.write_over([(Space::Parting, (key.clone(), row.clone()))]);
    bench.part_all().await;
    assert_eq!(bench.verdict(receipt).await, Verdict::Erased);
}

/// Makes the rows of two items unreadable: one is cut off, the other says another class than was stored.
fn damage(bench: &Bench, items: [ItemId; 2]) -> Vec<(Space, Record)> {
    let stored = rows(bench, Space::Item);
    let row = |item: &ItemId| {
        let (key, row) = stored.iter().find(|(key, _)| key[16..] == item.as_bytes()[..]).expect("is there");
        (key.clone(), row.clone())
    };
    let [(cut, of_cut), (other, of_other)] = items.each_ref().map(row);
    let at = of_other.windows(7).position(|bytes| bytes == b"contact").expect("in clear");
    let mut changed = of_other.clone();
    // Of the same length.
    changed[at..at + 7].copy_from_slice(b"payment");
    bench.write_over([
        (Space::Item, (cut.clone(), of_cut[..of_cut.len() / 2].to_vec())),
        (Space::Item, (other.clone(), changed)),
    ]);
    vec![(Space::Item, (cut, of_cut)), (Space::Item, (other, of_other))]
}

#[tokio::test]
async fn damaged_items_go_with_their_person() {
    for count in [20, MANY] {
        let bench = Bench::new();
        let (ann, items) = bench.person_of(many(count)).await;
        let matter = bench.matter().await;
        bench.hold(matter, ann, &items[..5]).await.expect("places");
        damage(&bench, [items[7], items[9]]);
        let (_, receipt) = bench.ask_for_erasure(ann, Wait::Logical).await;
        bench.part_all().await;
        assert_eq!(bench.verdict(receipt).await, Verdict::PartlyKept, "of {count}");
        assert_eq!(bench.rows(Space::Item), vec![], "of {count}");
        let (shown, _) = bench.receipt_page(receipt, 0, String::new()).await.expect("is final");
        let (key, log_key) = bench.keys();
        let body = check(&shown, &key, &[log_key]).expect("holds").body;
        let pages = if count > 62 { (count + 2).div_ceil(64) + 1 } else { 1 };
        assert_eq!(body.key_count as usize, count - 5 + 2 + pages, "their keys are among those that went");
        assert_eq!(body.kept_items.len(), 5);
        assert_eq!(body.index_key_ids.len(), IdentifierField::ALL.len(), "rows may lead to them under any key");
    }
}

#[tokio::test]
async fn a_damaged_item_that_a_hold_may_keep_is_not_forgotten() {
    let whole = |classes: &[&str]| {
        let classes = classes.iter().map(|class| (*class).to_owned()).collect();
        PlacingScope::Subject { classes, future: true }
    };
    for (count, held) in [20, MANY].into_iter().flat_map(|count| [0, 1, 2].map(|held| (count, held))) {
        let bench = Bench::new();
        let (ann, items) = bench.person_of(many(count)).await;
        // What its row now says is another class than what is held.
        let (scope, damaged) = match held {
            0 => (whole(&[]), [items[7], items[9]]),
            1 => (PlacingScope::Items(vec![(items[7], 0)]), [items[7], items[9]]),
            _ => (whole(&["contact"]), [items[9], items[9]]),
        };
        let matter = bench.matter().await;
        let placing = Placing { matter, subject: SubjectRef::Id(ann), scope, history: false };
        place::place(&bench.vault, &bench.counsel(Action::PlaceHold).await, placing).await.expect("places");
        let heal = damage(&bench, damaged);
        let wanted = EraseSubject { subject: SubjectRef::Id(ann), ground: Ground::Request, wait: Wait::Logical };
        let call = bench.officer(Action::EraseSubject).await;
        let told = erase(&bench.vault, &call, wanted).await.map(|(erasure, _)| (erasure.state, erasure.receipt));
        let receipt = match told {
            Err(refusal) => {
                assert_eq!((refusal, count), (Unavailable::Damaged.into(), 20), "{held}");
                assert_eq!(bench.name(ann, items[0]).await, Ok("Ann".into()), "nothing has changed");
                bench.write_over(heal);
                bench.ask_for_erasure(ann, Wait::Logical).await.1
            }
            Ok((state, receipt)) => {
                assert_eq!((state, count), (ErasureState::Pending, MANY), "{held}");
                for _ in 0..3 {
                    bench.part().await;
                }
                assert!(bench.is_parting(), "{held}: it waits");
                assert_eq!(bench.verdict(receipt).await, Verdict::Pending);
                bench.write_over(heal);
                receipt
            }
        };
        bench.part_all().await;
        assert_eq!(bench.verdict(receipt).await, Verdict::PartlyKept);
        assert_eq!(bench.kept(items[7]).await, Ok(()));
    }
}

#[tokio::test]
async fn a_damaged_item_of_somebody_under_a_hold_is_not_deleted() {
    let bench = Bench::new();
    let (ann, items) = bench.person_of(many(20)).await;
    let deleted = async |item| {
        let call = bench.call(Action::DeleteItem).await;
        let wanted = Delete { subject: SubjectRef::Id(ann), item, etag: String::new(), wait: Wait::Erased };
        delete::delete(&bench.vault, &call, wanted).await.map(|erasure| erasure.state)
    };
    let matter = bench.matter().await;
    bench.hold(matter, ann, &items[..1]).await.expect("places");
    let heal = damage(&bench, [items[7], items[9]]);
    assert_eq!(deleted(items[9]).await, Err(Unavailable::Damaged.into()));
    bench.write_over(heal);
    assert_eq!(deleted(items[9]).await, Ok(ErasureState::Erased));
}
