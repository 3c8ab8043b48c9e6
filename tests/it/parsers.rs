//! Everything that reads bytes from outside, or from a file or row that somebody may have changed: each parser with what
//! it reads when all is well.

use std::path::Path;
use std::sync::OnceLock;

use lacuna::api::convert::{
    access, approvals, audit, batch, document, due, events, find, holds, item, keys, privacy, receipts, subject, system,
};
use lacuna::api::proto::*;
use lacuna::audit::checkpoint::Checkpoint;
use lacuna::audit::handover::Handover;
use lacuna::audit::note::{self, VerifierKey};
use lacuna::audit::{bundle, leaf, sequence, sidecar, tile};
use lacuna::base::id::{InstanceId, ItemId, ReceiptId, SlotId, SubjectId, UploadId, VaultId};
use lacuna::base::secret::{PlainValue, Secret};
use lacuna::base::time::Timestamp;
use lacuna::bearer::{jwks, jwt};
use lacuna::catalog::classes::access_event::AccessEvent;
use lacuna::catalog::classes::communication::{Channel, Communication as Message};
use lacuna::catalog::classes::contact::{Contact as Reach, EmailAddress as Mailbox};
use lacuna::catalog::classes::payment::Payment as Means;
use lacuna::catalog::classes::usage_event::UsageEvent;
use lacuna::catalog::classes::{CLASSES, CanonicalValue, ItemValue as Held};
use lacuna::catalog::registry::{self, Registry};
use lacuna::cli::import::journal::{Journal, Mark};
use lacuna::cli::import::mapping::Mapping;
use lacuna::cli::receipt::check;
use lacuna::crypto::sign::Signer;
use lacuna::gate::intents::Intent;
use lacuna::gate::uploads::UploadPlace;
use lacuna::items::record::day::{self, Stored};
use lacuna::items::record::{decode_item, decode_upload};
use lacuna::keys::chunks::{ChunkNumber, ContentKey, ContentPlace};
use lacuna::keys::outer::passphrase::Kdf;
use lacuna::keys::page::{Entry, Page, PageId, Tree};
use lacuna::keys::slot::file::layout::{BLOCK, Contents, FILE_LEN, Header, encode_secret};
use lacuna::policy::bindings::Bindings;
use lacuna::policy::caller::ServiceName;
use lacuna::policy::policies::Policies;
use lacuna::server::config::Config;
use lacuna::server::identity::Identity;
use prost::Message as _;
use prost_reflect::{Cardinality, DescriptorPool, DynamicMessage, Kind, MessageDescriptor, Value};

/// A parser, what it reads when all is well, and how often it has its turn: one in so many.
pub struct Parser {
    pub name: &'static str,
    pub one_in: usize,
    pub samples: Vec<Vec<u8>>,
    pub read: fn(&[u8]),
}

const VAULT: VaultId = VaultId::from_bytes([1; 16]);
const SUBJECT: SubjectId = SubjectId::from_bytes([2; 16]);
const ITEM: ItemId = ItemId::from_bytes([3; 16]);
const PAGE: PageId = PageId { tree: Tree::Subjects, level: 0, index: 5 };

/// Every parser.
pub fn all() -> Vec<Parser> {
    let mut all = vec![];
    all.extend(messages());
    all.extend(of_the_log());
    all.extend(of_callers());
    all.extend(of_operators());
    all.extend(of_the_store());
    all
}

fn parser(name: &'static str, one_in: usize, samples: Vec<Vec<u8>>, read: fn(&[u8])) -> Parser {
    Parser { name, one_in, samples, read }
}

