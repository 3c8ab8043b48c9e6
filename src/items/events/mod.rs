//! Events: many small values, appended to the item of their day.
//!
//! A day (UTC) of one subject and class is one item with one key. Each batch appends what it has of a day as one
//! segment, sealed under that key; the day's row counts the segments and holds the running hash over them. So the
//! price of a batch goes with the days it touches, not with its events, and a day is forgotten like any item.
//!
//! ```text
//! incoming   one event: checked, canonical, of a day that is neither over nor to come
//! append     on the writer's thread: a segment to the item of a day, which is begun if there is none
//! once       a batch with a key is stored once
//! record     RecordEvents: batch by batch, each with one sync
//! gather     the next events of a person in order of time, with bounded memory
//! resume     where a reading goes on
//! read       ReadEvents: message by message, recorded before it is revealed
//! ```

mod append;
mod gather;
mod incoming;
pub mod model;
mod once;
pub mod read;
pub mod record;
mod resume;
