//! Passwords in requests: kept out of the digests by which repeated requests are compared, since those are quick to
//! compute and would let whoever holds one try passwords. What stands for them there is in `items/secret.rs`.

use std::any::Any;

use super::proto::{
    CreateSubjectRequest, ItemValue, NewItem, PutItemEntry, PutItemRequest, UpdateItemRequest, VerifyPasswordRequest,
    item_value,
};
use crate::catalog::text::Text;

/// Looks at a message without its passwords; they are put back afterwards.
pub(super) fn without<M: 'static, T>(message: &mut M, look: impl FnOnce(&M) -> T) -> T {
    let mut taken = Vec::new();
    each(message, &mut |secret| taken.push(Text::new(std::mem::take(secret))));
    let seen = look(message);
    let mut taken = taken.into_iter();
    each(message, &mut |secret| *secret = taken.next().map(Text::into_exposed).unwrap_or_default());
    seen
}

/// Visits every password of a message, always in the same order.
fn each(message: &mut dyn Any, visit: &mut dyn FnMut(&mut String)) {
    if let Some(request) = message.downcast_mut::<PutItemRequest>() {
        request.item.iter_mut().for_each(|item| of_item(item, visit));
    } else if let Some(request) = message.downcast_mut::<CreateSubjectRequest>() {
        request.items.iter_mut().for_each(|item| of_item(item, visit));
    } else if let Some(entry) = message.downcast_mut::<PutItemEntry>() {
        entry.item.iter_mut().for_each(|item| of_item(item, visit));
    } else if let Some(request) = message.downcast_mut::<UpdateItemRequest>() {
        request.value.iter_mut().for_each(|value| of_value(value, visit));
    } else if let Some(request) = message.downcast_mut::<VerifyPasswordRequest>() {
        visit(&mut request.secret);
    }
}

fn of_item(item: &mut NewItem, visit: &mut dyn FnMut(&mut String)) {
    item.value.iter_mut().for_each(|value| of_value(value, visit));
}

fn of_value(value: &mut ItemValue, visit: &mut dyn FnMut(&mut String)) {
    if let Some(item_value::Value::Password(password)) = &mut value.value {
        visit(&mut password.secret);
    }
}
