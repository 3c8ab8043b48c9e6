//! Class `usage_event`.

use super::super::super::proto;
use super::super::{At, Faults, moved, time};
use crate::catalog::classes::UsageEvent;
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, event: proto::UsageEvent) -> UsageEvent {
    UsageEvent {
        time: faults.time(at.then("time"), event.time),
        resource: Text::new(event.resource),
        quantity: Text::new(event.quantity),
        unit: Text::new(event.unit),
        region: Text::new(event.region),
        end_time: faults.time(at.then("end_time"), event.end_time),
    }
}

pub(super) fn shown(event: UsageEvent) -> proto::UsageEvent {
    proto::UsageEvent {
        time: event.time.map(time),
        resource: moved(event.resource),
        quantity: moved(event.quantity),
        unit: moved(event.unit),
        region: moved(event.region),
        end_time: event.end_time.map(time),
    }
}
