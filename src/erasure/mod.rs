//! Erasure of whole persons, and its evidence: receipts and what an erasure has come to.
//!
//! What goes with an erasure is decided in `items::going`; epochs carry it out and make the statement. Here are the verbs
//! that ask for it and that show the evidence. INVARIANT: nothing here names a person, but to who just named them.

pub mod evidence;
pub mod parting;
pub mod subject;
pub mod verify;
