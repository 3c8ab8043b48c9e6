//! The commands on a running vault, as somebody types them.

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::program::Program;

/// How a command ended.
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

/// Runs the program with standard input, and no variables of ours but the given ones.
pub fn run(arguments: &[&str], stdin: &str, variables: &[(&str, &str)]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lacuna"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("LACUNA_")) {
        command.env_remove(name);
    }
    command.args(arguments).envs(variables.iter().copied());
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().expect("the program starts");
    // A command that reads no input may have ended already.
    let _ = child.stdin.take().expect("is piped").write_all(stdin.as_bytes());
    let output = child.wait_with_output().expect("ends");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code().unwrap_or(-1), out: text(output.stdout), err: text(output.stderr) }
}

/// A command on a dev vault for service delivery.
fn on(dir: &Path, arguments: &[&str], stdin: &str) -> Ran {
    let dir = dir.to_str().expect("UTF-8");
    run(&[arguments, &["--dev", dir, "--purpose", "service_delivery"]].concat(), stdin, &[])
}

fn done(ran: Ran) -> String {
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{}", ran.out);
    ran.out
}

fn done_json(ran: Ran) -> Value {
    serde_json::from_str(&done(ran)).expect("JSON")
}

/// A subject with one contact: its id and the item's.
fn create(dir: &Path) -> (String, String) {
    let value = json!({
        "external_id": "user-1", "labels": { "region": "eu" },
        "items": [{ "class": "contact", "value": { "contact": { "fullName": "Example Person" } } }],
    });
    let created = done_json(on(dir, &["subject", "create", "--value", "-", "--output", "json"], &value.to_string()));
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    (text(&created["subject_id"]), text(&created["items"][0]["item_id"]))
}

#[test]
fn a_person_is_found_by_what_stands_in_a_file() {
    let dir = tempfile::tempdir().expect("a folder");
    let _vault = Program::start(dir.path(), "");
    let (subject, _) = create(dir.path());
    let contact =
        r#"{"contact": {"emails": [{"address": "ana@example.com"}], "phones": [{"number": "+442079460958"}]}}"#;
    let put = ["item", "put", "--subject", &subject, "--value", "-", "--output", "json"];
    let item = done_json(on(dir.path(), &put, contact))["item"]["item_id"].as_str().expect("an id").to_owned();
    for (option, text, item) in [
        ("--external-id-file", "user-1\n", ""),
        ("--email-file", "Ana@Example.com\n", &item),
        ("--phone-file", "+44 (0)20 7946 0958", &item),
    ] {
        let found = done(on(dir.path(), &["subject", "find", option, "-"], text));
        assert_eq!(
            found.split_whitespace().collect::<Vec<_>>().join(" ").trim(),
            format!("SUBJECT ITEM {subject} {item}").trim()
        );
    }
    let number = r#"{"type": "GOVERNMENT_ID_TYPE_PASSPORT", "country_code": "SE", "number": "AA1"}"#;
    let by_number = ["subject", "find", "--government-id-file", "-", "--output", "json"];
    assert_eq!(done_json(on(dir.path(), &by_number, number)), json!({}), "nobody has it");
    let refused = on(dir.path(), &["subject", "find", "--email-file", "-"], "ana");
    assert!(
        refused.code == 1 && refused.err.contains("identifier.email") && !refused.err.contains("ana"),
        "{}",
        refused.err
    );
}

