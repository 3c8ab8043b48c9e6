//! What commands print on standard output: a table for people, JSON for programs.

use std::io::{self, ErrorKind, Write as _};

use comfy_table::Table;
use comfy_table::presets::NOTHING;
use prost::{Message, Name};

use super::failure::Failure;
use super::json;

/// How answers are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// Columns for people.
    Table,
    /// The canonical JSON of the answer's message, with the names of the proto files.
    Json,
}

/// Prints a message: as JSON, or as a table of its fields.
pub fn message<T: Message + Name>(message: &T, format: Format) -> Result<(), Failure> {
    match format {
        Format::Json => out(&json::text(message)?),
        Format::Table => {
            let rows = json::fields(message)?.into_iter().map(|(path, text)| [path, text]);
            out(&table(["FIELD", "VALUE"], rows))
        }
    }
}

/// Columns under a header, as wide as they have to be.
pub fn table<const N: usize>(header: [&str; N], rows: impl IntoIterator<Item = [String; N]>) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING).set_header(header);
    for row in rows {
        table.add_row(row.map(|cell| printable(&cell)));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

/// Writes a text and a line feed. Who stops reading early has seen enough.
pub fn out(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::failed(format!("standard output: {}", error.kind())))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// A value may hold anything; a terminal must not take orders from it.
pub(super) fn printable(text: &str) -> String {
    let hidden =
        |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c) || ('\u{2066}'..='\u{2069}').contains(&c);
    text.chars().map(|c| if hidden(c) { c.escape_unicode().to_string() } else { c.to_string() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_a_header_and_aligned_columns() {
        let rows = [["a".to_owned(), "1".to_owned()], ["longer".to_owned(), "2".to_owned()]];
        assert_eq!(table(["FIELD", "VALUE"], rows), "FIELD   VALUE\na       1\nlonger  2");
    }

    #[test]
    fn a_value_cannot_steer_the_terminal() {
        let text = table(["VALUE"], [["\u{1b}[2J\nx\u{202e}y".to_owned()]]);
        assert_eq!(text, "VALUE\n\\u{1b}[2J\\u{a}x\\u{202e}y");
    }
}
