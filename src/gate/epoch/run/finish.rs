//! The end of an epoch: the rows go, the intents end, and the log says so.

use super::*;

impl Runner {
    /// Step 6: the rows go, the intents end, and the log says so.
    pub(super) fn finish(
        &self,
        (old, next): (u64, Ahead),
        prepared: Prepared,
        carried: Carried,
        intents: Vec<(u64, Intent)>,
    ) -> Result<Done, Halt> {
        let carried_out = intents.len() as u64;
        let turned = intents.iter().any(|(_, intent)| intent.what == What::DayKeys);
        let (epoch, reserved) = (prepared.epoch, next.epoch);
        self.delete_ahead(&intents)?;
        let (former, statements) = self.statements(&intents, &carried);
        let (signer, replaced) = (self.work.receipts.clone(), self.replaced.lock().clone());
        let (kept_back, gone) = self.commit(move |txn| {
            let stored = former::all(txn)?;
            // Where what is known of former slots has changed meanwhile, so have the statements.
            let statements = (stored == former).then_some(statements);
            let mut ledger = Ledger::find(txn)?;
            let ending = held::Ending { carried: &carried, former: &stored, signer: &signer, ledger: &ledger };
            let trees: HashSet<Tree> = intents.iter().filter_map(|(_, intent)| intent.gone_tree()).collect();
            let (mut kept_back, mut gone) = (0, Vec::new());
            for (at, (number, intent)) in intents.iter().enumerate() {
                txn.delete(Space::Intent, number.to_be_bytes());
                for row in &intent.rows {
                    delete_rows(txn, row)?;
                }
                if let Some(tree) = intent.gone_tree() {
                    gone.extend(delete_tree(txn, tree)?);
                }
                // What a tree that is gone had handed out goes with it.
                for (tree, position) in intent.targets.iter().filter(|(tree, _)| !trees.contains(tree)) {
                    txn.release_position(*tree, *position)?;
                }
                let ready = statements.as_ref().and_then(|statements| statements[at].as_ref());
                kept_back += u64::from(held::end(txn, *number, intent, &ending, ready)?);
            }
            held::count(txn, &ending.lost(), kept_back)?;
            ledger.finish(prepared.intents_through, kept_back)?;
            ledger.store(txn)?;
            for (number, (id, generation)) in replaced.iter().enumerate() {
                txn.delete(Space::Page, id.row_key(*generation));
                txn.delete(Space::Doomed, doomed_key(epoch, number));
            }
            if replaced.is_empty() {
                // Those of an epoch that another process has prepared.
                for (key, row) in txn.rows(Space::Doomed, &epoch.to_be_bytes(), &[], usize::MAX)? {
                    txn.delete(Space::Page, row);
                    txn.delete(Space::Doomed, key);
                }
            }
            delete_below(txn, Space::Root, &old.to_be_bytes())?;
            let state = State { current: epoch, reserved, prepared: None };
            txn.put(Space::Meta, STATE, state.encode());
            Ok((kept_back, gone))
        })?;
        fault::point("epoch_finished");
        self.work.checkpoint.tell(self.work.committer.log_size()); // receipts are shown with one
        if kept_back > 0 {
            self.shared.held.fetch_add(kept_back, Ordering::Relaxed);
            self.slots_changed();
        }
        for (id, generation) in std::mem::take(&mut *self.replaced.lock()).into_iter().chain(gone) {
            self.work.pages.cache().remove(id, generation);
        }
        *self.ahead.lock() = Some(next);
        let mut asked = self.shared.asked.lock();
        asked.pending = asked.pending.saturating_sub(carried_out);
        if asked.pending > 0 {
            asked.due = Some(Instant::now());
        }
        asked.sweep |= turned;
        Ok(Done { through: prepared.intents_through, epoch })
    }

    /// Deletes most of what a large prefix holds before the batch that ends the intents, which so stays small. A crash
    /// between leaves less to delete. Open copies of pages go with their rows.
    fn delete_ahead(&self, intents: &[(u64, Intent)]) -> Result<(), Halt> {
        let large = || intents.iter().map(|(_, intent)| intent).filter(|intent| !is_small(intent));
        let trees = large().filter_map(|intent| intent.gone_tree());
        let pages = trees.map(|tree| (Space::Page, tree.row_prefix(), Some(tree)));
        let rows = large().flat_map(|intent| &intent.rows);
        let rows = rows.filter(|row| row.prefix && !is_removed_unread(row.space));
        let below: Vec<_> = rows.map(|row| (row.space, row.key.clone(), None)).chain(pages).collect();
        for (space, prefix, tree) in below {
            let scan = || self.work.engine.scan(space, &prefix, &[], SWEEP_ROWS_MAX);
            let mut rows = scan().map_err(Refusal::from)?;
            while rows.len() == SWEEP_ROWS_MAX {
                let keys: Vec<Vec<u8>> = rows.into_iter().map(|(key, _)| key).collect();
                let open: Vec<_> =
                    tree.iter().flat_map(|tree| keys.iter().filter_map(|key| PageId::of_row(*tree, key))).collect();
                self.commit(move |txn| {
                    keys.into_iter().for_each(|key| txn.delete(space, key));
                    Ok(())
                })?;
                open.into_iter().for_each(|(id, generation)| self.work.pages.cache().remove(id, generation));
                rows = scan().map_err(Refusal::from)?;
            }
        }
        Ok(())
    }

    /// The statements of what was carried out, made beside the writer's thread, and the former slots that they rely on;
    /// none while a slot is lost.
    fn statements(&self, intents: &[(u64, Intent)], carried: &Carried) -> (Vec<FormerSlot>, Vec<Option<Signed>>) {
        let former = self.work.slots.former();
        if former.iter().any(FormerSlot::is_lost) {
            return (former, vec![None; intents.len()]);
        }
        let attested = held::attestations(&former);
        let sign =
            |intent: &Intent| Some(self.work.receipts.sign(&intent.receipt, intent.case.as_ref()?, carried, &attested));
        let statements = intents.iter().map(|(_, intent)| sign(intent)).collect();
        (former, statements)
    }
}

/// Whether its rows are few, as its keys are: most people have some items, and each of these some rows.
fn is_small(intent: &Intent) -> bool {
    let keys = |case: &Case| {
        let kept = case.kept_list.as_ref().map_or(case.kept.len() as u64, |list| list.count);
        case.keys.count + kept
    };
    intent.case.as_ref().is_some_and(|case| keys(case) <= KEYS_OF_FEW_ROWS)
}

/// So many keys have no more rows than one batch takes.
const KEYS_OF_FEW_ROWS: u64 = 100;

/// Deletes the pages of a tree that is gone, and what is known of its positions. The pages, so that open copies go too.
fn delete_tree(txn: &mut Txn<'_>, tree: Tree) -> Result<Vec<(PageId, u64)>, Refusal> {
    delete_below(txn, Space::Free, &tree.row_prefix())?;
    let mut pages = Vec::new();
    for (key, _) in txn.rows(Space::Page, &tree.row_prefix(), &[], usize::MAX)? {
        pages.extend(PageId::of_row(tree, &key));
        txn.delete(Space::Page, key);
    }
    Ok(pages)
}
