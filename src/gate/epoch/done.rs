//! Which epochs carried out what, for those who wait for it.

use std::collections::VecDeque;

use crate::base::limits::EPOCHS_REMEMBERED;

/// An epoch that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Every intent up to this one is carried out.
    pub through: u64,
    /// By this epoch, or one before it.
    pub epoch: u64,
}

/// The epochs of late, oldest first. What is in it stays true: who looks late must not wait for what is over.
#[derive(Default)]
pub(super) struct Finished(VecDeque<Done>);

impl Finished {
    /// Adds the newest.
    pub(super) fn push(&mut self, done: Done) {
        if self.0.len() == EPOCHS_REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(done);
    }

    /// The epoch that carried out an intent; none if that is to come.
    pub(super) fn epoch_of(&self, intent: u64) -> Option<u64> {
        self.0.iter().find(|done| done.through >= intent).map(|done| done.epoch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intent_is_carried_out_by_the_first_epoch_that_reaches_it() {
        let mut finished = Finished::default();
        assert_eq!(finished.epoch_of(1), None);
        finished.push(Done { through: 3, epoch: 7 });
        finished.push(Done { through: 5, epoch: 8 });
        assert_eq!(
            [1, 3, 4, 5, 6].map(|intent| finished.epoch_of(intent)),
            [7, 7, 8, 8, 0].map(|e| (e > 0).then_some(e))
        );
        for number in 0..EPOCHS_REMEMBERED as u64 {
            finished.push(Done { through: 6 + number, epoch: 9 + number });
        }
        assert_eq!(finished.epoch_of(6), Some(9), "it is bounded, and forgets the oldest first");
        assert_eq!(finished.epoch_of(1), Some(9));
    }
}
