//! The file that is imported, row by row, from any place on: JSON lines or CSV.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use serde_json::Value;

use super::path::FieldPath;
use crate::cli::failure::Failure;

/// Bytes of one row: bounds memory, and finds a quote that is never closed.
const ROW_BYTES_MAX: u64 = 1 << 20;

/// What the file is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Format {
    /// A JSON object on each line.
    Jsonl,
    /// Comma-separated values under a line with the names of the columns.
    Csv,
}

impl Format {
    /// By the ending of a file's name.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "csv" => Some(Self::Csv),
            _ => None,
        }
    }
}

/// A place between two rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Place {
    /// Bytes before it.
    pub offset: u64,
    /// Lines before it.
    pub line: u64,
    /// Rows before it.
    pub row: u64,
}

/// A row: its number, counted from 1, and what is in it. None if it is not what the format says.
pub struct Row {
    /// Its number.
    pub number: u64,
    /// An object.
    pub value: Option<Value>,
}

/// An open file.
pub struct Source {
    path: PathBuf,
    at: Place,
    rows: Rows,
}

enum Rows {
    Lines(BufReader<File>),
    Csv { reader: Box<csv::Reader<Bounded>>, left: Rc<Cell<u64>>, columns: Vec<String> },
}

impl Source {
    /// Opens a file at a place. A CSV file must have these columns.
    pub fn open<'c>(
        path: &Path,
        format: Format,
        at: Place,
        columns: impl Iterator<Item = &'c FieldPath>,
    ) -> Result<Self, Failure> {
        let failed = |error: io::Error| about(path, error.kind());
        let mut file = File::open(path).map_err(failed)?;
        let rows = match format {
            Format::Jsonl => {
                file.seek(SeekFrom::Start(at.offset)).map_err(failed)?;
                Rows::Lines(BufReader::with_capacity(1 << 16, file))
            }
            Format::Csv => {
                let left = Rc::new(Cell::new(ROW_BYTES_MAX));
                let bounded = Bounded { file, left: left.clone() };
                let mut reader = Box::new(csv::ReaderBuilder::new().flexible(true).from_reader(bounded));
                let header = reader.headers().map_err(|_| about(path, "has no line with the names of its columns"))?;
                let names: Vec<String> = header.iter().map(|name| name.trim_start_matches('\u{feff}').into()).collect();
                for column in columns {
                    if !names.iter().any(|name| *name == column.to_string()) {
                        return Err(about(path, format!("has no column {column}, which the mapping names")));
                    }
                }
                if at.row > 0 {
                    let mut position = csv::Position::new();
                    position.set_byte(at.offset).set_line(at.line).set_record(at.row + 1);
                    reader.seek(position).map_err(|_| about(path, "cannot be read from where the import ended"))?;
                }
                Rows::Csv { reader, left, columns: names }
            }
        };
        Ok(Self { path: path.to_owned(), at, rows })
    }

    /// Where the next row begins.
    pub fn place(&self) -> Place {
        self.at
    }

    /// The next row; none at the end.
    pub fn next_row(&mut self) -> Result<Option<Row>, Failure> {
        match &mut self.rows {
            Rows::Lines(reader) => next_line(reader, &mut self.at),
            Rows::Csv { reader, left, columns } => next_record(reader, left, columns, &mut self.at),
        }
        .map_err(|what| about(&self.path, what))
    }
}

fn next_line(reader: &mut BufReader<File>, at: &mut Place) -> Result<Option<Row>, String> {
    loop {
        let mut line = Vec::new();
        let read = reader.by_ref().take(ROW_BYTES_MAX).read_until(b'\n', &mut line);
        let mut bytes = read.map_err(|error| error.kind().to_string())? as u64;
        if bytes == 0 {
            return Ok(None);
        }
        let whole = line.ends_with(b"\n") || bytes < ROW_BYTES_MAX;
        if !whole {
            bytes += skip_line(reader).map_err(|error| error.kind().to_string())?;
        }
        *at = Place { offset: at.offset + bytes, line: at.line + 1, row: at.row + 1 };
        if whole && line.trim_ascii().is_empty() {
            continue; // counted, so that a row's number is its line's
        }
        let value = serde_json::from_slice(&line).ok().filter(|value: &Value| whole && value.is_object());
        return Ok(Some(Row { number: at.row, value }));
    }
}

/// The rest of a line that is too long.
fn skip_line(reader: &mut BufReader<File>) -> io::Result<u64> {
    let mut skipped = 0;
    loop {
        let buffer = reader.fill_buf()?;
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(buffer.len(), |end| end + 1);
        reader.consume(length);
        skipped += length as u64;
        if end.is_some() || length == 0 {
            return Ok(skipped);
        }
    }
}

