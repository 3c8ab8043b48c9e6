//! The loaded set of purposes and classes: the cap on what anybody may do.
//!
//! It names no callers and no roles: who may do what within the cap is for access rules to say. What it does not name
//! is refused.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::class::{ClassDef, ClassId};
use super::classes::{CLASSES, class_of};
use super::period::Period;
use super::purpose::{LegalBasis, Purpose, PurposeId};
use super::sight::FieldCaps;
use super::statutory::{self, Align, PeriodId, Statutory};
use super::view::View;
use crate::base::limits::{DESCRIPTION_BYTES_MAX, PERIODS_MAX, PURPOSES_MAX, REGISTRY_ID_BYTES_MAX};

/// The registry that is used where the operator states none.
pub const DEFAULT: &str = include_str!("../../examples/catalog.toml");

/// The purposes and classes in force.
pub struct Registry {
    version: u32,
    purposes: BTreeMap<String, Purpose>,
    classes: BTreeMap<ClassId, ClassRule>,
    periods: Vec<Statutory>,
}

/// What the registry says of an enabled class.
pub struct ClassRule {
    /// The class itself.
    pub class: &'static ClassDef,
    /// How long an item is kept at most; none for as long as the account lasts.
    pub keep_max: Option<Period>,
    /// The purposes of an item whose writer states none.
    pub default_purposes: Vec<PurposeId>,
}

impl Registry {
    /// Reads a registry.
    ///
    /// # Errors
    /// The first thing that is wrong with it. Unknown keys are errors.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let file: File = toml::from_str(text).map_err(|e| RegistryError::Syntax {
            line: e.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1),
            message: e.message().to_owned(),
        })?;
        if file.version == 0 {
            return Err(RegistryError::Version);
        }
        if file.purposes.is_empty() || file.purposes.len() > PURPOSES_MAX {
            return Err(RegistryError::PurposeCount);
        }
        for id in file.classes.keys() {
            class_of(id).ok_or_else(|| RegistryError::UnknownClass { at: "classes".into(), class: id.clone() })?;
        }
        let mut purposes = BTreeMap::new();
        for (id, entry) in &file.purposes {
            purposes.insert(id.clone(), purpose(id, entry, &file.classes)?);
        }
        let mut classes = BTreeMap::new();
        for class in CLASSES {
            if let Some(entry) = file.classes.get(class.id.as_str()).filter(|entry| entry.enabled) {
                classes.insert(class.id, class_rule(class, entry, &purposes)?);
            }
        }
        let periods = periods(&file)?;
        Ok(Self { version: file.version, purposes, classes, periods })
    }

    /// The version the operator gave it.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// The purpose of that id.
    pub fn purpose(&self, id: &str) -> Option<&Purpose> {
        self.purposes.get(id)
    }

    /// Every purpose, by id.
    pub fn purposes(&self) -> impl Iterator<Item = &Purpose> {
        self.purposes.values()
    }

    /// The class of that id, if it is enabled.
    pub fn class(&self, id: &str) -> Option<&ClassRule> {
        self.classes.get(&class_of(id)?.id)
    }

    /// Every enabled class, by id.
    pub fn classes(&self) -> impl Iterator<Item = &ClassRule> {
        self.classes.values()
    }

    /// Every statutory period, by id.
    pub fn periods(&self) -> &[Statutory] {
        &self.periods
    }

    /// The statutory periods that keep items of a class.
    pub fn periods_of(&self, class: ClassId) -> impl Iterator<Item = &Statutory> {
        self.periods.iter().filter(move |period| period.class == class)
    }

    /// The highest view of a class under a purpose; none if the class is not enabled or may not be processed for it.
    pub fn cap(&self, purpose: &PurposeId, class: ClassId) -> Option<View> {
        let enabled = self.classes.contains_key(&class);
        self.purposes.get(purpose.as_str()).filter(|_| enabled)?.caps.get(&class).copied()
    }

    /// The fields of a class that show less under a purpose than the class does.
    pub fn field_caps(&self, purpose: &PurposeId, class: ClassId) -> FieldCaps {
        let purpose = self.purposes.get(purpose.as_str());
        purpose.and_then(|purpose| purpose.fields.get(&class)).cloned().unwrap_or_default()
    }
}

