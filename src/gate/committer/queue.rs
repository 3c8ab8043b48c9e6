//! Whose turn it is.

use std::collections::VecDeque;
use std::time::Instant;

use super::change::Queued;
use crate::base::limits::{COMMIT_BULK_FROM, COMMIT_BULK_MAX, COMMIT_GROUP_MAX, COMMIT_QUEUE_MAX};
use crate::gate::refusal::Unavailable;

#[derive(Default)]
pub(super) struct Queue {
    /// What goes ahead of everything else: what ends data, and the epochs that carry it out.
    pub(super) first: VecDeque<Queued>,
    pub(super) jobs: VecDeque<Queued>,
    /// What calls bring many at a time, by call: each takes its turn with all others, so that nobody waits for all.
    pub(super) bulk: VecDeque<Vec<Queued>>,
    bulk_was_last: bool,
    pub(super) since: Option<Instant>,
    pub(super) stopping: bool,
}

/// When a change has its turn.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// After those that came before it.
    InOrder,
    /// With the others of its call, taking turns with all others.
    Bulk,
    /// Ahead of all others.
    First,
    /// The same, and need not be durable by itself: nobody is told before a later change is.
    FirstFollowed,
    /// Ahead of all others, in a group of its own.
    Alone,
    /// As in order, and need not be durable: it can be made anew.
    Derived,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.first.len() + self.jobs.len() + self.bulk_len()
    }

    fn bulk_len(&self) -> usize {
        self.bulk.iter().map(Vec::len).sum()
    }

    /// Puts changes into their line, if it takes as many.
    pub(super) fn put(&mut self, turn: Turn, jobs: Vec<Queued>) -> Result<(), Unavailable> {
        let waiting = match turn {
            Turn::InOrder | Turn::Derived => self.jobs.len(),
            Turn::Bulk => self.bulk_len(),
            Turn::First | Turn::FirstFollowed | Turn::Alone => self.first.len(),
        };
        if waiting + jobs.len() > COMMIT_QUEUE_MAX {
            return Err(Unavailable::Overloaded);
        }
        match turn {
            Turn::InOrder | Turn::Derived => self.jobs.extend(jobs),
            Turn::Bulk => self.bulk.push_back(jobs),
            Turn::First | Turn::FirstFollowed | Turn::Alone => self.first.extend(jobs),
        }
        Ok(())
    }

    /// One change that must be alone, those of a call that brought many, or as many others as a group takes, those that go
    /// first at its head.
    pub(super) fn take_group(&mut self) -> Vec<Queued> {
        let is_alone = |queued: &Queued| queued.job.turn() == Turn::Alone;
        if self.first.front().is_some_and(is_alone) {
            return self.first.drain(..1).collect();
        }
        let is_bulks_turn = self.first.is_empty() && self.jobs.is_empty() || !self.bulk_was_last;
        self.bulk_was_last = is_bulks_turn && !self.bulk.is_empty();
        if self.bulk_was_last {
            return self.take_bulk();
        }
        let joint = self.first.iter().take(COMMIT_GROUP_MAX).take_while(|queued| !is_alone(queued)).count();
        let others = self.jobs.len().min(COMMIT_GROUP_MAX - joint);
        self.first.drain(..joint).chain(self.jobs.drain(..others)).collect()
    }

    /// The changes of one call, and of further ones as far as they are few.
    fn take_bulk(&mut self) -> Vec<Queued> {
        let mut group = self.bulk.pop_front().unwrap_or_default();
        while self.bulk.front().is_some_and(|next| group.len() + next.len() <= COMMIT_BULK_MAX) {
            group.extend(self.bulk.pop_front().unwrap_or_default());
        }
        group
    }
}

/// The turn of that many changes of one call.
pub(super) fn turn_of(count: usize) -> Turn {
    if count < COMMIT_BULK_FROM { Turn::InOrder } else { Turn::Bulk }
}
