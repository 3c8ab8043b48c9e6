//! End-user tokens: what a person's issuer signed, read strictly and checked against that issuer's keys.
//!
//! Pure: no clock, no files, no network; who fetches keys and who asks is for higher tiers. What a token leads to is
//! a [`check::Person`], and only a verified signature makes one. INVARIANT: no error of this folder quotes a token,
//! and nothing of one is shown by `Debug`.

pub mod check;
pub mod json;
pub mod jwks;
pub mod jwt;

#[cfg(test)]
mod tests;
