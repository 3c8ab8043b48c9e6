//! One person under contention: what callers know of them, and everything that was asked and answered about them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use lacuna::api::proto::CreateSubjectResponse;

use crate::linear::model::{Call, Said, State, Vault};
use crate::linear::{Event, Violation, check};

/// Counts invocations and answers of all callers.
pub type Clock = Arc<AtomicU64>;

/// Invocations and answers of all callers while a change is committed.
const USUAL_TICKS: u64 = 64;

/// A person, and the history of the calls about them.
pub struct Person {
    /// The vault's id of them.
    pub subject_id: String,
    /// The caller's id of them.
    pub external_id: String,
    /// The matters that holds are placed under.
    pub matters: Vec<String>,
    clock: Clock,
    book: Mutex<Book>,
}

#[derive(Default)]
struct Book {
    numbers: HashMap<String, u32>,
    next: u32,
    first: Vec<(u32, u32)>,
    /// Items that somebody was told of, each with its newest version and the etag of it.
    items: BTreeMap<String, (u64, String)>,
    history: Vec<Event<Call>>,
    unexpected: Vec<String>,
}

impl Person {
    /// A person who was created with items of these values.
    pub fn new(
        created: &CreateSubjectResponse,
        external_id: String,
        values: &[String],
        matters: Vec<String>,
        clock: Clock,
    ) -> Self {
        let mut book = Book::default();
        for (stamp, value) in created.items.iter().zip(values) {
            let first = (book.number(&stamp.item_id), book.number(value));
            book.first.push(first);
            book.items.insert(stamp.item_id.clone(), (1, stamp.etag.clone()));
        }
        let subject_id = created.subject_id.clone();
        Self { subject_id, external_id, matters, clock, book: Mutex::new(book) }
    }

    /// The place of an invocation or an answer.
    pub fn tick(&self) -> u64 {
        self.clock.fetch_add(1, Ordering::SeqCst)
    }

    /// The number of a name: an item's or receipt's id, or a value.
    pub fn number(&self, name: &str) -> u32 {
        self.book.lock().expect("no panic").number(name)
    }

    /// A number for what has no name yet.
    pub fn fresh(&self) -> u32 {
        self.book.lock().expect("no panic").fresh()
    }

    /// The item at that place of those that somebody was told of, with its newest version and the etag of it.
    pub fn item(&self, at: usize) -> (String, u64, String) {
        let book = self.book.lock().expect("no panic");
        let (id, (version, etag)) = book.items.iter().nth(at % book.items.len()).expect("there are some");
        (id.clone(), *version, etag.clone())
    }

    /// Every item that somebody was told of, with its newest version.
    pub fn items(&self) -> Vec<(String, u64)> {
        let book = self.book.lock().expect("no panic");
        book.items.iter().map(|(id, (version, _))| (id.clone(), *version)).collect()
    }

    /// Somebody was told of a version.
    pub fn seen(&self, item_id: &str, version: u64, etag: &str) {
        let mut book = self.book.lock().expect("no panic");
        let known = book.items.entry(item_id.to_owned()).or_default();
        if known.0 <= version {
            *known = (version, etag.to_owned());
        }
    }

    /// Notes a call that was invoked then and is answered now, if it was answered at all.
    pub fn note(&self, invoked: u64, calls: impl IntoIterator<Item = Call>) {
        let now = self.tick();
        let mut book = self.book.lock().expect("no panic");
        for call in calls {
            let answered = is_answered(&call).then_some(now);
            if answered.is_some() || changes(&call) {
                // Who waits for an epoch is answered long after it.
                let likely = answered.map(|answered| if waits(&call) { invoked + USUAL_TICKS } else { answered });
                book.history.push(Event { call, invoked, answered, likely });
            }
        }
    }

    /// Notes an answer that nobody should get.
    pub fn note_unexpected(&self, what: String) {
        self.book.lock().expect("no panic").unexpected.push(what);
    }

    /// Whether the history is that of one vault. How many calls it has, how many of them were not answered, and the steps
    /// that it took to find out; none if that was given up.
    pub fn judge(&self) -> Result<(usize, usize, Option<usize>), Violation> {
        let book = self.book.lock().expect("no panic");
        if let Some(first) = book.unexpected.first() {
            return Err(Violation(format!("{} unexpected answers, the first: {first}", book.unexpected.len())));
        }
        let history = book.settled();
        let unanswered = history.iter().filter(|event| event.answered.is_none()).count();
        let steps = check::<Vault>(State::with(book.first.iter().copied()), &history)?;
        Ok((history.len(), unanswered, steps))
    }

    /// How often something was answered like this.
    pub fn count(&self, is_such: impl Fn(&Call) -> bool) -> usize {
        self.book.lock().expect("no panic").history.iter().filter(|event| is_such(&event.call)).count()
    }
}

impl Book {
    fn number(&mut self, name: &str) -> u32 {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let number = self.fresh();
        self.numbers.insert(name.to_owned(), number);
        number
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// The history, once it is known which items somebody was told of: what was put without an answer has a number of its
    /// own, and others know it by its id.
    fn settled(&self) -> Vec<Event<Call>> {
        let put = |event: &Event<Call>| match &event.call {
            Call::Put { item, said: Said::Done(()), .. } => Some(*item),
            _ => None,
        };
        let known: HashSet<u32> =
            self.history.iter().filter_map(put).chain(self.first.iter().map(|(item, _)| *item)).collect();
        let mut history = self.history.clone();
        for event in &mut history {
            match &mut event.call {
                Call::List { said: Said::Done(found) } => found.retain(|item, _| known.contains(item)),
                Call::Erase { said: Said::Done(Some(listed)), .. } => {
                    let all = listed.known.len();
                    listed.known.retain(|(item, _)| known.contains(item));
                    listed.others = all - listed.known.len();
                }
                _ => {}
            }
        }
        history
    }
}

fn is_answered(call: &Call) -> bool {
    match call {
        Call::Put { said, .. } | Call::Delete { said, .. } => *said != Said::Nothing,
        Call::Correct { said, .. } | Call::Place { said, .. } => *said != Said::Nothing,
        Call::Erase { said, .. } => *said != Said::Nothing,
        Call::Release { said, .. } => *said != Said::Nothing,
        Call::Read { said, .. } | Call::ReadNamed { said, .. } => *said != Said::Nothing,
        Call::ReadKept { said, .. } => *said != Said::Nothing,
        Call::List { said } => *said != Said::Nothing,
        Call::Told { .. } => true,
    }
}

/// Whether it is answered when its epoch is done.
fn waits(call: &Call) -> bool {
    matches!(call, Call::Delete { .. } | Call::Erase { .. } | Call::Release { .. })
}

/// Whether it changes anything if it is carried out: else it need not be known without its answer.
fn changes(call: &Call) -> bool {
    let reads = matches!(call, Call::Read { .. } | Call::ReadNamed { .. } | Call::ReadKept { .. } | Call::List { .. });
    !reads && !matches!(call, Call::Told { .. })
}
