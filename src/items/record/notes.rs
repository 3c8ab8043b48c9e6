//! The free text of an item's metadata, encoded to be sealed.

use super::VERSION;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::secret::PlainValue;
use crate::catalog::text::Text;
use crate::gate::txn::Fault;
use crate::items::model::{Notes, Recipient};

/// Encodes the free text of metadata.
pub fn encode_notes(notes: &Notes) -> PlainValue {
    PlainValue::new(
        Writer::with_capacity(1024)
            .u8(VERSION)
            .text(notes.source.expose())
            .list(notes.recipients.iter(), |w, recipient| {
                w.text(recipient.name.expose()).text(recipient.country_code.expose()).text(recipient.safeguard.expose())
            })
            .text(notes.automated_decision_logic.expose())
            .finish(),
    )
}

/// Decodes the free text of metadata.
pub fn decode_notes(bytes: &PlainValue) -> Result<Notes, Fault> {
    let read = || {
        let mut r = Reader::new(bytes.expose());
        if r.u8()? != VERSION {
            return Err(Malformed);
        }
        let notes = Notes {
            source: Text::from(r.text()?),
            recipients: r.list(|r| {
                Ok(Recipient {
                    name: Text::from(r.text()?),
                    country_code: Text::from(r.text()?),
                    safeguard: Text::from(r.text()?),
                })
            })?,
            automated_decision_logic: Text::from(r.text()?),
        };
        r.finish()?;
        Ok(notes)
    };
    read().map_err(|_: Malformed| Fault::Torn)
}
