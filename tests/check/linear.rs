//! Settles whether the operations on one row are linearizable: the search of Wing and Gong with the
//! memory of Lowe ("Testing for linearizability", 2016), cut short by revisions.
//!
//! A write that was acknowledged and a read that tells its revision each have a place among all
//! others, so only their one order is tried. Operations that change nothing are taken as soon as they
//! fit. So the search branches only over writes whose outcome is unknown: each may have taken effect
//! at any time after its call, or never.

use std::collections::{BTreeMap, HashSet};

use super::history::{Entry, Op, Outcome};

/// What the search has found.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    Holds,
    /// No order explains more operations than these.
    Broken(usize),
    /// Out of budget.
    Unsettled,
}

/// One operation on one row.
#[derive(Clone, Debug)]
pub(super) struct Action {
    call: u64,
    /// `u64::MAX` where the outcome is unknown: it may take effect at any time.
    end: u64,
    effect: Effect,
    /// Where the answers' revisions place it: writes before the reads of the same revision.
    place: Option<(u64, bool)>,
}

#[derive(Clone, Debug)]
enum Effect {
    /// A write, with the revision that it was told.
    Write(Op, Option<u64>),
    /// A read that saw this value at this revision, or no row.
    Saw(Option<(i64, u64)>),
    /// A write that the row's state forbade.
    Forbidden(Op),
}

/// The row as it is after some operations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct State {
    value: Option<i64>,
    /// Of the last change; `None` where an unknown write made it.
    revision: Option<u64>,
    /// The least revision the whole may be at.
    floor: u64,
}

/// The operations of each row that say anything of its order; those that had no effect do not, and
/// stale reads are held to `rules.rs` alone.
pub(super) fn by_row(history: &[Entry]) -> BTreeMap<String, Vec<Action>> {
    let mut rows: BTreeMap<String, Vec<Action>> = BTreeMap::new();
    for entry in history {
        let rows_asked: &[String] = match &entry.op {
            Op::Search { rows } => rows,
            _ => std::slice::from_ref(&entry.row),
        };
        for row in rows_asked {
            rows.entry(row.clone()).or_default().extend(action(entry, row));
        }
    }
    for actions in rows.values_mut() {
        actions.sort_by_key(|action| action.call);
    }
    rows
}

fn action(entry: &Entry, row: &str) -> Option<Action> {
    let (end, effect, place) = match (&entry.op, &entry.outcome) {
        (Op::Stale, _) | (_, Outcome::NotApplied) => return None,
        (Op::Read | Op::Search { .. }, Outcome::Saw { found, at }) => {
            let saw = found.iter().find(|found| found.row == row).map(|found| (found.value, found.revision));
            (entry.end, Effect::Saw(saw), at.map(|at| (at, true)))
        }
        (op, Outcome::Wrote { revision }) if op.is_write() => {
            (entry.end, Effect::Write(op.clone(), Some(*revision)), Some((*revision, false)))
        }
        (op, Outcome::Refused { .. }) if op.is_write() => (entry.end, Effect::Forbidden(op.clone()), None),
        (op, Outcome::Unknown) if op.is_write() => (u64::MAX, Effect::Write(op.clone(), None), None),
        _ => return None,
    };
    Some(Action { call: entry.call, end, effect, place })
}

impl State {
    const EMPTY: State = State { value: None, revision: None, floor: 0 };

    /// Whether a write fits the row as it is; where the row's revision is not known, it may.
    fn allows(&self, op: &Op) -> bool {
        match op {
            Op::Insert { .. } => self.value.is_none(),
            Op::Update { .. } | Op::Delete => self.value.is_some(),
            Op::Swap { expects, .. } | Op::Increment { expects, .. } => self.is_at(*expects),
            _ => true,
        }
    }

    /// Whether the row certainly would not forbid it.
    fn surely_allows(&self, op: &Op) -> bool {
        let known = self.value.is_none() || self.revision.is_some();
        self.allows(op) && (known || !matches!(op, Op::Swap { .. } | Op::Increment { .. }))
    }

    fn is_at(&self, revision: u64) -> bool {
        self.value.is_some() && self.revision.map_or(self.floor <= revision, |own| own == revision)
    }

    /// The state after an operation, where it fits.
    fn step(mut self, action: &Action) -> Option<State> {
        match &action.effect {
            Effect::Write(op, revision) => {
                if !self.allows(op) || revision.is_some_and(|revision| revision <= self.floor) {
                    return None;
                }
                if let Op::Swap { expects, .. } | Op::Increment { expects, .. } = op {
                    self.floor = self.floor.max(*expects);
                }
                if revision.is_some_and(|revision| revision <= self.floor) {
                    return None;
                }
                self.floor = revision.unwrap_or(self.floor + 1);
                (self.value, self.revision) = (op.value(), *revision);
            }
            Effect::Saw(saw) => {
                match saw {
                    Some((value, revision)) if self.value == Some(*value) && self.is_at(*revision) => {
                        self.revision = Some(*revision);
                        self.floor = self.floor.max(*revision);
                    }
                    None if self.value.is_none() => {}
                    _ => return None,
                }
                let at = action.place.map_or(self.floor, |(at, _)| at);
                if at < self.floor {
                    return None;
                }
                self.floor = at;
            }
            Effect::Forbidden(op) if self.surely_allows(op) => return None,
            Effect::Forbidden(_) => {}
        }
        Some(self)
    }

    /// Whether an operation that fits can be taken at once: it leaves the row exactly as it is.
    fn is_untouched_by(&self, action: &Action) -> bool {
        match action.effect {
            Effect::Write(..) => false,
            Effect::Saw(saw) => saw.is_none() || self.revision.is_some(),
            Effect::Forbidden(_) => true,
        }
    }
}