#[test]
fn a_person_is_stored_found_read_corrected_and_deleted() {
    let dir = tempfile::tempdir().expect("a folder");
    let _vault = Program::start(dir.path(), "");
    let (subject, contact) = create(dir.path());
    let on = |arguments: &[&str], stdin: &str| on(dir.path(), arguments, stdin);

    let found = done_json(on(&["subject", "get", "--external-id-file", "-", "--output", "json"], "user-1\n"));
    assert_eq!((&found["subject_id"], &found["labels"]["region"]), (&json!(subject), &json!("eu")));
    let of = ["--subject", subject.as_str()];
    let payment = r#"{"payment": {"processor": "example", "token": "tok_1", "last_four": "4242"}}"#;
    let put = done(on(&[&["item", "put", "--value", "-"], &of[..]].concat(), payment));
    assert!(put.contains("item.version      1"), "{put}");

    let item = ["--item", contact.as_str()];
    let get = [&["item", "get"], &of[..], &item].concat();
    let shown = done_json(on(&[&get[..], &["--output", "json"]].concat(), ""));
    assert_eq!(shown["item"]["value"], json!({ "contact": { "full_name": "Example Person" } }));
    let table = done(on(&get, ""));
    assert!(table.contains("FIELD      VALUE           VIEW\nfull_name  Example Person  PLAIN"), "{table}");
    let masked = done(on(&[&get[..], &["--as", "support"]].concat(), ""));
    assert!(masked.contains("full_name  E****** P*****  MASKED"), "{masked}");

    let list = done(on(&[&["item", "list"], &of[..]].concat(), ""));
    assert_eq!(list.lines().count(), 3, "{list}");
    assert!(list.lines().any(|line| line.starts_with(&contact) && line.contains("contact")), "{list}");

    let corrected = r#"{"contact": {"full_name": "Corrected Person"}}"#;
    let update = ["item", "update", "--value", "-", "--wait", "erased", "--output", "json"];
    let updated = done_json(on(&[&update, &of[..], &item].concat(), corrected));
    assert_eq!(updated["erasure"]["state"], json!("ERASURE_STATE_ERASED"));
    assert!(done(on(&get, "")).contains("Corrected Person"));
    let metadata = ["item", "update", "--metadata", "-", "--output", "json"];
    let metadata = done_json(on(&[&metadata, &of[..], &item].concat(), r#"{"purposes": ["security"]}"#));
    assert_eq!((&metadata["item"]["version"], &metadata["erasure"]), (&json!("2"), &Value::Null));
    let deleted = done(on(&[&["item", "delete"], &of[..], &item].concat(), ""));
    assert!(deleted.contains("ERASURE_STATE_ERASED"), "{deleted}");
    let gone = on(&get, "");
    assert!(gone.code == 1 && gone.err.contains("NOT_FOUND"), "{}", gone.err);
}

#[test]
fn a_change_repeated_with_its_idempotency_key_is_made_once() {
    let dir = tempfile::tempdir().expect("a folder");
    let _vault = Program::start(dir.path(), "");
    let create = |key: &str| {
        let create = ["subject", "create", "--output", "json", "--label", "region=eu", "--idempotency-key", key];
        done_json(on(dir.path(), &create, ""))["subject_id"].clone()
    };
    assert_eq!(create("first"), create("first"));
    assert_ne!(create("first"), create("second"));
}

#[test]
fn a_refusal_says_code_reason_field_and_what_to_do_and_never_the_value() {
    let dir = tempfile::tempdir().expect("a folder");
    let _vault = Program::start(dir.path(), "");
    let (subject, _) = create(dir.path());
    let card = r#"{"payment": {"processor": "example", "token": "4111 1111 1111 1111"}}"#;
    let put = ["item", "put", "--subject", &subject, "--value", "-"];

    let refused = on(dir.path(), &put, card);
    assert_eq!((refused.code, refused.out.as_str()), (1, ""));
    let expected = "\
lacuna: refused: the request is not valid: item.value.payment.token looks like a card number
  code        INVALID_ARGUMENT
  reason      CARD_NUMBER_REFUSED
  field       item.value.payment.token looks like a card number (CARD_NUMBER_REFUSED)
  what to do  Store the processor's token and the last four digits only.
  request_id  req_";
    assert!(refused.err.starts_with(expected) && !refused.err.contains("4111"), "{}", refused.err);

    let refused = on(dir.path(), &[&put[..], &["--output", "json"]].concat(), card);
    let error: Value = serde_json::from_str(&refused.err).expect("JSON");
    assert_eq!((refused.code, &error["error"]["reason"]), (1, &json!("CARD_NUMBER_REFUSED")));
    assert_eq!(error["error"]["fields"][0]["field"], json!("item.value.payment.token"));

    let malformed = on(dir.path(), &put, "{\"payment\": {\n\"s3cret\": 1}}");
    let expected = "lacuna: standard input: line 2, column 8: a field that ItemValue does not have";
    assert!(malformed.code == 1 && malformed.err.starts_with(expected), "{}", malformed.err);
    assert!(!malformed.err.contains("s3cret"), "{}", malformed.err);
}

#[test]
fn a_vault_is_named_by_options_or_by_variables() {
    let dir = tempfile::tempdir().expect("a folder");
    let _vault = Program::start(dir.path(), "");
    let (subject, _) = create(dir.path());
    let text = std::fs::read_to_string(dir.path().join("dev.json")).expect("is ready");
    let dev: Value = serde_json::from_str(&text).expect("JSON");
    let of = |value: &Value| value.as_str().expect("a text").to_owned();
    let [address, ca] = ["address", "ca"].map(|name| of(&dev[name]));
    let [cert, key] = ["cert", "key"].map(|name| of(&dev["clients"]["service"][name]));
    let variables = [
        ("LACUNA_ADDRESS", address.as_str()),
        ("LACUNA_CA", &ca),
        ("LACUNA_CERT", &cert),
        ("LACUNA_KEY", &key),
        ("LACUNA_PURPOSE", "service_delivery"),
    ];
    let get = ["subject", "get", "--subject", subject.as_str()];
    assert!(done(run(&get, "", &variables)).contains("user-1"));
    let options = ["--address", &address, "--ca", &ca, "--cert", &cert, "--key", &key, "--server-name", "localhost"];
    let purpose = ["--purpose", "service_delivery"];
    assert!(done(run(&[&get[..], &options, &purpose].concat(), "", &[])).contains("user-1"));

    let nowhere = run(&[&get[..], &["--address", "127.0.0.1:9"]].concat(), "", &variables);
    assert!(nowhere.code == 1 && nowhere.err.contains("no connection to 127.0.0.1:9"), "{}", nowhere.err);
    assert!(nowhere.err.contains("check the address and that the vault runs"), "{}", nowhere.err);
    let other = run(&[&get[..], &["--server-name", "other.example.com"]].concat(), "", &variables);
    assert!(other.code == 1 && other.err.contains("check --ca and --server-name"), "{}", other.err);
}

#[test]
fn status_shows_the_vault_and_its_slots_to_the_operator() {
    let dir = tempfile::tempdir().expect("a folder");
    let _vault = Program::start(dir.path(), "");
    let status = ["status", "--dev", dir.path().to_str().expect("UTF-8")];
    let table = done(run(&status, "", &[("LACUNA_PURPOSE", "service_delivery")]));
    assert!(table.contains("VAULT_STATE_SERVING") && table.contains("current_epoch"), "{table}");
    let slots = table.lines().filter(|line| line.starts_with("slt_") && line.contains("CURRENT"));
    assert_eq!(slots.count(), 2, "{table}");
    let json = done_json(run(&[&status[..], &["--output", "json"]].concat(), "", &[]));
    assert_eq!((&json["state"], &json["current_epoch"]), (&json!("VAULT_STATE_SERVING"), &json!("1")));
    let refused = run(&[&status[..], &["--as", "support"]].concat(), "", &[]);
    assert!(refused.code == 1 && refused.err.contains("ACCESS_DENIED"), "{}", refused.err);
}

#[test]
fn a_command_line_that_cannot_be_carried_out_ends_with_2() {
    let subject = ["--subject", "sub_aaaaaaaaaaaaaaaaaaaaaaaaaa"];
    let get = [&["subject", "get"], &subject[..]].concat();
    let two_inputs = ["item", "put", "--external-id-file", "-", "--value", "-", "--purpose", "security"];
    for (arguments, words) in [
        (get.clone(), "--purpose is required"),
        ([&get[..], &["--purpose", "security"]].concat(), "where is the vault? Give --dev DIR, or --address, --ca"),
        ([&get[..], &["--external-id-file", "id"]].concat(), "cannot be used with"),
        (vec!["subject", "get", "--purpose", "security"], "required arguments were not provided"),
        ([&["item", "get", "--view", "all", "--item", "x"], &subject[..]].concat(), "invalid value 'all'"),
        (two_inputs.to_vec(), "two options name standard input"),
        (vec!["vanish"], "unrecognized subcommand"),
    ] {
        let ran = run(&arguments, "{}", &[]);
        assert_eq!(ran.code, 2, "{arguments:?}: {}", ran.err);
        assert!(ran.err.contains(words), "{arguments:?}: {}", ran.err);
    }
}

#[test]
fn policies_are_checked_and_asked_without_a_vault() {
    let dir = tempfile::tempdir().expect("a folder");
    let (catalog, policies) = (dir.path().join("catalog.toml"), dir.path().join("policies"));
    std::fs::create_dir(&policies).expect("made");
    std::fs::write(&catalog, lacuna::catalog::registry::DEFAULT).expect("written");
    let write = |more: &str| {
        let text = format!("{}{more}", lacuna::policy::policies::DEFAULT);
        std::fs::write(policies.join("roles.cedar"), text).expect("written");
    };
    write("");
    let check = |question: &str| {
        let files = ["--catalog", catalog.to_str().expect("UTF-8"), "--policies", policies.to_str().expect("UTF-8")];
        let question: Vec<&str> = question.split_whitespace().collect();
        run(&[&["policy", "check"], &files[..], &question].concat(), "", &[])
    };
    let whole = done(check(""));
    assert!(whole.starts_with("no problem found; policy version ") && whole.contains("no bindings were given"));
    assert!(whole.contains("| support | service_delivery |"), "{whole}");
    let version = done_json(check("--output json"))["policy_version"].clone();

    let ask = "--operation Vault/GetItem --role support --purpose service_delivery --output json --class";
    let allowed = done_json(check(&format!("{ask} contact")));
    let told = (&allowed["allowed"], &allowed["view"], &allowed["rule_id"], &allowed["policy_version"]);
    assert_eq!(told, (&json!(true), &json!("masked"), &json!("support-helps"), &version));
    for (question, rule) in [("government_id", Value::Null), ("contact --restricted", json!("guard-restricted"))] {
        let denied = check(&format!("{ask} {question}"));
        let answer: Value = serde_json::from_str(&denied.out).expect("JSON");
        assert_eq!((denied.code, &answer["allowed"], &answer["rule_id"]), (3, &json!(false), &rule), "{question}");
        assert_eq!(answer["policy_version"], version);
    }
    assert_eq!(check("--operation Vault/Steal --role support --purpose security").code, 2);

    let line = lacuna::policy::policies::DEFAULT.lines().count() + 2;
    write("\n@id(\"bad\") permit (principal, action, resource) when { context.hour > 8 };\n");
    let bad = check("");
    let place = format!("roles.cedar, line {line}: for policy `bad`");
    assert!(bad.code == 1 && bad.err.contains(&place), "{} {}", bad.code, bad.err);
}

#[test]
fn completions_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = done(run(&["completions", shell], "", &[]));
        for word in ["take-over", "external-id-file", "completions"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert_eq!(run(&["completions", "none"], "", &[]).code, 2);
}
