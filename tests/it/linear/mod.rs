//! Whether a recorded history is linearizable: whether all calls can be put in one order in which each takes effect
//! between its invocation and its answer, and in which every answer is the one that a vault of one caller gives.
//!
//! The search is that of Wing and Gong ("Testing and verifying concurrent objects", 1993) with Lowe's memory of what was
//! tried ("Testing for linearizability", 2017). A history is that of one subject, which keeps it small: nothing that a
//! call does to one subject depends on another.

pub mod model;
mod tests;

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::{DefaultHasher, Hash, Hasher as _};

/// What is asked of a thing that behaves as if all calls came one after another.
pub trait Model {
    /// All there is to know between two calls.
    type State: Clone + Debug + Eq + Hash;
    /// A call with its answer.
    type Call: Debug;

    /// The state after the call, if the answer is one that the state allows. A call without an answer is allowed
    /// everywhere, and may take effect.
    fn step(state: &Self::State, call: &Self::Call) -> Option<Next<Self::State>>;
}

/// What a call does to a state.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<S> {
    /// Nothing.
    Same,
    /// This is what it becomes.
    Changed(S),
}

/// A call of a history: invoked and answered at these places of one count over all calls.
#[derive(Clone, Debug)]
pub struct Event<C> {
    /// The call with its answer.
    pub call: C,
    /// When it was invoked.
    pub invoked: u64,
    /// When it was answered. Without an answer it took effect at any time after it was invoked, or never.
    pub answered: Option<u64>,
    /// When it took effect, as far as one can guess: it is tried in this order.
    pub likely: Option<u64>,
}

/// Why a history is not linearizable: the longest order that was found, and what does not fit behind it.
#[derive(Debug)]
pub struct Violation(pub String);

/// Looks for an order of the calls. How many steps that took; none if the search was given up after [`STEPS_MAX`].
///
/// # Errors
/// There is no such order.
pub fn check<M: Model>(first: M::State, history: &[Event<M::Call>]) -> Result<Option<usize>, Violation> {
    let mut search = Search::<M>::of(first, history);
    search.absorb();
    let mut choices = vec![search.candidates()];
    while search.unanswered > 0 {
        if search.steps > STEPS_MAX {
            return Ok(None);
        }
        let call = choices.last_mut().and_then(Vec::pop);
        match call.map(|call| (call, search.try_next(call))) {
            Some((call, Some(next))) => {
                search.take(call, Some(next));
                search.absorb();
                choices.push(search.candidates());
            }
            Some((_, None)) => {}
            // A call is answered before it can take effect: what was tried last is taken back.
            None => {
                choices.pop();
                if !search.give_up() {
                    return Err(search.farthest.tell::<M>(history));
                }
            }
        }
    }
    Ok(Some(search.steps))
}

/// Steps after which a search is given up: many calls that a kill left without an answer leave very many orders.
const STEPS_MAX: usize = 4_000_000;
const HEAD: usize = 0;

enum Point {
    Head,
    Invoked(usize),
    Answered(usize),
}

/// The points of a history as a list, from which calls that took effect are lifted; and what was tried.
struct Search<'h, M: Model> {
    history: &'h [Event<M::Call>],
    points: Vec<Point>,
    next: Vec<usize>,
    previous: Vec<usize>,
    /// The points of each call.
    invoked: Vec<usize>,
    answered: Vec<Option<usize>>,
    /// The calls that took effect, as bits; and how many others were answered.
    done: Vec<u64>,
    unanswered: usize,
    state: M::State,
    taken: Vec<Taken<M::State>>,
    /// What was tried: calls that took effect with the state after them, as a hash of 128 bits.
    tried: HashSet<[u64; 2]>,
    farthest: Farthest,
    steps: usize,
}

/// A call that took effect, and the state before it; none where it made no difference: then nothing else had to be tried in
/// its place.
struct Taken<S> {
    call: usize,
    before: Option<S>,
}

impl<'h, M: Model> Search<'h, M> {
    fn of(state: M::State, history: &'h [Event<M::Call>]) -> Self {
        let mut order: Vec<(u64, Point)> = Vec::new();
        for (call, event) in history.iter().enumerate() {
            order.push((event.invoked, Point::Invoked(call)));
            order.extend(event.answered.map(|time| (time, Point::Answered(call))));
        }
        order.sort_by_key(|(time, _)| *time);
        let points: Vec<Point> = [Point::Head].into_iter().chain(order.into_iter().map(|(_, point)| point)).collect();
        let (mut invoked, mut answered) = (vec![HEAD; history.len()], vec![None; history.len()]);
        for (at, point) in points.iter().enumerate() {
            match point {
                Point::Head => {}
                Point::Invoked(call) => invoked[*call] = at,
                Point::Answered(call) => answered[*call] = Some(at),
            }
        }
        let count = points.len();
        Self {
            history,
            points,
            next: (0..count).map(|at| (at + 1) % count).collect(),
            previous: (0..count).map(|at| (at + count - 1) % count).collect(),
            invoked,
            answered,
            done: vec![0; history.len().div_ceil(64)],
            unanswered: history.iter().filter(|event| event.answered.is_some()).count(),
            state,
            taken: Vec::new(),
            tried: HashSet::new(),
            farthest: Farthest::default(),
            steps: 0,
        }
    }

