//! A writer of protocol buffers, for the one message that the vault itself signs: below the wire nothing sees the
//! generated types, and what is signed must not depend on how a library writes it.
//!
//! Fields are written in the order of the calls, which is that of their numbers; a value that is the default of its kind
//! is left out, as in proto3.

/// A message in the making.
#[derive(Default)]
pub struct Message(Vec<u8>);

const VARINT: u64 = 0;
const DELIMITED: u64 = 2;

impl Message {
    /// An empty message.
    pub fn new() -> Self {
        Self::default()
    }

    /// A number of any unsigned kind, an enum, or a flag.
    pub fn number(mut self, field: u64, value: u64) -> Self {
        if value != 0 {
            self.varint(field << 3 | VARINT);
            self.varint(value);
        }
        self
    }

    /// Text.
    pub fn text(self, field: u64, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    /// Bytes.
    pub fn bytes(self, field: u64, value: &[u8]) -> Self {
        if value.is_empty() { self } else { self.delimited(field, value) }
    }

    /// Another message, or an element of a list, also if it is empty.
    pub fn message(self, field: u64, value: Message) -> Self {
        self.delimited(field, &value.0)
    }

    /// Several messages.
    pub fn messages(self, field: u64, values: impl Iterator<Item = Message>) -> Self {
        values.fold(self, |message, value| message.message(field, value))
    }

    /// The bytes.
    pub fn finish(self) -> Vec<u8> {
        self.0
    }

    fn delimited(mut self, field: u64, value: &[u8]) -> Self {
        self.varint(field << 3 | DELIMITED);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_encoding_guide() {
        assert_eq!(Message::new().number(1, 150).finish(), [0x08, 0x96, 0x01]);
        assert_eq!(Message::new().text(2, "testing").finish(), b"\x12\x07testing");
        let inner = Message::new().number(1, 150);
        assert_eq!(Message::new().message(3, inner).finish(), [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(Message::new().number(1, 0).text(2, "").bytes(3, &[]).finish(), Vec::<u8>::new());
        assert_eq!(Message::new().message(1, Message::new()).finish(), [0x0a, 0x00]);
    }
}
