use super::*;
use crate::base::time::{Clock, SystemClock};
use crate::server::certs::write_dev_files;
use crate::server::tls::DevCertificates;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;

const SMALL: &str = r#"
[tls]
cert = "server.pem"
key = "server.key"
client_ca = "ca.pem"

[store]
dir = "data"

[slots]
list = [{ path = "a.slot" }, { path = "b.slot" }]

[outer_key]
file = "outer.key"

[files]
catalog = "catalog.toml"
policies = "policies"
bindings = "bindings.toml"
"#;

#[test]
fn the_sample_is_complete_and_states_the_defaults() {
    let sample = Config::parse(Config::sample(), Path::new("/etc/lacuna")).unwrap();
    let small = Config::parse(SMALL, Path::new("/etc/lacuna")).unwrap();
    assert_eq!(format!("{:?}", sample.listen), format!("{:?}", small.listen));
    assert_eq!(format!("{:?}", sample.limits), format!("{:?}", small.limits));
    assert_eq!(format!("{:?}", sample.log), format!("{:?}", small.log));
    assert_eq!(sample.store.cache_mib, small.store.cache_mib);
    assert_eq!(sample.audit.checkpoint_seconds, small.audit.checkpoint_seconds);
    assert_eq!(sample.audit.checkpoint_log, small.audit.checkpoint_log);
    assert_eq!(sample.slots.accept_grades, small.slots.accept_grades);
    assert!(small.listen.address.ip().is_loopback() && small.listen.ops_address.ip().is_loopback());
}

#[test]
fn relative_paths_start_at_the_file() {
    let config = Config::parse(SMALL, Path::new("/etc/lacuna")).unwrap();
    assert_eq!(config.tls.key, Path::new("/etc/lacuna/server.key"));
    assert_eq!(config.slots.list[1].path, Path::new("/etc/lacuna/b.slot"));
    assert_eq!(config.outer_key.path(), Path::new("/etc/lacuna/outer.key"));
    let sample = Config::parse(Config::sample(), Path::new("/etc/lacuna")).unwrap();
    assert_eq!(sample.slots.list[0].path, Path::new("/media/slot-a/lacuna.slot"));
}

#[test]
fn sound_variations_are_accepted() {
    for (from, to) in [
        ("file = \"outer.key\"", "passphrase_file = \"phrase\""),
        ("[tls]", "[listen]\naddress = \"[::]:0\"\nops_address = \"[::]:0\"\nthreads = 8\n[tls]"),
        ("b.slot\" }]", "b.slot\" }]\naccept_grades = [\"E0\"]"),
        ("dir = \"data\"", "dir = \"data\"\ncache_mib = 8"),
        ("[tls]", "[log]\nformat = \"json\"\nlevel = \"debug\"\n[limits]\ndrain_ms_max = 0\n[tls]"),
    ] {
        let text = SMALL.replace(from, to);
        assert_ne!(text, SMALL);
        Config::parse(&text, Path::new("")).unwrap_or_else(|e| panic!("{to}: {e}"));
    }
}

