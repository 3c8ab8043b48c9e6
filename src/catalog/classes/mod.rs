//! The classes: one file each.
//!
//! A new class is one file that implements `ClassValue`, and its three lines below; how its message becomes a value is
//! one more file, in `api/convert/value`. No file here uses another, but for the parts that several classes are made of
//! (`postal_address`). INVARIANT: what is stored was canonical, so only `CanonicalValue` can be encoded.

pub mod access_event;
pub mod communication;
pub mod contact;
pub mod document;
pub mod government_id;
pub mod password;
pub mod payment;
pub mod postal_address;
pub mod usage_event;

pub use access_event::AccessEvent;
pub use communication::Communication;
pub use contact::Contact;
pub use document::Document;
pub use government_id::GovernmentId;
pub use password::Password;
pub use payment::Payment;
pub use usage_event::UsageEvent;

use super::class::{ClassDef, ClassId, Identifier, Selection};
use super::mask::Masker;
use super::sight::{Altered, Sight};
use super::text::Text;
use super::validate::{Check, Violations};
use super::view::View;
use crate::base::codec::{Malformed, Reader};
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;

macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident,)*) => {
        /// One typed value: as a caller gives it, or as a view shows it. Not known to be valid.
        pub enum ItemValue { $($(#[$doc])* $class($class),)* }

        /// Every class there is, in the order of the contract.
        pub static CLASSES: &[ClassDef] = &[$($class::DEF),*];

        impl ItemValue {
            /// Its class.
            pub fn class(&self) -> &'static ClassDef {
                let id = match self { $(Self::$class(_) => $class::DEF.id,)* };
                CLASSES.iter().find(|class| class.id == id).expect("every variant is in the list it is made from")
            }

            /// A value of a class with nothing in it; none if there is no such class.
            fn blank(class: ClassId) -> Option<Self> {
                $(if class == $class::DEF.id {
                    return Some(Self::$class($class::default()));
                })*
                None
            }

            fn canonicalise(&mut self, check: &mut Check) {
                match self { $(Self::$class(value) => value.canonicalise(check),)* }
            }

            pub(super) fn masked(&self, masker: &mut Masker<'_>) -> Self {
                match self { $(Self::$class(value) => Self::$class(value.masked(masker)),)* }
            }

            pub(super) fn encode(&self) -> PlainValue {
                match self { $(Self::$class(value) => value.encode(),)* }
            }

            fn identifiers(&self) -> Vec<Identifier> {
                match self { $(Self::$class(value) => value.identifiers(),)* }
            }

            fn strip(&mut self) {
                match self { $(Self::$class(value) => value.strip(),)* }
            }

            fn time(&self) -> Option<Timestamp> {
                match self { $(Self::$class(value) => value.time(),)* }
            }

            fn decode(class: ClassId, version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
                $(if class == $class::DEF.id {
                    return $class::decode(version, reader).map(Self::$class);
                })*
                Err(DecodeError::Version)
            }
        }
    };
}

classes! {
    /// How to reach a person.
    Contact,
    /// A government identity document.
    GovernmentId,
    /// A means of payment that a payment partner holds.
    Payment,
    /// A secret that can be tested and never read.
    Password,
    /// One exchange with a person.
    Communication,
    /// One visit of a person to a page or an interface.
    AccessEvent,
    /// One use of a metered resource.
    UsageEvent,
    /// The description of a stored file.
    Document,
}

/// The class of that id, whether or not the registry enables it: for records that name their class.
pub fn class_of(id: &str) -> Option<&'static ClassDef> {
    CLASSES.iter().find(|class| class.id.as_str() == id)
}

/// The fields that are not shown in full, whatever a value of the class holds. `EXISTS` shows nothing and lists none.
pub fn hidden_fields(class: ClassId, sight: &Sight) -> Vec<Altered> {
    let mut masker = Masker::survey(sight);
    let view = class_of(class.as_str()).map_or(View::Exists, |class| sight.view().min(class.view_max()));
    if let Some(blank) = ItemValue::blank(class).filter(|_| view > View::Exists) {
        blank.masked(&mut masker);
    }
    masker.into_altered()
}

impl ItemValue {
    /// Brings the value to its canonical form, or says everything that is wrong with it.
    ///
    /// # Errors
    /// Every field that was refused, never with its value.
    pub fn validate(mut self) -> Result<CanonicalValue, Violations> {
        let mut check = Check::default();
        self.canonicalise(&mut check);
        check.finish().map(|()| CanonicalValue(self))
    }
}

