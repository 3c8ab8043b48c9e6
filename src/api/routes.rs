//! Everything that one listener serves.

use std::sync::Arc;

use tonic::body::Body;
use tonic::codegen::http::Response;
use tonic::service::Routes;
use tonic_health::pb::health_server::{Health, HealthServer};

use super::approvals::ApprovalsService;
use super::audit::AuditService;
use super::holds::HoldsService;
use super::keys::KeysService;
use super::privacy::PrivacyService;
use super::proto::approvals_server::ApprovalsServer;
use super::proto::audit_server::AuditServer;
use super::proto::holds_server::HoldsServer;
use super::proto::keys_server::KeysServer;
use super::proto::privacy_server::PrivacyServer;
use super::proto::system_server::SystemServer;
use super::proto::vault_server::VaultServer;
use super::proto::{DESCRIPTORS, ErrorReason};
use super::reasoned::Reasoned;
use super::status;
use super::system::SystemService;
use super::vault::VaultService;
use crate::base::limits::MESSAGE_BYTES_MAX;
use crate::gate::vault::Vault;

/// The names of the services whose health is reported, besides the empty name of the whole.
pub const SERVICES: [&str; 7] = [
    "lacuna.v1.Vault",
    "lacuna.v1.Privacy",
    "lacuna.v1.Holds",
    "lacuna.v1.Keys",
    "lacuna.v1.Audit",
    "lacuna.v1.Approvals",
    "lacuna.v1.System",
];

/// All services over one vault. Health and reflection ask for no role: who reached this listener may know them.
pub fn routes<H: Health>(vault: &Arc<Vault>, health: HealthServer<H>) -> Routes {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors were written by the compiler when this was built");
    let routes = Routes::new(bounded!(VaultServer, VaultService::new(vault.clone())))
        .add_service(bounded!(PrivacyServer, PrivacyService(vault.clone())))
        .add_service(bounded!(HoldsServer, HoldsService(vault.clone())))
        .add_service(bounded!(KeysServer, KeysService::new(vault.clone())))
        .add_service(bounded!(AuditServer, AuditService::new(vault.clone())))
        .add_service(bounded!(ApprovalsServer, ApprovalsService(vault.clone())))
        .add_service(bounded!(SystemServer, SystemService(vault.clone())))
        .add_service(health)
        .add_service(reflection);
    finished(routes)
}

/// Routes that also answer for services that do not exist.
pub(super) fn finished(mut routes: Routes) -> Routes {
    let router = std::mem::take(routes.axum_router_mut());
    *routes.axum_router_mut() = router.fallback(no_such_service);
    routes.prepare()
}

async fn no_such_service() -> Response<Body> {
    status::of_reason(ErrorReason::NotImplemented).into_http()
}

/// A service with our bounds and our errors; the generated servers share no trait that has these methods.
macro_rules! bounded {
    ($server:ident, $service:expr) => {
        Reasoned(
            $server::new($service)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .max_encoding_message_size(MESSAGE_BYTES_MAX),
        )
    };
}
use bounded;