fn texts(samples: &[&str]) -> Vec<Vec<u8>> {
    samples.iter().map(|sample| sample.as_bytes().to_vec()).collect()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Requests, each filled in whole.
fn messages() -> Vec<Parser> {
    macro_rules! requests {
        ($($message:ident => $convert:expr;)*) => { vec![$(
            parser(stringify!($message), 4, vec![filled(stringify!($message))], |bytes| {
                if let Ok(message) = $message::decode(bytes) {
                    let _ = $convert(message);
                }
            })
        ),*] };
    }
    requests! {
        CreateSubjectRequest => subject::create;
        GetSubjectRequest => subject::describe;
        FindSubjectsRequest => find::query;
        PutItemRequest => item::put;
        BatchPutItemsRequest => batch::put;
        GetItemRequest => item::get;
        BatchGetItemsRequest => batch::get;
        ListItemsRequest => item::list;
        UpdateItemRequest => item::update;
        DeleteItemRequest => item::delete;
        RecordEventsRequest => events::record;
        ReadEventsRequest => events::read;
        UploadDocumentRequest => document::opening;
        UploadFinish => |finish| document::finish(&finish);
        DownloadDocumentRequest => document::download;
        VerifyPasswordRequest => item::verify;
        CheckAccessRequest => access::check;
        EraseSubjectRequest => receipts::erase;
        GetReceiptRequest => receipts::get;
        VerifyErasureRequest => receipts::verify;
        RestrictSubjectRequest => privacy::restrict;
        SetObjectionRequest => privacy::object;
        OpenMatterRequest => holds::open;
        CloseMatterRequest => holds::close;
        ListMattersRequest => holds::list_matters;
        PlaceHoldRequest => holds::place;
        ReleaseHoldRequest => holds::release;
        ListHoldsRequest => holds::list_holds;
        ListKeepReasonsRequest => holds::list_reasons;
        GetKeyStatusRequest => keys::wanted;
        StartRotationRequest => keys::start;
        WatchRotationRequest => keys::watch;
        PauseRotationRequest => keys::pause;
        ResumeRotationRequest => keys::resume;
        ListEntriesRequest => audit::list;
        TailEntriesRequest => audit::tail;
        ListApprovalsRequest => approvals::list;
        ApproveRequest => approvals::approve;
        RejectRequest => approvals::reject;
        ListDueRequest => due::query;
        ConfirmSweepRequest => due::confirm;
        ReplaceSlotRequest => system::replace_slot;
        RemoveSlotRequest => system::remove_slot;
        AttestSlotDestroyedRequest => system::attest_slot;
    }
}

/// A message of the contract with every field set.
fn filled(name: &str) -> Vec<u8> {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the contract");
    let message = pool.get_message_by_name(&format!("lacuna.v1.{name}")).expect("a message of the contract");
    fill(&message, 0).encode_to_vec()
}

fn fill(message: &MessageDescriptor, depth: usize) -> DynamicMessage {
    let mut filled = DynamicMessage::new(message.clone());
    for field in message.fields() {
        let value = match field.kind() {
            Kind::Message(inner) if depth < 6 && !field.is_map() => Value::Message(fill(&inner, depth + 1)),
            Kind::Message(_) => continue,
            Kind::String => Value::String(sample_text(field.name()).into()),
            Kind::Bytes => Value::Bytes(vec![7; 32].into()),
            Kind::Bool => Value::Bool(true),
            Kind::Enum(_) => Value::EnumNumber(1),
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Value::I32(12),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Value::I64(12),
            Kind::Uint32 | Kind::Fixed32 => Value::U32(12),
            Kind::Uint64 | Kind::Fixed64 => Value::U64(12),
            Kind::Float => Value::F32(1.5),
            Kind::Double => Value::F64(1.5),
        };
        let is_list = field.cardinality() == Cardinality::Repeated;
        filled.set_field(&field, if is_list { Value::List(vec![value.clone(), value]) } else { value });
    }
    filled
}

/// A text that a field of this name takes.
fn sample_text(field: &str) -> &'static str {
    match field {
        "subject_id" => "sub_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "item_id" => "itm_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "receipt_id" => "rcp_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "matter_id" => "mat_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "hold_id" => "hld_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "key_id" => "key_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "rotation_id" => "rot_aaaaaaaaaaaaaaaaaaaaaaaaaa",
        "class" | "classes" => "contact",
        "purpose" | "purposes" => "service_delivery",
        "operation" | "operations" => "Vault/GetItem",
        "media_type" => "application/pdf",
        "email" | "address" => "zoe@example.com",
        "phone" => "+442079460958",
        "country_code" => "SE",
        "number" => "4000000000000002",
        "ip_address" => "2001:db8::1",
        "quantity" => "12.50",
        _ => "a text",
    }
}

