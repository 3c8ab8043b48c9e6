//! Items as tables: the facts about an item, then its value field by field with the view each is shown under.

use std::collections::HashMap;

use super::failure::Failure;
use super::json;
use super::show::{out, table};
use crate::api::proto::{Item, View};

/// Prints one item.
pub fn one(item: &Item) -> Result<(), Failure> {
    let facts = Item { value: None, masked_fields: Vec::new(), ..item.clone() };
    let facts = json::fields(&facts)?.into_iter().map(|(name, text)| [name, text]);
    out(&table(["ITEM", ""], facts))?;
    let masked: HashMap<&str, View> =
        item.masked_fields.iter().map(|field| (field.path.as_str(), field.view())).collect();
    let value = item.value.as_ref().map(json::fields).transpose()?.unwrap_or_default();
    let rows = value.into_iter().map(|(path, text)| {
        // The value's own field, such as `contact`, is the item's class.
        let path = path.split_once('.').map_or(path.as_str(), |(_, rest)| rest).to_owned();
        let view = masked_as(&path, &masked).unwrap_or(item.view());
        [path, text, view_name(view).to_owned()]
    });
    let mut rows = rows.peekable();
    if rows.peek().is_none() {
        return Ok(());
    }
    out("")?;
    out(&table(["FIELD", "VALUE", "VIEW"], rows))
}

/// Prints a page of items, without their values.
pub fn many(items: &[Item]) -> Result<(), Failure> {
    let time = |time: &Option<_>| time.as_ref().map(json::text).transpose().map(Option::unwrap_or_default);
    let mut rows = Vec::new();
    for item in items {
        let times = [time(&item.update_time)?, time(&item.expire_time)?];
        let [updated, expires] = times.map(|text| text.trim_matches('"').to_owned());
        let view = view_name(item.view()).to_owned();
        rows.push([item.item_id.clone(), item.class.clone(), item.version.to_string(), view, updated, expires]);
    }
    out(&table(["ITEM", "CLASS", "VERSION", "VIEW", "UPDATED", "EXPIRES"], rows))
}

/// The view of a masked field, or of the field that it is part of. Masks name fields without the places in lists.
fn masked_as(path: &str, masked: &HashMap<&str, View>) -> Option<View> {
    let mut plain = String::new();
    for part in path.split('.') {
        let name = part.split_once('[').map_or(part, |(name, _)| name);
        plain.push_str(if plain.is_empty() { "" } else { "." });
        plain.push_str(name);
        if let Some(view) = masked.get(plain.as_str()) {
            return Some(*view);
        }
    }
    None
}

fn view_name(view: View) -> &'static str {
    let name = view.as_str_name();
    name.strip_prefix("VIEW_").unwrap_or(name)
}
