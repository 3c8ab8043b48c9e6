//! What was found.

/// Whether the pages of the key tree are those that were written last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pages {
    /// They are.
    Newest,
    /// Some are older, or are missing with all that leads to them.
    NotNewest,
    /// Not known: the row that says so is missing or is not the newest.
    Unknown,
}

/// How many of something there are, and of how many of those it is not known what they say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// All.
    pub all: u64,
    /// What is damaged, exchanged, older than its key says, or lacks its key.
    pub unreadable: u64,
}

/// What was found in a store. No field says whose it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Findings {
    /// Whether the pages are the newest.
    pub pages: Pages,
    /// Key trees: those of the vault itself, of people, and of what keeps items.
    pub trees: Count,
    /// People.
    pub people: Count,
    /// Their items.
    pub items: Count,
    /// Documents that are still being uploaded.
    pub uploads: Count,
    /// Matters, and statutory periods that keep something.
    pub reasons: Count,
    /// Holds.
    pub holds: Count,
    /// Item versions that only a keep reason keeps, by reason.
    pub kept: Count,
    /// Acts of forgetting that are under way.
    pub under_way: Count,
    /// Keys of people, or in people's trees, to which no row leads: rows were taken away.
    pub keys_without_row: u64,
}

impl Findings {
    pub(super) fn new() -> Self {
        let none = Count::default();
        Self {
            pages: Pages::Unknown,
            trees: none,
            people: none,
            items: none,
            uploads: none,
            reasons: none,
            holds: none,
            kept: none,
            under_way: none,
            keys_without_row: 0,
        }
    }

    /// Every count, by name.
    pub fn counts(&self) -> [(&'static str, Count); 8] {
        [
            ("trees", self.trees),
            ("people", self.people),
            ("items", self.items),
            ("uploads", self.uploads),
            ("reasons", self.reasons),
            ("holds", self.holds),
            ("kept", self.kept),
            ("under_way", self.under_way),
        ]
    }

    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        let readable = self.counts().iter().all(|(_, count)| count.unreadable == 0);
        self.pages == Pages::Newest && readable && self.keys_without_row == 0
    }
}

impl Count {
    /// Counts one more. What it holds, where it is readable.
    pub(super) fn note<T>(&mut self, looked: Option<T>) -> Option<T> {
        self.all += 1;
        self.unreadable += u64::from(looked.is_none());
        looked
    }
}
