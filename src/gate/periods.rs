//! Keys that live for a period of days: operators' names and approvals. Once all that a period's key seals is past its
//! time, the key is given to an epoch, so that what was under it is forgotten like anything else.

use super::intents::{DoomedRow, Intent, What};
use super::refusal::Refusal;
use super::service_keys::{self, Name};
use super::txn::Txn;
use crate::base::limits::{APPROVAL_KEEP_DAYS, APPROVAL_PERIOD_DAYS, PERSON_PERIOD_DAYS, PERSON_PERIODS_KEPT};
use crate::base::time::Timestamp;
use crate::store::keyspace::Space;

/// The period in which an operator acts.
pub(super) fn of_names(time: Timestamp) -> u32 {
    number(time.day(), PERSON_PERIOD_DAYS)
}

/// The period in which an approval is opened.
pub(super) fn of_approvals(time: Timestamp) -> u32 {
    number(time.day(), APPROVAL_PERIOD_DAYS)
}

fn number(day: i32, days: i32) -> u32 {
    u32::try_from(day.div_euclid(days)).unwrap_or(0) // a clock before 1970 has no earlier period
}

/// Lodges the forgetting of keys whose period is over for good. Whether there were any.
pub(super) fn forget_old(txn: &mut Txn<'_>) -> Result<bool, Refusal> {
    let names = of_names(txn.now()).saturating_sub(PERSON_PERIODS_KEPT);
    let approvals = number(txn.now().day() - APPROVAL_KEEP_DAYS, APPROVAL_PERIOD_DAYS);
    let names = forget(txn, Name::OperatorNames, names, Some(Space::Person))?;
    Ok(forget(txn, Name::Approvals, approvals, None)? || names)
}

/// Rows below a period's number in `space` go with its key.
fn forget(txn: &mut Txn<'_>, kind: fn(u32) -> Name, oldest: u32, space: Option<Space>) -> Result<bool, Refusal> {
    let mut intent = Intent::of_own(What::PeriodKeys)?;
    for period in service_keys::numbers(txn, kind(0))?.into_iter().filter(|period| *period < oldest) {
        if let Some(doomed) = service_keys::doomed(txn, kind(period))? {
            intent.targets.push(doomed.target);
            intent.rows.push(doomed.row);
            let below = |space| DoomedRow { space, key: period.to_be_bytes().to_vec(), prefix: true };
            intent.rows.extend(space.map(below));
        }
    }
    if intent.targets.is_empty() {
        return Ok(false);
    }
    intent.lodge(txn)?;
    Ok(true)
}
