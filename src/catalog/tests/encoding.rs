//! The stored form is part of the on-disk format: these bytes never change within a version.

use proptest::prelude::*;

use super::samples::{self, bytes, valid};
use crate::catalog::classes::contact::Contact;
use crate::catalog::classes::{CLASSES, CanonicalValue, DecodeError, ItemValue};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// One value per class with every field given, and one with next to none.
#[test]
fn encodings_are_frozen() {
    let [contact, government_id, payment, password, communication, access_event, usage_event, document] =
        samples::all();
    let least = ItemValue::Contact(Contact { full_name: "A".into(), ..Default::default() });
    for (name, value, frozen) in [
        ("contact", contact, CONTACT),
        ("government_id", government_id, GOVERNMENT_ID),
        ("payment", payment, PAYMENT),
        ("password", password, PASSWORD),
        ("communication", communication, COMMUNICATION),
        ("access_event", access_event, ACCESS_EVENT),
        ("usage_event", usage_event, USAGE_EVENT),
        ("document", document, DOCUMENT),
        ("least contact", least, LEAST_CONTACT),
    ] {
        assert_eq!(hex(&bytes(&valid(value))), frozen.replace(['\n', ' '], ""), "{name}");
    }
}

#[test]
fn what_is_encoded_is_read_back() {
    for value in samples::all() {
        let value = valid(value);
        let stored = bytes(&value);
        let read = CanonicalValue::decode(value.class().id, &stored).expect("what was encoded is read");
        assert_eq!(bytes(&read), stored);
        assert_eq!(bytes(&valid(read.into_value())), stored, "what is stored is canonical");
    }
}

#[test]
fn other_versions_other_classes_and_damaged_records_are_refused() {
    for value in samples::all() {
        let value = valid(value);
        let (class, stored) = (value.class().id, bytes(&value));
        let mut newer = stored.clone();
        newer[0] = 2;
        assert_eq!(CanonicalValue::decode(class, &newer).err(), Some(DecodeError::Version));
        for len in 0..stored.len() {
            assert_eq!(CanonicalValue::decode(class, &stored[..len]).err(), Some(DecodeError::Malformed), "{len}");
        }
        let longer = [&stored[..], &[0]].concat();
        assert_eq!(CanonicalValue::decode(class, &longer).err(), Some(DecodeError::Malformed));
        for other in CLASSES.iter().filter(|other| other.id != class) {
            assert!(CanonicalValue::decode(other.id, &stored).is_err());
        }
    }
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused_without_a_panic(tail: Vec<u8>, at in 0usize..400, byte: u8) {
        for (value, class) in samples::all().into_iter().zip(CLASSES) {
            let _ = CanonicalValue::decode(class.id, &[&[1], &tail[..]].concat());
            let mut stored = bytes(&valid(value));
            let at = at % stored.len();
            stored[at] = byte;
            let _ = CanonicalValue::decode(class.id, &stored);
        }
    }
}

const CONTACT: &str = "\
    0100000012c3846e6e652047726fc39f6dc3bc6c6c657200000005c3846e6e650000000c47726fc39f6dc3bc6c6c65720000000100000011
    61656e6e65406578616d706c652e636f6d010000000670726976617401010000018bcfe56800000000010000000d2b343933303233313235
    30343202000000085a656e7472616c650100000002343200000000010000000244450000000200000010416d2046c3bc6c6c67726162656e
    20330000000a48696e7465726861757300000008416c7473746164740000000847c3b6726c69747a000000075361636873656e0000000530
    3238323600000012c3846e6e652047726fc39f6dc3bc6c6c65720000000b426569737069656c206547030000000542c3bc726f010107bc02
    1d0000000564652d4445";
const GOVERNMENT_ID: &str = "\
    0101000000024445000000094330315830305434370107e403010107ee021c0000000e53746164742047c3b6726c69747a0000001247524f
    53534d55454c4c455220c3844e4e45";
const PAYMENT: &str = "\
    010000000673747269706500000008746f6b5f766973610100000004343234320b07ed010000000244450000000200000010416d2046c3bc
    6c6c67726162656e20330000000a48696e7465726861757300000008416c7473746164740000000847c3b6726c69747a0000000753616368
    73656e00000005303238323600000012c3846e6e652047726fc39f6dc3bc6c6c65720000000b426569737069656c206547030000000542c3
    bc726f0100000012c3846e6e652047726fc39f6dc3bc6c6c6572";
const PASSWORD: &str = "\
    01010100004c0000000002000000010808080808080808080808080808080809090909090909090909090909090909090909090909090909
    090909090909090000018bcfe56800";
const COMMUNICATION: &str = "\
    010101010000018bcfe56800000000020000001161656e6e65406578616d706c652e636f6d00000007486f746c696e650000001352656368
    6e756e672066c3bc72204dc3a4727a00000024477574656e205461672c0a096469652053756d6d65207374696d6d74206e696368742e0a00
    000006542d31303432";
const ACCESS_EVENT: &str = "\
    01010000018bcfe5687b00000010323030313a6462383a373a313a3a3432000000464d6f7a696c6c612f352e3020285831313b204c696e75
    78207838365f36343b2072763a3132382e3029204765636b6f2f32303130303130312046697265666f782f3132382e300000000b46697265
    666f7820313238000000054c696e75780000000a642d3831663261373763000000172f6b6f6e746f2f726563686e756e67656e3f6e723d31
    3700000003474554000000c8";
const USAGE_EVENT: &str = "\
    01010000018bcfe5680000000008766d2d61656e6e650000000431322e35000000054769422e680000000a65752d63656e7472616c010000
    018bd01c5680";
const DOCUMENT: &str = "\
    010000000a696d6167652f6a7065670000000e5061737320c3846e6e652e6a7067000000000001e240070707070707070707070707070707
    0707070707070707070707070707070707010505050505050505050505050505050500";
const LEAST_CONTACT: &str = "\
    01000000014100000000000000000000000000000000000000000000000000";
