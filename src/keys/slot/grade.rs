//! How much a medium's promise to destroy is worth.
//!
//! A slot file earns E1 only where the file system overwrites a block in place, and only apart from everything
//! that is copied into backups. Everything unknown is E0. What the file system cannot see is not graded: snapshots
//! taken below it, a loop file on another file system, spare cells of a flash device.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::IFlags;

use crate::base::log_safe::LogSafe;

/// How strongly a slot destroys what it replaces. A receipt carries the weakest slot's grade.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Grade {
    /// Nothing is promised: old secrets may remain on the medium or travel into a backup.
    E0 = 0,
    /// The logical image of the medium no longer holds the secret.
    E1 = 1,
    /// Hardware that keeps the secret inside deleted it. Which hardware earns this or E3 is for its backend to say.
    E2 = 2,
    /// The strongest that hardware earns.
    E3 = 3,
}

impl Grade {
    /// The grade of a number on disk.
    pub fn from_tag(tag: u8) -> Option<Self> {
        [Self::E0, Self::E1, Self::E2, Self::E3].into_iter().find(|grade| *grade as u8 == tag)
    }
}

/// A grade, with the reason to print beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grading {
    /// The grade.
    pub grade: Grade,
    /// Why it is that one.
    pub why: &'static str,
}

/// What the grade of a slot file depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// The type in `statfs` (Linux `magic.h`).
    pub kind: u32,
    /// The options in force, one after another, if they could be read.
    pub options: Option<Vec<String>>,
    /// Whether the file's own flag sends its data through the file system's journal; `None` if unknown.
    pub journals_file: Option<bool>,
    /// Whether the system may move memory to a swap device.
    pub swaps: bool,
    /// Whether the store or a backup is on the same volume; `None` if unknown.
    pub shared: Option<bool>,
}

impl fmt::Display for Grade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Grade::E0 => "E0",
            Grade::E1 => "E1",
            Grade::E2 => "E2",
            Grade::E3 => "E3",
        })
    }
}

impl LogSafe for Grade {}

/// The grade of an open slot file that has to be apart from the given directories. What cannot be found out counts
/// against it.
pub fn of_file(file: &File, apart_from: &[PathBuf]) -> Grading {
    match look_at(file, apart_from) {
        Some(volume) => decide(&volume),
        None => e0("the volume could not be examined"),
    }
}

/// The decision alone.
pub fn decide(volume: &Volume) -> Grading {
    match volume.shared {
        Some(false) => {}
        Some(true) => return e0("shares a volume with the store or a backup"),
        None => return e0("whether it shares a volume with the store or a backup is unknown"),
    }
    match volume.kind {
        EXT => decide_ext(volume),
        XFS => e1("the file system overwrites in place"),
        RAMFS => e1("memory, overwritten in place"),
        TMPFS if volume.swaps && !volume.has_option("noswap") => e0("memory that may have been copied to swap"),
        TMPFS => e1("memory, overwritten in place"),
        BTRFS | ZFS | BCACHEFS | OVERLAY => e0("the file system copies on write"),
        F2FS | NILFS => e0("the file system is log-structured"),
        _ => e0("the file system is not known to overwrite in place"),
    }
}

fn decide_ext(volume: &Volume) -> Grading {
    if volume.options.is_none() {
        return e0("the mount options could not be read");
    }
    if volume.has_option("data=journal") {
        return e0("the file system writes file data to its journal");
    }
    match volume.journals_file {
        Some(false) => e1("the file system overwrites in place"),
        Some(true) => e0("the file is marked to be written to the journal"),
        None => e0("the file's flags could not be read"),
    }
}

impl Volume {
    fn has_option(&self, wanted: &str) -> bool {
        self.options.iter().flatten().any(|option| option == wanted)
    }
}

const fn e0(why: &'static str) -> Grading {
    Grading { grade: Grade::E0, why }
}

const fn e1(why: &'static str) -> Grading {
    Grading { grade: Grade::E1, why }
}

fn look_at(file: &File, apart_from: &[PathBuf]) -> Option<Volume> {
    let device = file.metadata().ok()?.dev();
    // `f_type` is signed on some machines; the type is its low 32 bits on all of them.
    let kind = rustix::fs::fstatfs(file).ok()?.f_type as u32;
    Some(Volume {
        kind,
        options: options_of(device, kind),
        journals_file: rustix::fs::ioctl_getflags(file).ok().map(|flags| flags.contains(IFlags::JOURNALING)),
        swaps: std::fs::read_to_string("/proc/swaps").map_or(true, |text| text.lines().count() > 1),
        shared: shares_device(device, apart_from),
    })
}

/// Whether any of the directories is on the device. One that is still to be made will be where its parent is.
fn shares_device(device: u64, apart_from: &[PathBuf]) -> Option<bool> {
    for directory in apart_from {
        let absolute = std::path::absolute(directory).ok()?;
        if device_of(&absolute)? == device {
            return Some(true);
        }
    }
    Some(false)
}

