//! Plays the attacker beside the demo: hoards every file that a vault's store ever has, and on demand tries every key that
//! can be had from the slots as they now are and the outer key on every record that was ever written.
//!
//! Usage: residue FOLDER, of a `lacuna dev` that has been started there. Each line of standard input is a JSON list of
//! texts; the answer is a line of JSON: how much was tried, which of the texts the keys revealed, and which are in some
//! file in clear.
//!
//! What it does not try: to break a cipher, or to read the memory of the vault.

use std::error::Error;
use std::io::{BufRead as _, Write as _};
use std::path::Path;

use lacuna::keys::outer::OuterKey as _;
use lacuna::keys::outer::file::KeyFile;
use serde_json::json;

#[path = "../tests/it/attacker.rs"]
#[expect(dead_code, reason = "the tests ask the attacker for more")]
mod attacker;

use attacker::{Attacker, Hoard};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os().nth(1).ok_or("usage: residue FOLDER")?;
    let folder = Path::new(&folder);
    let mut hoard = Hoard::of(folder.join("data/db"));
    for line in std::io::stdin().lock().lines() {
        let texts: Vec<String> = serde_json::from_str(&line?)?;
        hoard.gather();
        let outer = KeyFile::at(folder.join("outer.key")).key()?;
        let loot = Attacker::new(outer, hoard.records()).attack(&folder.join("slots"));
        let answer = json!({
            "files": hoard.files(),
            "records": loot.rows,
            "keys": loot.keys,
            "revealed": loot.present(&texts),
            "hidden": loot.missing(&texts.iter().collect::<Vec<_>>()),
            "in_clear": in_clear(hoard.path(), &texts)?,
        });
        println!("{answer}");
        std::io::stdout().flush()?;
    }
    Ok(())
}

/// Which texts are in some file as they are.
fn in_clear<'t>(folder: &Path, texts: &'t [String]) -> Result<Vec<&'t str>, std::io::Error> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let bytes = std::fs::read(entry?.path())?;
        let is_there = |text: &&String| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        found.extend(texts.iter().filter(is_there).map(String::as_str));
    }
    Ok(found)
}
