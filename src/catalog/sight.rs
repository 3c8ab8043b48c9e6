//! How much of each field of a value is shown.

use std::sync::Arc;

use super::class::ClassDef;
use super::path::FieldPath;
use super::view::View;

/// A field that is not shown in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Altered {
    /// Its path.
    pub path: FieldPath,
    /// The view that it is shown under.
    pub view: View,
}

/// The highest views of single fields of a class, where they are lower than the class's own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FieldCaps(Arc<[(&'static str, View)]>);

impl FieldCaps {
    /// Adds a field, or a part with all its fields. Where several speak of one field, the lowest counts.
    pub(super) fn with(&self, class: &ClassDef, path: &str, view: View) -> Self {
        let mut caps = self.0.to_vec();
        caps.extend(class.fields_of(path).map(|field| (field, view)));
        Self(caps.into())
    }

    /// Whether no field has a view of its own.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Each field with its view.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, View)> {
        self.0.iter().copied()
    }

    fn of(&self, within: &str, name: &str) -> Option<View> {
        let is_it = |field: &str| match field.split_once('.') {
            Some((outer, inner)) => outer == within && inner == name,
            None => within.is_empty() && field == name,
        };
        self.0.iter().filter(|(field, _)| is_it(field)).map(|(_, view)| *view).min()
    }
}

/// A view of a value, and lower ones of some of its fields.
#[derive(Clone, Debug)]
pub struct Sight {
    view: View,
    fields: FieldCaps,
}

impl Sight {
    /// A view, within what single fields may show.
    pub fn new(view: View, fields: FieldCaps) -> Self {
        Self { view, fields }
    }

    /// The view of fields that have none of their own.
    pub fn view(&self) -> View {
        self.view
    }

    /// Whether all of a value is seen.
    pub fn is_whole(&self) -> bool {
        self.view == View::Plain && self.fields.is_empty()
    }

    /// The view of the field of a path.
    pub fn of_path(&self, path: &str) -> View {
        let (within, name) = path.split_once('.').unwrap_or(("", path));
        self.of(within, name)
    }

    /// The view of a field; `within` is empty at the top.
    pub(super) fn of(&self, within: &str, name: &str) -> View {
        self.fields.of(within, name).map_or(self.view, |cap| cap.min(self.view))
    }
}

/// One view of all fields.
impl From<View> for Sight {
    fn from(view: View) -> Self {
        Self::new(view, FieldCaps::default())
    }
}
