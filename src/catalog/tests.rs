//! Tests of whole values: tables per class, frozen encodings, masks, the registry and the shipped sample.

mod contact;
mod encoding;
mod events;
mod government_id;
mod masks;
mod password;
mod payment;
mod people;
mod registry;
mod samples;
mod texts;
