//! What ends by itself: items that expire, and statutory periods.
//!
//! Items have rows by when they expire (`items::expiry`), periods by when they end (`keep::period`). A thread looks for what
//! is due and hands it on in steps, as DeleteItem and ReleaseHold would; it deletes nothing by itself, and everything it
//! does is in the log as the vault's own. INVARIANT: nothing goes before its time by the vault's clock, and nothing goes
//! while that clock or the amount that is due is implausible and nobody has confirmed exactly that.

pub mod confirm;
pub mod due;
mod each;
pub mod index;
pub mod state;
mod step;
pub mod sweeper;
#[cfg(test)]
mod tests;
