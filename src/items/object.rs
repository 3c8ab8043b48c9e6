//! SetObjection: a person's data is not used for a purpose to which the person objects.

use crate::base::limits::OBJECTIONS_MAX;
use crate::base::time::Timestamp;
use crate::catalog::class::ClassId;
use crate::catalog::classes::class_of;
use crate::catalog::purpose::LegalBasis;
use crate::gate::call::Call;
use crate::gate::record::Touched;
use crate::gate::refusal::{Fault, FaultReason, Refusal, State};
use crate::gate::txn::Txn;
use crate::gate::vault::Vault;

use super::model::{ObjectionChange, ObjectionView};
use super::record::{Objection, SubjectRow, Target};
use super::recorded::refuse;
use super::rights::{Changed, change};

/// Records an objection or its withdrawal. What is so already stays so, and keeps its time. All objections in force.
///
/// # Durability
/// On `Ok` it survives power loss, and every call that starts from then on sees it.
pub async fn object(vault: &Vault, call: &Call, wanted: ObjectionChange) -> Result<Vec<ObjectionView>, Refusal> {
    let named = wanted.subject.duplicate();
    let outcome = match Checked::of(call, wanted) {
        Ok(checked) => checked.commit(vault, call, &named).await,
        Err(refusal) => Err(refusal),
    };
    match outcome {
        Ok(objections) => Ok(objections),
        Err(refusal) => Err(refuse(vault, call, Some(&named), Touched::default(), refusal).await),
    }
}

/// What is to be changed, with classes that exist.
struct Checked {
    purpose: String,
    is_registered: bool,
    objected: bool,
    /// None for all.
    classes: Vec<ClassId>,
}

impl Checked {
    /// An objection must name what the registry has; it can be withdrawn whatever has become of the registry since.
    fn of(call: &Call, wanted: ObjectionChange) -> Result<Self, Refusal> {
        let purpose = call.registry().purpose(&wanted.purpose);
        if wanted.objected {
            let purpose = purpose.ok_or_else(|| Fault::new("objected_purpose", FaultReason::PurposeUnknown))?;
            if purpose.legal_basis == LegalBasis::LegalObligation {
                return Err(Fault::new("objected_purpose", FaultReason::NotObjectable).into());
            }
        }
        let mut classes = Vec::new();
        for (index, name) in wanted.classes.iter().enumerate() {
            let registered = call.registry().class(name).map(|rule| rule.class.id);
            let class = if wanted.objected { registered } else { class_of(name).map(|class| class.id) };
            let class = class.ok_or_else(|| Fault::new(format!("classes[{index}]"), FaultReason::ClassUnknown))?;
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
        Ok(Self { is_registered: purpose.is_some(), purpose: wanted.purpose, objected: wanted.objected, classes })
    }

    async fn commit(
        self,
        vault: &Vault,
        call: &Call,
        named: &super::model::SubjectRef,
    ) -> Result<Vec<ObjectionView>, Refusal> {
        let target = Target::of(named);
        let call = call.clone();
        let work = move |txn: &mut Txn<'_>| {
            let now = txn.now();
            let subject = change(txn, &call, &target, |row| self.apply(row, now))?;
            Ok(in_force(&subject.row.objections))
        };
        vault.committer().commit(work).await
    }

    fn apply(&self, row: &mut SubjectRow, now: Timestamp) -> Result<Changed, Refusal> {
        let before = row.objections.clone();
        if self.objected {
            self.add(&mut row.objections, now)?
        } else {
            self.withdraw(&mut row.objections)?
        }
        let mut fields = vec![format!("objected_purpose={}", self.purpose), format!("objected={}", self.objected)];
        fields.extend(self.classes.iter().map(|class| format!("class={class}")));
        let class = self.classes.first().copied().filter(|_| self.classes.len() == 1);
        Ok(Changed { row: row.objections != before, touched: Touched { class, fields, ..Touched::default() } })
    }

    fn add(&self, objections: &mut Vec<Objection>, now: Timestamp) -> Result<(), Refusal> {
        let is_there = |objections: &[Objection], class: Option<ClassId>| {
            objections
                .iter()
                .any(|known| known.purpose == self.purpose && (known.class == class || known.class.is_none()))
        };
        let scopes = match self.classes.as_slice() {
            [] => vec![None],
            classes => classes.iter().copied().map(Some).collect(),
        };
        for class in scopes {
            if is_there(objections, class) {
                continue;
            }
            if class.is_none() {
                objections.retain(|known| known.purpose != self.purpose); // it covers them
            }
            if objections.len() >= OBJECTIONS_MAX {
                return Err(Fault::new("classes", FaultReason::TooMany).into());
            }
            objections.push(Objection { purpose: self.purpose.clone(), class, since: now });
        }
        Ok(())
    }

    fn withdraw(&self, objections: &mut Vec<Objection>) -> Result<(), Refusal> {
        let mut own = objections.iter().filter(|known| known.purpose == self.purpose).peekable();
        if own.peek().is_none() && !self.is_registered {
            return Err(Fault::new("objected_purpose", FaultReason::PurposeUnknown).into());
        }
        // Taking single classes out of an objection to all would leave open what holds for classes yet to come.
        if !self.classes.is_empty() && own.any(|known| known.class.is_none()) {
            return Err(State::NotFromHere.into());
        }
        let is_meant = |class: Option<ClassId>| {
            self.classes.is_empty() || class.is_some_and(|class| self.classes.contains(&class))
        };
        objections.retain(|known| known.purpose != self.purpose || !is_meant(known.class));
        Ok(())
    }
}

/// Objections as callers see them: those that were made together in one.
fn in_force(objections: &[Objection]) -> Vec<ObjectionView> {
    let mut views: Vec<ObjectionView> = Vec::new();
    for Objection { purpose, class, since } in objections {
        let together = |view: &&mut ObjectionView| {
            view.purpose == *purpose && view.since == *since && !view.classes.is_empty() && class.is_some()
        };
        match views.iter_mut().find(together) {
            Some(view) => view.classes.extend(class),
            None => views.push(ObjectionView {
                purpose: purpose.clone(),
                classes: class.iter().copied().collect(),
                since: *since,
            }),
        }
    }
    views
}
