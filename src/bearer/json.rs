//! JSON as security tokens need it: an object whose members are unique, at every depth.
//!
//! Two readers of one text must not see different members, so a repeated name refuses the whole text
//! (RFC 7515, section 4; RFC 7519, section 4).

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};

use crate::catalog::text::Text;

/// The text is not an object with unique members.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON object with unique members")]
pub struct Malformed;

/// A value. Texts are wiped when dropped: they may be a person's.
pub enum Json {
    /// `null`.
    Null,
    /// A truth value.
    Bool,
    /// A whole number that a time can be.
    Whole(i64),
    /// Any other number.
    Number,
    /// A text.
    Text(Text),
    /// A list.
    List(Vec<Json>),
    /// An object.
    Object(Members),
}

/// The members of an object.
#[derive(Default)]
pub struct Members(Vec<(String, Json)>);

impl Members {
    /// Reads an object.
    ///
    /// # Errors
    /// [`Malformed`].
    pub fn parse(text: &[u8]) -> Result<Self, Malformed> {
        match serde_json::from_slice(text) {
            Ok(Json::Object(members)) => Ok(members),
            _ => Err(Malformed),
        }
    }

    /// The member of a name.
    pub fn find(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// A text that may be missing.
    ///
    /// # Errors
    /// The member is something else.
    pub fn text(&self, name: &str) -> Result<Option<&str>, Malformed> {
        match self.find(name) {
            None => Ok(None),
            Some(Json::Text(text)) => Ok(Some(text.expose())),
            Some(_) => Err(Malformed),
        }
    }

    /// A whole number that may be missing.
    ///
    /// # Errors
    /// The member is something else.
    pub fn whole(&self, name: &str) -> Result<Option<i64>, Malformed> {
        match self.find(name) {
            None => Ok(None),
            Some(Json::Whole(number)) => Ok(Some(*number)),
            Some(_) => Err(Malformed),
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyJson)
    }
}

struct AnyJson;

impl<'de> Visitor<'de> for AnyJson {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON with unique members")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Json, E> {
        Ok(Json::Bool)
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(i64::try_from(number).map_or(Json::Number, Json::Whole))
    }

    fn visit_f64<E>(self, _: f64) -> Result<Json, E> {
        Ok(Json::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::Text(Text::from(text)))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Json, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = list.next_element()? {
            values.push(value);
        }
        Ok(Json::List(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Json, A::Error> {
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some(name) = object.next_key::<String>()? {
            // A token and a key set have few members; a set of names would cost more than it saves, and both are
            // bounded in size.
            if members.len() >= MEMBERS_MAX || members.iter().any(|(other, _)| *other == name) {
                return Err(A::Error::custom("repeated or too many members"));
            }
            members.push((name, object.next_value()?));
        }
        Ok(Json::Object(Members(members)))
    }
}

/// Members of one object; no token or key has nearly as many.
const MEMBERS_MAX: usize = 256;