/// A choice on the way, and what else there is to try in its place.
struct Choice {
    before: State,
    /// Taken since: to be given back.
    taken: Vec<usize>,
    others: Vec<usize>,
}

struct Search<'a> {
    actions: &'a [Action],
    /// The placed ones in the order of their places.
    placed: Vec<usize>,
    /// How many of `placed` are done without a gap.
    placed_done: usize,
    /// How many of `actions` are done without a gap, unknown ones aside.
    front: usize,
    done: Vec<u64>,
    /// Those that may take effect at any time, or never.
    unknown: Vec<usize>,
    /// How many of the others are left.
    left: usize,
}

/// Looks for an order of the operations, which stand by their calls.
pub(super) fn check(actions: &[Action], budget: usize) -> Verdict {
    let mut search = Search::new(actions);
    let (mut seen, mut choices) = (HashSet::new(), Vec::<Choice>::new());
    let (mut state, mut least_left) = (State::EMPTY, search.left);
    let mut taken = Vec::new();
    for _ in 0..budget {
        search.take_all_that_fit(&mut state, &mut taken);
        least_left = least_left.min(search.left);
        if search.left == 0 {
            return Verdict::Holds;
        }
        let mut others = Vec::new();
        if seen.insert((search.done.clone(), state)) {
            others = search.candidates(&state);
        }
        choices.push(Choice { before: state, taken: std::mem::take(&mut taken), others });
        // The next choice that is left, here or further back.
        loop {
            let Some(choice) = choices.last_mut() else {
                return Verdict::Broken(actions.len() - search.unknown.len() - least_left);
            };
            if let Some(next) = choice.others.pop()
                && let Some(after) = choice.before.step(&actions[next])
            {
                search.mark(next);
                (state, taken) = (after, vec![next]);
                break;
            }
            if choice.others.is_empty() {
                search.give_back(&choice.taken);
                choices.pop();
            }
        }
    }
    Verdict::Unsettled
}

impl<'a> Search<'a> {
    fn new(actions: &'a [Action]) -> Search<'a> {
        let mut placed: Vec<usize> = (0..actions.len()).filter(|i| actions[*i].place.is_some()).collect();
        placed.sort_by_key(|i| (actions[*i].place, actions[*i].call));
        let unknown: Vec<usize> = (0..actions.len()).filter(|i| actions[*i].end == u64::MAX).collect();
        let left = actions.len() - unknown.len();
        let done = vec![0; actions.len().div_ceil(64)];
        Search { actions, placed, placed_done: 0, front: 0, done, unknown, left }
    }

    fn is_done(&self, i: usize) -> bool {
        self.done[i / 64] & 1 << (i % 64) != 0
    }

    fn mark(&mut self, i: usize) {
        self.done[i / 64] |= 1 << (i % 64);
        self.left -= usize::from(self.actions[i].end != u64::MAX);
        while self.placed.get(self.placed_done).is_some_and(|i| self.is_done(*i)) {
            self.placed_done += 1;
        }
        while self.front < self.actions.len() && (self.is_done(self.front) || self.actions[self.front].end == u64::MAX)
        {
            self.front += 1;
        }
    }

    fn give_back(&mut self, taken: &[usize]) {
        for i in taken {
            self.done[i / 64] &= !(1 << (i % 64));
            self.left += usize::from(self.actions[*i].end != u64::MAX);
            self.front = self.front.min(*i);
        }
        self.placed_done =
            self.placed.iter().take(self.placed_done).position(|i| !self.is_done(*i)).unwrap_or(self.placed_done);
    }

    /// The completed operations that may come next: they began before any other that is left ended.
    fn window(&self) -> (Vec<usize>, u64) {
        let (mut window, mut first_end) = (Vec::new(), u64::MAX);
        for i in self.front..self.actions.len() {
            let action = &self.actions[i];
            if action.call > first_end {
                break;
            }
            if !self.is_done(i) && action.end != u64::MAX {
                first_end = first_end.min(action.end);
                window.push(i);
            }
        }
        window.retain(|i| self.actions[*i].call <= first_end);
        (window, first_end)
    }

    /// Whether no other placed one has to come before.
    fn is_in_place(&self, i: usize) -> bool {
        let next = self.placed.get(self.placed_done).and_then(|next| self.actions[*next].place);
        self.actions[i].place.is_none_or(|place| Some(place) == next)
    }

    fn take_all_that_fit(&mut self, state: &mut State, taken: &mut Vec<usize>) {
        loop {
            let fits = |i: &usize| {
                let action = &self.actions[*i];
                let next = state.step(action).filter(|_| self.is_in_place(*i) && state.is_untouched_by(action))?;
                Some((*i, next))
            };
            let Some((i, next)) = self.window().0.iter().find_map(fits) else { return };
            self.mark(i);
            taken.push(i);
            *state = next;
        }
    }

    /// What may be tried next; the likeliest stands last.
    fn candidates(&self, state: &State) -> Vec<usize> {
        let (window, first_end) = self.window();
        let fits = |i: &usize| !self.is_done(*i) && self.is_in_place(*i) && state.step(&self.actions[*i]).is_some();
        let unknown = self.unknown.iter().copied().filter(|i| self.actions[*i].call <= first_end && fits(i));
        let mut candidates: Vec<usize> = unknown.collect();
        // First those after which one of the completed operations fits.
        let leads_on = |i: &usize| {
            let after = state.step(&self.actions[*i]);
            let next = |w: &usize| self.is_in_place(*w) && after.is_some_and(|s| s.step(&self.actions[*w]).is_some());
            window.iter().any(next)
        };
        candidates.sort_by_cached_key(leads_on);
        candidates.extend(window.iter().copied().filter(fits));
        candidates
    }
}
