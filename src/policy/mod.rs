//! May this caller do this, for this purpose.
//!
//! Who a caller is and what it may do is decided here from values alone: no I/O, no clock, no certificate and no
//! token is read in this folder. INVARIANT: whoever and whatever is not named is refused.

pub mod action;
mod answers;
pub mod bindings;
pub mod caller;
pub mod decide;
pub mod matrix;
pub mod policies;
pub mod question;
pub mod rules;
pub mod schema;

#[cfg(test)]
mod tests;
