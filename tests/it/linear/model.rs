//! What a vault does for one subject if all calls come one after another: items with versions, holds, and what holds keep.

use std::collections::{BTreeMap, BTreeSet};

use super::{Model, Next};

/// Item versions.
type Versions = BTreeSet<(Item, u64)>;

/// Numbers that a history gives to what it names.
pub type Item = u32;
/// The number of a value.
pub type Value = u32;
/// The number of a hold.
pub type Hold = u32;
/// The number of a matter.
pub type Matter = usize;
/// The number of an act of forgetting, which is that of its receipt.
pub type Act = u32;

/// A subject's vault.
pub struct Vault;

/// A call with its answer. Where a call was not answered, what the answer would have said is not there.
#[derive(Clone, Debug)]
pub enum Call {
    /// PutItem.
    Put { item: Item, value: Value, said: Said<()> },
    /// UpdateItem; with the version that the caller last saw, if it named one. The new version.
    Correct { act: Act, item: Item, seen: Option<u64>, value: Value, said: Said<u64> },
    /// DeleteItem.
    Delete { act: Act, item: Item, said: Said<()> },
    /// EraseSubject: the act, which a repeat shares with the first, and what its receipt lists as kept, unless it is
    /// pending.
    Erase { act: Act, said: Said<Option<Listed>> },
    /// What an act of forgetting was said to be when it was answered: whether something is kept of it.
    Told { act: Act, kept: bool },
    /// PlaceHold, under one of several matters. How many versions it covers.
    Place { hold: Hold, matter: Matter, scope: Scope, said: Said<u64> },
    /// ReleaseHold. What became of what it kept.
    Release { hold: Hold, said: Said<Left> },
    /// GetItem, as a service: version and value.
    Read { item: Item, said: Said<(u64, Value)> },
    /// The same for a person named by the caller's id, who is nobody once erased.
    ReadNamed { item: Item, said: Said<(u64, Value)> },
    /// GetItem of what only a hold keeps.
    ReadKept { item: Item, version: u64, said: Said<Value> },
    /// ListItems: each item with its version.
    List { said: Said<BTreeMap<Item, u64>> },
}

/// How a call was answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<T> {
    /// It did what it was asked to.
    Done(T),
    /// There is no such thing.
    Absent,
    /// It was erased.
    Erased,
    /// The item is not at the version that the caller last saw.
    Changed,
    /// Not at all.
    Nothing,
}

/// The versions that a receipt lists as kept, and how many more of items that nobody was told of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listed {
    /// Of items that the history knows by their ids.
    pub known: BTreeSet<(Item, u64)>,
    /// Of others.
    pub others: usize,
}

/// What a hold is to cover.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Everything, with what is yet to come.
    Future,
    /// Everything there is.
    Present,
    /// The version that an item has.
    Item(Item),
}

/// What became of what a released hold kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    /// Its matter still keeps all of it, for other holds; or there was nothing.
    Nothing,
    /// All of it goes.
    Gone,
    /// Some of it is no longer kept for its matter, and some is kept for others.
    Kept,
    /// It kept something; more is not told yet.
    Pending,
}

