//! The walk: every tree from the rows that lead to it, every row under the keys of its tree.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};

use super::findings::{Findings, Pages};
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
        match readable(intents::pending(self.txn))? {
            None => drop(self.found.under_way.note(None::<()>)),
            Some(pending) => {
                for intent in pending {
                    self.found.under_way.note(Some(()));
                    trees.extend(intent.gone_tree());
                    self.going.extend(intent.targets);
                }
            }
        }
        for subject in parting::under_way(self.txn)? {
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
                let Ok(id) = key[..].try_into().map(SubjectId::from_bytes) else { continue };
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
        each_row(txn, &subject.id, |id, row| {
            let live = match readable(decode_item(id, row))? {
                Some(ItemRow::Deleted(_)) => return Ok(()),
                Some(ItemRow::Live(live)) => Some(live),
                None => None,
            };
            led_to.extend(live.as_ref().map(|live| live.head.position));
            let opened = live.map(|live| readable(live.open(txn, vault, subject.tree()))).transpose()?;
            count.note(opened.flatten());
            Ok(())
        })?;
        Ok(())
    }

    fn uploads(&mut self, subject: &OpenSubject, led_to: &mut HashSet<u64>) -> Result<(), Refusal> {
        for (key, row) in self.txn.rows(Space::Upload, subject.id.as_bytes(), &[], usize::MAX)? {
            match readable(UploadPlace::of_key(&key).and_then(|place| decode_upload(place, &row)))? {
                Some(UploadRow::Finished(_)) => {}
                Some(UploadRow::Pending(upload)) => led_to.extend(self.found.uploads.note(Some(upload.position))),
                None => drop(self.found.uploads.note(None::<()>)),
            }
        }
        Ok(())
    }

    /// Matters and statutory periods, and what they keep.
    fn reasons(&mut self, known: &mut HashSet<Tree>) -> Result<(), Refusal> {
        for mark in matter::newest_first(self.txn, None, usize::MAX)? {
            let id = MatterId::from_bytes(mark.id);
            let matter = readable(matter::find(self.txn, id))?.flatten();
            let tree = self.found.reasons.note(matter).map(|matter| matter.tree());
            known.extend(self.reason(reason_of(id), tree)?);
        }
        for (_, id) in period::all(self.txn, usize::MAX)? {
            let period = readable(period::find(self.txn, id))?.flatten();
            let tree = self.found.reasons.note(period).map(|period| period.tree());
            known.extend(self.reason(id, tree)?);
        }
        Ok(())
    }

    fn reason(&mut self, id: ReasonId, tree: Option<Tree>) -> Result<Option<Tree>, Refusal> {
        if let Some(tree) = tree {
            self.tree(tree)?;
        }
        for version in kept_rows::list(self.txn, Under::Reason(id), None, usize::MAX)? {
            let opened = kept::open(self.txn, &version);
            let content = opened.and_then(|(item, entry, _)| item.open_with(&self.vault, &entry));
            self.found.kept.note(readable(content)?);
        }
        Ok(tree)
    }

    fn holds(&mut self) -> Result<(), Refusal> {
        for mark in hold::newest_first(self.txn, Of::All, None, usize::MAX)? {
            let hold = readable(hold::find(self.txn, HoldId::from_bytes(mark.id)))?;
            self.found.holds.note(hold.flatten());
        }
        Ok(())
    }
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
