//! `lacuna policy`: what the files of access rules say, without a vault.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;

use super::failure::Failure;
use super::show::{Format, out};
use crate::api::convert::access::method;
use crate::api::reasons::traits;
use crate::api::status::{told, version_text};
use crate::catalog::class::ClassId;
use crate::catalog::view::View;
use crate::gate::refusal::{Access, Refusal};
use crate::gate::standpoint::{Standpoint, Stated};
use crate::items::check::{About, Granted, Shown};
use crate::policy::action::Action;
use crate::policy::bindings::Bindings;
use crate::policy::caller::{Caller, RoleId, ServiceName};
use crate::policy::matrix;
use crate::policy::question::{Resource, Standing};
use crate::policy::rules::Rules;
use crate::server::assemble::{StartError, read_rules};
use crate::server::config::{Config, Files};
use crate::server::file::read_text;

/// What `policy` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Check catalog, policies and bindings; show what they come to, or answer one question.
    ///
    /// Without --operation: prints a row per role and purpose. With it: says whether that call would be allowed, by
    /// the code that decides calls; exit code 3 if not.
    Check(Box<Check>),
}

/// What `policy check` is told.
#[derive(clap::Args)]
pub struct Check {
    /// The vault's configuration: catalog, policies and bindings are the files it names.
    #[arg(long, value_name = "FILE", required_unless_present_all = ["catalog", "policies"])]
    config: Option<PathBuf>,
    /// The catalog, in place of the configuration's.
    #[arg(long, value_name = "FILE")]
    catalog: Option<PathBuf>,
    /// The directory of policies, in place of the configuration's.
    #[arg(long, value_name = "DIR")]
    policies: Option<PathBuf>,
    /// The bindings, in place of the configuration's.
    #[arg(long, value_name = "FILE")]
    bindings: Option<PathBuf>,
    #[command(flatten)]
    question: Question,
    /// How the result is printed.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// The call that is asked about.
#[derive(clap::Args)]
#[command(next_help_heading = "A call to be decided")]
struct Question {
    /// The method, such as Vault/GetItem.
    #[arg(long, value_name = "METHOD", requires_all = ["role", "purpose"])]
    operation: Option<String>,
    /// The role it acts in.
    #[arg(long, requires = "operation")]
    role: Option<String>,
    /// The purpose it states.
    #[arg(long, requires = "operation")]
    purpose: Option<String>,
    /// The identity that calls, whose roles are then those of the bindings. Without it: somebody with that role alone.
    #[arg(long, value_name = "IDENTITY", requires = "operation")]
    caller: Option<ServiceName>,
    /// The class it touches.
    #[arg(long, requires = "operation")]
    class: Option<String>,
    /// The view it asks for: exists, last4, masked or plain. Without it the highest allowed.
    #[arg(long, requires = "operation", value_parser = view)]
    view: Option<View>,
    /// A label of the person.
    #[arg(long = "label", value_name = "KEY=VALUE", requires = "operation", value_parser = super::subject::label)]
    labels: Vec<(String, String)>,
    /// Processing of the person's data is restricted.
    #[arg(long, requires = "operation")]
    restricted: bool,
    /// The person objects to the purpose.
    #[arg(long, requires = "operation")]
    objected: bool,
    /// Only a hold or a statutory period keeps the item.
    #[arg(long, requires = "operation")]
    kept: bool,
    /// The call states a ticket.
    #[arg(long, requires = "operation")]
    with_ticket: bool,
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    let Command::Check(arguments) = command;
    let files = arguments.files()?;
    let rules = Arc::new(read_rules(&files)?);
    let bindings = match files.bindings.as_os_str().is_empty() {
        true => None,
        false => Some(read_bindings(&files.bindings)?),
    };
    let sound = Sound { rules, bindings, format: arguments.output };
    match &arguments.question.operation {
        None => sound.show(),
        Some(operation) => sound.answer(operation, &arguments.question),
    }
}

impl Check {
    fn files(&self) -> Result<Files, Failure> {
        let none = || Files { catalog: PathBuf::new(), policies: PathBuf::new(), bindings: PathBuf::new() };
        let files = match &self.config {
            Some(path) => Config::load(path).map_err(StartError::from)?.files,
            None => none(),
        };
        let other = |given: &Option<PathBuf>, named: PathBuf| given.clone().unwrap_or(named);
        Ok(Files {
            catalog: other(&self.catalog, files.catalog),
            policies: other(&self.policies, files.policies),
            bindings: other(&self.bindings, files.bindings),
        })
    }
}

fn read_bindings(path: &Path) -> Result<Bindings, Failure> {
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let text = read_text(path).map_err(|error| failed(&error))?;
    Bindings::parse(&text).map_err(|error| failed(&error))
}

/// Files that passed every check.
struct Sound {
    rules: Arc<Rules>,
    bindings: Option<Bindings>,
    format: Format,
}

impl Sound {
    fn show(&self) -> Result<(), Failure> {
        let (version, matrix) = (version_text(&self.rules.version()), matrix::markdown(&self.rules));
        let bound = self.bindings.as_ref().map(Bindings::len);
        match self.format {
            Format::Table => {
                let bound =
                    bound.map_or(", no bindings were given".into(), |count| format!(", {count} identities bound"));
                out(&format!("no problem found; policy version {version}{bound}\n\n{}", matrix.trim_end()))
            }
            Format::Json => {
                let rows = matrix::rows(&self.rules);
                out(&format!("{:#}", json!({ "policy_version": version, "identities_bound": bound, "matrix": rows })))
            }
        }
    }

