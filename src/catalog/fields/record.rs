//! How the kinds of field are stored: additions to the vault's one binary encoding.

use super::date::Date;
use crate::base::codec::{Malformed, Reader, Writer};
use crate::base::secret::PlainValue;
use crate::base::time::Timestamp;
use crate::catalog::text::Text;

/// Encodes one value of at most `bytes` bytes, beginning with its version.
pub fn encode(version: u8, bytes: usize, write: impl FnOnce(Writer) -> Writer) -> PlainValue {
    let record = write(Writer::with_capacity(bytes).u8(version)).finish();
    // A buffer that had to grow would have left a copy of the value behind.
    debug_assert!(record.len() <= bytes, "the stated bound holds");
    PlainValue::new(record)
}

/// The bytes that texts take at most, their lengths included.
pub fn bytes_of<'a>(texts: impl IntoIterator<Item = &'a Text>) -> usize {
    texts.into_iter().map(|text| text.len() + 4).sum()
}

/// Reads a text.
pub fn text(reader: &mut Reader<'_>) -> Result<Text, Malformed> {
    reader.text().map(Text::from)
}

/// Reads a flag.
pub fn flag(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        _ => Err(Malformed),
    }
}

/// Reads one of a closed list of choices.
pub fn choice<T>(reader: &mut Reader<'_>, from_code: impl FnOnce(u8) -> Option<T>) -> Result<T, Malformed> {
    from_code(reader.u8()?).ok_or(Malformed)
}

/// The bytes a date takes at most.
pub const DATE_BYTES: usize = 5;

/// Writes a date that may be absent. It was checked, so that its parts fit.
pub fn write_date(writer: Writer, date: &Option<Date>) -> Writer {
    writer.option(date.as_ref(), |w, date| {
        let narrow = |part: i32| u8::try_from(part).expect("a checked date has months and days below 32");
        w.u16(u16::try_from(date.year).expect("a checked date has a year below 10000"))
            .u8(narrow(date.month))
            .u8(narrow(date.day))
    })
}

/// Reads a date that may be absent.
pub fn date(reader: &mut Reader<'_>) -> Result<Option<Date>, Malformed> {
    reader.option(|r| Ok(Date::new(r.u16()?.into(), r.u8()?.into(), r.u8()?.into())))
}

/// The bytes a time takes at most.
pub const TIME_BYTES: usize = 9;

/// Writes a time that may be absent.
pub fn write_time(writer: Writer, time: Option<Timestamp>) -> Writer {
    writer.option(time, |w, time| w.i64(time.as_millis()))
}

/// Reads a time that may be absent.
pub fn time(reader: &mut Reader<'_>) -> Result<Option<Timestamp>, Malformed> {
    reader.option(|r| r.i64().map(Timestamp::from_millis))
}
