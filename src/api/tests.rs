//! What the wire takes, what it refuses, and what a refusal never says.

mod converting;
mod erasing;
mod limits;
mod messages;
mod purging;
mod refusals;
mod streams;
mod wire;
