//! CheckAccess: what a call would be answered, decided as that call would be.
//!
//! INVARIANT: asking is no way to learn what one may not know. Who may not know whether something exists cannot ask
//! about a person; who may not know the rules cannot ask about others. Values are not opened: which fields a view
//! hides is told of the class, not of the item.

use crate::audit::detail::DetailKeys;
use crate::base::id::ItemId;
use crate::base::log_safe::SafeText;
use crate::catalog::class::ClassId;
use crate::catalog::classes::hidden_fields;
use crate::catalog::view::View;
use crate::gate::call::{Call, Supposed};
use crate::gate::record::{Ended, Touched, Whom};
use crate::gate::refusal::{Access, Denied, Fault, FaultReason, Refusal, State, Told};
use crate::gate::standpoint::Standpoint;
use crate::gate::txn::{Fault as Torn, Reads};
use crate::gate::vault::Vault;
use crate::policy::action::Action;
use crate::policy::decide::Cause;
use crate::policy::question::{Resource, Standing};
use crate::policy::schema::{Group, Resources, kind_of};

use super::draft::permit_to_write;
use super::kept;
use super::model::{Explanation, Masked, Supposition};
use super::record::{OpenSubject, Target};
use super::recorded::refuse;
use super::seek;
use super::show::{find, masked, permit_to_see};

/// Explains what a call would be answered. The answer is returned only after the entry that records the question is
/// durable.
pub async fn check(vault: &Vault, call: &Call, supposed: Supposition) -> Result<Explanation, Refusal> {
    match explain(vault, call, &supposed) {
        Ok((explanation, touched, keys)) => {
            let whom = keys.as_ref().map_or(Whom::Nobody, Whom::Subject);
            let entry = call.recorder().entry(whom, touched, Ended::Done, (vault.now(), vault.epoch()))?;
            vault.record(vec![entry]).await?;
            Ok(explanation)
        }
        // A question that must not be asked is recorded about nobody: whom it named is not even looked up.
        Err(refusal) => Err(refuse(vault, call, None, Touched::default(), refusal).await),
    }
}

type Explained = (Explanation, Touched, Option<DetailKeys>);

fn explain(vault: &Vault, call: &Call, supposed: &Supposition) -> Result<Explained, Refusal> {
    let rule = call.permit(Resource::Vault)?.rule().clone();
    may_ask(call, supposed)?;
    let class = match supposed.class.as_str() {
        "" => None,
        name => {
            let known = call.registry().class(name).map(|rule| rule.class.id);
            Some(known.ok_or_else(|| Fault::new("class", FaultReason::ClassUnknown))?)
        }
    };
    let Supposition { caller, role, purpose, action, .. } = supposed;
    let would = Supposed { caller: caller.as_ref(), role, purpose, action: *action };
    let at = match vault.suppose(call, &would) {
        Ok(at) => at,
        Err(access) => return Ok((told(call, Err(access.into())), touched(supposed, class, rule), None)),
    };
    let target = supposed.subject.as_ref().map(Target::of);
    let outcome = vault.read(|reads| {
        let mut subject = target.as_ref().map(|target| target.open(reads, call)).transpose()?;
        if let Some(subject) = &mut subject {
            // A call that acts for people would carry this person's token.
            subject.row.standing.own = Standing::blank(at.role()).own;
        }
        let keys = subject.as_ref().map(|subject| subject.detail_keys(reads)).transpose()?;
        let judged = match judge(reads, (call, &at), subject.as_ref(), class, supposed) {
            Ok(granted) => Ok(granted),
            Err(Torn::Torn) => return Err(Torn::Torn),
            Err(Torn::Refused(refusal)) => Err(refusal),
        };
        Ok((judged, keys))
    });
    let (judged, keys) = match outcome {
        Ok(seen) => seen,
        Err(Refusal::State(state)) => (Err(state.into()), None), // there is no such person
        Err(other) => return Err(other),
    };
    if let Err(refusal @ Refusal::Invalid(_)) = judged {
        return Err(refusal); // of the question, not of the call
    }
    Ok((told(call, judged), touched(supposed, class, rule), keys))
}

