//! Imports point one way: a module names only modules of higher tiers in `lib.rs`.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

fn tiers() -> HashMap<String, usize> {
    let mut tier = 0;
    let mut tiers = HashMap::new();
    for line in include_str!("../../src/lib.rs").lines() {
        if line.starts_with("// T") {
            tier += 1;
        } else if let Some(name) = line.strip_prefix("pub mod ") {
            tiers.insert(name.trim_end_matches(';').to_owned(), tier);
        }
    }
    tiers
}

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("a folder of the sources").flatten() {
        let path = entry.path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// `(importing module, imported module)` pairs that point the wrong way.
fn violations(module: &str, text: &str, tiers: &HashMap<String, usize>) -> Vec<String> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    let named = code.flat_map(|line| line.split("crate::").skip(1).map(str::to_owned).collect::<Vec<_>>());
    let named = named.map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
    named
        .filter(|name| name != module && tiers.get(name).is_some_and(|tier| *tier >= tiers[module]))
        .map(|name| format!("{module} imports {name}"))
        .collect()
}

/// What tests on a vault in memory leave is looked through, wherever they are.
const LOOKED_THROUGH: &str = "items imports doctor";

#[test]
fn no_module_imports_from_its_own_tier_or_below() {
    let (tiers, mut found, mut files) = (tiers(), Vec::new(), Vec::new());
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&src, &mut files);
    for file in files {
        let module = file.strip_prefix(&src).expect("below").components().next().expect("has a name");
        let module = module.as_os_str().to_string_lossy().into_owned();
        if tiers.contains_key(&module) {
            let text = std::fs::read_to_string(&file).expect("a source file");
            let wrong = violations(&module, &text, &tiers);
            let is_test = file.strip_prefix(&src).is_ok_and(|file| file.starts_with("items/tests"));
            found.extend(wrong.into_iter().filter(|wrong| !(is_test && wrong == LOOKED_THROUGH)));
        }
    }
    assert_eq!(found, Vec::<String>::new());
}

#[test]
fn a_wrong_import_is_found() {
    assert_eq!(violations("store", "use crate::gate::txn;", &tiers()), ["store imports gate"]);
    assert_eq!(violations("keys", "use crate::audit::leaf;", &tiers()), ["keys imports audit"]);
    assert!(violations("gate", "use crate::keys::tree; // crate::api", &tiers()).len() == 1);
}
