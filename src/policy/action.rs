//! The closed list of things that can be asked for: one per method of the API.

use std::fmt;

use crate::base::log_safe::LogSafe;

macro_rules! actions {
    ($($service:ident { $($method:ident),* $(,)? })*) => {
        /// A method of the API.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Action { $($(
            #[doc = concat!("`", stringify!($service), ".", stringify!($method), "`.")]
            $method,
        )*)* }

        impl Action {
            /// Every method.
            pub const ALL: &[Action] = &[$($(Action::$method),*),*];

            /// The method's name, as in the log.
            pub const fn as_str(self) -> &'static str {
                match self { $($(Action::$method => stringify!($method),)*)* }
            }

            /// The service it belongs to.
            pub const fn service(self) -> &'static str {
                match self { $($(Action::$method => stringify!($service),)*)* }
            }
        }
    };
}

actions! {
    Vault {
        CreateSubject, GetSubject, FindSubjects, PutItem, BatchPutItems, GetItem, BatchGetItems, ListItems, UpdateItem,
        DeleteItem, RecordEvents, ReadEvents, UploadDocument, DownloadDocument, VerifyPassword, CheckAccess,
    }
    Privacy {
        EraseSubject, GetReceipt, VerifyErasure, ExportSubject, RestrictSubject, SetObjection, OpenRequest,
        AdvanceRequest, ListRequests, PublishNotice, RecordNoticeDelivery, AcknowledgeNotice, ListNoticeDue,
    }
    Holds { OpenMatter, CloseMatter, ListMatters, PlaceHold, ReleaseHold, ListHolds, ListKeepReasons }
    Keys { GetKeyStatus, StartRotation, WatchRotation, PauseRotation, ResumeRotation, MarkCompromised, DestroyKey }
    Audit { GetCheckpoint, ListEntries, TailEntries, GetInclusionProof, GetConsistencyProof }
    Approvals { ListApprovals, Approve, Reject }
    System {
        GetStatus, Unseal, Seal, StartBackup, WatchBackup, ListDue, ConfirmSweep, ReplaceSlot, RemoveSlot,
        AttestSlotDestroyed, StartPurge,
    }
}

/// What a call takes of the store's volume, which decides how long it is served while the volume fills up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Draw {
    /// It stores something new.
    Data,
    /// It leaves no more than entries in the log.
    Entry,
    /// It takes data away, or protects it: what persons and courts are owed, and what that needs.
    Duty,
}

impl Action {
    /// What a call of this method takes of the store's volume.
    pub const fn draw(self) -> Draw {
        use Action::*;
        match self {
            CreateSubject | PutItem | BatchPutItems | UpdateItem | RecordEvents | UploadDocument => Draw::Data,
            OpenRequest | AdvanceRequest | PublishNotice | RecordNoticeDelivery | AcknowledgeNotice => Draw::Data,
            StartRotation | ResumeRotation | StartBackup => Draw::Data,
            DeleteItem | EraseSubject | RestrictSubject | SetObjection => Draw::Duty,
            OpenMatter | CloseMatter | PlaceHold | ReleaseHold => Draw::Duty,
            MarkCompromised | DestroyKey | ConfirmSweep | Approve | Reject => Draw::Duty,
            Unseal | Seal | ReplaceSlot | RemoveSlot | AttestSlotDestroyed | StartPurge => Draw::Duty,
            GetSubject | FindSubjects | GetItem | BatchGetItems | ListItems | ReadEvents | DownloadDocument => {
                Draw::Entry
            }
            VerifyPassword | CheckAccess | GetReceipt | VerifyErasure | ExportSubject | ListRequests => Draw::Entry,
            ListNoticeDue | ListMatters | ListHolds | ListKeepReasons | GetKeyStatus | WatchRotation => Draw::Entry,
            PauseRotation | GetCheckpoint | ListEntries | TailEntries | GetInclusionProof | GetConsistencyProof => {
                Draw::Entry
            }
            ListApprovals | GetStatus | WatchBackup | ListDue => Draw::Entry,
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl LogSafe for Action {}
