//! What ends uploads, downloads and documents, and how many uploads there may be.

use super::*;

#[tokio::test]
async fn an_upload_expires_and_leaves_nothing() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(3 * CHUNK_BYTES);
    let kept = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    let id = upload.accepted().upload;
    send(&mut upload, &content[..2 * CHUNK_BYTES + 1], 1 << 20).await.expect("is taken");
    bench.at(25 * HOUR);
    let gone = Err(Document::UploadExpired.into());
    assert_eq!(bench.go_on(subject, id).await.map(|_| ()), gone);
    assert_eq!(upload.finish(whole(&content[..2 * CHUNK_BYTES + 1])).await.map(|_| ()), gone);
    let entries = || bench.rows(Space::Free).len();
    let before = entries();
    for _ in 0..1000 {
        if bench.left() == [3, 0, 0] && bench.vault.epochs().pending() == 0 {
            assert_eq!(bench.content(subject, kept, 0).await, Ok(content));
            assert!(bench.leaves().iter().any(|leaf| leaf.operation.as_str() == "UploadErased"));
            assert_eq!(entries(), before + 1, "its position is free again");
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("{:?} rows are left", bench.left());
}

#[tokio::test]
async fn a_new_version_forgets_the_one_before_and_its_content() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let (old, new) = (pdf(3 * CHUNK_BYTES), pdf(CHUNK_BYTES + 9));
    let first = bench.store(opening(subject), &old).await.expect("is stored").stamp;
    let renewing = |etag: &str| UploadOpening { item: Some(first.item), etag: etag.into(), ..opening(subject) };
    assert_eq!(bench.store(renewing("v9.9"), &new).await.map(|_| ()), Err(State::EtagMismatch.into()));
    let done = bench.store(renewing(&first.etag), &new).await.expect("is stored");
    assert_eq!((done.stamp.item, done.stamp.version), (first.item, 2));
    assert_eq!(done.erasure.expect("is told").state, ErasureState::Pending);
    bench.settle().await;
    assert_eq!(bench.content(subject, first.item, 0).await, Ok(new));
    let before = bench.download(subject, first.item, 1, 0).await.map(|_| ());
    assert_eq!(before, Err(State::NotFound.into()));
    assert_eq!(bench.left()[0], 2, "only the new version's chunks");
    let changed = bench.store(renewing(&first.etag), &old).await.map(|_| ());
    assert_eq!(changed, Err(State::EtagMismatch.into()));
}

#[tokio::test]
async fn a_repeated_end_of_an_upload_is_called_erased_where_its_statement_says_so() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(9);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let renewing = || UploadOpening { item: Some(item), ..opening(subject) };
    let before = bench.store(renewing(), &content).await.expect("is stored").erasure.expect("is told");
    bench.settle().await;
    bench.take_slot_away();
    let call = async || bench.call_once(Action::UploadDocument, "k", "a new version").await;
    let mut upload = upload::open(bench.vault.clone(), call().await, renewing()).await.expect("opens");
    let id = upload.accepted().upload;
    send(&mut upload, &content, CHUNK_BYTES).await.expect("is taken");
    let waits = upload.finish(whole(&content)).await.expect("is stored").erasure.expect("is told");
    // By the upload's id, and by the key of the call.
    let by_id = async || bench.go_on(subject, id).await?.finish(whole(&content)).await;
    let by_key =
        async || upload::open(bench.vault.clone(), call().await, renewing()).await?.finish(whole(&content)).await;
    let again = async || {
        let state = |done: Uploaded| done.erasure.map(|erasure| (erasure.state, erasure.receipt));
        [by_id().await.map(state), by_key().await.map(state)]
    };
    let told = |state| [(); 2].map(|()| Ok(Some((state, waits.receipt))));
    for (name, row) in bench.forged(&before.receipt, &waits.receipt) {
        let pending = bench.put_receipt(&waits.receipt, row);
        // A repeat does not wait, so by a number nothing is said to be erased.
        let said = if name.starts_with("the number") { told(ErasureState::Pending) } else { refused() };
        assert_eq!(again().await, said, "{name}");
        bench.put_receipt(&waits.receipt, pending);
    }
    assert_eq!(again().await, told(ErasureState::Pending));
    bench.put_slot_back();
    bench.settle().await;
    assert_eq!(again().await, told(ErasureState::Erased));
}

fn refused<T>() -> [Result<T, Refusal>; 2] {
    [(); 2].map(|()| Err(Unavailable::Damaged.into()))
}

#[tokio::test]
async fn a_deletion_ends_uploads_of_new_versions_too() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let content = pdf(2 * CHUNK_BYTES);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let mut upload = bench.open(UploadOpening { item: Some(item), ..opening(subject) }).await.expect("opens");
    send(&mut upload, &content, 1 << 20).await.expect("is taken");
    bench.remove(subject, item).await.expect("deletes");
    assert_eq!(bench.left(), [0, 0, 0], "nor when they would have ended");
    assert_eq!(upload.finish(whole(&content)).await.map(|_| ()), Err(Document::UploadExpired.into()));
    assert_eq!(bench.download(subject, item, 0, 0).await.map(|_| ()), Err(State::NotFound.into()));
    let contact = bench.open(UploadOpening { item: Some(items[0].item), ..opening(subject) }).await.map(|_| ());
    assert_eq!(contact, Err(Document::IsNone.into()));
    let contact = bench.download(subject, items[0].item, 0, 0).await.map(|_| ());
    assert_eq!(contact, Err(Document::IsNone.into()));
}

