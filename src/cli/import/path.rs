//! Paths into rows and messages: `name`, `emails[0].address`.

use std::fmt;

use serde_json::{Map, Value};

/// Most elements of a list that a path reaches.
const INDEX_MAX: usize = 63;

/// A path of names, each perhaps with an index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FieldPath {
    text: String,
    steps: Vec<(String, Option<usize>)>,
}

impl FieldPath {
    /// Reads a path.
    pub fn parse(text: &str) -> Result<Self, String> {
        let step = |part: &str| {
            let (name, index) = match part.split_once('[') {
                None => (part, None),
                Some((name, rest)) => (name, Some(rest.strip_suffix(']')?.parse().ok().filter(|i| *i <= INDEX_MAX)?)),
            };
            (!name.is_empty()).then(|| (name.to_owned(), index))
        };
        let steps: Option<Vec<_>> = text.split('.').map(step).collect();
        let steps = steps.ok_or_else(|| format!("{text} is no path such as emails[0].address"))?;
        Ok(Self { text: text.to_owned(), steps })
    }

    /// The names, and whether each has an index.
    pub fn steps(&self) -> impl Iterator<Item = (&str, bool)> {
        self.steps.iter().map(|(name, index)| (name.as_str(), index.is_some()))
    }

    /// The part that the last name is a field of; none for a field of the whole.
    pub fn parent(&self) -> Option<&str> {
        self.text.rsplit_once('.').map(|(part, _)| part)
    }

    /// Whether it leads to a part of what is at another path.
    pub fn is_below(&self, other: &str) -> bool {
        self.text.strip_prefix(other).is_some_and(|rest| rest.starts_with(['.', '[']))
    }

    /// What is at the path; the whole text may also be a name, as it is of a CSV column.
    pub fn find<'a>(&self, row: &'a Value) -> Option<&'a Value> {
        if let Some(found) = row.get(&self.text) {
            return Some(found);
        }
        self.steps.iter().try_fold(row, |value, (name, index)| {
            let value = value.get(name)?;
            index.map_or(Some(value), |index| value.get(index))
        })
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Puts something at a path, with everything above it.
pub fn put(into: &mut Value, path: &FieldPath, content: Value) {
    let mut at = into;
    for (name, index) in &path.steps {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut().expect("was made one").entry(name).or_insert(Value::Null);
        if let Some(index) = index {
            if !at.is_array() {
                *at = Value::Array(Vec::new());
            }
            let list = at.as_array_mut().expect("was made one");
            if list.len() <= *index {
                list.resize(index + 1, Value::Object(Map::new()));
            }
            at = &mut list[*index];
        }
    }
    *at = content;
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_put_at_a_path_is_found_there() {
        let mut value = Value::Null;
        for (path, content) in [("a", "1"), ("b.c", "2"), ("d[1].e", "3"), ("d[0].e", "4"), ("f[0]", "5")] {
            put(&mut value, &FieldPath::parse(path).expect("a path"), json!(content));
        }
        assert_eq!(value, json!({ "a": "1", "b": { "c": "2" }, "d": [{ "e": "4" }, { "e": "3" }], "f": ["5"] }));
        assert_eq!(FieldPath::parse("d[1].e").expect("a path").find(&value), Some(&json!("3")));
        assert_eq!(FieldPath::parse("d[2].e").expect("a path").find(&value), None);
        let flat = json!({ "a.b": "x" });
        assert_eq!(FieldPath::parse("a.b").expect("a path").find(&flat), Some(&json!("x")));
    }

    #[test]
    fn what_is_no_path_is_refused() {
        for text in ["", ".", "a.", "[0]", "a[", "a[x]", "a[64]", "a[0]b", "a[-1]"] {
            assert!(FieldPath::parse(text).is_err(), "{text}");
        }
    }
}
