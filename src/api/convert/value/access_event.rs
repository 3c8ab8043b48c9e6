//! Class `access_event`.

use super::super::super::proto;
use super::super::{At, Faults, moved, time};
use crate::catalog::classes::AccessEvent;
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, event: proto::AccessEvent) -> AccessEvent {
    AccessEvent {
        time: faults.time(at.then("time"), event.time),
        ip_address: Text::new(event.ip_address),
        user_agent: Text::new(event.user_agent),
        browser: Text::new(event.browser),
        os: Text::new(event.os),
        device_id: Text::new(event.device_id),
        page: Text::new(event.page),
        method: Text::new(event.method),
        status: event.status,
    }
}

pub(super) fn shown(event: AccessEvent) -> proto::AccessEvent {
    proto::AccessEvent {
        time: event.time.map(time),
        ip_address: moved(event.ip_address),
        user_agent: moved(event.user_agent),
        browser: moved(event.browser),
        os: moved(event.os),
        device_id: moved(event.device_id),
        page: moved(event.page),
        method: moved(event.method),
        status: event.status,
    }
}
