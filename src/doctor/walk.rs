//! The walk: every tree from the rows that lead to it, every row under the keys of its tree.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::findings::{Count, Findings, Pages};
use crate::base::id::{HoldId, MatterId, ReasonId, SubjectId, VaultId};
use crate::base::limits::ITEM_SCAN_ROWS;
use crate::gate::intents;
use crate::gate::refusal::{Refusal, State, Unavailable};
use crate::gate::txn::{Fault, Reads as _, Txn};
use crate::gate::uploads::UploadPlace;
use crate::items::kept;
use crate::items::parting;
use crate::items::record::{
    AUDIT_POSITION, ItemRow, OpenSubject, RECORD_POSITION, UploadRow, decode_item, decode_upload, open_subject,
};
use crate::items::subject::each_row;
use crate::keep::hold::{self, Of};
use crate::keep::kept::{self as kept_rows, Under};
use crate::keep::{matter, period, reason_of};
use crate::keys::page::{FANOUT, Tree};
use crate::keys::tally::Tally;
use crate::store::keyspace::Space;

/// A walk under way.
pub(super) struct Walk<'t, 'a> {
    txn: &'t Txn<'a>,
    vault: VaultId,
    counted: Tally,
    found: Findings,
    /// Entries that an act of forgetting under way will take, although no row leads to them any more.
    going: HashSet<(Tree, u64)>,
    people: &'t AtomicU64,
}

impl<'t, 'a> Walk<'t, 'a> {
    pub(super) fn new(txn: &'t Txn<'a>, vault: VaultId, people: &'t AtomicU64) -> Result<Self, Refusal> {
        let counted = match txn.tally() {
            Some(tally) => tally.restart(),
            None => Tally::new().map_err(|_| Unavailable::Internal)?,
        };
        Ok(Self { txn, vault, counted, found: Findings::new(), going: HashSet::new(), people })
    }

    /// All of it. What was found, and the pages as they were counted.
    pub(super) fn through(mut self) -> Result<(Findings, Tally), Refusal> {
        self.tree(Tree::Root)?;
        self.tree(Tree::Service)?;
        let people = self.tree(Tree::Subjects)?;
        let reasons = self.tree(Tree::Reasons)?;
        let mut known = self.under_way()?;
        self.people(&mut known)?;
        self.reasons(&mut known)?;
        self.holds()?;
        for (of, positions) in [(Tree::Subjects, people), (Tree::Reasons, reasons)] {
            let parents = known.iter().filter_map(|tree| tree.parent());
            let led_to: HashSet<u64> = parents.filter(|(tree, _)| *tree == of).map(|(_, at)| at).collect();
            self.found.keys_without_row += positions.iter().filter(|at| !led_to.contains(*at)).count() as u64;
        }
        self.found.pages = match self.txn.tally() {
            None => Pages::Unknown,
            Some(tally) if tally.is(&self.counted) => Pages::Newest,
            Some(_) => Pages::NotNewest,
        };
        Ok((self.found, self.counted))
    }

    /// Counts the pages of a tree in. The positions that have an entry.
    fn tree(&mut self, tree: Tree) -> Result<Vec<u64>, Refusal> {
        let (counted, mut positions) = (&mut self.counted, Vec::new());
        let walked = self.txn.each_page(tree, &mut |version, page| {
            counted.add(&version);
            if version.id.level == 0 {
                positions.extend(page.children().map(|child| version.id.index * FANOUT + u64::from(child)));
            }
        });
        self.found.trees.note(readable(walked)?);
        Ok(positions)
    }

    /// What is to be forgotten. The trees that go with it, to which no row leads any more.
    fn under_way(&mut self) -> Result<HashSet<Tree>, Refusal> {
        let mut trees = HashSet::new();
        let complete = readable(intents::are_complete(self.txn))?;
        if complete != Some(true) {
            self.found.under_way.note(None::<()>);
        }
        for intent in readable(intents::pending(self.txn))?.unwrap_or_default() {
            self.found.under_way.note(Some(()));
            trees.extend(intent.gone_tree());
            self.going.extend(intent.targets);
        }
        let partings = readable(parting::under_way(self.txn))?;
        for subject in listed(partings, &mut self.found.under_way) {
            let parting = readable(parting::find(self.txn, &subject))?.flatten();
            trees.extend(self.found.under_way.note(parting).map(|parting| parting.owner.tree()));
        }
        for tree in trees.clone() {
            self.tree(tree)?;
        }
        Ok(trees)
    }