fn of_the_log() -> Vec<Parser> {
    let (old, new) = (Signer::from_seed(&Secret::copied(&[1; 32])), Signer::from_seed(&Secret::copied(&[2; 32])));
    let before = Checkpoint { origin: "example.org/log".into(), size: 3, root: [7; 32] };
    let handover = Handover::sign(before, &old, &new).expect("a name").into_bytes();
    let entries = tile::encode_entries([&frozen_leaf()[..]; 7].into_iter()).expect("short entries");
    let details: [Option<&[u8]>; 4] = [Some(b"sealed"), None, Some(b""), None];
    vec![
        parser("entries of the log", 1, vec![frozen_leaf()], |bytes| {
            let _ = (leaf::decode(bytes), bundle::Bundle::decode(bytes), sequence::unpack(bytes));
        }),
        parser("tiles", 1, vec![tile::encode_tile(&[[7; 32]; 7]), entries], |bytes| {
            let _ = (tile::decode_tile(bytes, 7), tile::decode_entries(bytes, 7), tile::decode_entries(bytes, 256));
        }),
        parser("published details", 1, vec![sidecar::encode(details.into_iter())], |bytes| {
            let _ = (sidecar::decode(bytes, 4), sidecar::decode(bytes, 256));
        }),
        parser(
            "signed notes and checkpoints",
            1,
            texts(&[
                "lacuna.example/log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— lacuna.example/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
            ]),
            |bytes| {
                let _ = (note::open(bytes, &[]), Checkpoint::open(bytes, &[]), Checkpoint::parse(&text(bytes)));
                let _ = text(bytes).parse::<VerifierKey>();
            },
        ),
        parser("handovers", 1, vec![handover], |bytes| {
            let _ = Handover::open(bytes);
        }),
        parser("verifier keys", 1, texts(&[&receipt_key().1.to_string()]), |bytes| {
            let _ = text(bytes).parse::<VerifierKey>();
        }),
    ]
}

fn of_callers() -> Vec<Parser> {
    vec![
        parser("values", 1, values(), |bytes| {
            for class in CLASSES {
                if let Ok(value) = CanonicalValue::decode(class.id, bytes) {
                    let _ = value.into_value().validate();
                }
            }
        }),
        parser("ids", 1, texts(&["sub_aaaaaaaaaaaaaaaaaaaaaaaaaa", "itm_fxopamafm4bazsyg7cqtuhdnmm"]), |bytes| {
            let text = text(bytes);
            let _ = (text.parse::<SubjectId>(), text.parse::<ItemId>(), text.parse::<ReceiptId>());
            let _ = text.parse::<ServiceName>();
        }),
        parser(
            "tokens",
            1,
            texts(&["eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.eyJpc3MiOiJhIiwic3ViIjoiYiJ9.AAAA"]),
            |bytes| {
                let _ = jwt::parse(&text(bytes));
            },
        ),
        parser("key sets", 1, vec![include_bytes!("../vectors/end-user-tokens.json").to_vec()], |bytes| {
            let _ = jwks::KeySet::parse(bytes);
        }),
        parser("certificates", 1, vec![certificate()], |bytes| {
            let _ = Identity::of(bytes, None);
        }),
        parser("receipt files", 2, receipt_files(), |bytes| {
            if let Ok(receipt) = check::parse(bytes) {
                let _ = check::check(&receipt, &receipt_key().1, &[]);
            }
        }),
        // Signed anew, so that what comes after the signature is reached.
        parser("statements of receipts", 2, vec![sample_body()], |bytes| {
            let _ = check::check(&signed_receipt(bytes.to_vec()), &receipt_key().1, &[]);
        }),
    ]
}

