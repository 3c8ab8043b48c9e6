//! `lacuna hold`: keeping what would otherwise be forgotten.

use super::failure::Failure;
use super::matter::LEGAL;
use super::page::{self, Paging};
use super::remote::Remote;
use super::show::{self, out, table};
use super::subject::Subject;
use crate::api::proto::holds_client::HoldsClient;
use crate::api::proto::{
    Hold, HoldState, ItemScope, ItemVersionRef, KeepReason, KeepReasonKind, KeptItem, ListHoldsRequest,
    ListKeepReasonsRequest, PlaceHoldRequest, ReleaseHoldRequest, SubjectRef, SubjectScope, Wait,
    list_keep_reasons_request, place_hold_request, subject_ref,
};
use crate::base::time::Timestamp;

/// What `hold` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Place a hold on a person, on classes of theirs, or on items.
    Place(Place),
    /// Release a hold; another person must approve.
    Release(Release),
    /// List holds, newest first.
    List(List),
    /// Tell why something is still there.
    Reasons(Reasons),
}

/// What `hold place` is told.
#[derive(clap::Args)]
pub struct Place {
    /// The matter: mat_...
    #[arg(long, value_name = "ID")]
    matter: String,
    #[command(flatten)]
    subject: Subject,
    /// Only this class; may be given several times.
    #[arg(long = "class", value_name = "CLASS", conflicts_with = "items")]
    classes: Vec<String>,
    /// Also what comes after the hold.
    #[arg(long, conflicts_with = "items")]
    future: bool,
    /// Only this item: itm_..., with :VERSION for another version than the newest; may be given several times.
    #[arg(long = "item", value_name = "ID[:VERSION]", value_parser = item_version)]
    items: Vec<ItemVersionRef>,
    /// Also who read the person's data: after an erasure, the legal role can still tell.
    #[arg(long)]
    access_history: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `hold release` is told.
#[derive(clap::Args)]
pub struct Release {
    /// The hold: hld_...
    #[arg(value_name = "ID")]
    id: String,
    /// Wait until the keys of what nothing else keeps are gone.
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    remote: Remote,
}

/// What `hold list` is told.
#[derive(clap::Args)]
pub struct List {
    /// Only under this matter: mat_...
    #[arg(long, value_name = "ID", default_value = "")]
    matter: String,
    /// Only on this person: sub_...
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// Only those in force.
    #[arg(long)]
    active: bool,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

/// What `hold reasons` is told.
#[derive(clap::Args)]
pub struct Reasons {
    #[command(flatten)]
    target: Target,
    /// Leave out what the account still keeps.
    #[arg(long)]
    kept_only: bool,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

/// Where to look.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Target {
    /// Everything of this person: sub_...
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// All versions of this item: itm_...
    #[arg(long, value_name = "ID")]
    item: Option<String>,
    /// Everything that this matter keeps: mat_...
    #[arg(long, value_name = "ID")]
    matter: Option<String>,
    /// What this statutory period of the catalog keeps.
    #[arg(long, value_name = "ID")]
    period: Option<String>,
    /// What outlived this erasure: rcp_...
    #[arg(long, value_name = "ID")]
    receipt: Option<String>,
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Place(arguments) => place(arguments),
        Command::Release(arguments) => release(arguments),
        Command::List(arguments) => list(arguments),
        Command::Reasons(arguments) => reasons(arguments),
    }
}

fn place(arguments: &Place) -> Result<(), Failure> {
    let subject = arguments.subject.reference()?;
    let scope = if arguments.items.is_empty() {
        let classes = arguments.classes.clone();
        let scope = SubjectScope { classes, include_future_items: arguments.future };
        place_hold_request::Scope::SubjectScope(scope)
    } else {
        place_hold_request::Scope::ItemScope(ItemScope { items: arguments.items.clone() })
    };
    let answer = arguments.remote.call(LEGAL, async |session| {
        let request = PlaceHoldRequest {
            context: session.context(),
            matter_id: arguments.matter.clone(),
            subject,
            scope: Some(scope),
            include_access_history: arguments.access_history,
        };
        HoldsClient::new(session.channel.clone()).place_hold(session.request(request)).await
    })?;
    show::message(&answer, arguments.remote.format())
}

fn release(arguments: &Release) -> Result<(), Failure> {
    let wait = if arguments.wait { Wait::Erased } else { Wait::Logical };
    let answer = arguments.remote.call(LEGAL, async |session| {
        let request =
            ReleaseHoldRequest { context: session.context(), hold_id: arguments.id.clone(), wait: wait.into() };
        HoldsClient::new(session.channel.clone()).release_hold(session.request(request)).await
    })?;
    show::message(&answer, arguments.remote.format())
}

fn list(arguments: &List) -> Result<(), Failure> {
    let List { matter, subject, active, paging, remote } = arguments;
    let state = if *active { HoldState::Active } else { HoldState::Unspecified };
    let answer = remote.call(LEGAL, async |session| {
        let request = ListHoldsRequest {
            context: session.context(),
            matter_id: matter.clone(),
            subject: subject.clone().map(named),
            state: state.into(),
            page_size: paging.size,
            page_token: paging.token.clone(),
        };
        HoldsClient::new(session.channel.clone()).list_holds(session.request(request)).await
    })?;
    let what = (answer.holds.is_empty(), "no holds", &answer.next_page_token[..]);
    page::show(&answer, remote.format(), what, || holds_table(&answer.holds))
}

fn reasons(arguments: &Reasons) -> Result<(), Failure> {
    use list_keep_reasons_request::Target as Where;
    let Reasons { target, kept_only, paging, remote } = arguments;
    let Target { subject, item, matter, period, receipt } = target;
    let target = subject.clone().map(|id| Where::Subject(named(id)));
    let target = target.or(item.clone().map(Where::ItemId));
    let target = target.or(matter.clone().map(Where::MatterId)).or(period.clone().map(Where::PeriodId));
    let target = target.or(receipt.clone().map(Where::ReceiptId));
    let answer = remote.call(LEGAL, async |session| {
        let request = ListKeepReasonsRequest {
            context: session.context(),
            target,
            kept_only: *kept_only,
            page_size: paging.size,
            page_token: paging.token.clone(),
        };
        HoldsClient::new(session.channel.clone()).list_keep_reasons(session.request(request)).await
    })?;
    let what = (answer.items.is_empty(), "nothing is kept there", &answer.next_page_token[..]);
    page::show(&answer, remote.format(), what, || reasons_table(&answer.items))
}

fn holds_table(holds: &[Hold]) -> Result<(), Failure> {
    let row = |hold: &Hold| {
        let state = hold.state().as_str_name().trim_start_matches("HOLD_STATE_").to_owned();
        let subject = if hold.subject_id.is_empty() { "(erased)".to_owned() } else { hold.subject_id.clone() };
        [hold.hold_id.clone(), state, hold.kept_item_count.to_string(), subject, hold.matter_id.clone()]
    };
    out(&table(["HOLD", "STATE", "KEPT", "SUBJECT", "MATTER"], holds.iter().map(row)))
}

fn reasons_table(items: &[KeptItem]) -> Result<(), Failure> {
    let row = |item: &KeptItem| {
        let reasons = item.reasons.iter().map(|reason| match reason.kind() {
            KeepReasonKind::Account => "account".to_owned(),
            KeepReasonKind::Period => format!("{} until {}", reason.reason_id, day_of(reason)),
            _ => reason.reason_id.clone(),
        });
        let version = item.version.to_string();
        [
            item.item_id.clone(),
            version,
            item.class.clone(),
            reasons.collect::<Vec<_>>().join(", "),
            item.receipt_id.clone(),
        ]
    };
    out(&table(["ITEM", "VERSION", "CLASS", "KEPT FOR", "OUTLIVED"], items.iter().map(row)))
}

/// The day on which a period ends: it keeps until that day begins.
fn day_of(reason: &KeepReason) -> String {
    let seconds = reason.end_time.as_ref().map_or(0, |end| end.seconds);
    Timestamp::from_millis(seconds * 1_000).to_string()[..10].to_owned()
}

fn named(id: String) -> SubjectRef {
    SubjectRef { r#ref: Some(subject_ref::Ref::SubjectId(id)) }
}

fn item_version(text: &str) -> Result<ItemVersionRef, &'static str> {
    let (item_id, version) = text.split_once(':').unwrap_or((text, "0"));
    let version = version.parse().map_err(|_| "is not of the form ID or ID:VERSION")?;
    Ok(ItemVersionRef { item_id: item_id.to_owned(), version })
}
