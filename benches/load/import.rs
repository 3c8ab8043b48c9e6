//! Bulk load: the program's own `import` of new subjects with a contact each, from a file of JSON lines.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::Error;
use super::data::Random;

const MAPPING: &str = "[subject]\nexternal_id = \"id\"\n[[item]]\nclass = \"contact\"\nvalue = \"contact\"\n";

/// Rows a second of an import into the vault of a folder.
pub fn rows_per_second(program: &Path, dir: &Path, rows: usize) -> Result<f64, Error> {
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
    let mut command = Command::new(program);
    command.arg("import").arg(&file).arg("--mapping").arg(&mapping).arg("--dev").arg(dir);
    let output = command.args(["--purpose", "service_delivery", "--output", "json"]).output()?;
    std::fs::remove_file(&file)?;
    if !output.status.success() {
        return Err(format!("the import failed: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    let told: serde_json::Value = serde_json::from_slice(&output.stdout)?;
    if told["stored"].as_u64() != Some(rows as u64) {
        return Err("not every row was stored".into());
    }
    told["rows_per_second"].as_f64().ok_or_else(|| "no rate".into())
}
