//! What may be held, and why.
//!
//! Here live the classes of personal data - their fields, canonical forms, checks, masks, identifiers and stored form -
//! and the registry of purposes. Callers, roles, keys and storage do not; nor do I/O, clocks, randomness and async.
//! INVARIANT: nothing here prints a value: errors name a field and a reason, and only ids from this source code or
//! from the operator's registry may be logged.
//!
//! The way of a value: the edge builds an `ItemValue` from a message; `ItemValue::validate` makes it a
//! `CanonicalValue` or says what is wrong; `encode` and `decode` take it to the store and back; `mask` builds what a
//! view shows of it, again an `ItemValue`.

// Words of the catalogue
pub mod media;
pub mod path;
pub mod text;
pub mod validate;
pub mod view;

// Kinds of field, what a class is, how it is masked
pub mod class;
pub mod fields;
mod mask;
pub mod sight;

// The classes
pub mod classes;

// The registry
pub mod period;
pub mod purpose;
pub mod registry;
pub mod statutory;

#[cfg(test)]
mod tests;
