//! A change of what a person demands about all of their data: one row, in force and durable when it returns.

use crate::base::id::SubjectId;
use crate::gate::call::Call;
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::Refusal;
use crate::gate::txn::Txn;
use crate::policy::question::Resource;

use super::record::{OpenSubject, SubjectRow, Target, open_subject};
use super::repeat::{Answer, record_repeat, remember, repeated};

/// What a change did to a subject's row.
pub struct Changed {
    /// Whether it is another row now.
    pub row: bool,
    /// What was asked for, for the entry: fields, and the class if it is about one.
    pub touched: Touched,
}

/// Changes a subject's row and records that about the subject; with the same idempotency key only once. The subject as
/// it is then.
pub fn change(
    txn: &mut Txn<'_>,
    call: &Call,
    target: &Target,
    apply: impl FnOnce(&mut SubjectRow) -> Result<Changed, Refusal>,
) -> Result<OpenSubject, Refusal> {
    let vault = call.recorder().vault();
    if let Some(earlier) = repeated(txn, vault, call.once(), txn.now())? {
        let subject: SubjectId = earlier.standing()?.subject;
        record_repeat(txn, call, subject)?;
        return Ok(open_subject(txn, vault, subject)?);
    }
    let mut subject = target.open(txn, call)?;
    let permit = call.permit(Resource::Subject(subject.row.standing.clone()))?;
    let Changed { row, touched } = apply(&mut subject.row)?;
    if row {
        subject.store(txn, vault)?;
    }
    let answer = Answer { subject: subject.id, created: false, time: txn.now(), items: Vec::new(), receipt: None };
    remember(txn, vault, call.once(), &answer)?;
    let touched = Touched { rule: Some(permit.rule().clone()), count: 1, ..touched };
    let keys = subject.detail_keys(txn)?;
    let at = (txn.now(), txn.epoch());
    txn.record(call.recorder().entry(Whom::Subject(&keys), touched, Ended::Done, at)?);
    Ok(subject)
}