fn device_of(path: &Path) -> Option<u64> {
    path.ancestors().find_map(|ancestor| match ancestor.metadata() {
        Ok(metadata) => Some(Some(metadata.dev())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(_) => Some(None),
    })?
}

/// The options the volume is mounted with.
///
/// For ext3 and ext4 `/proc/fs/ext4` is asked first: `mountinfo` leaves out what the superblock sets by default,
/// data journalling included.
fn options_of(device: u64, kind: u32) -> Option<Vec<String>> {
    let number = format!("{}:{}", rustix::fs::major(device), rustix::fs::minor(device));
    if kind == EXT
        && let Some(options) = ext_options(&number)
    {
        return Some(options);
    }
    options_in_mountinfo(&std::fs::read_to_string("/proc/self/mountinfo").ok()?, &number)
}

fn ext_options(number: &str) -> Option<Vec<String>> {
    let device = std::fs::read_link(Path::new("/sys/dev/block").join(number)).ok()?;
    let path = Path::new("/proc/fs/ext4").join(device.file_name()?).join("options");
    Some(std::fs::read_to_string(path).ok()?.lines().map(str::to_owned).collect())
}

/// The superblock options of the device in a `/proc/[pid]/mountinfo` (proc(5)): after the ` - ` come the file
/// system's name, the source and the options.
fn options_in_mountinfo(mountinfo: &str, number: &str) -> Option<Vec<String>> {
    let line = mountinfo.lines().find(|line| line.split(' ').nth(2) == Some(number))?;
    let (_, about) = line.split_once(" - ")?;
    Some(about.split(' ').nth(2)?.split(',').map(str::to_owned).collect())
}

const EXT: u32 = 0xef53;
const XFS: u32 = 0x5846_5342;
const TMPFS: u32 = 0x0102_1994;
const RAMFS: u32 = 0x8584_58f6;
const BTRFS: u32 = 0x9123_683e;
const ZFS: u32 = 0x2fc1_2fc1;
const BCACHEFS: u32 = 0xca45_1a4e;
const F2FS: u32 = 0xf2f5_2010;
const OVERLAY: u32 = 0x794c_7630;
const NILFS: u32 = 0x3434;

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(kind: u32) -> Volume {
        let options = Some(vec!["rw".to_owned()]);
        Volume { kind, options, journals_file: Some(false), swaps: false, shared: Some(false) }
    }

    fn grade(volume: &Volume) -> Grade {
        decide(volume).grade
    }

    #[test]
    fn only_file_systems_that_overwrite_in_place_earn_e1() {
        for (kind, expected) in [
            (EXT, Grade::E1),
            (XFS, Grade::E1),
            (TMPFS, Grade::E1),
            (RAMFS, Grade::E1),
            (BTRFS, Grade::E0),
            (ZFS, Grade::E0),
            (BCACHEFS, Grade::E0),
            (F2FS, Grade::E0),
            (OVERLAY, Grade::E0),
            (NILFS, Grade::E0),
            (0x6969, Grade::E0),      // NFS
            (0x6573_5546, Grade::E0), // FUSE
            (0, Grade::E0),
        ] {
            assert_eq!(grade(&volume(kind)), expected, "{kind:#x}");
        }
    }

    #[test]
    fn a_volume_shared_or_not_known_to_be_apart_is_e0_whatever_the_file_system() {
        for kind in [EXT, XFS, TMPFS, RAMFS, BTRFS] {
            assert_eq!(grade(&Volume { shared: Some(true), ..volume(kind) }), Grade::E0);
            assert_eq!(grade(&Volume { shared: None, ..volume(kind) }), Grade::E0);
        }
    }

    #[test]
    fn ext_with_journalled_data_or_unknown_options_is_e0() {
        let with = |options: Option<&str>, journals_file| Volume {
            options: options.map(|text| text.split(',').map(str::to_owned).collect()),
            journals_file,
            ..volume(EXT)
        };
        assert_eq!(grade(&with(Some("rw,data=ordered"), Some(false))), Grade::E1);
        assert_eq!(grade(&with(Some("rw,data=writeback"), Some(false))), Grade::E1);
        assert_eq!(grade(&with(Some("rw,data=journal"), Some(false))), Grade::E0);
        assert_eq!(grade(&with(None, Some(false))), Grade::E0);
        assert_eq!(grade(&with(Some("rw"), Some(true))), Grade::E0);
        assert_eq!(grade(&with(Some("rw"), None)), Grade::E0);
    }

    #[test]
    fn memory_that_can_be_swapped_out_is_e0() {
        let noswap = Some(vec!["rw".to_owned(), "noswap".to_owned()]);
        assert_eq!(grade(&Volume { swaps: true, ..volume(TMPFS) }), Grade::E0);
        assert_eq!(grade(&Volume { swaps: true, options: noswap, ..volume(TMPFS) }), Grade::E1);
        assert_eq!(grade(&Volume { swaps: true, ..volume(RAMFS) }), Grade::E1);
    }

    #[test]
    fn mount_options_are_found_by_device_number() {
        let mountinfo = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
            27 1 254:0 / / rw,relatime shared:1 master:2 - ext4 /dev/vda rw,discard,data=journal\n\
            28 1 254:16 / /mnt/a\\040b rw - xfs /dev/vdb rw,noquota\n";
        let find = |number| options_in_mountinfo(mountinfo, number).map(|options| options.join("+"));
        assert_eq!(find("254:0").as_deref(), Some("rw+discard+data=journal"));
        assert_eq!(find("254:16").as_deref(), Some("rw+noquota"));
        assert_eq!(find("254:1"), None);
    }

    #[test]
    fn a_directory_still_to_be_made_counts_as_on_its_parents_volume() {
        let dir = tempfile::tempdir().expect("a directory");
        let device = dir.path().metadata().expect("metadata").dev();
        assert_eq!(shares_device(device, &[dir.path().join("a/b/c")]), Some(true));
        assert_eq!(shares_device(device, &[PathBuf::from("/proc/lacuna")]), Some(false));
        assert_eq!(shares_device(device, &[]), Some(false));
    }

    #[test]
    fn grades_are_ordered_and_print_as_on_receipts() {
        let all = [Grade::E0, Grade::E1, Grade::E2, Grade::E3];
        assert!(all.is_sorted());
        assert_eq!(all.map(|grade| grade.to_string()), ["E0", "E1", "E2", "E3"]);
    }
}