/// Why a registry was not loaded. Quotes the registry, which holds nothing personal.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// Not TOML of the expected shape.
    #[error("line {line}: {message}")]
    Syntax {
        /// The line, from 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// The version is 0.
    #[error("version must be at least 1")]
    Version,
    /// No purposes, or too many.
    #[error("there must be 1 to {PURPOSES_MAX} purposes")]
    PurposeCount,
    /// Too many statutory periods.
    #[error("there must be at most {PERIODS_MAX} periods")]
    PeriodCount,
    /// An id that is not of the form of ids.
    #[error("{at}.{id}: an id is a letter, then letters, digits, `_` and `-`, all lower case, 63 at most")]
    MalformedId {
        /// Of what.
        at: &'static str,
        /// The id.
        id: String,
    },
    /// A class that does not exist, or that the file has no section for.
    #[error("{at}: unknown class {class}")]
    UnknownClass {
        /// Where it is named.
        at: String,
        /// The class.
        class: String,
    },
    /// A default purpose that does not exist, or under which the class may not be processed.
    #[error("classes.{class}.default_purposes: {purpose} is no purpose of this class")]
    DefaultPurpose {
        /// The class.
        class: ClassId,
        /// The purpose.
        purpose: String,
    },
    /// A value that its key does not take.
    #[error("{at}: {reason}")]
    Value {
        /// The key.
        at: String,
        /// What it takes.
        reason: &'static str,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: u32,
    purposes: BTreeMap<String, PurposeEntry>,
    classes: BTreeMap<String, ClassEntry>,
    #[serde(default)]
    periods: BTreeMap<String, PeriodEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PurposeEntry {
    description: String,
    legal_basis: LegalBasis,
    keep: String,
    classes: BTreeMap<String, String>,
    #[serde(default)]
    fields: BTreeMap<String, BTreeMap<String, String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ClassEntry {
    enabled: bool,
    keep: Option<String>,
    default_purposes: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PeriodEntry {
    class: String,
    legal_basis: String,
    from: statutory::From,
    period: String,
    #[serde(default)]
    align: Align,
}

fn periods(file: &File) -> Result<Vec<Statutory>, RegistryError> {
    if file.periods.len() > PERIODS_MAX {
        return Err(RegistryError::PeriodCount);
    }
    let mut periods = Vec::with_capacity(file.periods.len());
    for (id, entry) in &file.periods {
        if !is_id(id) {
            return Err(RegistryError::MalformedId { at: "periods", id: id.clone() });
        }
        if entry.legal_basis.is_empty() || entry.legal_basis.len() > DESCRIPTION_BYTES_MAX {
            return Err(value_error(format!("periods.{id}.legal_basis"), "1 to 512 bytes are needed"));
        }
        let class = class_of(&entry.class).filter(|_| file.classes.contains_key(&entry.class));
        let unknown = || RegistryError::UnknownClass { at: format!("periods.{id}"), class: entry.class.clone() };
        periods.push(Statutory {
            id: PeriodId::new(id),
            class: class.ok_or_else(unknown)?.id,
            legal_basis: entry.legal_basis.clone(),
            from: entry.from,
            period: period(&entry.period, || format!("periods.{id}.period"))?,
            align: entry.align,
        });
    }
    Ok(periods)
}

fn purpose(id: &str, entry: &PurposeEntry, known: &BTreeMap<String, ClassEntry>) -> Result<Purpose, RegistryError> {
    if !is_id(id) {
        return Err(RegistryError::MalformedId { at: "purposes", id: id.to_owned() });
    }
    if entry.description.is_empty() || entry.description.len() > DESCRIPTION_BYTES_MAX {
        return Err(value_error(format!("purposes.{id}.description"), "1 to 512 bytes are needed"));
    }
    let mut caps = BTreeMap::new();
    for (class, view) in &entry.classes {
        let at = || format!("purposes.{id}.classes");
        let def = class_of(class)
            .filter(|_| known.contains_key(class))
            .ok_or_else(|| RegistryError::UnknownClass { at: at(), class: class.clone() })?;
        let view = View::parse(view)
            .ok_or_else(|| value_error(format!("{}.{class}", at()), "a view is exists, last4, masked or plain"))?;
        if view > def.view_max() {
            return Err(value_error(format!("{}.{class}", at()), "nobody can be shown more of this class than exists"));
        }
        caps.insert(def.id, view);
    }
    let fields = field_caps(id, entry, &caps)?;
    Ok(Purpose {
        id: PurposeId::new(id),
        description: entry.description.clone(),
        legal_basis: entry.legal_basis,
        keep_max: period(&entry.keep, || format!("purposes.{id}.keep"))?,
        caps,
        fields,
    })
}

fn field_caps(
    id: &str,
    entry: &PurposeEntry,
    caps: &BTreeMap<ClassId, View>,
) -> Result<BTreeMap<ClassId, FieldCaps>, RegistryError> {
    let mut all = BTreeMap::new();
    for (class, fields) in &entry.fields {
        let at = format!("purposes.{id}.fields.{class}");
        let def =
            class_of(class).ok_or_else(|| RegistryError::UnknownClass { at: at.clone(), class: class.clone() })?;
        let cap = caps.get(&def.id).copied();
        let cap = cap.ok_or_else(|| value_error(at.clone(), "the purpose's `classes` must name the class first"))?;
        let mut of_class = FieldCaps::default();
        for (path, view) in fields {
            let at = || format!("{at}.{path}");
            if !def.has_field(path) {
                return Err(value_error(at(), "the class has no such field"));
            }
            let view = View::parse(view).filter(|view| *view < cap);
            let view = view.ok_or_else(|| value_error(at(), "a view lower than that of the class is needed"))?;
            of_class = of_class.with(def, path, view);
        }
        all.insert(def.id, of_class);
    }
    Ok(all)
}

fn class_rule(
    class: &'static ClassDef,
    entry: &ClassEntry,
    purposes: &BTreeMap<String, Purpose>,
) -> Result<ClassRule, RegistryError> {
    let keep = entry.keep.as_deref().or(class.keep_default);
    let keep_max = keep.map(|keep| period(keep, || format!("classes.{}.keep", class.id))).transpose()?;
    let mut default_purposes = Vec::new();
    let stated = entry.default_purposes.as_ref().map(|ids| ids.iter().map(String::as_str).collect());
    let ids: Vec<&str> = stated.unwrap_or_else(|| class.purposes_default.to_vec());
    for id in ids {
        let known = purposes.get(id).filter(|purpose| purpose.caps.contains_key(&class.id));
        let purpose = known.ok_or_else(|| RegistryError::DefaultPurpose { class: class.id, purpose: id.to_owned() })?;
        default_purposes.push(purpose.id.clone());
    }
    if default_purposes.is_empty() {
        let at = format!("classes.{}.default_purposes", class.id);
        return Err(value_error(at, "at least one is needed"));
    }
    Ok(ClassRule { class, keep_max, default_purposes })
}

fn is_id(id: &str) -> bool {
    let rest = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_' || b == b'-';
    id.len() <= REGISTRY_ID_BYTES_MAX && id.starts_with(|c: char| c.is_ascii_lowercase()) && id.bytes().all(rest)
}

fn period(text: &str, at: impl FnOnce() -> String) -> Result<Period, RegistryError> {
    const REASON: &str = "an ISO 8601 duration of whole days, weeks, months or years is needed, such as P18M";
    text.parse().map_err(|_| value_error(at(), REASON))
}

fn value_error(at: String, reason: &'static str) -> RegistryError {
    RegistryError::Value { at, reason }
}
