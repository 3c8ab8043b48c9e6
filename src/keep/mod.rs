//! What keeps an item besides its subject's account: matters with their holds, statutory periods, and the item versions
//! that only they keep.
//!
//! What lives here: the records, and the one place that decides who keeps a version ([`keeping`]). What may not: reading
//! items, and deciding who may ask.
//!
//! Each reason has a tree of keys of its own. Its first keys authenticate the reason and, of a matter, its holds; the
//! others are copies of the keys of item versions that the account no longer keeps. INVARIANT: a version's key is copied
//! to every reason that keeps it in the batch that lodges the forgetting of the original, decided by the reasons as that
//! batch finds them. INVARIANT: nothing here names a person but by random ids.

pub mod history;
pub mod hold;
pub mod keeping;
pub mod kept;
pub mod list;
pub mod matter;
pub mod period;

const VERSION: u8 = 1;

use crate::base::id::{MatterId, ReasonId};
use crate::base::time::Timestamp;
use crate::catalog::statutory::PeriodId;
use crate::gate::txn::{Fault, Reads};

/// Why something is kept although its account does not keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// Holds under a matter.
    Matter(MatterId),
    /// A statutory period.
    Period {
        /// Which.
        id: PeriodId,
        /// When it ends.
        end: Timestamp,
    },
}

/// The reason that a matter is.
pub fn reason_of(matter: MatterId) -> ReasonId {
    ReasonId::from_bytes(*matter.as_bytes())
}

/// The reason that has a copy of a version's key. Every copy of a matter's is for some hold of it; a period has none.
pub fn reason_for(reads: &dyn Reads, copy: &kept::Copy) -> Result<Reason, Fault> {
    if !copy.holds.is_empty() {
        return Ok(Reason::Matter(MatterId::from_bytes(*copy.reason.as_bytes())));
    }
    let period = period::find(reads, copy.reason)?.ok_or(Fault::Torn)?;
    Ok(Reason::Period { id: period.period, end: period.end })
}
