//! Every byte of a slot file, format version 1. Pure: bytes in, meaning out.
//!
//! The file is four blocks of 4096 bytes, nothing before or after them. Integers are big-endian, unused bytes zero.
//!
//! ```text
//! offset  block
//! 0       header, copy 0
//! 4096    header, copy 1
//! 8192    secret block 0
//! 12288   secret block 1
//!
//! header                                    secret block (an erased one is 4096 zero bytes)
//! 0     8   "LacunaSl"                      0     8   "LacunaSe"
//! 8     4   format version, 1               8     8   epoch
//! 12    4   zero                            16    32  secret
//! 16    8   turn: 1, then +1 per take-over  48    4016 zero
//! 24    16  slot id                         4064  32  checksum
//! 40    16  vault id
//! 56    16  owner's instance id
//! 72    3992 zero
//! 4064  32  checksum
//! ```
//!
//! - **Header checksum**: SHA-256 over the label `lacuna/1/slot/file`, preceded by its length in 8 bytes, and bytes
//!   0 to 4064. The offsets of the magic, the version and the checksum hold for every later version, so that an
//!   unknown version is told from damage.
//! - **Secret checksum**: HMAC-SHA256 keyed with the secret itself, over the same label, the vault id, the slot id,
//!   the block's number (1 byte), bytes 0 to 16 and bytes 48 to 4064, each preceded by its length in 8 bytes. It
//!   binds the block to its place, shows any change of the secret (the key changes with it), and keeps the secret
//!   out of hash code that does not wipe its buffers. The PRF that the slot answers with has another label.
//! - **Which copy of the header counts**: the whole one; of two, the one with the higher turn. They differ only
//!   between the two halves of a take-over.
//! - **Which secret is in force**: the file does not say, and needs no flag that would have to be changed beside a
//!   live secret. Two valid secrets are an epoch change under way; the store knows how far it went.
//!
//! The checksums detect accidents and torn writes. Whoever can write the file can destroy the slot in any case, and
//! learns nothing from being able to forge a header.

use crate::base::id::{InstanceId, SlotId, VaultId};
use crate::base::secret::{Key, Secret};
use crate::crypto::{hash, label, mac};
use crate::keys::slot::SlotError;

/// Bytes of a block: a page of memory, and a whole number of sectors on any medium.
pub const BLOCK: usize = 4096;
/// Copies of the header; they come first.
pub const COPIES: usize = 2;
/// Secret blocks; they come after the header.
pub const SECRETS: usize = 2;
/// Bytes of a slot file.
pub const FILE_LEN: usize = (COPIES + SECRETS) * BLOCK;

/// A block with nothing in it.
pub const ERASED: [u8; BLOCK] = [0; BLOCK];

/// Whose slot this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Counts the owners, so that the newer of two copies is known.
    pub turn: u64,
    /// The slot's id.
    pub slot: SlotId,
    /// The vault it belongs to.
    pub vault: VaultId,
    /// The instance that may claim it.
    pub owner: InstanceId,
}

/// One secret block, as found.
pub enum Block {
    /// All zero.
    Empty,
    /// Whole, and in its place.
    Holds {
        /// The epoch of the secret.
        epoch: u64,
        /// `S_e`.
        secret: Key,
    },
    /// Neither: torn, rotten or from another place. It may hold parts of a secret.
    Damaged,
}

/// A slot file, understood.
pub struct Contents {
    /// The header in force.
    pub header: Header,
    /// Which copy that is.
    pub copy: usize,
    /// Whether the other copy says the same.
    pub header_settled: bool,
    /// The two secret blocks.
    pub secrets: [Block; SECRETS],
}

impl Header {
    /// The block that states this header.
    pub fn encode(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        block[..8].copy_from_slice(HEADER_MAGIC);
        block[8..12].copy_from_slice(&VERSION.to_be_bytes());
        block[16..24].copy_from_slice(&self.turn.to_be_bytes());
        block[24..40].copy_from_slice(self.slot.as_bytes());
        block[40..56].copy_from_slice(self.vault.as_bytes());
        block[56..72].copy_from_slice(self.owner.as_bytes());
        let checksum = header_checksum(&block);
        block[CHECKSUM_AT..].copy_from_slice(&checksum);
        block
    }

    fn decode(block: &[u8; BLOCK]) -> Result<Self, SlotError> {
        let whole = block[..8] == *HEADER_MAGIC && block[CHECKSUM_AT..] == header_checksum(block);
        if !whole {
            return Err(SlotError::Damaged);
        }
        if block[8..12] != VERSION.to_be_bytes() {
            return Err(SlotError::UnknownFormat);
        }
        Ok(Self {
            turn: u64::from_be_bytes(field(block, 16)),
            slot: SlotId::from_bytes(field(block, 24)),
            vault: VaultId::from_bytes(field(block, 40)),
            owner: InstanceId::from_bytes(field(block, 56)),
        })
    }
}

