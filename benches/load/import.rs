//! Bulk load: the program's own `import` of new subjects with a contact each, from a file of JSON lines.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use super::Error;
use super::data::Random;

const MAPPING: &str = "[subject]\nexternal_id = \"id\"\n[[item]]\nclass = \"contact\"\nvalue = \"contact\"\n";

/// Rows a second of an import into the vault of a folder.
pub fn rows_per_second(program: &Path, dir: &Path, rows: usize) -> Result<f64, Error> {
    let import = Import::new(dir, rows)?;
    let output = import.command(program, dir).output()?;
    if !output.status.success() {
        return Err(format!("the import failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    if told["stored"].as_u64() != Some(rows as u64) {
        return Err("not every row was stored".into());
    }
    told["rows_per_second"].as_f64().ok_or_else(|| "no rate".into())
}

/// Does something while an import is under way, which must have so many rows that it is not at its end before.
pub fn beside<T>(
    (program, dir): (&Path, &Path),
    rows: usize,
    act: impl FnOnce() -> Result<T, Error>,
) -> Result<T, Error> {
    let import = Import::new(dir, rows)?;
    let mut child = import.command(program, dir).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    while import.stored() == 0 && child.try_wait()?.is_none() {
        std::thread::sleep(Duration::from_millis(10));
    }
    let (before, began) = (import.stored(), Instant::now());
    let done = act();
    let rate = (import.stored() - before) as f64 / began.elapsed().as_secs_f64();
    if child.try_wait()?.is_some() {
        return Err("the import was at its end too soon".into());
    }
    child.kill()?;
    child.wait()?;
    eprintln!("beside: an import, {rate:.0} rows/s");
    done
}

/// A file to import, with what is written beside it. Gone with its owner.
struct Import {
    file: PathBuf,
    mapping: PathBuf,
}

impl Import {
    fn new(dir: &Path, rows: usize) -> Result<Self, Error> {
        static IMPORTS: AtomicUsize = AtomicUsize::new(0);
        let import = IMPORTS.fetch_add(1, Ordering::Relaxed);
        let mut random = Random::seeded(import as u64);
        let mut text = String::new();
        for row in 0..rows {
            let number = random.below(1_000_000);
            writeln!(
                text,
                r#"{{"id":"import-{import}-{row}","contact":{{"full_name":"Ada Example of Number {number:06}","given_name":"Ada","family_name":"Example of Number {number:06}","emails":[{{"address":"ada.example.{number:06}.{row}@mail.example.com","label":"for receipts","primary":true}}],"phones":[{{"number":"+1415555{:04}","label":"weekdays"}}],"addresses":[{{"country_code":"US","lines":["{number} Example Street","Building 7, Floor 12"],"locality":"Springfield","administrative_area":"IL","postal_code":"62701"}}],"language_code":"en-US"}}}}"#,
                row % 10_000
            )?;
        }
        let (file, mapping) = (dir.join(format!("import-{import}.jsonl")), dir.join("import.toml"));
        std::fs::write(&file, text)?;
        std::fs::write(&mapping, MAPPING)?;
        Ok(Self { file, mapping })
    }

    fn command(&self, program: &Path, dir: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("import").arg(&self.file).arg("--mapping").arg(&self.mapping).arg("--dev").arg(dir);
        command.args(["--purpose", "service_delivery", "--output", "json"]);
        command
    }

    fn journal(&self) -> PathBuf {
        PathBuf::from(format!("{}.import", self.file.display()))
    }

    /// Rows that are stored, as its journal says.
    fn stored(&self) -> u64 {
        let text = std::fs::read_to_string(self.journal()).unwrap_or_default();
        let lines = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        lines.filter_map(|line| line["done"]["counts"]["stored"].as_u64()).sum()
    }
}

impl Drop for Import {
    fn drop(&mut self) {
        for file in [&self.file, &self.journal()] {
            let _ = std::fs::remove_file(file);
        }
    }
}
