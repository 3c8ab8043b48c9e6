//! Everything that reads bytes from outside, or from a file that somebody may have changed: valid input with random
//! damage is read or refused, and nothing panics. Short on every change; `scripts/reliability 17` is the long run.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use lacuna::api::convert::{batch, item, subject};
use lacuna::api::proto::*;
use lacuna::audit::checkpoint::Checkpoint;
use lacuna::audit::note::{self, VerifierKey};
use lacuna::audit::{bundle, leaf, tile};
use lacuna::base::id::{ItemId, ReceiptId, SubjectId};
use lacuna::base::time::Timestamp;
use lacuna::bearer::{jwks, jwt};
use lacuna::catalog::classes::access_event::AccessEvent;
use lacuna::catalog::classes::communication::{Channel, Communication as Message};
use lacuna::catalog::classes::contact::{Contact as Reach, EmailAddress as Mailbox};
use lacuna::catalog::classes::payment::Payment as Means;
use lacuna::catalog::classes::usage_event::UsageEvent;
use lacuna::catalog::classes::{CLASSES, CanonicalValue, ItemValue as Held};
use lacuna::catalog::registry::{self, Registry};
use lacuna::policy::bindings::Bindings;
use lacuna::policy::caller::ServiceName;
use lacuna::policy::rules::Rules;
use lacuna::server::config::Config;
use lacuna::server::identity::Identity;
use prost::Message as _;
use serde_json::json;

use crate::figures;
use crate::random::Random;

/// A parser, what it reads when all is well, and how often it has its turn: one in so many.
struct Parser {
    name: &'static str,
    one_in: usize,
    samples: Vec<Vec<u8>>,
    read: fn(&[u8]),
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn parsers() -> Vec<Parser> {
    let texts = |samples: &[&str]| samples.iter().map(|sample| sample.as_bytes().to_vec()).collect();
    let parser = |name, samples, read| Parser { name, one_in: 1, samples, read };
    vec![
        parser("requests", requests(), read_requests),
        parser("values", values(), |bytes| {
            for class in CLASSES {
                if let Ok(value) = CanonicalValue::decode(class.id, bytes) {
                    let _ = value.into_value().validate();
                }
            }
        }),
        parser("entries of the log", vec![frozen_leaf()], |bytes| {
            let _ = leaf::decode(bytes);
            let _ = bundle::Bundle::decode(bytes);
            let _ = (tile::decode_tile(bytes, 7), tile::decode_entries(bytes, 7));
        }),
        parser(
            "signed notes and checkpoints",
            texts(&[
                "lacuna.example/log\n3\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n— lacuna.example/log Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n",
            ]),
            |bytes| {
                let _ = (note::open(bytes, &[]), Checkpoint::open(bytes, &[]), Checkpoint::parse(&text(bytes)));
                let _ = text(bytes).parse::<VerifierKey>();
            },
        ),
        parser("ids", texts(&["sub_aaaaaaaaaaaaaaaaaaaaaaaaaa", "itm_fxopamafm4bazsyg7cqtuhdnmm"]), |bytes| {
            let text = text(bytes);
            let _ = (text.parse::<SubjectId>(), text.parse::<ItemId>(), text.parse::<ReceiptId>());
            let _ = text.parse::<ServiceName>();
        }),
        parser("tokens", texts(&["eyJhbGciOiJFZERTQSIsImtpZCI6ImEifQ.eyJpc3MiOiJhIiwic3ViIjoiYiJ9.AAAA"]), |bytes| {
            let _ = jwt::parse(&text(bytes));
        }),
        parser("key sets", vec![include_bytes!("../vectors/end-user-tokens.json").to_vec()], |bytes| {
            let _ = jwks::KeySet::parse(bytes);
        }),
        parser("certificates", vec![certificate()], |bytes| {
            let _ = Identity::of(bytes, None);
        }),
        parser(
            "bindings",
            texts(&[
                "[[binding]]\nidentity = \"spiffe://example.org/people/kim\"\nroles = [\"key-admin\"]\nperson = \"Kim\"\n",
            ]),
            |bytes| {
                let _ = Bindings::parse(&text(bytes));
            },
        ),
        parser("catalogs", texts(&[registry::DEFAULT]), |bytes| {
            let _ = Registry::parse(&text(bytes));
        }),
        parser("configurations", vec![include_bytes!("../../src/server/config/sample.toml").to_vec()], |bytes| {
            let _ = Config::parse(&text(bytes), Path::new("/"));
        }),
        Parser {
            one_in: 200, // each is checked against the whole schema
            ..parser("policies", vec![include_bytes!("../../examples/policies/roles.cedar").to_vec()], |bytes| {
                let _ = Rules::load(registry::DEFAULT, &[("a.cedar".into(), text(bytes))]);
            })
        },
    ]
}

fn frozen_leaf() -> Vec<u8> {
    let hex = include_str!("../vectors/audit-leaf-1.hex").trim();
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("ASCII"));
    pairs.map(|pair| u8::from_str_radix(pair, 16).expect("hexadecimal")).collect()
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

fn requests() -> Vec<Vec<u8>> {
    let subject =
        Some(SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId("sub_aaaaaaaaaaaaaaaaaaaaaaaaaa".into())) });
    let card =
        Payment { token: "tok".into(), brand: 1, billing_address: Some(Default::default()), ..Default::default() };
    let value = Some(ItemValue { value: Some(item_value::Value::Payment(card)) });
    let new = NewItem { class: "payment".into(), value: value.clone(), metadata: Some(Default::default()) };
    let item_id = "itm_aaaaaaaaaaaaaaaaaaaaaaaaaa".to_owned();
    let entry = PutItemEntry { subject: subject.clone(), item: Some(new.clone()), ..Default::default() };
    vec![
        CreateSubjectRequest { external_id: "a".into(), items: vec![new.clone()], ..Default::default() }
            .encode_to_vec(),
        PutItemRequest { subject: subject.clone(), item: Some(new), ..Default::default() }.encode_to_vec(),
        BatchPutItemsRequest { entries: vec![entry], ..Default::default() }.encode_to_vec(),
        UpdateItemRequest { subject: subject.clone(), item_id, value, ..Default::default() }.encode_to_vec(),
        VerifyPasswordRequest { subject, secret: "x".into(), ..Default::default() }.encode_to_vec(),
    ]
}

