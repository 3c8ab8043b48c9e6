//! Files that are read again while connections stay open: certificates, bindings, catalog and policies.

use lacuna::api::proto::audit_client::AuditClient;
use lacuna::api::proto::vault_client::VaultClient;
use lacuna::api::proto::*;
use lacuna::base::time::{Clock as _, SystemClock};
use lacuna::server::certs::Authority;

use crate::program::subject;
use crate::samples::reason;
use crate::vault::{Recorded, TestVault};

const ACCEPTED: &str = "lacuna_api_connections_accepted_total";

/// A caller whose connection stays open.
struct Caller {
    client: VaultClient<Recorded>,
    purpose: &'static str,
}

/// An item to be read again and again.
struct Item {
    vault: TestVault,
    created: CreateSubjectResponse,
}

impl Item {
    async fn make() -> Self {
        let vault = TestVault::start();
        let created = vault.create(&["contact"]).await;
        Self { vault, created }
    }

    fn caller(&self, name: &str, purpose: &'static str) -> Caller {
        Caller { client: self.vault.client(name), purpose }
    }

    /// The view that a caller gets of the item, or the reason why not.
    async fn view(&self, caller: &Caller) -> String {
        let request = GetItemRequest {
            context: self.vault.context(caller.purpose),
            subject: subject(&self.created.subject_id),
            item_id: self.created.items[0].item_id.clone(),
            ..Default::default()
        };
        match caller.client.clone().get_item(request).await {
            Ok(answer) => answer.into_inner().item.expect("an item").view().as_str_name().replace("VIEW_", ""),
            Err(status) => reason(&status),
        }
    }

    fn edit(&self, file: &str, edit: impl FnOnce(String) -> String) {
        let path = self.vault.dir().join(file);
        let text = std::fs::read_to_string(&path).expect("a file");
        let edited = edit(text.clone());
        assert_ne!(text, edited, "the edit of {file} changes something");
        std::fs::write(path, edited).expect("is written");
    }

    fn is_stale(&self, files: &str) -> bool {
        self.vault.program().metric(&format!("lacuna_files_stale{{files=\"{files}\"}}")) == 1
    }