#[tokio::test]
async fn an_upload_ends_with_its_subject() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(3 * CHUNK_BYTES);
    let mut upload = bench.open(opening(subject)).await.expect("opens");
    send(&mut upload, &content[..CHUNK_BYTES], 1 << 20).await.expect("is taken");
    bench.change(|batch| batch.delete(Space::Subject, *subject.as_bytes()));
    let ended = upload.take(CHUNK_BYTES as u64, &content[CHUNK_BYTES..2 * CHUNK_BYTES]).await;
    assert_eq!(ended, Err(State::SubjectErased.into()));
    let ended = upload.finish(whole(&content[..2 * CHUNK_BYTES])).await.map(|_| ());
    assert_eq!(ended, Err(State::SubjectErased.into()));
}

#[tokio::test]
async fn a_running_download_ends_when_its_document_is_forgotten_and_holds_up_no_epoch() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(3 * CHUNK_BYTES);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let (_, mut stalled) = bench.download(subject, item, 0, 0).await.expect("opens");
    assert!(stalled.next().await.expect("is given").is_some());
    // Its caller takes nothing; the epoch cuts it after its patience, and is done once the key is let go.
    let (cut, removed) = tokio::join!(stalled.unless_cut(std::future::pending::<()>()), bench.remove(subject, item));
    assert_eq!((cut, removed), (None, Ok(())));
    assert_eq!(stalled.next().await.map(|_| ()), Err(State::ItemErased.into()));
}

#[tokio::test]
async fn a_running_download_goes_on_after_a_change_of_metadata_and_ends_with_a_new_version() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    let content = pdf(3 * CHUNK_BYTES);
    let item = bench.store(opening(subject), &content).await.expect("is stored").stamp.item;
    let (_, mut running) = bench.download(subject, item, 0, 0).await.expect("opens");
    let piece = running.next().await.expect("is given").expect("a piece");
    running.sent(piece.bytes.expose());
    let (cut, ()) = tokio::join!(running.unless_cut(std::future::pending::<()>()), bench.annotate(subject, item));
    assert_eq!(cut, None);
    let piece = running.next().await.expect("is given").expect("a piece");
    assert!(piece.bytes.expose() == &content[CHUNK_BYTES..2 * CHUNK_BYTES]);
    running.sent(piece.bytes.expose());
    assert_eq!(bench.content(subject, item, 0).await, Ok(content.clone()), "and so does a later one");
    let renewing = UploadOpening { item: Some(item), ..opening(subject) };
    let (cut, renewed) =
        tokio::join!(running.unless_cut(std::future::pending::<()>()), bench.store(renewing, &content));
    assert_eq!((cut, renewed.map(|done| done.stamp.version)), (None, Ok(2)));
    assert_eq!(running.next().await.map(|_| ()), Err(State::ItemErased.into()));
}

#[tokio::test]
async fn uploads_of_a_subject_and_memory_are_bounded() {
    let bench = Bench::new();
    let (subject, _) = bench.person(&[]).await;
    for _ in 0..UPLOADS_PER_SUBJECT_MAX {
        bench.open(opening(subject)).await.expect("opens");
    }
    assert_eq!(bench.open(opening(subject)).await.map(|_| ()), Err(Document::TooManyUploads.into()));
    let (subject, _) = bench.person(&[]).await;
    let share = |caller| bench.vault.buffers().reserve(caller, DOCUMENT_BUFFER_BYTES_MAX / 2).expect("is left");
    let all = [share("one"), share("another")];
    assert_eq!(bench.open(opening(subject)).await.map(|_| ()), Err(Unavailable::StreamsExhausted.into()));
    assert_eq!(bench.last_leaf().reason, Reason::StreamsExhausted.number());
    drop(all);
    assert!(bench.open(opening(subject)).await.is_ok());
}

#[tokio::test]
async fn uploads_that_are_remembered_are_bounded_until_their_day_is_over() {
    let bench = Bench::new();
    let (subject, items) = bench.person(&["Ada"]).await;
    let (item, expires) = (items[0].item, Timestamp::from_millis(bench.vault.now().as_millis() + HOUR));
    bench.change(|batch| {
        for number in 0..UPLOADS_KEPT_MAX as u128 - 1 {
            let upload = UploadId::from_bytes(number.to_be_bytes());
            let place = UploadPlace { subject, item, upload };
            batch.put(Space::Upload, place.key(), encode_finished(&place, (1, None), expires, &Key::copied(&[1; 32])));
        }
    });
    let last = bench.store(opening(subject), &pdf(100)).await.expect("there is room for one").stamp.item;
    assert_eq!(bench.open(opening(subject)).await.map(|_| ()), Err(Document::TooManyUploads.into()));
    bench.remove(subject, last).await.expect("deletes");
    assert!(bench.open(opening(subject)).await.is_ok(), "what is deleted is not remembered");
}