    /// The calls that may take effect next: those that were invoked before any other was answered. The likeliest comes last:
    /// what is answered first mostly took effect first, and what is not answered is tried when nothing else fits.
    fn candidates(&self) -> Vec<usize> {
        let (mut calls, mut at) = (Vec::new(), self.next[HEAD]);
        while let Point::Invoked(call) = self.points[at] {
            calls.push(call);
            at = self.next[at];
        }
        let likely = |call: &usize| self.history[*call].likely.unwrap_or(u64::MAX);
        calls.sort_by_key(|call| std::cmp::Reverse(likely(call)));
        calls
    }

    /// Takes every answered call that changes nothing and is right as it is, which is as good now as at any later place: no
    /// other choice has to be tried.
    fn absorb(&mut self) {
        let mut at = self.next[HEAD];
        while let Point::Invoked(call) = self.points[at] {
            at = self.next[at];
            self.steps += 1;
            let event = &self.history[call];
            if event.answered.is_some() && M::step(&self.state, &event.call) == Some(Next::Same) {
                self.take(call, None);
                at = self.next[HEAD];
            }
        }
    }

    /// The state after a call, unless it does not fit, makes no difference, or this was tried.
    fn try_next(&mut self, call: usize) -> Option<M::State> {
        self.steps += 1;
        let Next::Changed(next) = M::step(&self.state, &self.history[call].call)? else { return None };
        self.done[call / 64] |= 1 << (call % 64);
        let name = [0u8, 1].map(|half| {
            let mut hasher = DefaultHasher::new();
            (half, &self.done, &next).hash(&mut hasher);
            hasher.finish()
        });
        self.done[call / 64] &= !(1 << (call % 64));
        self.tried.insert(name).then_some(next)
    }

    /// A call takes effect; with no next state, it changes none.
    fn take(&mut self, call: usize, next: Option<M::State>) {
        self.done[call / 64] |= 1 << (call % 64);
        self.unanswered -= usize::from(self.history[call].answered.is_some());
        for at in [Some(self.invoked[call]), self.answered[call]].into_iter().flatten() {
            let (previous, next) = (self.previous[at], self.next[at]);
            (self.next[previous], self.previous[next]) = (next, previous);
        }
        self.taken.push(Taken { call, before: next.map(|next| std::mem::replace(&mut self.state, next)) });
    }

    /// Takes back what was chosen last, and what followed from it. Whether there was a choice.
    fn give_up(&mut self) -> bool {
        self.farthest.note(&self.taken, &self.state);
        loop {
            let Some(Taken { call, before }) = self.taken.pop() else { return false };
            self.done[call / 64] &= !(1 << (call % 64));
            self.unanswered += usize::from(self.history[call].answered.is_some());
            for at in [self.answered[call], Some(self.invoked[call])].into_iter().flatten() {
                let (previous, next) = (self.previous[at], self.next[at]);
                (self.next[previous], self.previous[next]) = (at, at);
            }
            if let Some(before) = before {
                self.state = before;
                return true;
            }
        }
    }
}

/// The longest order so far.
#[derive(Default)]
struct Farthest {
    order: Vec<usize>,
    state: String,
}

impl Farthest {
    fn note<S: Debug>(&mut self, taken: &[Taken<S>], state: &S) {
        if self.state.is_empty() || taken.len() > self.order.len() {
            *self = Self { order: taken.iter().map(|taken| taken.call).collect(), state: format!("{state:?}") };
        }
    }

    fn tell<M: Model>(&self, history: &[Event<M::Call>]) -> Violation {
        let line = |call: &usize| format!("  {:?}", history[*call]);
        let order: Vec<String> = self.order.iter().map(line).collect();
        let mut others: Vec<usize> = (0..history.len()).filter(|call| !self.order.contains(call)).collect();
        others.sort_by_key(|call| history[*call].invoked);
        let others: Vec<String> = others.iter().map(line).collect();
        Violation(format!(
            "not linearizable: {} of {} calls fit, in this order:\n{}\nstate: {}\nthose that do not fit:\n{}",
            order.len(),
            history.len(),
            order.join("\n"),
            self.state,
            others.join("\n"),
        ))
    }
}