fn next_record(
    reader: &mut csv::Reader<Bounded>,
    left: &Cell<u64>,
    columns: &[String],
    at: &mut Place,
) -> Result<Option<Row>, String> {
    left.set(ROW_BYTES_MAX);
    let mut record = csv::ByteRecord::new();
    let row = at.row + 1;
    let unreadable = |_| format!("row {row} cannot be read: is a quote never closed?");
    if !reader.read_byte_record(&mut record).map_err(unreadable)? {
        return Ok(None);
    }
    *at = Place { offset: reader.position().byte(), line: reader.position().line(), row };
    let cell = |(name, cell): (&String, &[u8])| {
        let text = std::str::from_utf8(cell).ok()?;
        Some((name.clone(), Value::String(text.to_owned())))
    };
    let fits = record.len() == columns.len();
    let cells: Option<serde_json::Map<String, Value>> = columns.iter().zip(record.iter()).map(cell).collect();
    Ok(Some(Row { number: row, value: cells.filter(|_| fits).map(Value::Object) }))
}

/// A file of which no more than a row is read ahead.
struct Bounded {
    file: File,
    left: Rc<Cell<u64>>,
}

impl Read for Bounded {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left.get() == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let read = self.file.read(buffer)?;
        self.left.set(self.left.get().saturating_sub(read as u64));
        Ok(read)
    }
}

impl Seek for Bounded {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

fn about(path: &Path, what: impl std::fmt::Display) -> Failure {
    Failure::failed(format!("{}: {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join(name);
        std::fs::write(&path, content).expect("is written");
        (dir, path)
    }

    /// All rows: numbers and values as text, and the places after them.
    fn rows(path: &Path, from: Place) -> Vec<(u64, String, Place)> {
        let format = Format::of(path).expect("a format");
        let mut source = Source::open(path, format, from, std::iter::empty()).ok().expect("opens");
        let mut rows = Vec::new();
        while let Some(row) = source.next_row().ok().expect("reads") {
            let value = row.value.map_or("-".into(), |value| value.to_string());
            rows.push((row.number, value, source.place()));
        }
        rows
    }

    #[test]
    fn rows_are_the_same_from_wherever_reading_begins() {
        let csv = "\u{feff}id,name\r\n1,\"a \"\"b\"\"\"\r\n2,\"x\ny\"\n3\n4,\u{e9}\n";
        let jsonl = "{\"id\": 1}\n\n[2]\nno\n{\"id\": 5}";
        for (name, text, values) in [
            (
                "a.csv",
                csv,
                &[r#"{"id":"1","name":"a \"b\""}"#, r#"{"id":"2","name":"x\ny"}"#, "-", r#"{"id":"4","name":"é"}"#][..],
            ),
            ("a.jsonl", jsonl, &[r#"{"id":1}"#, "-", "-", r#"{"id":5}"#]),
        ] {
            let (_dir, path) = written(name, text.as_bytes());
            let all = rows(&path, Place::default());
            assert_eq!(all.iter().map(|(_, value, _)| value.as_str()).collect::<Vec<_>>(), values);
            for (index, (_, _, place)) in all.iter().enumerate() {
                assert_eq!(rows(&path, *place), all[index + 1..], "{name} after row {index}");
            }
        }
    }

    #[test]
    fn what_is_no_text_or_far_too_long_is_a_row_that_is_rejected() {
        let long = format!("{{\"id\": \"{}\"}}\n{{\"id\": 2}}\n", "x".repeat(3 << 20));
        let (_dir, path) = written("a.jsonl", long.as_bytes());
        let all = rows(&path, Place::default());
        assert_eq!(all.iter().map(|(_, value, _)| value.as_str()).collect::<Vec<_>>(), ["-", r#"{"id":2}"#]);
        assert_eq!(rows(&path, all[0].2), all[1..]);
        let (_dir, path) = written("a.csv", b"id\n\xff\n2\n");
        assert_eq!(rows(&path, Place::default()).len(), 2);
    }

    #[test]
    fn a_quote_that_is_never_closed_ends_the_import_and_not_the_memory() {
        let (_dir, path) = written("a.csv", ["id\n1\n\"".as_bytes(), &b"x\n".repeat(4 << 20)].concat().as_slice());
        let mut source = Source::open(&path, Format::Csv, Place::default(), std::iter::empty()).ok().expect("opens");
        assert!(source.next_row().is_ok_and(|row| row.is_some_and(|row| row.value.is_some())));
        assert!(source.next_row().is_err());
    }

    #[test]
    fn a_column_that_is_missing_is_named() {
        let (_dir, path) = written("a.csv", b"id\n1\n");
        let column = FieldPath::parse("name").expect("a path");
        assert!(Source::open(&path, Format::Csv, Place::default(), [&column].into_iter()).is_err());
    }
}
