//! A person's typed values: one verb per file.
//!
//! Every verb takes an opened [`Call`](crate::gate::call::Call), asks the gate for a permit per class, and hands
//! changes and their audit events to the gate together. Clear values leave this folder only after the event that
//! records it is durable. Verbs never use one another.

pub mod check;
pub mod content;
pub mod create;
pub mod delete;
pub mod download;
pub mod draft;
pub mod ending;
pub mod events;
pub mod expiry;
pub mod find;
pub mod get;
pub mod going;
pub mod gone;
pub mod kept;
pub mod list;
pub mod model;
pub mod object;
pub mod outcome;
pub mod own;
pub mod page;
pub mod parting;
pub mod person;
pub mod put;
pub mod record;
pub mod recorded;
pub mod reindex;
pub mod repeat;
pub mod restrict;
pub mod rights;
pub mod rotate;
pub mod rows;
pub mod secret;
pub mod seek;
pub mod show;
pub mod subject;
pub mod update;
pub mod upload;
pub mod verify;

#[cfg(test)]
pub(crate) mod tests;