/// All there is to know of a subject.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    erased: Option<Erased>,
    /// Version and value of each item that its account has.
    items: BTreeMap<Item, (u64, Value)>,
    /// Items that a call without an answer may have put, whose ids nobody knows.
    nameless: BTreeSet<Item>,
    /// Holds in force, and the versions that they cover; none for all, also to come.
    holds: BTreeMap<Hold, (Matter, Option<Versions>)>,
    kept: BTreeMap<(Item, u64), Kept>,
    /// Acts of forgetting that are durable.
    acts: BTreeSet<Act>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Erased {
    act: Act,
    /// Whether somebody was told of the act.
    told: bool,
    listed: Listed,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Kept {
    value: Value,
    act: Act,
    holds: BTreeSet<Hold>,
}

impl State {
    /// A subject that was created with these items.
    pub fn with(items: impl IntoIterator<Item = (Item, Value)>) -> Self {
        let items = items.into_iter().map(|(item, value)| (item, (1, value))).collect();
        Self { items, ..Self::default() }
    }

    /// The account lets go of a version: holds that cover it keep it.
    fn forget(&mut self, act: Act, item: Item, version: u64, value: Value) {
        let covers = |covered: &Option<BTreeSet<_>>| covered.as_ref().is_none_or(|all| all.contains(&(item, version)));
        let covering = self.holds.iter().filter(|(_, (_, covered))| covers(covered));
        let holds: BTreeSet<Hold> = covering.map(|(hold, _)| *hold).collect();
        if !holds.is_empty() {
            self.kept.insert((item, version), Kept { value, act, holds });
        }
        // It does not come back: states that differ in nothing else are one.
        for (_, covered) in self.holds.values_mut() {
            covered.as_mut().map(|all| all.remove(&(item, version)));
        }
        self.acts.insert(act);
    }

    fn put(&mut self, item: Item, value: Value) {
        self.items.insert(item, (1, value));
    }

    fn correct(&mut self, act: Act, item: Item, value: Value) -> Option<u64> {
        let (version, old) = *self.items.get(&item)?;
        self.forget(act, item, version, old);
        self.items.insert(item, (version + 1, value));
        Some(version + 1)
    }

    fn delete(&mut self, act: Act, item: Item) -> Option<()> {
        let (version, value) = self.items.remove(&item)?;
        self.forget(act, item, version, value);
        Some(())
    }

    /// Erases the person, unless that is done. The statement of the act, if it is this one.
    fn erase(&mut self, act: Act, told: bool) -> Option<&Listed> {
        if self.erased.is_none() {
            for (item, (version, value)) in std::mem::take(&mut self.items) {
                self.forget(act, item, version, value);
            }
            self.acts.insert(act);
            self.erased = Some(Erased { act, told, listed: self.listed(act) });
        }
        let erased = self.erased.as_mut()?;
        if told && !erased.told {
            // The first that is told of it gives it its name.
            let nameless = std::mem::replace(&mut erased.act, act);
            erased.told = true;
            self.acts.remove(&nameless);
            self.acts.insert(act);
            self.kept.values_mut().filter(|kept| kept.act == nameless).for_each(|kept| kept.act = act);
        }
        self.erased.as_ref().filter(|erased| erased.act == act).map(|erased| &erased.listed)
    }

    fn place(&mut self, hold: Hold, matter: Matter, scope: &Scope) -> Option<u64> {
        let now = |item: &Item| self.items.get(item).map(|(version, _)| (*item, *version));
        let covered: BTreeSet<(Item, u64)> = match scope {
            Scope::Future | Scope::Present => self.items.keys().filter_map(now).collect(),
            Scope::Item(item) => [now(item)?].into(),
        };
        let count = covered.len() as u64;
        self.holds.insert(hold, (matter, (*scope != Scope::Future).then_some(covered)));
        Some(count)
    }

    fn release(&mut self, hold: Hold) -> Option<Left> {
        let (matter, _) = self.holds.remove(&hold)?;
        let (mut goes, mut stays) = (false, false);
        let holds = &self.holds;
        self.kept.retain(|_, kept| {
            if kept.holds.remove(&hold) {
                goes |= !kept.holds.iter().any(|other| holds[other].0 == matter);
                stays |= !kept.holds.is_empty();
            }
            !kept.holds.is_empty()
        });
        Some(match (goes, stays) {
            (false, _) => Left::Nothing,
            (true, true) => Left::Kept,
            (true, false) => Left::Gone,
        })
    }

    fn kept_of(&self, act: Act) -> impl Iterator<Item = &(Item, u64)> {
        self.kept.iter().filter(move |(_, kept)| kept.act == act).map(|(id, _)| id)
    }

    /// What the receipt of an act lists, right after it.
    fn listed(&self, act: Act) -> Listed {
        let (others, known): (BTreeSet<_>, BTreeSet<_>) =
            self.kept_of(act).copied().partition(|(item, _)| self.nameless.contains(item));
        Listed { known, others: others.len() }
    }
}

impl Model for Vault {
    type State = State;
    type Call = Call;

    fn step(state: &State, call: &Call) -> Option<Next<State>> {
        let alive = state.erased.is_none();
        let version = |item: &Item| state.items.get(item).map(|(version, _)| *version);
        let same = |allowed: bool| allowed.then_some(Next::Same);
        let changed = |change: &dyn Fn(&mut State) -> bool| {
            let mut next = state.clone();
            change(&mut next).then_some(Next::Changed(next))
        };
        match call {
            Call::Put { item, value, said } => match said {
                Said::Done(()) if alive => changed(&|next| (next.put(*item, *value), true).1),
                Said::Nothing if alive => changed(&|next| {
                    next.put(*item, *value);
                    next.nameless.insert(*item)
                }),
                Said::Erased | Said::Nothing => same(!alive),
                Said::Done(()) | Said::Absent | Said::Changed => None,
            },
            Call::Correct { act, item, seen, value, said } => {
                let fits = alive && version(item).is_some_and(|version| seen.is_none_or(|seen| seen == version));
                match said {
                    Said::Done(stated) if fits && version(item) == stated.checked_sub(1) => {
                        changed(&|next| next.correct(*act, *item, *value).is_some())
                    }
                    Said::Nothing if fits => changed(&|next| next.correct(*act, *item, *value).is_some()),
                    Said::Done(_) => None,
                    Said::Changed => same(alive && version(item).is_some() && !fits),
                    Said::Absent => same(alive && version(item).is_none()),
                    Said::Erased => same(!alive),
                    Said::Nothing => same(true),
                }
            }
            Call::Delete { act, item, said } => match said {
                Said::Done(()) | Said::Nothing if version(item).is_some() => {
                    changed(&|next| next.delete(*act, *item).is_some())
                }
                Said::Absent => same(alive && version(item).is_none()),
                Said::Erased => same(!alive),
                Said::Nothing => same(true),
                Said::Done(()) | Said::Changed => None,
            },
            Call::Erase { act, said } => match (said, &state.erased) {
                (Said::Done(shown), Some(erased)) if erased.told => {
                    same(erased.act == *act && shown.as_ref().is_none_or(|shown| *shown == erased.listed))
                }
                (Said::Done(shown), _) => changed(&|next| {
                    let listed = next.erase(*act, true);
                    listed.is_some_and(|listed| shown.as_ref().is_none_or(|shown| shown == listed))
                }),
                (Said::Nothing, None) => changed(&|next| (next.erase(*act, false), true).1),
                (Said::Nothing, Some(_)) => same(true),
                (Said::Absent | Said::Erased | Said::Changed, _) => None,
            },
            Call::Told { act, kept } => same(state.acts.contains(act) && state.kept_of(*act).next().is_some() == *kept),
            Call::Place { hold, matter, scope, said } => match said {
                Said::Done(covered) if alive => changed(&|next| next.place(*hold, *matter, scope) == Some(*covered)),
                Said::Erased | Said::Absent => match scope {
                    // Of an item that is gone it depends on what is kept of it which of the two is said.
                    Scope::Item(item) => same(version(item).is_none()),
                    Scope::Future | Scope::Present => same(!alive && *said == Said::Erased),
                },
                Said::Nothing if alive => changed(&|next| next.place(*hold, *matter, scope).is_some()),
                Said::Nothing => same(true),
                Said::Done(_) | Said::Changed => None,
            },
            Call::Release { hold, said } => match said {
                Said::Done(left) => changed(&|next| match (next.release(*hold), left) {
                    (Some(Left::Gone | Left::Kept), Left::Pending) => true,
                    (found, _) => found == Some(*left),
                }),
                // No hold, since its placing was not answered; or it was released by a call that was not.
                Said::Absent => same(!state.holds.contains_key(hold)),
                Said::Nothing if state.holds.contains_key(hold) => changed(&|next| next.release(*hold).is_some()),
                Said::Nothing => same(true),
                Said::Erased | Said::Changed => None,
            },
            Call::Read { item, said } => same(match said {
                Said::Done(found) => alive && state.items.get(item) == Some(found),
                Said::Absent => alive && version(item).is_none(),
                Said::Erased => !alive,
                Said::Nothing | Said::Changed => true,
            }),
            Call::ReadNamed { item, said } => same(match said {
                Said::Done(found) => alive && state.items.get(item) == Some(found),
                Said::Absent => !alive || version(item).is_none(),
                Said::Erased => !alive,
                Said::Nothing | Said::Changed => true,
            }),
            Call::ReadKept { item, version, said } => {
                let kept = state.kept.get(&(*item, *version)).map(|kept| kept.value);
                same(match said {
                    Said::Done(value) => kept == Some(*value),
                    Said::Absent => kept.is_none(),
                    Said::Nothing => true,
                    Said::Erased | Said::Changed => false,
                })
            }
            Call::List { said } => same(match said {
                Said::Done(found) => {
                    let named = state.items.iter().filter(|(item, _)| !state.nameless.contains(item));
                    alive && named.map(|(item, (version, _))| (item, version)).eq(found)
                }
                Said::Erased => !alive,
                Said::Nothing => true,
                Said::Absent | Said::Changed => false,
            }),
        }
    }
}