#[test]
fn mistakes_are_refused_with_place_and_advice() {
    for (from, to, expected) in [
        ("[tls]", "[tsl]", "line 2, section [tsl]: unknown field `tsl`"),
        ("key = ", "kye = ", "line 4, section [tls]: unknown field `kye`"),
        ("dir = \"data\"", "", "section [store]: missing field `dir`"),
        ("[tls]", "listen = 1\n[tls]", "line 2: expected"),
        ("dir = \"data\"", "dir = \"data\"\ncache_mib = \"s3cret\"", "line 9, section [store]: expected u32"),
        ("dir = \"data\"", "dir = \"data\"\ncache_mib = 0", "store.cache_mib: choose a number from 8 to"),
        ("[tls]", "[listen]\nthreads = 257\n[tls]", "listen.threads: choose a number from 0 to 256"),
        ("[tls]", "[listen]\naddress = \"s3cret\"\n[tls]", "line 3, section [listen]: invalid socket address"),
        ("[tls]", "[listen]\naddress = \"127.0.0.1:7444\"\n[tls]", "listen.ops_address: is the same"),
        ("[tls]", "[log]\nlevel = \"s3cret\"\n[tls]", "line 3, section [log]: expected one of"),
        ("[tls]", "[limits]\ndrain_ms_max = 10001\n[tls]", "limits.drain_ms_max: choose a number"),
        ("[tls]", "[limits]\nepoch_delay_max_ms = 60001\n[tls]", "limits.epoch_delay_max_ms: choose a number"),
        ("[tls]", "[audit]\ncheckpoint_seconds = 61\n[tls]", "audit.checkpoint_seconds: choose a number from 1 to 60"),
        ("[tls]", "[audit]\ncheckpoint_folder = \"data/c\"\n[tls]", "audit.checkpoint_folder: is inside store.dir"),
        ("[tls]", "[audit]\ncheckpoint_url = \"http://a/b\"\n[tls]", "audit.checkpoint_url: write https://HOST/PATH"),
        ("[tls]", "[audit]\ncheckpoint_url = \"https://a/b?c\"\n[tls]", "audit.checkpoint_url: has a query"),
        ("[tls]", "[audit]\ncheckpoint_url = \"https://a/b\"\n[tls]", "audit.checkpoint_ca_file: is needed with https"),
        ("[tls]", "[audit]\ncheckpoint_ca_file = \"ca\"\n[tls]", "audit.checkpoint_ca_file: and checkpoint_cert"),
        (
            "[tls]",
            "[audit]\ncheckpoint_url = \"https://a/b\"\ncheckpoint_ca_file = \"ca\"\ncheckpoint_key = \"k\"\n[tls]",
            "audit.checkpoint_cert: goes with checkpoint_key",
        ),
        ("[tls]", "[log]\nlevel = \"warn\"\n[audit]\ncheckpoint_log = true\n[tls]", "audit.checkpoint_log: needs"),
        (", { path = \"b.slot\" }", "", "slots.list: name 2 to 8 slots"),
        ("b.slot", "a.slot", "slots.list: names one path twice"),
        ("b.slot", "./a.slot", "slots.list: names one path twice"),
        ("b.slot", "data/b.slot", "slots.list: has a slot inside store.dir"),
        ("b.slot\" }]", "b.slot\" }]\naccept_grades = [\"E1\"]", "line 12, section [slots]: expected `E0`"),
        ("file = \"outer.key\"", "", "section [outer_key]: "),
        ("file = \"outer.key\"", "key = \"s3cret\"", "section [outer_key]: expected `file` or `passphrase_file`"),
        ("file = \"outer.key\"", "file = \"a\"\npassphrase_file = \"b\"", "section [outer_key]: "),
    ] {
        let text = SMALL.replacen(from, to, 1);
        assert_ne!(text, SMALL, "{from}");
        let error = Config::parse(&text, Path::new("/etc/lacuna")).unwrap_err().to_string();
        assert!(error.contains(expected), "{to:?}: {error:?} should contain {expected:?}");
        assert!(!error.contains("s3cret"), "{error}");
    }
}

#[test]
fn a_missing_file_is_named() {
    let error = Config::load(Path::new("/nonexistent/lacuna.toml")).unwrap_err().to_string();
    assert!(error.starts_with("/nonexistent/lacuna.toml: there is no such file"), "{error}");
}

fn installation() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    write_dev_files(dir.path(), SystemClock.now()).unwrap();
    fs::write(dir.path().join("outer.key"), [7; 32]).unwrap();
    fs::set_permissions(dir.path().join("outer.key"), Permissions::from_mode(0o600)).unwrap();
    fs::write(dir.path().join("catalog.toml"), "").unwrap();
    fs::create_dir(dir.path().join("policies")).unwrap();
    let config = dir.path().join("lacuna.toml");
    fs::write(&config, SMALL).unwrap();
    (dir, config)
}

fn problems(config: &Path, dev: DevCertificates) -> Vec<String> {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let wrong = |is_right: bool, words: &str| if is_right { Ok(()) } else { Err(words.to_owned()) };
    let rules = RulesCheck {
        catalog: &|text| wrong(text.is_empty(), "line 1: no such class"),
        policies: &|_, files| wrong(files.is_empty(), "no such role"),
    };
    let found = Config::load(config).unwrap().check(dev, &clock, &rules);
    found.iter().map(|problem| format!("{}: {}", problem.key, problem.detail)).collect()
}

#[test]
fn a_sound_installation_has_no_problems() {
    let (_dir, config) = installation();
    assert_eq!(problems(&config, DevCertificates::Accepted), Vec::<String>::new());
}

#[test]
fn throw_away_certificates_are_refused_in_serve() {
    let (_dir, config) = installation();
    let found = problems(&config, DevCertificates::Refused);
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("tls.cert: holds a throw-away certificate"), "{found:?}");
    assert!(found[1].starts_with("tls.client_ca: holds a throw-away certificate"), "{found:?}");
}

#[test]
fn all_problems_are_told_at_once() {
    let (dir, config) = installation();
    let at = |name: &str| dir.path().join(name);
    fs::write(at("server.pem"), "not a certificate").unwrap();
    fs::set_permissions(at("server.key"), Permissions::from_mode(0o644)).unwrap();
    fs::remove_file(at("ca.pem")).unwrap();
    fs::write(at("data"), "").unwrap();
    fs::create_dir(at("a.slot")).unwrap();
    fs::write(at("b.slot"), "").unwrap();
    fs::set_permissions(at("b.slot"), Permissions::from_mode(0o640)).unwrap();
    fs::write(at("outer.key"), "").unwrap();
    fs::write(at("catalog.toml"), "x").unwrap();
    fs::write(at("bindings.toml"), "x").unwrap();
    let found = problems(&config, DevCertificates::Accepted);
    let expected = [
        "tls.cert: holds no certificate",
        "tls.key: other users can read or write it",
        "tls.client_ca: there is no such file",
        "store.dir: is not a directory",
        "slots.list: is not a file",
        "slots.list: other users can read or write it",
        "outer_key: is empty",
        "files.catalog: line 1: no such class",
        "files.bindings: line 1: ",
    ];
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.starts_with(expected), "{found:?} should start with {expected:?}");
    }
}