fn of_operators() -> Vec<Parser> {
    let roles = include_str!("../../examples/policies/roles.cedar");
    let policies: Vec<Vec<u8>> =
        roles.split("\n@id(").skip(1).map(|policy| format!("@id({policy}").into_bytes()).collect();
    vec![
        parser(
            "bindings.toml",
            1,
            texts(&[
                "[[binding]]\nidentity = \"spiffe://example.org/people/kim\"\nroles = [\"key-admin\"]\nperson = \"Kim\"\n",
            ]),
            |bytes| {
                let _ = Bindings::parse(&text(bytes));
            },
        ),
        parser("catalog.toml", 2, texts(&[registry::DEFAULT]), |bytes| {
            let _ = Registry::parse(&text(bytes));
        }),
        parser("lacuna.toml", 1, vec![include_bytes!("../../src/server/config/sample.toml").to_vec()], |bytes| {
            let _ = Config::parse(&text(bytes), Path::new("/"));
        }),
        // One policy at a time: each is checked against the whole schema, which takes longest.
        parser("policies", 20, policies, |bytes| {
            static REGISTRY: OnceLock<Registry> = OnceLock::new();
            let registry = REGISTRY.get_or_init(|| Registry::parse(registry::DEFAULT).expect("the shipped one"));
            let _ = Policies::load(registry, &[("a.cedar".into(), text(bytes))]);
        }),
        parser("mappings of an import", 1, mappings(), |bytes| {
            let _ = Mapping::parse(&text(bytes));
        }),
        parser("journals of an import", 10, vec![journal()], |bytes| {
            std::fs::write(journal_file(), bytes).expect("is written");
            let _ = Journal::open(journal_file(), "vlt_a", MARK, &[7; 32], (10, 20));
        }),
        parser("parameters of a passphrase", 1, vec![[&[1][..], &[7; 28]].concat()], |bytes| {
            let _ = Kdf::decode(bytes);
        }),
    ]
}

fn of_the_store() -> Vec<Parser> {
    let intent = [&[3][..], &[7; 16], &[1], &[0, 0, 0, 7], b"contact", &[0, 0], &[0; 8], &[0]].concat();
    vec![
        parser("slot files", 1, vec![slot_file()], |bytes| {
            let mut file = bytes.to_vec();
            file.resize(FILE_LEN, 0);
            let blocks: Vec<&[u8; BLOCK]> = file.chunks(BLOCK).map(|block| block.try_into().expect("whole")).collect();
            if let Ok(contents) = Contents::decode(blocks.try_into().expect("four")) {
                let _ = (contents.epochs(), contents.position(7), contents.secret(7).is_ok(), contents.damaged());
            }
        }),
        parser("pages of the tree", 1, vec![page()], |bytes| {
            let _ = Page::open(&VAULT, PAGE, 1, &Secret::copied(&[5; 32]), bytes);
            if let Some((id, _)) = PageId::of_row(Tree::Subjects, bytes) {
                let _ = id.row_key(1);
            }
        }),
        parser("segments of events", 1, vec![segment()], |bytes| {
            let _ = day::sealed_of(bytes);
            let _ = day::read_segment(&PlainValue::new(bytes.to_vec()), |_, _, _| ());
        }),
        parser("chunks of documents", 1, vec![chunk()], |bytes| {
            let number = ChunkNumber { index: 0, last: true };
            let _ = content_key().open(content_place(), number, bytes);
        }),
        parser("rows of items and uploads", 1, item_rows(), |bytes| {
            let _ = (decode_item(ITEM, bytes), UploadPlace::of_key(bytes));
            let place = UploadPlace { subject: SUBJECT, item: ITEM, upload: UploadId::from_bytes([4; 16]) };
            let _ = decode_upload(place, bytes);
        }),
        parser("intents", 1, vec![intent], |bytes| {
            let _ = Intent::decode(bytes);
        }),
    ]
}

