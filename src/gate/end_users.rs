//! The issuers whose tokens for people are believed, and the keys each of them has now.
//!
//! Here nothing is read or fetched: whoever does that puts keys in, and is told when a token names a key that is not
//! known. INVARIANT: without keys that are still good, nobody of an issuer gets in.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use tokio::sync::{Notify, watch};

use super::refusal::{Access, EndUserFault, Refusal, Unavailable};
use crate::base::limits::{END_USER_FETCH_PAUSE, END_USER_FETCH_WAIT_MAX};
use crate::base::secret::PlainValue;
use crate::base::time::{Clock, Timestamp};
use crate::bearer::check::{self, Fault, Person, Trust, claimed_issuer};
use crate::bearer::jwks::KeySet;
use crate::bearer::jwt::Unverified;

/// What a call carries to speak for a person.
pub enum Presented {
    /// Nothing.
    Nothing,
    /// Something that is no token by its outer form.
    Unreadable,
    /// A token.
    Token(PlainValue),
}

/// The issuers that are trusted; none until they are named.
#[derive(Default)]
pub struct EndUsers(OnceLock<Vec<Arc<Issuer>>>);

/// An issuer, with the keys it has now.
pub struct Issuer {
    trust: Trust,
    held: ArcSwapOption<Held>,
    wanted: Notify,
    ended: watch::Sender<Ended>,
}

struct Held {
    keys: KeySet,
    /// When they stop being good; none for keys that are the operator's own files.
    until: Option<Timestamp>,
}

/// How the last attempt to get keys ended.
#[derive(Clone, Copy, Default)]
struct Ended {
    at: Option<Instant>,
    well: bool,
}

impl EndUsers {
    /// Names the issuers, once and before anybody calls.
    pub fn trust(&self, issuers: Vec<Arc<Issuer>>) {
        // A second time changes nothing: the first one is in force.
        let _ = self.0.set(issuers);
    }

    /// The issuers.
    pub fn issuers(&self) -> &[Arc<Issuer>] {
        self.0.get().map_or(&[], Vec::as_slice)
    }

    /// Whom a call speaks for.
    ///
    /// A token that names a key that is not known causes one fetch for all that wait for it, and the call waits for
    /// that a little.
    ///
    /// # Errors
    /// [`EndUserFault`]; [`Unavailable::IdentityProvider`] while the issuer's keys cannot be had.
    pub async fn person(&self, presented: &Presented, clock: &dyn Clock) -> Result<Person, Refusal> {
        let text = match presented {
            Presented::Nothing => return Err(refused(EndUserFault::Required)),
            Presented::Unreadable => return Err(refused(EndUserFault::Invalid)),
            Presented::Token(token) => std::str::from_utf8(token.expose()),
        };
        let text = text.map_err(|_| refused(EndUserFault::Invalid))?;
        let token = check::read(text).map_err(faulty)?;
        let issuer = claimed_issuer(&token).map_err(|malformed| faulty(malformed.into()))?;
        let issuer = self.issuers().iter().find(|known| known.trust.issuer == issuer);
        let issuer = issuer.ok_or(refused(EndUserFault::Invalid))?;
        if !issuer.knows_key_of(&token, clock.now()) {
            issuer.wait_for_keys().await;
        }
        issuer.verify(&token, clock.now())
    }
}

impl Issuer {
    /// An issuer without keys.
    pub fn new(trust: Trust) -> Self {
        Self { trust, held: ArcSwapOption::empty(), wanted: Notify::new(), ended: watch::channel(Ended::default()).0 }
    }

    /// What it is trusted for.
    pub fn trusted(&self) -> &Trust {
        &self.trust
    }

    /// Puts new keys in the place of the old ones. They are good until then, or until others come.
    pub fn replace(&self, keys: KeySet, until: Option<Timestamp>) {
        self.held.store(Some(Arc::new(Held { keys, until })));
    }

    /// Whether there are keys that are still good.
    pub fn has_keys(&self, now: Timestamp) -> bool {
        self.good(now).is_some()
    }

    /// Tells those who wait that an attempt to get keys has ended, and how.
    pub fn attempt_ended(&self, well: bool) {
        self.ended.send_replace(Ended { at: Some(Instant::now()), well });
    }

    /// Whether the last attempt to get keys failed.
    pub fn is_failing(&self) -> bool {
        let ended = *self.ended.borrow();
        ended.at.is_some() && !ended.well
    }

    /// Waits until a token names a key that is not known, and the last attempt is long enough ago.
    pub async fn keys_wanted(&self) {
        loop {
            self.wanted.notified().await;
            if self.may_try() {
                return;
            }
        }
    }

    fn good(&self, now: Timestamp) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| held.until.is_none_or(|until| now < until))
    }

    fn knows_key_of(&self, token: &Unverified<'_>, now: Timestamp) -> bool {
        self.good(now).is_some_and(|held| held.keys.find(token.key_id.as_deref()).is_some())
    }

    fn may_try(&self) -> bool {
        self.ended.borrow().at.is_none_or(|at| at.elapsed() >= END_USER_FETCH_PAUSE)
    }

    async fn wait_for_keys(&self) {
        let mut ended = self.ended.subscribe();
        if self.may_try() {
            self.wanted.notify_one();
            // Over or not: what is known then decides.
            let _ = tokio::time::timeout(END_USER_FETCH_WAIT_MAX, ended.changed()).await;
        }
    }

    fn verify(&self, token: &Unverified<'_>, now: Timestamp) -> Result<Person, Refusal> {
        let Some(held) = self.good(now) else { return Err(Unavailable::IdentityProvider.into()) };
        let known = held.keys.find(token.key_id.as_deref()).is_some();
        // Only an answer of the issuer's can tell that it has no such key.
        if !known && (self.may_try() || !self.ended.borrow().well) {
            return Err(Unavailable::IdentityProvider.into());
        }
        check::verify(token, &held.keys, &self.trust, now).map_err(faulty)
    }
}

fn refused(fault: EndUserFault) -> Refusal {
    Access::EndUser(fault).into()
}

fn faulty(fault: Fault) -> Refusal {
    refused(match fault {
        Fault::Invalid => EndUserFault::Invalid,
        Fault::Expired => EndUserFault::Expired,
    })
}
