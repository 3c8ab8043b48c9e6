//! PutItem and GetItem through the gate, in one process: all of a call but the wire. Every call waits for the disk.

use std::cell::Cell;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use lacuna::base::id::{InstanceId, ItemId, SubjectId};
use lacuna::base::secret::Secret;
use lacuna::base::time::SystemClock;
use lacuna::catalog::classes::{Contact, ItemValue};
use lacuna::catalog::text::Text;
use lacuna::gate::call::{Call, CallRequest};
use lacuna::gate::end_users::Presented;
use lacuna::gate::open::{Parts, open};
use lacuna::gate::room::Room;
use lacuna::gate::vault::{Patience, Vault};
use lacuna::items::create::create;
use lacuna::items::get::get;
use lacuna::items::model::{ItemQuery, NewItem, NewMetadata, NewSubject, SubjectRef};
use lacuna::items::put::put;
use lacuna::keys::outer::source::Source;
use lacuna::policy::action::Action;
use lacuna::policy::caller::{Caller, RoleId};
use lacuna::policy::rules::Rules;
use lacuna::store::rocks::{RocksEngine, RocksOptions};
use tokio::runtime::Runtime;

const AT_ONCE: usize = 64;
const SUBJECTS: usize = 64;

fn items(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a folder");
    let vault = vault(folder.path());
    let runtime = runtime(&vault);
    let subjects: Vec<_> = (0..SUBJECTS).map(|_| runtime.block_on(one_item(&vault))).collect();
    let turn = Cell::new(0);
    let next = || subjects[turn.replace(turn.get() + 1) % SUBJECTS];
    for at_once in [1, AT_ONCE] {
        c.bench_function(&format!("items/get_{at_once}_at_once"), |b| {
            b.iter(|| together(&runtime, at_once, || read(vault.clone(), next())));
        });
        c.bench_function(&format!("items/put_{at_once}_at_once"), |b| {
            b.iter(|| together(&runtime, at_once, || write(vault.clone(), next().0)));
        });
    }
}

fn vault(folder: &Path) -> Arc<Vault> {
    let options = RocksOptions { create: true, ..RocksOptions::default() };
    let engine = RocksEngine::open(&folder.join("db"), &options).expect("an empty folder");
    open(Parts {
        engine: Arc::new(engine),
        store_bytes: Box::new(|| 0),
        room: Room::endless(),
        slots: vec![folder.join("a"), folder.join("b")],
        accepts_e0: true,
        apart_from: Vec::new(),
        published: None,
        instance: InstanceId::from_bytes([1; 16]),
        outer: Source::Key(Secret::copied(&[2; 32])),
        rules: Rules::shipped().expect("the shipped registry"),
        clock: Arc::new(SystemClock),
        patience: Patience {
            drain: Duration::from_millis(250),
            epoch_delay: Duration::from_secs(1),
            finds_per_minute: 100,
        },
    })
    .expect("a new vault")
}

/// As a worker thread of the server: it completes its own calls, and tells the writer when it is about to sleep.
fn runtime(vault: &Vault) -> Runtime {
    let committer = vault.committer().clone();
    let park = move || committer.runtime_parks();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().on_thread_park(park).build();
    let runtime = runtime.expect("a runtime");
    runtime.block_on(async { vault.committer().attach_runtime() });
    runtime
}

fn together<F>(runtime: &Runtime, count: usize, call: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    runtime.block_on(async {
        let calls: Vec<_> = (0..count).map(|_| tokio::spawn(call())).collect();
        for call in calls {
            call.await.expect("no panic");
        }
    });
}

async fn begin(vault: &Vault, action: Action) -> Call {
    let caller = Caller {
        identity: "dns:bench.example.org".parse().expect("a name"),
        roles: vec![RoleId::Service],
        person: None,
    };
    let request = CallRequest {
        token: Presented::Nothing,
        find_person: lacuna::items::own::find_person,
        caller: Some(Arc::new(caller)),
        action,
        purpose: "service_delivery".into(),
        role: String::new(),
        ticket: Text::default(),
        idempotency_key: Text::default(),
        approval: None,
        request_digest: [0; 32],
        peer: "127.0.0.1:1".into(),
        deadline: None,
        malformed: None,
    };
    vault.open_call(request).await.expect("permitted")
}

fn contact() -> NewItem {
    let value = Contact { full_name: Text::from("Ada Example"), ..Contact::default() };
    NewItem { class: "contact".into(), value: ItemValue::Contact(value), metadata: NewMetadata::default() }
}

async fn one_item(vault: &Vault) -> (SubjectId, ItemId) {
    let call = begin(vault, Action::CreateSubject).await;
    let new = NewSubject { external_id: Text::default(), labels: Vec::new(), items: vec![contact()] };
    let created = create(vault, &call, new).await.expect("created");
    (created.subject, created.items[0].item)
}

async fn read(vault: Arc<Vault>, (subject, item): (SubjectId, ItemId)) {
    let call = begin(&vault, Action::GetItem).await;
    let (etag, fields) = (String::new(), Vec::new());
    let query = ItemQuery { subject: Some(SubjectRef::Id(subject)), item, version: 0, etag, view: None, fields };
    black_box(get(&vault, &call, query).await.expect("is there"));
}

async fn write(vault: Arc<Vault>, subject: SubjectId) {
    let call = begin(&vault, Action::PutItem).await;
    black_box(put(&vault, &call, SubjectRef::Id(subject), contact()).await.expect("room"));
}

criterion_group!(benches, items);
criterion_main!(benches);