/// The secret block with number `index` (0 or 1) of the slot that `header` names.
pub fn encode_secret(header: &Header, index: usize, epoch: u64, secret: &Key) -> Secret<BLOCK> {
    let filled = Secret::filled(|block: &mut [u8; BLOCK]| {
        block[..8].copy_from_slice(SECRET_MAGIC);
        block[8..16].copy_from_slice(&epoch.to_be_bytes());
        block[SECRET_AT..SECRET_END].copy_from_slice(secret.expose());
        let checksum = secret_checksum(header, index, block, secret);
        block[CHECKSUM_AT..].copy_from_slice(&checksum);
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(block) = filled;
    block
}

impl Contents {
    /// Reads a whole slot file.
    ///
    /// # Errors
    /// [`SlotError::UnknownFormat`] when either copy of the header is whole and of another version;
    /// [`SlotError::Damaged`] when neither is whole, or they contradict each other. Damaged secret blocks are no
    /// error: the other secret stays usable.
    pub fn decode(blocks: [&[u8; BLOCK]; COPIES + SECRETS]) -> Result<Self, SlotError> {
        let [first, second, secrets @ ..] = blocks;
        let (header, copy, header_settled) = decode_headers(first, second)?;
        let secrets = std::array::from_fn(|index| decode_secret(&header, index, secrets[index]));
        Ok(Self { header, copy, header_settled, secrets })
    }

    /// The epochs with a valid secret, ascending.
    pub fn epochs(&self) -> Vec<u64> {
        let mut epochs: Vec<u64> = self.secrets.iter().filter_map(Block::epoch).collect();
        epochs.sort_unstable();
        epochs
    }

    /// The number of the block that holds the secret of `epoch`.
    ///
    /// # Errors
    /// [`SlotError::Damaged`] when it may have been in a block that is damaged, else [`SlotError::NoSuchEpoch`].
    pub fn position(&self, epoch: u64) -> Result<usize, SlotError> {
        let found = self.secrets.iter().position(|block| block.epoch() == Some(epoch));
        found.ok_or(if self.secret_damaged() { SlotError::Damaged } else { SlotError::NoSuchEpoch })
    }

    /// The secret of `epoch`; errors as [`Contents::position`].
    pub fn secret(&self, epoch: u64) -> Result<&Key, SlotError> {
        match &self.secrets[self.position(epoch)?] {
            Block::Holds { secret, .. } => Ok(secret),
            Block::Empty | Block::Damaged => Err(SlotError::NoSuchEpoch),
        }
    }

    /// Whether anything is neither valid nor empty, or the copies of the header differ.
    pub fn damaged(&self) -> bool {
        !self.header_settled || self.secret_damaged()
    }

    fn secret_damaged(&self) -> bool {
        self.secrets.iter().any(|block| matches!(block, Block::Damaged))
    }
}

impl Block {
    fn epoch(&self) -> Option<u64> {
        match self {
            Block::Holds { epoch, .. } => Some(*epoch),
            Block::Empty | Block::Damaged => None,
        }
    }
}

/// The header in force, which copy that is, and whether the other says the same.
fn decode_headers(first: &[u8; BLOCK], second: &[u8; BLOCK]) -> Result<(Header, usize, bool), SlotError> {
    match (Header::decode(first), Header::decode(second)) {
        (Err(SlotError::UnknownFormat), _) | (_, Err(SlotError::UnknownFormat)) => Err(SlotError::UnknownFormat),
        (Ok(first), Ok(second)) if first == second => Ok((first, 0, true)),
        (Ok(first), Ok(second)) if first.turn > second.turn => Ok((first, 0, false)),
        (Ok(first), Ok(second)) if first.turn < second.turn => Ok((second, 1, false)),
        (Ok(first), Err(_)) => Ok((first, 0, false)),
        (Err(_), Ok(second)) => Ok((second, 1, false)),
        (Ok(_), Ok(_)) | (Err(_), Err(_)) => Err(SlotError::Damaged),
    }
}

fn decode_secret(header: &Header, index: usize, block: &[u8; BLOCK]) -> Block {
    if *block == ERASED {
        return Block::Empty;
    }
    let Some(secret) = Secret::from_slice(&block[SECRET_AT..SECRET_END]) else { return Block::Damaged };
    let whole = block[..8] == *SECRET_MAGIC
        && mac::equal(&block[CHECKSUM_AT..], &secret_checksum(header, index, block, &secret));
    if whole { Block::Holds { epoch: u64::from_be_bytes(field(block, 8)), secret } } else { Block::Damaged }
}

fn header_checksum(block: &[u8; BLOCK]) -> [u8; 32] {
    let label = label::SLOT_FILE.as_bytes();
    hash::sha256(&[&(label.len() as u64).to_be_bytes(), label, &block[..CHECKSUM_AT]])
}

fn secret_checksum(header: &Header, index: usize, block: &[u8; BLOCK], secret: &Key) -> [u8; 32] {
    let (vault, slot) = (header.vault.as_bytes(), header.slot.as_bytes());
    let parts: [&[u8]; 5] = [vault, slot, &[index as u8], &block[..SECRET_AT], &block[SECRET_END..CHECKSUM_AT]];
    mac::mac(secret, label::SLOT_FILE, &parts)
}

/// `N` bytes of a block from `at`; every caller's field lies inside the block.
fn field<const N: usize>(block: &[u8; BLOCK], at: usize) -> [u8; N] {
    std::array::from_fn(|i| block[at + i])
}

const HEADER_MAGIC: &[u8; 8] = b"LacunaSl";
const SECRET_MAGIC: &[u8; 8] = b"LacunaSe";
const VERSION: u32 = 1;
const SECRET_AT: usize = 16;
const SECRET_END: usize = SECRET_AT + 32;
const CHECKSUM_AT: usize = BLOCK - 32;
