//! `lacuna item`.

use std::path::{Path, PathBuf};

use prost::{Message, Name};

use super::failure::Failure;
use super::page::{self, Paging};
use super::remote::{Remote, SERVICE};
use super::show::Format;
use super::subject::{Subject, Whose};
use super::{document, item_table, json, show};
use crate::api::proto::vault_client::VaultClient;
use crate::api::proto::{
    DeleteItemRequest, GetItemRequest, ItemValue, ListItemsRequest, NewItem, PutItemRequest, UpdateItemRequest,
    item_value,
};
use crate::api::proto::{View, Wait};

/// What `item` does.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Create an item.
    Put(Put),
    /// Read an item.
    Get(Get),
    /// List a subject's items.
    List(List),
    /// Correct an item: a new value makes a new version, the old one is forgotten.
    Update(Update),
    /// Delete an item: it is forgotten.
    Delete(Delete),
    /// Store a file as a document, such as a scan of a passport.
    Upload(document::Upload),
    /// Put a document into a file.
    Download(document::Download),
}

/// What `item put` is told.
#[derive(clap::Args)]
pub struct Put {
    #[command(flatten)]
    subject: Subject,
    /// The class. Without it the one that the value's field is named after.
    #[arg(long)]
    class: Option<String>,
    /// The value as JSON, - for standard input, as in ItemValue: {"contact": {"full_name": ...}}.
    #[arg(long, value_name = "FILE")]
    value: PathBuf,
    /// The particulars of its processing as JSON, - for standard input, as in ItemMetadata.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// What `item get` is told.
#[derive(clap::Args)]
pub struct Get {
    #[command(flatten)]
    whose: Whose,
    /// The item: itm_...
    #[arg(long, value_name = "ID")]
    item: String,
    /// The version; 0 for the newest.
    #[arg(long, default_value_t = 0)]
    version: u64,
    /// Only the version of this etag: tells apart what is kept under one number.
    #[arg(long, value_name = "ETAG", default_value = "", hide_default_value = true)]
    etag: String,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    remote: Remote,
}

/// How much is wanted.
#[derive(clap::Args)]
pub struct Shown {
    /// The view wanted. Without it the highest allowed.
    #[arg(long, value_enum)]
    view: Option<ViewName>,
    /// Only this field of the value, such as emails.address. May be repeated.
    #[arg(long = "field", value_name = "PATH")]
    fields: Vec<String>,
}

/// What `item list` is told.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    subject: Subject,
    /// Only items of this class. May be repeated.
    #[arg(long = "class", value_name = "CLASS")]
    classes: Vec<String>,
    #[command(flatten)]
    shown: Shown,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    remote: Remote,
}

/// What `item update` is told.
#[derive(clap::Args)]
pub struct Update {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    target: Target,
    /// The whole new value as JSON, - for standard input, as in ItemValue. Without it the value stays.
    #[arg(long, value_name = "FILE", required_unless_present = "metadata")]
    value: Option<PathBuf>,
    /// The whole new metadata as JSON, - for standard input, as in ItemMetadata. Without it the metadata stays.
    #[arg(long, value_name = "FILE")]
    metadata: Option<PathBuf>,
    #[command(flatten)]
    remote: Remote,
}

/// What `item delete` is told.
#[derive(clap::Args)]
pub struct Delete {
    #[command(flatten)]
    subject: Subject,
    #[command(flatten)]
    target: Target,
    #[command(flatten)]
    remote: Remote,
}

/// The item that is changed.
#[derive(clap::Args)]
pub struct Target {
    /// The item: itm_...
    #[arg(long, value_name = "ID")]
    item: String,
    /// The etag read, if the item must not have changed since.
    #[arg(long, default_value = "", hide_default_value = true)]
    etag: String,
    /// When to answer: erased, once every key is gone; logical, once no call can read it.
    #[arg(long, value_enum)]
    wait: Option<WaitName>,
}

/// The names of views.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum ViewName {
    Exists,
    Last4,
    Masked,
    Plain,
}

/// The names of waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum WaitName {
    Erased,
    Logical,
}

/// Carries it out.
pub fn run(command: &Command) -> Result<(), Failure> {
    match command {
        Command::Put(arguments) => put(arguments),
        Command::Get(arguments) => get(arguments),
        Command::List(arguments) => list(arguments),
        Command::Update(arguments) => update(arguments),
        Command::Delete(arguments) => delete(arguments),
        Command::Upload(arguments) => document::upload(arguments),
        Command::Download(arguments) => document::download(arguments),
    }
}

