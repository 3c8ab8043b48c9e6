//! `[[end_users]]`: issuers of people's tokens.

use std::collections::HashSet;
use std::path::PathBuf;

use serde::Deserialize;

use super::{Config, ConfigFault, value};
use crate::base::limits::{END_USER_ISSUERS_MAX, END_USER_NAME_BYTES_MAX};
use crate::bearer::check::Trust;
use crate::server::https::url::Url;

/// An issuer whose tokens are believed.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndUserIssuer {
    /// The claim `iss`, exactly.
    pub issuer: String,
    /// What the claim `aud` must name.
    pub audience: String,
    /// What stands before `sub` in a person's external id.
    #[serde(default)]
    pub subject_prefix: String,
    /// The issuer's keys, in a file.
    pub jwks_file: Option<PathBuf>,
    /// The issuer's keys, at an https address, or at an http one on this machine.
    pub jwks_url: Option<String>,
    /// The authorities of that address, in PEM.
    pub ca_file: Option<PathBuf>,
}

impl EndUserIssuer {
    /// What it is trusted for.
    pub fn trust(&self) -> Trust {
        Trust {
            issuer: self.issuer.clone(),
            audience: self.audience.clone(),
            subject_prefix: self.subject_prefix.clone(),
        }
    }
}

impl Config {
    pub(super) fn validate_end_users(&self) -> Result<(), ConfigFault> {
        let mut seen = HashSet::new();
        for issuer in &self.end_users {
            let named = [&issuer.issuer, &issuer.audience];
            if named.iter().any(|name| name.is_empty() || name.len() > END_USER_NAME_BYTES_MAX) {
                return Err(value("end_users", "names no issuer or no audience, or one of more than 1024 bytes"));
            }
            if !seen.insert(&issuer.issuer) {
                return Err(value("end_users.issuer", "names one issuer twice; keep one entry"));
            }
            validate_source(issuer)?;
        }
        if self.end_users.len() > END_USER_ISSUERS_MAX {
            let advice = format!("names more than {END_USER_ISSUERS_MAX} issuers");
            return Err(ConfigFault::Value { key: "end_users", advice });
        }
        self.validate_prefixes()
    }

    /// INVARIANT: no issuer can choose a `sub` that leads to a person of another issuer's.
    fn validate_prefixes(&self) -> Result<(), ConfigFault> {
        for (at, one) in self.end_users.iter().enumerate() {
            if one.subject_prefix.len() > PREFIX_BYTES_MAX {
                return Err(value("end_users.subject_prefix", "is longer than 64 bytes"));
            }
            for other in &self.end_users[at + 1..] {
                let (a, b) = (&one.subject_prefix, &other.subject_prefix);
                if a.starts_with(b.as_str()) || b.starts_with(a.as_str()) {
                    let advice = "with several issuers each needs one, and none may begin with another: otherwise one \
                                  issuer could speak for the people of another";
                    return Err(value("end_users.subject_prefix", advice));
                }
            }
        }
        Ok(())
    }
}

fn validate_source(issuer: &EndUserIssuer) -> Result<(), ConfigFault> {
    match (&issuer.jwks_file, &issuer.jwks_url, &issuer.ca_file) {
        (Some(_), None, None) => Ok(()),
        (None, Some(text), ca) => {
            let url = Url::parse(text).map_err(|error| value("end_users.jwks_url", &error.to_string()))?;
            match (url.is_tls(), ca) {
                (true, Some(_)) | (false, None) => Ok(()),
                (true, None) => {
                    Err(value("end_users.ca_file", "is needed with https: name the authority's certificate"))
                }
                (false, Some(_)) => Err(value("end_users.ca_file", "is of no use with http")),
            }
        }
        _ => Err(value("end_users", "needs exactly one of jwks_file and jwks_url; ca_file goes with jwks_url")),
    }
}

/// A prefix leaves room for the `sub` in an external id.
const PREFIX_BYTES_MAX: usize = 64;
