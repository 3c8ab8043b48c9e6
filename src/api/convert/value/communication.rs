//! Class `communication`.

use super::super::super::proto;
use super::super::{At, Faults, moved, time};
use crate::catalog::classes::Communication;
use crate::catalog::classes::communication::{Channel, Direction};
use crate::catalog::text::Text;

pub(super) fn given(faults: &mut Faults, at: At<'_>, told: proto::Communication) -> Communication {
    Communication {
        channel: faults.choice(at.then("channel"), told.channel, Channel::from_code).unwrap_or_default(),
        direction: faults.choice(at.then("direction"), told.direction, Direction::from_code).unwrap_or_default(),
        time: faults.time(at.then("time"), told.time),
        participants: told.participants.into_iter().map(Text::new).collect(),
        subject: Text::new(told.subject),
        body: Text::new(told.body),
        thread_id: Text::new(told.thread_id),
    }
}

pub(super) fn shown(told: Communication) -> proto::Communication {
    proto::Communication {
        channel: told.channel.code().into(),
        direction: told.direction.code().into(),
        time: told.time.map(time),
        participants: told.participants.into_iter().map(moved).collect(),
        subject: moved(told.subject),
        body: moved(told.body),
        thread_id: moved(told.thread_id),
    }
}