fn read_requests(bytes: &[u8]) {
    macro_rules! read {
        ($($message:ty => $convert:expr;)*) => { $(
            if let Ok(message) = <$message>::decode(bytes) {
                let _ = $convert(message);
            }
        )* };
    }
    read! {
        CreateSubjectRequest => subject::create;
        PutItemRequest => item::put;
        BatchPutItemsRequest => batch::put;
        GetItemRequest => item::get;
        ListItemsRequest => item::list;
        UpdateItemRequest => item::update;
        DeleteItemRequest => item::delete;
        VerifyPasswordRequest => item::verify;
    }
}

/// A sample with a few bytes changed, put in, doubled or cut off.
fn damaged(random: &mut Random, sample: &[u8]) -> Vec<u8> {
    let mut bytes = sample.to_vec();
    for _ in 0..random.below(6) {
        if bytes.is_empty() {
            break;
        }
        let at = random.below(bytes.len());
        match random.below(5) {
            0 => bytes[at] = random.next() as u8,
            1 => bytes.insert(at, random.next() as u8),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let end = at + random.below(bytes.len() - at);
                let part = bytes[at..end].to_vec();
                bytes.splice(at..at, part);
            }
        }
    }
    bytes
}

#[test]
fn malformed_input_is_refused_and_never_panics() {
    let executions = std::env::var("LACUNA_EXECUTIONS").ok().map_or(1_500, |text| text.parse().expect("a number"));
    let (mut random, seed) = Random::seeded();
    let parsers = parsers();
    let (mut count, mut panicked) = (0_u64, Vec::new());
    for round in 0..executions {
        for parser in parsers.iter().filter(|parser| round % parser.one_in == 0) {
            let sample = &parser.samples[random.below(parser.samples.len())];
            let bytes = damaged(&mut random, sample);
            count += 1;
            if catch_unwind(AssertUnwindSafe(|| (parser.read)(&bytes))).is_err() {
                panicked.push((parser.name, bytes));
            }
        }
    }
    let figures = json!({ "parsers": parsers.len(), "executions": count, "crashes": panicked.len() });
    figures::note(17, "damaged input of every parser", Some(seed), figures);
    assert!(panicked.is_empty(), "{panicked:?}");
}