fn frozen_leaf() -> Vec<u8> {
    unhex(include_str!("../vectors/audit-leaf-1.hex").trim())
}

fn unhex(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
}

/// The rows of items and of uploads in the frozen store.
fn item_rows() -> Vec<Vec<u8>> {
    let lines = include_str!("../vectors/store-1.txt").lines();
    let rows = lines.filter(|line| line.starts_with("7 ")).filter_map(|line| line.split(' ').nth(2));
    rows.map(unhex).chain([[&[1, 2][..], &[0; 8], &[0]].concat()]).collect()
}

fn certificate() -> Vec<u8> {
    let mut params = rcgen::CertificateParams::new(vec!["a.example.org".into()]).expect("a name");
    let uri = "spiffe://example.org/a".try_into().expect("a URI");
    params.subject_alt_names.push(rcgen::SanType::URI(uri));
    let key = rcgen::KeyPair::generate().expect("a key");
    params.self_signed(&key).expect("a certificate").der().to_vec()
}

fn values() -> Vec<Vec<u8>> {
    let time = Some(Timestamp::from_millis(1_700_000_000_000));
    let contact = Reach {
        full_name: "Zoë".into(),
        emails: vec![Mailbox { address: "zoe@example.com".into(), ..Mailbox::default() }],
        ..Reach::default()
    };
    let values = [
        Held::Contact(contact),
        Held::Payment(Means { processor: "stripe".into(), token: "tok_visa".into(), ..Means::default() }),
        Held::Communication(Message { channel: Channel::Chat, time, body: "hello".into(), ..Message::default() }),
        Held::AccessEvent(AccessEvent { time, ip_address: "2001:db8::1".into(), ..AccessEvent::default() }),
        Held::UsageEvent(UsageEvent {
            time,
            resource: "vm".into(),
            quantity: "12.5".into(),
            unit: "h".into(),
            ..UsageEvent::default()
        }),
    ];
    let encode = |value: Held| value.validate().map(|value| value.encode().expose().to_vec()).expect("is valid");
    values.into_iter().map(encode).collect()
}

fn receipt_key() -> &'static (Signer, VerifierKey) {
    static KEY: OnceLock<(Signer, VerifierKey)> = OnceLock::new();
    KEY.get_or_init(|| {
        let signer = Signer::from_seed(&Secret::copied(&[3; 32]));
        let key = VerifierKey::new(&format!("{VAULT}/receipt"), *signer.public()).expect("a name");
        (signer, key)
    })
}

/// A statement that holds by itself.
fn sample_body() -> Vec<u8> {
    let mut body = fill(&message("ReceiptBody"), 0).transcode_to::<ReceiptBody>().expect("is one");
    body.format_version = 1;
    body.vault_id = VAULT.to_string();
    body.receipt_id = "rcp_aaaaaaaaaaaaaaaaaaaaaaaaaa".into();
    body.key_ids = vec![vec![1; 16], vec![2; 16]];
    body.key_count = 2;
    body.key_ids_sha256 = lacuna::crypto::hash::sha256(&[&body.key_ids.concat()]).to_vec();
    body.epoch = 12;
    body.encode_to_vec()
}

fn message(name: &str) -> MessageDescriptor {
    let pool = DescriptorPool::decode(DESCRIPTORS).expect("the contract");
    pool.get_message_by_name(&format!("lacuna.v1.{name}")).expect("a message of the contract")
}

