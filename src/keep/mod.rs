//! What keeps an item besides its subject's account: matters, their holds, and the item versions that only they keep.
//!
//! What lives here: the records, and the one place that decides who keeps a version ([`keeping`]). What may not: reading
//! items, and deciding who may ask.
//!
//! Each reason has a tree of keys of its own. Its first keys authenticate the matter and its holds; the others are copies
//! of the keys of item versions that the account no longer keeps. INVARIANT: a version's key is copied to every reason
//! that keeps it in the batch that lodges the forgetting of the original, decided by the holds as that batch finds them.
//! INVARIANT: nothing here names a person but by random ids.

pub mod hold;
pub mod keeping;
pub mod kept;
pub mod matter;

const VERSION: u8 = 1;

use crate::base::id::{MatterId, ReasonId};

/// The reason that a matter is.
pub fn reason_of(matter: MatterId) -> ReasonId {
    ReasonId::from_bytes(*matter.as_bytes())
}