    fn printed(&self) -> String {
        std::fs::read_to_string(self.vault.output()).expect("a file")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_and_catalog_take_effect_on_the_next_call_of_an_open_connection() {
    let item = Item::make().await;
    let (support, service) = (item.caller("support", "service_delivery"), item.caller("service", "improvement"));
    assert_eq!((item.view(&support).await, item.view(&service).await), ("MASKED".into(), "MASKED".into()));
    let connections = item.vault.program().metric(ACCEPTED);

    let sound = std::fs::read_to_string(item.vault.dir().join("policies/roles.cedar")).expect("a file");
    let forbid = "@id(\"nobody-helps\") forbid (principal in Lacuna::Role::\"support\", action, resource);";
    item.edit("policies/roles.cedar", |text| format!("{text}\n{forbid}\n"));
    item.vault.program().reload();
    assert_eq!(item.view(&support).await, "ACCESS_DENIED", "the method itself is closed now");
    assert_eq!(item.view(&service).await, "MASKED");

    item.edit("policies/roles.cedar", |_| {
        format!("{sound}\n@id(\"bad\") permit (principal, action, resource) when {{ context.hour > 8 }};")
    });
    item.vault.program().reload();
    assert!(item.is_stale("rules") && !item.is_stale("bindings"));
    assert!(item.printed().contains("catalog and policies are kept as they were") && item.printed().contains("hour"));
    assert_eq!(item.view(&support).await, "ACCESS_DENIED", "the old rules are in force");

    item.edit("policies/roles.cedar", |_| sound);
    item.edit("catalog.toml", |text| text.replace("contact = \"masked\"", "contact = \"exists\""));
    item.vault.program().reload();
    assert!(!item.is_stale("rules"));
    assert_eq!((item.view(&support).await, item.view(&service).await), ("MASKED".into(), "EXISTS".into()));
    assert_eq!(item.vault.program().metric(ACCEPTED), connections, "no connection was made anew");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_that_is_no_longer_bound_is_refused_on_its_open_connection() {
    let item = Item::make().await;
    let (support, service) = (item.caller("support", "service_delivery"), item.caller("service", "service_delivery"));
    assert_eq!((item.view(&support).await, item.view(&service).await), ("MASKED".into(), "PLAIN".into()));
    let connections = item.vault.program().metric(ACCEPTED);
    item.edit("tls/bindings.toml", |text| text.replace("dev.lacuna.invalid/support\"", "dev.lacuna.invalid/left\""));
    item.vault.program().reload();
    assert_eq!((item.view(&support).await, item.view(&service).await), ("CALLER_UNKNOWN".into(), "PLAIN".into()));

    item.edit("tls/bindings.toml", |text| text.replace("[\"service\"]", "[\"everything\"]"));
    item.vault.program().reload();
    assert!(item.is_stale("bindings") && item.printed().contains("bindings are kept as they were"));
    assert_eq!((item.view(&support).await, item.view(&service).await), ("CALLER_UNKNOWN".into(), "PLAIN".into()));

    item.edit("tls/bindings.toml", |text| text.replace("[\"everything\"]", "[\"support\"]"));
    item.vault.program().reload();
    assert!(!item.is_stale("bindings"));
    assert_eq!(item.view(&service).await, "MASKED", "it has another role now");
    assert_eq!(item.vault.program().metric(ACCEPTED), connections, "no connection was made anew");
}

/// Who may act is as important as the rules: each change of it is an entry of the log, once, also one that was made while
/// the vault did not run.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_bindings_is_an_entry_of_the_log() {
    let mut item = Item::make().await;
    let changes = async |item: &Item| {
        let request = ListEntriesRequest {
            context: item.vault.context("security"),
            filter: Some(AuditFilter { operations: vec!["bindings.changed".into()], ..Default::default() }),
            ..Default::default()
        };
        let pages = AuditClient::new(item.vault.service(Some("auditor"))).list_entries(request).await;
        let pages = item.vault.gather(pages.expect("lists").into_inner()).await.expect("pages");
        pages
            .into_iter()
            .flat_map(|page| page.entries)
            .map(|entry| (entry.rule_id, entry.item_count))
            .collect::<Vec<_>>()
    };
    let first = changes(&item).await;
    assert!(first.len() == 1 && first[0].0.starts_with("bindings:") && first[0].1 > 0, "{first:?}");
    item.edit("tls/bindings.toml", |text| format!("# a remark changes nobody's rights\n{text}"));
    item.vault.program().reload();
    assert_eq!(changes(&item).await, first);
    item.edit("tls/bindings.toml", |text| text.replace("dev.lacuna.invalid/support\"", "dev.lacuna.invalid/left\""));
    item.vault.program().reload();
    let second = changes(&item).await;
    assert!(second.len() == 2 && second[0] == first[0] && second[1].0 != first[0].0, "{second:?}");
    item.edit("tls/bindings.toml", |text| text.replace("[\"service\"]", "[\"everything\"]"));
    item.vault.program().reload();
    assert_eq!(changes(&item).await, second, "a bad file changes nothing");

    item.edit("tls/bindings.toml", |text| text.replace("[\"everything\"]", "[\"service\"]"));
    item.vault.stop();
    item.edit("tls/bindings.toml", |text| text.replace("dev.lacuna.invalid/left\"", "dev.lacuna.invalid/support\""));
    item.vault.run("");
    let third = changes(&item).await;
    assert_eq!(third.len(), 3, "while it did not run");
    assert_eq!((&third[..2], &third[2]), (&second[..], &first[0]), "as they were: the same version");
    item.vault.kill();
    item.vault.run("");
    assert_eq!(changes(&item).await, third, "a start alone is no change");
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_exchanged_under_open_connections() {
    let item = Item::make().await;
    let open = item.caller("service", "service_delivery");
    assert_eq!(item.view(&open).await, "PLAIN");
    item.edit("tls/server.pem", |_| "junk".into());
    item.vault.program().reload();
    assert!(item.is_stale("certificates") && item.printed().contains("certificates are kept as they were"));
    assert_eq!(
        item.view(&item.caller("service", "service_delivery")).await,
        "PLAIN",
        "a new connection, the old files"
    );

    let (now, tls) = (SystemClock.now(), item.vault.dir().join("tls"));
    let next = Authority::make(now).expect("an authority");
    let server = next.issue(&Authority::server_params(now).expect("names")).expect("is issued");
    let client = next.issue(&Authority::client_params("service", now).expect("a name")).expect("is issued");
    for (name, text) in [
        ("ca.pem", next.pem()),
        ("server.pem", &server.certificate_pem),
        ("server.key", &server.key_pem),
        ("client-renewed.pem", &client.certificate_pem),
        ("client-renewed.key", &client.key_pem),
    ] {
        std::fs::write(tls.join(name), text).expect("is written");
    }
    item.vault.program().reload();
    assert!(!item.is_stale("certificates"));
    assert_eq!(item.view(&open).await, "PLAIN", "the open connection goes on");
    assert_eq!(item.view(&item.caller("service", "service_delivery")).await, "", "the old authority is not believed");
    assert_eq!(item.view(&item.caller("renewed", "service_delivery")).await, "PLAIN");
    assert_eq!(item.view(&open).await, "PLAIN");
}