/// A receipt of a statement, signed with the key of these tests, with proofs that prove nothing.
fn signed_receipt(body: Vec<u8>) -> Receipt {
    static SAMPLE: OnceLock<Receipt> = OnceLock::new();
    let sample = SAMPLE.get_or_init(|| {
        let mut sample = fill(&message("Receipt"), 0).transcode_to::<Receipt>().expect("is one");
        (sample.purged, sample.index_rotated) = (None, None);
        sample.supplementary.clear();
        sample.keep_reason_openings.clear();
        sample.receipt_id = "rcp_aaaaaaaaaaaaaaaaaaaaaaaaaa".into();
        sample
    });
    let (signer, key) = receipt_key();
    let signature = signer.sign(&[b"lacuna-receipt-v1\0", &body[..]].concat());
    let signature =
        Signature { key_name: key.name().into(), key_hash: key.id().to_vec(), signature: signature.to_vec() };
    Receipt { body, signature: Some(signature), ..sample.clone() }
}

fn receipt_files() -> Vec<Vec<u8>> {
    let receipt = signed_receipt(sample_body());
    let whole = DynamicMessage::decode(message("Receipt"), &receipt.encode_to_vec()[..]).expect("is one");
    vec![receipt.encode_to_vec(), serde_json::to_vec(&whole).expect("JSON")]
}

fn mappings() -> Vec<Vec<u8>> {
    texts(&[
        "[subject]\nexternal_id = \"id\"\nlabels = { region = \"where.region\" }\n\n[[item]]\nclass = \"contact\"\n\
          fields = { full_name = \"name\", \"emails[].address\" = \"mail\" }\nfixed = { language_code = \"en\" }\n\
          metadata = { purposes = [\"service_delivery\"] }\n",
    ])
}

/// The file of an import.
const MARK: Mark = Mark { bytes: 100, check: 7 };

fn journal_file() -> &'static Path {
    static DIR: OnceLock<(tempfile::TempDir, std::path::PathBuf)> = OnceLock::new();
    &DIR.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("a.import");
        (dir, path)
    })
    .1
}

fn journal() -> Vec<u8> {
    let mut journal = Journal::open(journal_file(), "vlt_a", MARK, &[7; 32], (10, 20)).ok().expect("begins");
    let place = lacuna::cli::import::source::Place { offset: 10, line: 1, row: 1 };
    for batch in [0, 1] {
        journal.sending(batch).ok().expect("notes");
        journal.done(batch, place, Default::default(), 7).ok().expect("notes");
    }
    std::fs::read(journal_file()).expect("reads")
}

fn slot_file() -> Vec<u8> {
    let header =
        Header { turn: 1, slot: SlotId::from_bytes([8; 16]), vault: VAULT, owner: InstanceId::from_bytes([9; 16]) };
    let block = header.encode();
    let secret = |index, epoch| encode_secret(&header, index, epoch, &Secret::copied(&[6; 32])).expose().to_vec();
    [block.to_vec(), block.to_vec(), secret(0, 7), secret(1, 8)].concat()
}

fn page() -> Vec<u8> {
    let mut page = Page::empty();
    for child in 0..5 {
        page.set(child, &Entry { generation: 1, extra: 2, key: Secret::copied(&[child; 32]) });
    }
    page.seal(&VAULT, PAGE, 1, &Secret::copied(&[5; 32])).expect("seals")
}

fn segment() -> Vec<u8> {
    let event = |millis| Stored { time: Timestamp::from_millis(millis), value: PlainValue::new(b"an event".to_vec()) };
    day::encode_segment(&[event(-5), event(7)]).expose().to_vec()
}

fn content_key() -> ContentKey {
    let mut handle = [4; 48];
    handle[16..].fill(5);
    ContentKey::of_handle(&Secret::copied(&handle)).expect("a handle")
}

fn content_place() -> ContentPlace<'static> {
    ContentPlace { vault: &VAULT, subject: &SUBJECT, item: &ITEM }
}

fn chunk() -> Vec<u8> {
    content_key().seal(content_place(), ChunkNumber { index: 0, last: true }, b"%PDF-1.7").expect("seals")
}
