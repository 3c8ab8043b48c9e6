//! Who may look for people by an identifier that items hold: who may see it in full.
//!
//! Whoever finds a person by an identifier knows from then on that it is theirs, however little of it any view shows. So a
//! search needs the plain view of the fields that the identifier is made of, for the purpose, by policy and catalog. A
//! policy can permit that for `FindSubjects` alone, to a role that otherwise sees less.

use crate::base::log_safe::SafeText;
use crate::catalog::class::{ClassDef, IdentifierField};
use crate::catalog::classes::class_of;
use crate::gate::refusal::Access;
use crate::gate::standpoint::Standpoint;
use crate::policy::question::Resource;

/// The rule that permits to find a person by an identifier in items of a class.
///
/// # Errors
/// A denial, told as far as the role may know.
pub fn permit(at: &Standpoint, data: Resource, field: IdentifierField) -> Result<SafeText, Access> {
    let class = data.class().and_then(|class| class_of(class.as_str()));
    // Of a class that has no such identifier nobody can be found: nothing is conceded to it.
    let fields = class.map(|class| class.confirmed_by(field).unwrap_or(class.fields)).unwrap_or_default();
    Ok(at.permit_in_full(data, fields)?.rule().clone())
}

/// The same by any of the identifiers that the class has.
///
/// # Errors
/// As for [`permit`], if it is denied by all of them.
pub fn permit_by_any(at: &Standpoint, data: &Resource) -> Result<SafeText, Access> {
    let class = data.class().and_then(|class| class_of(class.as_str()));
    let fields = class.map(|class| class.identifiers).unwrap_or_default().iter();
    let mut denied = None;
    for outcome in fields.map(|found_by| permit(at, data.clone(), found_by.field)) {
        match outcome {
            Ok(rule) => return Ok(rule),
            Err(access) => denied = Some(access),
        }
    }
    denied.map_or_else(|| Ok(at.permit(data.clone())?.rule().clone()), Err)
}

/// Whether anybody may be looked for by an identifier of a class, as far as that can be said of nobody in particular.
///
/// # Errors
/// A denial, which can be told to everybody.
pub fn may(at: &Standpoint, class: &ClassDef, field: IdentifierField) -> Result<(), Access> {
    at.may_touch_in_full(class.id, class.confirmed_by(field).unwrap_or_default())
}