    fn people(&mut self, known: &mut HashSet<Tree>) -> Result<(), Refusal> {
        let mut from = Vec::new();
        loop {
            let rows = self.txn.rows(Space::Subject, &[], &from, ITEM_SCAN_ROWS)?;
            for (key, _) in &rows {
                let Ok(id) = key[..].try_into().map(SubjectId::from_bytes) else {
                    self.found.people.note(None::<()>);
                    continue;
                };
                known.extend(self.person(id)?);
                self.people.fetch_add(1, Ordering::Relaxed);
            }
            match rows.last() {
                Some((last, _)) if rows.len() == ITEM_SCAN_ROWS => from = [&last[..], &[0]].concat(),
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// One person, who may be erased. Their tree.
    fn person(&mut self, id: SubjectId) -> Result<Option<Tree>, Refusal> {
        let opened = match open_subject(self.txn, &self.vault, id) {
            Err(Fault::Refused(Refusal::State(State::Erased(_)))) => return Ok(None),
            opened => readable(opened)?,
        };
        let Some(subject) = self.found.people.note(opened) else { return Ok(None) };
        let tree = subject.tree();
        let mut led_to = HashSet::from([AUDIT_POSITION, RECORD_POSITION]);
        self.items(&subject, &mut led_to)?;
        self.uploads(&subject, &mut led_to)?;
        self.found.holds.unreadable += u64::from(readable(hold::in_force(self.txn, &id, subject.row.holds))?.is_none());
        let positions = self.tree(tree)?;
        let is_lost = |at: &&u64| !led_to.contains(*at) && !self.going.contains(&(tree, **at));
        self.found.keys_without_row += positions.iter().filter(is_lost).count() as u64;
        Ok(Some(tree))
    }

    fn items(&mut self, subject: &OpenSubject, led_to: &mut HashSet<u64>) -> Result<(), Refusal> {
        let (txn, vault, count) = (self.txn, &self.vault, &mut self.found.items);
        let walked = each_row(txn, &subject.id, |id, row| {
            let live = match readable(decode_item(id, row))? {
                Some(ItemRow::Deleted(_)) => return Ok(()),
                Some(ItemRow::Live(live)) => Some(live),
                None => None,
            };
            led_to.extend(live.as_ref().map(|live| live.head.position));
            let opened = live.map(|live| readable(live.open(txn, vault, subject.tree()))).transpose()?;
            count.note(opened.flatten());
            Ok(())
        });
        if readable(walked)?.is_none() {
            self.found.items.note(None::<()>); // a key that is none
        }
        Ok(())
    }

    fn uploads(&mut self, subject: &OpenSubject, led_to: &mut HashSet<u64>) -> Result<(), Refusal> {
        let (txn, tree) = (self.txn, subject.tree());
        for (key, row) in txn.rows(Space::Upload, subject.id.as_bytes(), &[], usize::MAX)? {
            let read = UploadPlace::of_key(&key).and_then(|place| Ok((place, decode_upload(place, &row)?)));
            match readable(read)? {
                Some((place, UploadRow::Finished(finished))) => {
                    // One of an earlier release says nothing that is believed.
                    if readable(finished.open(&place, &subject.companion()))?.is_none() {
                        self.found.uploads.note(None::<()>);
                    }
                }
                Some((_, UploadRow::Pending(upload))) => {
                    let opened = readable(upload.open(txn, &self.vault, tree))?;
                    led_to.extend(self.found.uploads.note(opened.map(|_| upload.position)));
                }
                None => drop(self.found.uploads.note(None::<()>)),
            }
        }
        Ok(())
    }

    /// Matters and statutory periods, and what they keep.
    fn reasons(&mut self, known: &mut HashSet<Tree>) -> Result<(), Refusal> {
        let matters = readable(matter::newest_first(self.txn, None, usize::MAX))?;
        for mark in listed(matters, &mut self.found.reasons) {
            let id = MatterId::from_bytes(mark.id);
            let matter = readable(matter::find(self.txn, id))?.flatten();
            let of = self.found.reasons.note(matter).map(|matter| (matter.tree(), matter.kept));
            known.extend(self.reason(reason_of(id), of)?);
        }
        let periods = readable(period::all(self.txn, usize::MAX))?;
        for (_, id) in listed(periods, &mut self.found.reasons) {
            let period = readable(period::find(self.txn, id))?.flatten();
            let of = self.found.reasons.note(period).map(|period| (period.tree(), period.kept));
            known.extend(self.reason(id, of)?);
        }
        Ok(())
    }

    /// A reason, with its tree and how many versions it says that it keeps, if it can be read.
    fn reason(&mut self, id: ReasonId, of: Option<(Tree, u64)>) -> Result<Option<Tree>, Refusal> {
        let versions = readable(kept_rows::list(self.txn, Under::Reason(id), None, usize::MAX))?;
        let mut listed_ones = 0;
        for version in listed(versions, &mut self.found.kept) {
            let opened = kept::open(self.txn, &version);
            let content = opened.and_then(|(item, entry, _)| item.open_with(&self.vault, &entry));
            self.found.kept.note(readable(content)?);
            listed_ones += 1;
        }
        let Some((tree, kept)) = of else { return Ok(None) };
        for _ in listed_ones..kept {
            self.found.kept.note(None::<()>); // it is not there
        }
        self.tree(tree)?;
        Ok(Some(tree))
    }

    fn holds(&mut self) -> Result<(), Refusal> {
        let holds = readable(hold::newest_first(self.txn, Of::All, None, usize::MAX))?;
        for mark in listed(holds, &mut self.found.holds) {
            let hold = readable(hold::find(self.txn, HoldId::from_bytes(mark.id)))?;
            self.found.holds.note(hold.flatten());
        }
        Ok(())
    }
}

/// What a list names; nothing, and one more that is unreadable, where one of its rows is no such row.
fn listed<T>(list: Option<Vec<T>>, count: &mut Count) -> Vec<T> {
    if list.is_none() {
        count.note(None::<()>);
    }
    list.unwrap_or_default()
}

/// What was read; none where rows and keys do not fit together.
///
/// # Errors
/// What is no damage of what was read: the store failed.
fn readable<T>(read: Result<T, Fault>) -> Result<Option<T>, Refusal> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(Fault::Torn | Fault::Refused(Refusal::Unavailable(Unavailable::Damaged))) => Ok(None),
        Err(Fault::Refused(Refusal::State(_))) => Ok(None),
        Err(Fault::Refused(refusal)) => Err(refusal),
    }
}
