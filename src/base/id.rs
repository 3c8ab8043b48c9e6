//! Identifier newtypes: 128 random bits each, printed as a short prefix and 26 characters of base 32.
//!
//! None of them is derived from anything a caller sent, so they may be logged.

use std::fmt;
use std::str::FromStr;

/// Names one state of the access policies and the registry: the start of a hash over both. Zero where nothing was
/// decided.
pub type PolicyVersion = [u8; 8];

/// Lower-case RFC 4648 base 32 without padding: 26 characters for 16 bytes.
const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
const TEXT_LEN: usize = 26;

/// The text is not an identifier of the expected kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed identifier")]
pub struct Malformed;

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident = $prefix:literal;)*) => { $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From its 16 bytes, as stored.
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// Its 16 bytes, as stored.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_text(f, $prefix, &self.0)
            }
        }

        impl FromStr for $name {
            type Err = Malformed;

            fn from_str(text: &str) -> Result<Self, Malformed> {
                parse_text($prefix, text).map(Self)
            }
        }
    )* };
}

ids! {
    /// A vault: one data directory and its slots.
    VaultId = "vlt_";
    /// One installation of the process; slots belong to it.
    InstanceId = "ins_";
    /// One root slot.
    SlotId = "slt_";
    /// A person whose data is held.
    SubjectId = "sub_";
    /// One typed value of a subject, through all its versions.
    ItemId = "itm_";
    /// One upload of a document, until it has become a version of an item and as the name of that version's content.
    UploadId = "upl_";
    /// One call, as named in the audit log.
    RequestId = "req_";
    /// The evidence of one erasure.
    ReceiptId = "rcp_";
    /// Stands for a person on one receipt.
    PseudonymId = "psn_";
    /// The legal ground of holds.
    MatterId = "mat_";
    /// One hold under a matter.
    HoldId = "hld_";
    /// Any reason besides the account for which items are kept: a matter, by the same bytes, or the end of a period.
    ReasonId = "rsn_";
    /// A person who operates the vault; whose name it stands for is sealed elsewhere.
    ActorId = "act_";
    /// A request that needs another person's word.
    ApprovalId = "apr_";
    /// Two people's word that a slot is destroyed.
    AttestationId = "att_";
    /// A key of the vault's that people refer to; derived from what is public about it.
    KeyId = "key_";
    /// A sweep of what is due that has stopped.
    SweepId = "swp_";
    /// The replacement of a key.
    RotationId = "rot_";
}

fn write_text(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8; 16]) -> fmt::Result {
    let value = u128::from_be_bytes(*bytes);
    let mut digits = [0; TEXT_LEN];
    for (i, digit) in digits.iter_mut().enumerate() {
        // 26 groups of 5 bits hold 130 bits: the last group carries two zero bits on the right.
        let shift = 128 - 5 * (i as i32 + 1);
        let group = if shift >= 0 { value >> shift } else { value << -shift };
        *digit = ALPHABET[(group & 31) as usize];
    }
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(&digits).expect("the alphabet is ASCII"))
}

fn parse_text(prefix: &str, text: &str) -> Result<[u8; 16], Malformed> {
    let digits = text.strip_prefix(prefix).ok_or(Malformed)?.as_bytes();
    let (last, head) = digits.split_last().ok_or(Malformed)?;
    if digits.len() != TEXT_LEN {
        return Err(Malformed);
    }
    let mut value: u128 = 0;
    for c in head {
        value = value << 5 | digit(*c)?;
    }
    let last = digit(*last)?;
    if last & 3 != 0 {
        return Err(Malformed); // one text per identifier
    }
    Ok((value << 3 | last >> 2).to_be_bytes())
}

/// The place of a character in [`ALPHABET`].
fn digit(c: u8) -> Result<u128, Malformed> {
    match c {
        b'a'..=b'z' => Ok(u128::from(c - b'a')),
        b'2'..=b'7' => Ok(u128::from(c - b'2') + 26),
        _ => Err(Malformed),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn other_kinds_and_other_spellings_are_refused() {
        let text = SubjectId::from_bytes([0xff; 16]).to_string();
        assert_eq!(text, "sub_77777777777777777777777774");
        for wrong in ["", "sub_", &text.to_uppercase(), &text.replace("sub_", "itm_"), &format!("{text}a")] {
            assert_eq!(wrong.parse::<SubjectId>(), Err(Malformed));
        }
        assert_eq!("sub_77777777777777777777777775".parse::<SubjectId>(), Err(Malformed));
    }

    proptest! {
        #[test]
        fn text_and_bytes_agree(bytes: [u8; 16]) {
            let id = SubjectId::from_bytes(bytes);
            prop_assert_eq!(id.to_string().parse::<SubjectId>(), Ok(id));
        }
    }
}
