//! The vault's one binary encoding, for keys, additional data, rows and audit leaves.
//!
//! Integers are big-endian, so that encoded keys sort like the numbers in them. Byte strings and text carry a
//! 32-bit length. Nothing is self-describing: each record starts with its own version byte, and a reader that
//! does not know the version refuses the record.

/// The bytes are not a record of the expected shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed record")]
pub struct Malformed;

/// Appends values to a buffer.
pub struct Writer(Vec<u8>);

impl Writer {
    /// An empty record, with room for most keys and additional data.
    pub fn new() -> Self {
        Self::with_capacity(128)
    }

    /// An empty record with room for `bytes`, so that a secret record never reallocates and leaves copies.
    pub fn with_capacity(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// One byte.
    pub fn u8(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// A 16-bit number.
    pub fn u16(self, value: u16) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A 32-bit number.
    pub fn u32(self, value: u32) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A 64-bit number.
    pub fn u64(self, value: u64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// A signed 64-bit number, in two's complement.
    pub fn i64(self, value: i64) -> Self {
        self.raw(&value.to_be_bytes())
    }

    /// Bytes of a length both sides know.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Bytes with their length.
    ///
    /// # Panics
    /// Past 4 GiB, which no limit in the product allows.
    pub fn bytes(self, bytes: &[u8]) -> Self {
        let len = u32::try_from(bytes.len()).expect("records are bounded far below 4 GiB");
        self.u32(len).raw(bytes)
    }

    /// UTF-8 text with its length in bytes.
    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    /// A flag byte, then the value if there is one.
    pub fn option<T>(self, value: Option<T>, write: impl FnOnce(Self, T) -> Self) -> Self {
        match value {
            None => self.u8(0),
            Some(value) => write(self.u8(1), value),
        }
    }

    /// A 32-bit count, then each element.
    pub fn list<T>(self, values: impl ExactSizeIterator<Item = T>, write: impl FnMut(Self, T) -> Self) -> Self {
        let count = u32::try_from(values.len()).expect("lists are bounded far below 2^32");
        values.fold(self.u32(count), write)
    }

    /// The record.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }
}

impl Default for Writer {
    fn default() -> Self {
        Self::new()
    }
}

/// Takes values off the front of a record.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Starts at the first byte.
    pub fn new(record: &'a [u8]) -> Self {
        Self(record)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// A 16-bit number.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_be_bytes)
    }

    /// A 32-bit number.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        self.array().map(u32::from_be_bytes)
    }

    /// A 64-bit number.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        self.array().map(u64::from_be_bytes)
    }

    /// A signed 64-bit number.
    pub fn i64(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_be_bytes)
    }

    /// Bytes of a known length.
    pub fn raw(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }

    /// A fixed number of bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        self.raw(N)?.try_into().map_err(|_| Malformed)
    }

    /// Bytes with their length.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let len = self.u32()?;
        self.raw(len as usize)
    }

    /// UTF-8 text.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    /// A value that may be missing.
    pub fn option<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Malformed>) -> Result<Option<T>, Malformed> {
        match self.u8()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(Malformed),
        }
    }

    /// A counted list. Memory grows with the bytes that are there, not with the count that is claimed.
    pub fn list<T>(&mut self, mut read: impl FnMut(&mut Self) -> Result<T, Malformed>) -> Result<Vec<T>, Malformed> {
        let count = self.u32()?;
        let mut values = Vec::new();
        for _ in 0..count {
            if self.0.is_empty() {
                return Err(Malformed);
            }
            values.push(read(self)?);
        }
        Ok(values)
    }

    /// What is left, all of it.
    pub fn rest(&mut self) -> &'a [u8] {
        std::mem::take(&mut self.0)
    }

    /// Checks that nothing is left, so that a record has one encoding.
    pub fn finish(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_claimed_length_past_the_end_is_refused() {
        let record = Writer::new().u32(u32::MAX).finish();
        assert_eq!(Reader::new(&record).bytes(), Err(Malformed));
        assert_eq!(Reader::new(&record).list(Reader::u8), Err(Malformed));
    }

    #[test]
    fn bytes_left_over_are_refused() {
        let record = Writer::new().u8(1).u8(2).finish();
        let mut reader = Reader::new(&record);
        assert_eq!(reader.u8(), Ok(1));
        assert_eq!(reader.finish(), Err(Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u8, b: u16, c: u32, d: u64, e: i64, f: Vec<u8>, g: String, h: Option<u64>, i: Vec<u32>) {
            let record = Writer::new().u8(a).u16(b).u32(c).u64(d).i64(e).bytes(&f).text(&g)
                .option(h, Writer::u64).list(i.iter().copied(), Writer::u32).finish();
            let mut r = Reader::new(&record);
            prop_assert_eq!((r.u8(), r.u16(), r.u32(), r.u64(), r.i64()), (Ok(a), Ok(b), Ok(c), Ok(d), Ok(e)));
            prop_assert_eq!(r.bytes(), Ok(&f[..]));
            prop_assert_eq!(r.text(), Ok(&g[..]));
            prop_assert_eq!(r.option(Reader::u64), Ok(h));
            prop_assert_eq!(r.list(Reader::u32), Ok(i));
            prop_assert_eq!(r.finish(), Ok(()));
        }

        #[test]
        fn any_bytes_are_read_or_refused_without_a_panic(bytes: Vec<u8>) {
            let mut r = Reader::new(&bytes);
            let _ = r.list(Reader::bytes);
            let _ = r.option(Reader::text);
            let _ = r.finish();
        }
    }
}
