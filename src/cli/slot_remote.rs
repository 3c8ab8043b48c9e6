//! `lacuna slot` on a running vault: slots that leave it.

use super::failure::Failure;
use super::remote::{KEY_ADMIN, Remote};
use super::show::{self, Format, out};
use crate::api::proto::system_client::SystemClient;
use crate::api::proto::well_known;
use crate::api::proto::{AttestSlotDestroyedRequest, DestructionMethod, RemoveSlotRequest, ReplaceSlotRequest};

/// What `slot remove` is told.
#[derive(clap::Args)]
pub struct RemoveArguments {
    /// The slot: slt_...
    #[arg(value_name = "ID")]
    id: String,
    /// The approval that another person gave to this very request.
    #[arg(long, value_name = "ID", default_value = "")]
    approval: String,
    #[command(flatten)]
    remote: Remote,
}

/// What `slot replace` is told.
#[derive(clap::Args)]
pub struct ReplaceArguments {
    /// The slot to be replaced: slt_...
    #[arg(value_name = "ID")]
    id: String,
    /// The name of the new slot's file, without its folder. [slots] must name it, since the vault's last start.
    #[arg(long, value_name = "NAME")]
    new: String,
    #[command(flatten)]
    remote: Remote,
}

/// What `slot attest` is told.
#[derive(clap::Args)]
pub struct AttestArguments {
    /// The slot: slt_...
    #[arg(value_name = "ID")]
    id: String,
    /// How it was destroyed.
    #[arg(long, value_enum)]
    method: MethodName,
    /// When it was destroyed, such as 2026-01-31T12:00:00Z.
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: well_known::Timestamp,
    /// Where the evidence is, such as a certificate's number; kept sealed.
    #[arg(long, value_name = "TEXT")]
    evidence: String,
    /// The approval that another person gave to this very request.
    #[arg(long, value_name = "ID", default_value = "")]
    approval: String,
    #[command(flatten)]
    remote: Remote,
}

/// How a medium was destroyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum MethodName {
    /// Overwritten.
    Overwritten,
    /// Purged by the device's own command.
    Purged,
    /// Physically destroyed.
    PhysicallyDestroyed,
}

/// Takes a slot out of the vault.
pub fn remove(arguments: &RemoveArguments) -> Result<(), Failure> {
    let answer = arguments.remote.call(KEY_ADMIN, async |session| {
        let context = session.context().map(|context| with_approval(context, &arguments.approval));
        let request = RemoveSlotRequest { context, slot_id: arguments.id.clone() };
        SystemClient::new(session.channel.clone()).remove_slot(session.request(request)).await
    })?;
    let slot = answer.slot.unwrap_or_default();
    show::message(&slot, arguments.remote.format())?;
    if arguments.remote.format() == Format::Table {
        let is_lost = slot.state() == crate::api::proto::SlotState::Lost;
        return out(if is_lost {
            "\nthe slot is out of the vault but was not seen to be destroyed: erasures stay PENDING until it is in reach \
             again, or two people attest its destruction with lacuna slot attest. Take it out of [slots]"
        } else {
            "\nthe slot is out of the vault and destroyed. Take it out of [slots]"
        });
    }
    Ok(())
}

/// Puts a new slot in the place of another.
pub fn replace(arguments: &ReplaceArguments) -> Result<(), Failure> {
    let answer = arguments.remote.call(KEY_ADMIN, async |session| {
        let (slot_id, new_slot_name) = (arguments.id.clone(), arguments.new.clone());
        let request = ReplaceSlotRequest { context: session.context(), slot_id, new_slot_name };
        SystemClient::new(session.channel.clone()).replace_slot(session.request(request)).await
    })?;
    show::message(&answer, arguments.remote.format())
}

/// States that a lost slot is destroyed.
pub fn attest(arguments: &AttestArguments) -> Result<(), Failure> {
    let method = match arguments.method {
        MethodName::Overwritten => DestructionMethod::Overwritten,
        MethodName::Purged => DestructionMethod::Purged,
        MethodName::PhysicallyDestroyed => DestructionMethod::PhysicallyDestroyed,
    };
    let answer = arguments.remote.call(KEY_ADMIN, async |session| {
        let request = AttestSlotDestroyedRequest {
            context: session.context().map(|context| with_approval(context, &arguments.approval)),
            slot_id: arguments.id.clone(),
            method: method.into(),
            destroy_time: Some(arguments.at),
            evidence: arguments.evidence.clone(),
        };
        SystemClient::new(session.channel.clone()).attest_slot_destroyed(session.request(request)).await
    })?;
    show::message(&answer, arguments.remote.format())
}

fn with_approval(context: crate::api::proto::CallContext, approval: &str) -> crate::api::proto::CallContext {
    crate::api::proto::CallContext { approval_id: approval.to_owned(), ..context }
}

fn time(text: &str) -> Result<well_known::Timestamp, &'static str> {
    let time: jiff::Timestamp = text.parse().map_err(|_| "is not a time such as 2026-01-31T12:00:00Z")?;
    Ok(well_known::Timestamp { seconds: time.as_second(), nanos: time.subsec_nanosecond() })
}
