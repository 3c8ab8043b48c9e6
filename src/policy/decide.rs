//! One function: who asks, for what purpose, to do what, to what; the answer is a permit or nothing.
//!
//! The policies say who; the registry caps every view by purpose and class. Answers are pure functions of the question
//! and are kept as long as the rules stay the same.

use std::sync::Arc;

use super::action::Action;
use super::answers::Answers;
use super::policies::blank_resources;
use super::question::{Question, Resource};
use super::rules::Rules;
use super::schema::KNOWLEDGE;
use crate::base::limits::{ANSWERS_MAX, DECISION_LABEL_BYTES_MAX, DECISIONS_MAX};
use crate::base::log_safe::{LogSafe, SafeText};
use crate::catalog::sight::{FieldCaps, Sight};
use crate::catalog::view::View;

/// The permission to act, up to a view. Only [`Rules::decide`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Permit {
    view: View,
    rule: SafeText,
    /// The purpose in the registry.
    catalog: SafeText,
    /// Whether its cap and no rule set the view.
    capped: bool,
    /// Fields of which the purpose shows less.
    fields: FieldCaps,
}

impl Permit {
    /// The highest view allowed.
    pub fn view(&self) -> View {
        self.view
    }

    /// The rule that permitted it.
    pub fn rule(&self) -> &SafeText {
        &self.rule
    }

    /// Whether nothing of a value is kept from the caller, where nobody sees more than `most` of its class.
    pub fn sees_all_of(&self, most: View) -> bool {
        self.view >= most && self.fields.is_empty()
    }

    /// The same for what takes fields in full.
    ///
    /// # Errors
    /// A denial that names what keeps one of them from being seen in full.
    pub fn in_full(self, fields: &[&str]) -> Verdict {
        let sight = self.sight(self.view);
        match fields.iter().map(|path| sight.of_path(path)).min().filter(|lowest| *lowest < View::Plain) {
            None => Ok(self),
            Some(lowest) => Err(Denial { cause: Cause::Rules, rules: vec![self.field_limit(self.view, lowest)] }),
        }
    }

    /// Fields of which the purpose shows less, each with its view.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, View)> {
        self.fields.iter()
    }

    /// What a caller sees who is shown `view`.
    pub fn sight(&self, view: View) -> Sight {
        Sight::new(view, self.fields.clone())
    }

    /// What keeps a caller who is shown `view` from seeing more of a field that is shown as `field`.
    pub fn field_limit(&self, view: View, field: View) -> SafeText {
        if field < view { self.catalog.clone() } else { self.limit(view) }
    }

    /// What keeps a caller who is shown `view` from seeing more: `call:view` where it asked for less than it may,
    /// `catalog:PURPOSE` where the registry caps the purpose, else the rule that permits no more.
    pub fn limit(&self, view: View) -> SafeText {
        if view < self.view {
            return SafeText::constant("call:view");
        }
        if self.capped { self.catalog.clone() } else { self.rule.clone() }
    }
}

/// Why there is no permit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// What kind of denial it is.
    pub cause: Cause,
    /// The rules that forbade it; none if no rule permits it.
    pub rules: Vec<SafeText>,
}

/// See [`Denial`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// No rule permits it, or one forbids it.
    Rules,
    /// The person's data may only be stored.
    Restricted,
    /// The person objects to the purpose.
    Objected,
}

/// The answer to a question.
pub type Verdict = Result<Permit, Denial>;

/// Answers that were given. Dropped whole with the rules they were given under.
pub struct Decisions {
    verdicts: Answers<Arc<Verdict>>,
    known: Answers<Knowledge>,
    open: Answers<bool>,
}

/// What a role may be told beyond what it may see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knowledge {
    /// That something exists which it may not see.
    pub existence: bool,
    /// Which rule decided, and the version of the rules.
    pub rules: bool,
    /// What the details of audit entries hold: a release of personal data.
    pub details: bool,
    /// Which entries are about a person who was erased, where a matter keeps their access history.
    pub history: bool,
}

impl Default for Decisions {
    fn default() -> Self {
        let (verdicts, known, open) =
            (Answers::new(DECISIONS_MAX), Answers::new(ANSWERS_MAX), Answers::new(ANSWERS_MAX));
        Self { verdicts, known, open }
    }
}

impl Rules {
    /// Decides, or finds what was decided before.
    pub fn decide(&self, question: &Question) -> Arc<Verdict> {
        let labels = question.resource.labels();
        if !labels.is_empty() && !self.policies().read_labels() {
            return self.decide(&Question { resource: question.resource.without_labels(), ..question.clone() });
        }
        // Labels are all that callers choose of a question: long ones are not worth the memory.
        if labels.iter().map(|(name, value)| name.len() + value.len()).sum::<usize>() > DECISION_LABEL_BYTES_MAX {
            return Arc::new(self.judge(question));
        }
        self.decisions().verdicts.find_or(question, || Arc::new(self.judge(question)))
    }

    /// Whether the method is open to the caller at all, whatever it is about. Where only a person's labels can tell,
    /// it is: each item is decided about later.
    pub fn is_open(&self, question: &Question) -> bool {
        self.decisions().open.find_or(question, || {
            let mut about = blank_resources(question.action, question.role, self.registry()).into_iter();
            about.any(|resource| self.decide(&Question { resource, ..question.clone() }).is_ok())
                || self.policies().depends_on_labels(question)
        })
    }

    /// What the caller may be told, whatever the call is about.
    pub fn knowledge(&self, question: &Question) -> Knowledge {
        // One answer for all methods: these questions are about none of them.
        let question = Question { action: Action::GetStatus, resource: Resource::Vault, ..question.clone() };
        let may_know = |what| self.policies().may_know(&question, what);
        self.decisions().known.find_or(&question, || Knowledge {
            existence: may_know(KNOWLEDGE[0]),
            rules: may_know(KNOWLEDGE[1]),
            details: may_know(KNOWLEDGE[2]),
            history: may_know(KNOWLEDGE[3]),
        })
    }

    fn judge(&self, question: &Question) -> Verdict {
        const VIEWS: [View; 4] = [View::Plain, View::Masked, View::Last4, View::Exists];
        let (cap, fields) = match &question.resource {
            Resource::Vault | Resource::Subject(_) => (Some(View::Plain), FieldCaps::default()),
            Resource::Data { class, .. } => {
                let purpose = &question.purpose;
                (self.registry().cap(purpose, *class), self.registry().field_caps(purpose, *class))
            }
        };
        let cap = cap.ok_or(Denial { cause: Cause::Rules, rules: Vec::new() })?;
        let mut denied = Vec::new();
        for view in VIEWS.into_iter().filter(|view| *view <= cap) {
            let answer = self.policies().ask(question, view);
            if let (true, Some(rule)) = (answer.permitted, answer.rules.first()) {
                let capped = view == cap && cap < View::Plain;
                let catalog = SafeText::of(&Cap(question.purpose.as_str()));
                return Ok(Permit { view, rule: rule.clone(), catalog, capped, fields });
            }
            denied = answer.rules;
        }
        let has = |name: &str| denied.iter().any(|rule| rule.as_str() == name);
        let cause = if has("guard-restricted") {
            Cause::Restricted
        } else if has("guard-objected") {
            Cause::Objected
        } else {
            Cause::Rules
        };
        Err(Denial { cause, rules: denied })
    }
}

/// The registry's cap on a purpose, as the limit of a view.
struct Cap<'a>(&'a str);

impl std::fmt::Display for Cap<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "catalog:{}", self.0)
    }
}

impl LogSafe for Cap<'_> {}