    fn answer(&self, operation: &str, question: &Question) -> Result<(), Failure> {
        let full =
            if operation.starts_with("lacuna.v1.") { operation.to_owned() } else { format!("lacuna.v1.{operation}") };
        let action = method(&full).ok_or_else(|| {
            Failure::Usage("--operation names no method; write SERVICE/METHOD, such as Vault/GetItem".into())
        })?;
        let class = match &question.class {
            None => None,
            Some(name) => {
                let known = self.rules.registry().class(name).map(|rule| rule.class.id);
                Some(known.ok_or_else(|| Failure::Usage("--class names no enabled class of the catalog".into()))?)
            }
        };
        let caller = self.caller(question)?;
        let judged = self.judge(&caller, action, class, question);
        if let Err(Refusal::Invalid(_)) = judged {
            return Err(Failure::Usage("--class is required: the method touches one".into()));
        }
        self.print(&judged)?;
        judged.map(|_| ()).map_err(|_| Failure::No)
    }

    fn caller(&self, question: &Question) -> Result<Caller, Failure> {
        let role = question.role.as_deref().unwrap_or_default();
        let Some(identity) = &question.caller else {
            let role: RoleId =
                role.parse().map_err(|_| Failure::Usage("--role names no role; see the matrix for all".into()))?;
            let identity = "dns:anyone".parse().map_err(|_| Failure::failed("no identity"))?;
            return Ok(Caller { identity, roles: vec![role], person: None });
        };
        let bindings = self.bindings.as_ref();
        let bindings = bindings.ok_or_else(|| Failure::Usage("--caller needs --bindings or --config".into()))?;
        let (roles, person) = (bindings.roles_of(identity).to_vec(), bindings.person_of(identity).cloned());
        Ok(Caller { identity: identity.clone(), roles, person })
    }

    fn judge(
        &self,
        caller: &Caller,
        action: Action,
        class: Option<ClassId>,
        question: &Question,
    ) -> Result<Granted, Refusal> {
        let stated = Stated {
            caller: Some(caller),
            role: question.role.as_deref().unwrap_or_default(),
            purpose: question.purpose.as_deref().unwrap_or_default(),
            action,
            ticket: question.with_ticket,
        };
        let at = Standpoint::take(&stated, self.rules.clone())?;
        let labels = question.labels.clone().into();
        let standing = Standing { labels, restricted: question.restricted, ..Standing::blank(at.role()) };
        let (objected, kept) = (question.objected, question.kept);
        let data = |class| Resource::Data { class, standing: standing.clone(), objected, kept };
        let data = class.map(|class| (class, data(class)));
        let named = !question.labels.is_empty() || question.restricted;
        About { standing: named.then_some(standing), data, view: question.view }.permit(&at, action)
    }

    fn print(&self, judged: &Result<Granted, Refusal>) -> Result<(), Failure> {
        let shown = judged.as_ref().ok().and_then(|granted| granted.shown.as_ref());
        let view = shown.map(|shown| shown.view.as_str());
        let limit = shown.filter(|shown| shown.view < View::Plain).map(|shown| shown.limit.as_str());
        // Those that show less than the view does.
        let lower = |shown: &Shown| {
            let fields = shown.masked.iter().filter(|field| field.view < shown.view);
            fields.map(|field| (field.path.to_string(), field.view.as_str())).collect::<Vec<_>>()
        };
        let lower = shown.map(lower).unwrap_or_default();
        let fields = lower.iter().map(|(path, view)| format!("{path} {view}")).collect::<Vec<_>>().join(", ");
        let rule = match judged {
            Ok(granted) => Some(granted.rule.as_str()),
            Err(Refusal::Access(Access::Denied(denied))) => denied.rule.as_ref().map(|rule| rule.as_str()),
            Err(_) => None,
        };
        // Why it is denied, and not only what the caller would be told of it.
        let reason = judged.as_ref().err().map(|refusal| traits(told(refusal.reason())).name);
        let told = judged.as_ref().err().map(|refusal| traits(told(refusal.told())).name);
        let version = version_text(&self.rules.version());
        if self.format == Format::Json {
            return out(&format!(
                "{:#}",
                json!({
                    "allowed": judged.is_ok(), "view": view, "lower_fields": lower.into_iter().collect::<BTreeMap<_, _>>(), "limited_by": limit, "rule_id": rule, "reason": reason,
                    "told": told, "policy_version": version,
                })
            ));
        }
        let mut text = String::from(if judged.is_ok() { "allowed" } else { "denied" });
        let none = judged.is_err().then_some("none permits it");
        for (key, value) in [
            ("view", view),
            ("but", Some(fields.as_str()).filter(|fields| !fields.is_empty())),
            ("limited by", limit),
            ("rule", rule.or(none)),
            ("reason", reason),
            ("told as", told.filter(|told| Some(*told) != reason)),
            ("policy", Some(version.as_str())),
        ] {
            text.extend(value.map(|value| format!("\n  {key:<11} {value}")));
        }
        out(&text)
    }
}

fn view(text: &str) -> Result<View, &'static str> {
    View::parse(text).ok_or("is not exists, last4, masked or plain")
}