#[test]
fn a_key_of_another_certificate_is_a_problem() {
    let (dir, config) = installation();
    fs::copy(dir.path().join("client-kyc.key"), dir.path().join("server.key")).unwrap();
    let found = problems(&config, DevCertificates::Accepted);
    assert_eq!(found, ["tls.key: is not the private key of the configured certificate"]);
    fs::copy(dir.path().join("client-kyc.pem"), dir.path().join("ca.pem")).unwrap();
    let found = problems(&config, DevCertificates::Accepted);
    assert!(found[0].starts_with("tls.client_ca: holds a certificate that is not an authority"), "{found:?}");
}

const ISSUER: &str = "\n[[end_users]]\nissuer = \"https://a\"\naudience = \"v\"\n";

#[test]
fn the_samples_of_the_documentation_for_end_users_are_sound() {
    let text = include_str!("../../../docs/end-users.md");
    let samples: Vec<&str> =
        text.split("```toml\n").skip(1).filter_map(|rest| rest.split_once("```").map(|(sample, _)| sample)).collect();
    assert_eq!(samples.len(), 1);
    let config = Config::parse(&format!("{SMALL}\n{}", samples[0]), Path::new("/etc/lacuna")).unwrap();
    assert_eq!(config.end_users.len(), 2);
    assert_eq!(config.end_users[0].ca_file.as_deref(), Some(Path::new("/etc/lacuna/id-ca.pem")));
    assert_eq!(config.end_users[1].jwks_file.as_deref(), Some(Path::new("/etc/lacuna/sso-jwks.json")));
    // What the commented sample says, too.
    let (_, commented) = Config::sample().split_once("# [[end_users]]").unwrap();
    let keys = commented.lines().skip(1).map_while(|line| line.strip_prefix("# ")).filter(|line| line.contains(" = "));
    let sample = format!("{SMALL}\n[[end_users]]\n{}", keys.collect::<Vec<_>>().join("\n"));
    assert_eq!(Config::parse(&sample, Path::new("")).unwrap().end_users.len(), 1);
}

#[test]
fn issuers_that_cannot_be_told_apart_or_asked_are_refused() {
    let file = "jwks_file = \"jwks\"\n";
    let prefixed = |issuer: &str, prefix: &str| {
        format!("{}{file}subject_prefix = \"{prefix}\"\n", ISSUER.replace("https://a", issuer))
    };
    let two = |one: &str, other: &str| prefixed("https://a", one) + &prefixed("https://b", other);
    for sound in [format!("{ISSUER}{file}"), two("a:", "b:"), two("ab", "ac")] {
        Config::parse(&format!("{SMALL}{sound}"), Path::new("")).unwrap_or_else(|e| panic!("{sound}: {e}"));
    }
    let url = |url: &str| format!("{ISSUER}jwks_url = \"{url}\"\n");
    for (text, expected) in [
        (two("", "b:"), "end_users.subject_prefix: with several issuers each needs one"),
        (two("a", "ab"), "end_users.subject_prefix: with several issuers each needs one"),
        (two("ab", "a"), "end_users.subject_prefix: with several issuers each needs one"),
        (two("a", "a"), "end_users.subject_prefix: with several issuers each needs one"),
        (prefixed("https://a", &"x".repeat(65)), "end_users.subject_prefix: is longer than 64 bytes"),
        (prefixed("https://a", "a:").repeat(2), "end_users.issuer: names one issuer twice"),
        (prefixed("", ""), "end_users: names no issuer or no audience"),
        (ISSUER.to_owned(), "end_users: needs exactly one of jwks_file and jwks_url"),
        (url("https://a/keys") + file, "end_users: needs exactly one of jwks_file and jwks_url"),
        (url("https://a/keys"), "end_users.ca_file: is needed with https"),
        (url("http://127.0.0.1/keys") + "ca_file = \"ca\"\n", "end_users.ca_file: is of no use with http"),
        (url("http://a/keys"), "end_users.jwks_url: write https://HOST/PATH"),
        (format!("{ISSUER}{file}kid = \"1\"\n"), "unknown field `kid`"),
    ] {
        let error = Config::parse(&format!("{SMALL}{text}"), Path::new("")).unwrap_err().to_string();
        assert!(error.contains(expected), "{text}: {error:?} should contain {expected:?}");
    }
}