fn may_ask(call: &Call, supposed: &Supposition) -> Result<(), Access> {
    let about_oneself = supposed.caller.as_ref().is_none_or(|caller| caller.to_string() == call.caller())
        && supposed.role == call.role().name();
    let is_open = supposed.subject.is_none() && supposed.item.is_none();
    let may_ask = (about_oneself || call.may_know_rules()) && (is_open || call.may_know_existence());
    let told = Told::Cause;
    if may_ask { Ok(()) } else { Err(Denied { cause: Cause::Rules, rule: None, told }.into()) }
}

/// What a call would be granted.
pub struct Granted {
    /// The rule that permits it.
    pub rule: SafeText,
    /// What a reader is shown.
    pub shown: Option<Shown>,
}

/// What a reader is shown of items of a class.
pub struct Shown {
    /// The view.
    pub view: View,
    /// What keeps it from seeing more.
    pub limit: SafeText,
    /// The fields that are not shown in full, each with why.
    pub masked: Vec<Masked>,
}

/// Decides in the order in which verbs do: the class, the person, the item, then what it is about.
fn judge(
    reads: &dyn Reads,
    (call, at): (&Call, &Standpoint),
    subject: Option<&OpenSubject>,
    class: Option<ClassId>,
    supposed: &Supposition,
) -> Result<Granted, Torn> {
    if let (Group::Write, Some(class)) = (kind_of(supposed.action).0, class) {
        at.may_touch(class).map_err(Refusal::from)?;
    }
    let item = supposed.item.map(|item| item_of(reads, call, subject, item)).transpose()?;
    let is_kept = item.is_some_and(|(_, is_kept)| is_kept);
    let item = item.map(|(class, _)| class);
    if is_kept && kind_of(supposed.action).0 != Group::Read {
        return Err(Refusal::from(State::NotFound).into()); // the account has it no more
    }
    if let (Some(of_item), Some(stated)) = (item, class)
        && of_item != stated
    {
        return Err(Refusal::from(Fault::new("class", FaultReason::Conflict)).into());
    }
    let data = |class| match subject {
        _ if is_kept => {
            let standing = subject.map(|subject| subject.row.standing.clone()).unwrap_or_default();
            Resource::Data { class, standing, objected: false, kept: true }
        }
        Some(subject) => subject.data(at.purpose(), class),
        None => Resource::Data { class, standing: Standing::blank(at.role()), objected: false, kept: false },
    };
    let about = About {
        standing: subject.map(|subject| subject.row.standing.clone()),
        data: item.or(class).map(|class| (class, data(class))),
        view: supposed.view,
    };
    let judged = about.permit(at, supposed.action);
    Ok(if is_kept { judged.map_err(kept::hidden)? } else { judged? })
}

/// The class of an item, and whether only a keep reason keeps it: which only those learn who may ask why things are kept.
fn item_of(
    reads: &dyn Reads,
    call: &Call,
    subject: Option<&OpenSubject>,
    item: ItemId,
) -> Result<(ClassId, bool), Torn> {
    let absent = || Torn::Refused(State::NotFound.into());
    if let Some(subject) = subject {
        match find(reads, subject, item, 0) {
            Ok(live) => return Ok((live.head.class, false)),
            Err(Torn::Refused(Refusal::State(State::NotFound))) => {}
            Err(other) => return Err(other),
        }
    }
    call.permit_to(Action::ListKeepReasons, Resource::Subject(Standing::default())).map_err(|_| absent())?;
    let (class, owner) = kept::class_of_newest(reads, item)?;
    if subject.is_none_or(|subject| subject.id == owner) { Ok((class, true)) } else { Err(absent()) }
}

/// What a supposed call is about.
pub struct About {
    /// What rules may know of the person, if one is named.
    pub standing: Option<Standing>,
    /// Items of a class, if it touches one.
    pub data: Option<(ClassId, Resource)>,
    /// The view it would ask for; none for the highest allowed.
    pub view: Option<View>,
}

