//! Class `password`.

use super::super::super::proto;
use super::super::{At, Faults};
use crate::catalog::classes::Password;
use crate::catalog::text::Text;
use crate::gate::refusal::FaultReason;

pub(super) fn given(faults: &mut Faults, at: At<'_>, password: proto::Password) -> Password {
    if password.set_time.is_some() {
        faults.add(at.then("set_time"), FaultReason::ReadOnly);
    }
    Password { secret: Text::new(password.secret), verifier: None }
}

/// Nothing of a password is ever shown.
pub(super) fn shown(_: Password) -> proto::Password {
    proto::Password::default()
}