/// A value in its canonical form: it has passed the checks of its class, or was stored after it did.
pub struct CanonicalValue(ItemValue);

impl CanonicalValue {
    /// Its class.
    pub fn class(&self) -> &'static ClassDef {
        self.0.class()
    }

    /// The value.
    pub fn value(&self) -> &ItemValue {
        &self.0
    }

    /// Takes out a secret that is to become a verifier, if the value is one: without it, nothing of it can be stored.
    pub fn take_secret(&mut self) -> Option<Text> {
        match &mut self.0 {
            ItemValue::Password(password) if !password.secret.is_empty() => Some(std::mem::take(&mut password.secret)),
            _ => None,
        }
    }

    /// The value, no longer known to be canonical.
    pub fn into_value(self) -> ItemValue {
        self.0
    }

    /// The value as bytes: a version, then its fields. The form is part of the on-disk format.
    pub fn encode(&self) -> PlainValue {
        self.0.encode()
    }

    /// Reads a value of a class back from its bytes. Trusts that they were encoded here, as a seal shows: the class's
    /// rules, which may have become stricter since, are not applied again.
    ///
    /// # Errors
    /// `Version` for bytes of a newer vault, `Malformed` for anything else that `encode` does not write.
    pub fn decode(class: ClassId, bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8()?;
        let value = ItemValue::decode(class, version, &mut reader)?;
        reader.finish()?;
        Ok(Self(value))
    }

    /// What is seen of the value, and the fields that were altered or left out. Fields outside the
    /// selection are absent and not listed. `EXISTS` shows nothing at all.
    pub fn mask(&self, sight: &Sight, selection: &Selection) -> (Option<ItemValue>, Vec<Altered>) {
        if sight.view().min(self.class().view_max()) == View::Exists {
            return (None, Vec::new());
        }
        let mut masker = Masker::new(sight, selection);
        let masked = self.0.masked(&mut masker);
        (Some(masked), masker.into_altered())
    }

    /// As [`CanonicalValue::mask`], for a value that is not needed any more: where all of it is seen, nothing is copied.
    pub fn show(self, sight: &Sight, selection: &Selection) -> (Option<ItemValue>, Vec<Altered>) {
        if sight.is_whole() && selection.is_all() && self.class().view_max() == View::Plain {
            let mut whole = self.0;
            whole.strip();
            (Some(whole), Vec::new())
        } else {
            self.mask(sight, selection)
        }
    }

    /// When what it tells of took place; every value of a class that is kept as events says so.
    pub fn time(&self) -> Option<Timestamp> {
        self.0.time()
    }

    /// Its identifiers, each once.
    pub fn identifiers(&self) -> Vec<Identifier> {
        let mut distinct: Vec<Identifier> = Vec::new();
        for found in self.0.identifiers() {
            let known = |i: &Identifier| i.field == found.field && i.value.expose() == found.value.expose();
            if !distinct.iter().any(known) {
                distinct.push(found);
            }
        }
        distinct
    }
}

/// What the value of a class does. Implemented once per class, in its own file.
pub(super) trait ClassValue: Sized {
    /// What the class is known by.
    const DEF: ClassDef;

    /// Brings the value to its canonical form, or notes why it has none.
    fn canonicalise(&mut self, check: &mut Check);

    /// The value with every field passed through the masker.
    fn masked(&self, masker: &mut Masker<'_>) -> Self;

    /// The canonical value as bytes, beginning with a version; the order of fields within a version is permanent.
    fn encode(&self) -> PlainValue;

    /// Reads back what `encode` wrote in that version.
    fn decode(version: u8, reader: &mut Reader<'_>) -> Result<Self, DecodeError>;

    /// The identifiers in the canonical value.
    fn identifiers(&self) -> Vec<Identifier>;

    /// Removes what the vault keeps in the value for itself, and no view shows.
    fn strip(&mut self) {}

    /// When what it tells of took place. A class that is kept as events requires it.
    fn time(&self) -> Option<Timestamp> {
        None
    }
}

/// Why stored bytes are not a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer vault.
    #[error("the value has an unknown version")]
    Version,
    /// Not what `encode` writes.
    #[error("the value is malformed")]
    Malformed,
}

impl From<Malformed> for DecodeError {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
