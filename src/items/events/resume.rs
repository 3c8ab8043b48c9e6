//! Where a reading of events goes on after a message.

use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::time::Timestamp;
use crate::catalog::classes::class_of;
use crate::crypto::label;
use crate::gate::call::Call;
use crate::gate::refusal::{Fault, FaultReason, Refusal};
use crate::gate::tokens::{self, Bound};
use crate::items::model::SubjectRef;

use super::gather::{At, From};
use super::model::EventQuery;

/// Where a reading goes on, and where it ends: the end is that of the first call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Resumed {
    pub from: From,
    pub end: Timestamp,
}

/// The token that goes on from here.
pub(super) fn make_token(
    call: &Call,
    query: &EventQuery,
    resumed: &Resumed,
    now: Timestamp,
) -> Result<String, Refusal> {
    let query = bound(query);
    tokens::seal(call, &Bound { label: label::EVENT_RESUME, query: &query }, &encode(resumed), now)
}

/// Where a reading goes on; none for one that begins.
///
/// # Errors
/// A fault of `resume_token` if it was not made for this caller and query, or more than a day ago.
pub(super) fn open_token(call: &Call, query: &EventQuery, now: Timestamp) -> Result<Option<Resumed>, Refusal> {
    if query.resume_token.is_empty() {
        return Ok(None);
    }
    let bytes = bound(query);
    let bound = Bound { label: label::EVENT_RESUME, query: &bytes };
    let resumed = tokens::open(call, &bound, &query.resume_token, now, decode);
    resumed.map(Some).ok_or_else(|| Fault::new("resume_token", FaultReason::ResumeToken).into())
}

fn encode(resumed: &Resumed) -> Vec<u8> {
    let writer = Writer::new().i64(resumed.end.as_millis()).u32(resumed.from.day as u32);
    let write = |w: Writer, at: At| w.i64(at.time.as_millis()).text(at.class.as_str()).u32(at.segment).u32(at.index);
    writer.option(resumed.from.after, write).finish()
}

fn decode(r: &mut Reader<'_>) -> Result<Resumed, Malformed> {
    let (end, day) = (Timestamp::from_millis(r.i64()?), r.u32()? as i32);
    let after = r.option(|r| {
        Ok(At {
            time: Timestamp::from_millis(r.i64()?),
            class: class_of(r.text()?).ok_or(Malformed)?.id,
            segment: r.u32()?,
            index: r.u32()?,
        })
    })?;
    Ok(Resumed { from: From { day, after }, end })
}

/// Everything of a query but the token.
fn bound(query: &EventQuery) -> Vec<u8> {
    let writer = match &query.subject {
        None => Writer::new().u8(0),
        Some(SubjectRef::Id(id)) => Writer::new().u8(1).raw(id.as_bytes()),
        Some(SubjectRef::External(id)) => Writer::new().u8(2).text(id.expose()),
    };
    writer
        .option(query.kept, |w, item| w.raw(item.as_bytes()))
        .list(query.classes.iter(), |w, class| w.text(class))
        .option(query.start, |w, time| w.i64(time.as_millis()))
        .option(query.end, |w, time| w.i64(time.as_millis()))
        .option(query.view, |w, view| w.u8(view as u8))
        .list(query.fields.iter(), |w, field| w.text(field))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::classes::CLASSES;

    #[test]
    fn a_place_reads_back() {
        let at = At { time: Timestamp::from_millis(-7), class: CLASSES[0].id, segment: 3, index: 9 };
        for after in [None, Some(at)] {
            let resumed = Resumed { from: From { day: -1, after }, end: Timestamp::from_millis(5) };
            assert_eq!(decode(&mut Reader::new(&encode(&resumed))), Ok(resumed));
        }
    }
}