impl About {
    /// Decides as the method's verb does.
    ///
    /// # Errors
    /// What the call would be refused with; that the class is missing.
    pub fn permit(self, at: &Standpoint, action: Action) -> Result<Granted, Refusal> {
        let plain = |rule: &SafeText| Granted { rule: rule.clone(), shown: None };
        let (group, resources) = kind_of(action);
        let named = self.standing.is_some();
        let person = Resource::Subject(self.standing.unwrap_or_else(|| Standing::blank(at.role())));
        let permit = match resources {
            Resources::Vault => return Ok(plain(at.permit(Resource::Vault)?.rule())),
            Resources::VaultAndSubject if !named => return Ok(plain(at.permit(Resource::Vault)?.rule())),
            Resources::Subject | Resources::VaultAndSubject => {
                // Who asks the log about somebody who is there must be one to whom it is open.
                if matches!(action, Action::ListEntries | Action::TailEntries | Action::VerifyErasure) {
                    at.permit(Resource::Vault).map_err(Access::openly)?;
                }
                return Ok(plain(at.permit(person)?.rule()));
            }
            Resources::SubjectAndData => Some(at.permit(person).map_err(|access| openly(action, access))?),
            Resources::Data => None,
        };
        if let (Action::FindSubjects, Some((_, data)), Some(_)) = (action, &self.data, &permit) {
            return Ok(plain(&seek::permit_by_any(at, data)?)); // by an identifier that items of the class hold
        }
        let (class, data) = match (self.data, permit, group) {
            (_, Some(permit), Group::Read) | (None, Some(permit), _) => return Ok(plain(permit.rule())),
            (Some(data), _, _) => data,
            (None, None, _) => return Err(Fault::new("class", FaultReason::Required).into()),
        };
        match group {
            Group::Write => Ok(plain(&permit_to_write(at, data).map_err(|access| openly(action, access))?)),
            Group::Read => {
                let (permit, view) = permit_to_see(at, data, self.view)?;
                let masked = masked(hidden_fields(class, &permit.sight(view)), (&permit, view), true);
                let shown = Shown { view, limit: permit.limit(view), masked };
                Ok(Granted { rule: permit.rule().clone(), shown: Some(shown) })
            }
            Group::Forget | Group::None => Ok(plain(at.permit(data)?.rule())),
        }
    }
}

/// Who creates a person learns nothing from a denial.
fn openly(action: Action, access: Access) -> Access {
    if action == Action::CreateSubject { access.openly() } else { access }
}

/// The outcome as far as who asks may know.
fn told(call: &Call, judged: Result<Granted, Refusal>) -> Explanation {
    let may_know = call.may_know_rules();
    let version = may_know.then(|| call.rules().version());
    let as_told = |masked: Masked| Masked { rule: masked.rule.filter(|_| may_know), ..masked };
    match judged {
        Ok(Granted { rule, shown }) => Explanation {
            reason: None,
            view: shown.as_ref().map(|shown| shown.view),
            masked: shown.map(|shown| shown.masked).unwrap_or_default().into_iter().map(as_told).collect(),
            rules: if may_know { vec![rule] } else { Vec::new() },
            version,
        },
        Err(refusal) => {
            let rule = match &refusal {
                Refusal::Access(Access::Denied(denied)) => denied.rule.clone().filter(|_| may_know),
                Refusal::Access(_)
                | Refusal::Invalid(_)
                | Refusal::State(_)
                | Refusal::Approving(_)
                | Refusal::Slots(_)
                | Refusal::RateLimited { .. }
                | Refusal::Document(_)
                | Refusal::Unavailable(_) => None,
            };
            Explanation {
                reason: Some(refusal.told()),
                view: None,
                masked: Vec::new(),
                rules: rule.into_iter().collect(),
                version,
            }
        }
    }
}

/// What was asked, in words of the registry; whom it named goes into the entry's own place.
fn touched(supposed: &Supposition, class: Option<ClassId>, rule: SafeText) -> Touched {
    let caller = supposed.caller.as_ref().map(|caller| format!("caller={caller}"));
    let mut fields: Vec<String> = caller.into_iter().collect();
    fields.push(format!("role={}", supposed.role));
    fields.push(format!("purpose={}", supposed.purpose));
    fields.push(format!("operation={}", supposed.action));
    let items = supposed.item.iter().map(|item| (*item, 0)).collect();
    Touched { class, rule: Some(rule), count: 1, items, fields, ..Touched::default() }
}
