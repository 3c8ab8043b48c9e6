//! Killed at every named step of an epoch, the vault comes back with what it acknowledged, and forgets what it was
//! asked to forget.

use crate::program::{Program, contact, context, subject};
use lacuna::api::proto::*;

const POINTS: &[(&str, Gone)] = &[
    ("commit_before", Gone::No),
    ("commit_after", Gone::Yes),
    ("epoch_stage_before", Gone::Yes),
    ("slot_stage_before", Gone::Yes),
    ("slot_stage_after", Gone::Yes),
    ("epoch_stage_after", Gone::Yes),
    ("epoch_prepared", Gone::Yes),
    ("epoch_destroy_before", Gone::Yes),
    ("slot_destroy_before", Gone::Yes),
    ("slot_destroy_after", Gone::Yes),
    ("epoch_destroy_after", Gone::Yes),
    ("epoch_finished", Gone::Yes),
];

/// Whether the item must be gone after the crash: before its first batch is durable, it must still be there.
#[derive(Clone, Copy, PartialEq)]
enum Gone {
    Yes,
    No,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_at_any_step_of_an_erasure_loses_and_revives_nothing() {
    for (point, gone) in POINTS {
        let dir = tempfile::tempdir().expect("a folder");
        let program = Program::start(dir.path(), "");
        let mut vault = program.connect("service").await;
        let items = vec![contact("Kept Person"), contact("Forgotten Person")];
        let request = CreateSubjectRequest { context: context(), items, ..Default::default() };
        let created = vault.create_subject(request).await.expect("creates").into_inner();
        drop(program);

        let program = Program::start(dir.path(), &format!("{point}=return(kill)"));
        let mut vault = program.connect("service").await;
        let request = DeleteItemRequest {
            context: context(),
            subject: subject(&created.subject_id),
            item_id: created.items[1].item_id.clone(),
            ..Default::default()
        };
        vault.delete_item(request).await.expect_err("killed before it could answer");
        program.wait_for_death();

        let program = Program::start(dir.path(), "");
        let mut vault = program.connect("service").await;
        let mut get = async |item: usize| {
            let request = GetItemRequest {
                context: context(),
                subject: subject(&created.subject_id),
                item_id: created.items[item].item_id.clone(),
                ..Default::default()
            };
            vault.get_item(request).await
        };
        assert!(get(0).await.is_ok(), "{point}: the other item must be there");
        let outcome = get(1).await.map(|_| ()).map_err(|status| status.code());
        let expected = if *gone == Gone::Yes { Err(tonic::Code::NotFound) } else { Ok(()) };
        assert_eq!(outcome, expected, "{point}");

        // The erasure must also have been carried out, or carry through now: another one goes through after it.
        let request = DeleteItemRequest {
            context: context(),
            subject: subject(&created.subject_id),
            item_id: created.items[0].item_id.clone(),
            ..Default::default()
        };
        let erasure = vault.delete_item(request).await.expect("deletes").into_inner().erasure.expect("is stated");
        assert_eq!(erasure.state(), ErasureState::Erased, "{point}");
    }
}