fn put(arguments: &Put) -> Result<(), Failure> {
    let Put { subject, class, value, metadata, remote } = arguments;
    let (subject, value) = (subject.reference()?, json::read::<ItemValue>(value)?);
    let class = class.clone().unwrap_or_else(|| class_of(&value).to_owned());
    let item = Some(NewItem { class, value: Some(value), metadata: read_any(metadata.as_deref())? });
    let answer = remote.call(SERVICE, async |session| {
        let request = PutItemRequest { context: session.context(), subject, item };
        VaultClient::new(session.channel.clone()).put_item(session.request(request)).await
    })?;
    show::message(&answer, remote.format())
}

fn get(arguments: &Get) -> Result<(), Failure> {
    let Get { whose, item, version, etag, shown, remote } = arguments;
    let subject = whose.reference()?;
    let answer = remote.call(whose.usually(), async |session| {
        let request = GetItemRequest {
            context: session.context(),
            subject,
            item_id: item.clone(),
            version: *version,
            etag: etag.clone(),
            view: shown.view(),
            fields: shown.fields.clone(),
        };
        VaultClient::new(session.channel.clone()).get_item(session.request(request)).await
    })?;
    match remote.format() {
        Format::Json => show::message(&answer, Format::Json),
        Format::Table => item_table::one(&answer.item.unwrap_or_default()),
    }
}

fn list(arguments: &List) -> Result<(), Failure> {
    let List { subject, classes, shown, paging, remote } = arguments;
    let subject = subject.reference()?;
    let answer = remote.call(SERVICE, async |session| {
        let request = ListItemsRequest {
            context: session.context(),
            subject,
            classes: classes.clone(),
            view: shown.view(),
            fields: shown.fields.clone(),
            page_size: paging.size,
            page_token: paging.token.clone(),
        };
        VaultClient::new(session.channel.clone()).list_items(session.request(request)).await
    })?;
    let what = (answer.items.is_empty(), "no items", &answer.next_page_token[..]);
    page::show(&answer, remote.format(), what, || item_table::many(&answer.items))
}

fn update(arguments: &Update) -> Result<(), Failure> {
    let Update { subject, target, value, metadata, remote } = arguments;
    let (subject, value) = (subject.reference()?, read_any(value.as_deref())?);
    let metadata = read_any(metadata.as_deref())?;
    let answer = remote.call(SERVICE, async |session| {
        let request = UpdateItemRequest {
            context: session.context(),
            subject,
            item_id: target.item.clone(),
            etag: target.etag.clone(),
            value,
            metadata,
            wait: target.wait(),
        };
        VaultClient::new(session.channel.clone()).update_item(session.request(request)).await
    })?;
    show::message(&answer, remote.format())
}

fn delete(arguments: &Delete) -> Result<(), Failure> {
    let Delete { subject, target, remote } = arguments;
    let subject = subject.reference()?;
    let answer = remote.call(SERVICE, async |session| {
        let request = DeleteItemRequest {
            context: session.context(),
            subject,
            item_id: target.item.clone(),
            etag: target.etag.clone(),
            wait: target.wait(),
        };
        VaultClient::new(session.channel.clone()).delete_item(session.request(request)).await
    })?;
    show::message(&answer, remote.format())
}

impl Shown {
    fn view(&self) -> i32 {
        let view = self.view.map_or(View::Unspecified, |name| match name {
            ViewName::Exists => View::Exists,
            ViewName::Last4 => View::Last4,
            ViewName::Masked => View::Masked,
            ViewName::Plain => View::Plain,
        });
        view.into()
    }
}

impl Target {
    fn wait(&self) -> i32 {
        let wait = self.wait.map_or(Wait::Unspecified, |name| match name {
            WaitName::Erased => Wait::Erased,
            WaitName::Logical => Wait::Logical,
        });
        wait.into()
    }
}

fn read_any<T: Message + Name + Default>(path: Option<&Path>) -> Result<Option<T>, Failure> {
    path.map(json::read).transpose()
}

/// The shipped class of each kind of value has the name of its field.
fn class_of(value: &ItemValue) -> &'static str {
    match value.value {
        None => "",
        Some(item_value::Value::Contact(_)) => "contact",
        Some(item_value::Value::GovernmentId(_)) => "government_id",
        Some(item_value::Value::Payment(_)) => "payment",
        Some(item_value::Value::Password(_)) => "password",
        Some(item_value::Value::Communication(_)) => "communication",
        Some(item_value::Value::AccessEvent(_)) => "access_event",
        Some(item_value::Value::UsageEvent(_)) => "usage_event",
        Some(item_value::Value::Document(_)) => "document",
    }
}
