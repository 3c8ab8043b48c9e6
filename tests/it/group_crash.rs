//! Killed in the middle of a commit group, and in the middle of a round of the log's thread: the log goes on from
//! what was signed before, each acknowledged call is in it once, and no change is there without its entry.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use lacuna::api::proto::*;
use lacuna::audit::checkpoint::Checkpoint;
use lacuna::audit::edge::Edge;
use lacuna::audit::event::{About, SubjectToken};
use lacuna::audit::leaf::{self, Leaf};
use lacuna::audit::note::VerifierKey;
use lacuna::audit::proof::{make_consistency, verify_consistency};
use lacuna::audit::stored::{Rows, SignedCheckpoint, StoredLog};
use lacuna::audit::tile::TileHashes;
use lacuna::audit::tree::leaf_hash;
use lacuna::base::id::SubjectId;
use lacuna::crypto::hash::Digest;
use lacuna::store::Engine;
use lacuna::store::keyspace::Space;
use tokio::task::JoinSet;

use crate::cli::run;
use crate::program::{blocking, contact, context, subject};
use crate::random::Random;
use crate::vault::TestVault;

const WRITERS: usize = 8;
/// Calls of each writer before the crash, so that no two writers did the same.
const PREAMBLE: usize = 12;
/// Where the program is killed, at the most after it passed so many times.
const POINTS: [(&str, usize); 6] = [
    ("commit_before", 4),
    ("commit_before", 40),
    ("commit_after", 4),
    ("commit_after", 40),
    ("log_round", 1),
    ("log_round", 2),
];

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_in_the_middle_of_a_group_leaves_all_of_it_or_nothing() {
    let (mut random, seed) = Random::seeded();
    let mut vault = TestVault::start();
    let key: VerifierKey = vault.program().description()["audit_vkey"].as_str().expect("a key").parse().expect("a key");
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let request = CreateSubjectRequest { context: context(), ..Default::default() };
        let created = vault.client("service").create_subject(request).await.expect("creates").into_inner();
        let subject_id = created.subject_id;
        let mut writer = Writer { subject_id, random: Random::from(random.next()), done: vec![], unanswered: None };
        for _ in 0..PREAMBLE {
            writer.step(&vault).await.expect("no fault yet");
        }
        writers.push(writer);
    }
    vault.stop();
    let mut known = Seen::of(&vault.store(), &key).signed;
    let mut largest = 0;
    for (point, most) in POINTS {
        let passed = random.below(most) + 1;
        let name = format!("seed {seed}: {point}, passed {passed} times before");
        vault.run(&format!("{point}={passed}*off->return(kill)"));
        writers = write_until_killed(&mut vault, writers).await;

        let store = vault.store();
        let seen = Seen::of(&store, &key);
        assert_eq!(seen.root_at(known.checkpoint.size), known.checkpoint.root, "{name}: not what was signed before");
        largest = largest.max(seen.largest_group);
        for writer in &mut writers {
            writer.settle(&seen, &store, &name);
        }
        drop(store);

        vault.run("");
        assert_eq!(vault.status().await.state(), VaultState::Serving, "{name}");
        vault.stop();
        let store = vault.store();
        let signed = Seen::of(&store, &key).signed;
        let hashes = StoredLog(&store);
        let proof = make_consistency(&TileHashes::new(&hashes), known.checkpoint.size, signed.checkpoint.size);
        let (old, new) = (&known.checkpoint, &signed.checkpoint);
        verify_consistency((old.size, &old.root), (new.size, &new.root), &proof.expect("is made")).expect(&name);
        assert!(new.size >= seen.leaves.len() as u64, "{name}: what was durable is signed");
        known = signed;
    }
    assert!(largest > 1, "no call shared a group with another: nothing was tested");
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_once_its_key_has_changed_the_log_goes_on_under_the_new_one() {
    let mut vault = TestVault::start();
    let vkey = |vault: &TestVault| vault.program().description()["audit_vkey"].as_str().expect("a key").to_owned();
    let old = vkey(&vault);
    vault.create(&[]).await;
    vault.stop();
    vault.run("log_key_changed=return(kill)");
    let (dir, export) = (vault.dir(), vault.dir().join("export"));
    let (dir, export) = (dir.to_str().expect("UTF-8"), export.to_str().expect("UTF-8"));
    let listed = run(&["key", "list", "--dev", dir, "--output", "json"], "", &[]);
    let keys: serde_json::Value = serde_json::from_str(&listed.out).expect("JSON");
    let key_id = keys["keys"][0]["key_id"].as_str().expect("an id");
    assert_ne!(run(&["key", "rotate", key_id, "--dev", dir], "", &[]).code, 0, "it died meanwhile");
    vault.wait_for_death();

    vault.run("");
    let new = vkey(&vault);
    assert_ne!(new, old);
    // Until the next checkpoint, the newest is one by the old key, over what was before.
    let exported = || run(&["audit", "export", export, "--dev", dir], "", &[]).code == 0;
    assert!((0..100).any(|attempt| {
        blocking(|| std::thread::sleep(Duration::from_millis(attempt)));
        exported()
    }));
    for key in [&old, &new] {
        let verified = run(&["audit", "verify", export, "--key", key], "", &[]);
        assert_eq!(verified.code, 0, "{}", verified.err);
    }
}

/// One caller with a subject of its own, and what it was told.
struct Writer {
    subject_id: String,
    random: Random,
    /// The calls that were answered.
    done: Vec<&'static str>,
    /// The one that was not.
    unanswered: Option<&'static str>,
}

impl Writer {
    async fn step(&mut self, vault: &TestVault) -> Result<(), tonic::Status> {
        let mut service = vault.client("service");
        self.call(&mut service).await
    }

    async fn call(
        &mut self,
        service: &mut vault_client::VaultClient<crate::vault::Recorded>,
    ) -> Result<(), tonic::Status> {
        let (context, subject) = (context(), subject(&self.subject_id));
        let name = ["PutItem", "ListItems", "GetSubject"][self.random.below(3)];
        self.unanswered = Some(name);
        match name {
            "PutItem" => {
                let put = PutItemRequest { context, subject, item: Some(contact("Somebody")) };
                service.put_item(put).await.map(drop)?;
            }
            "ListItems" => {
                let list = ListItemsRequest { context, subject, page_size: 1, ..Default::default() };
                service.list_items(list).await.map(drop)?;
            }
            _ => {
                let get = GetSubjectRequest { context, subject };
                service.get_subject(get).await.map(drop)?;
            }
        }
        self.done.extend(self.unanswered.take());
        Ok(())
    }

    /// Finds the writer's entries: they are what it did, in its order, and at the most the call that was cut short.
    fn settle(&mut self, seen: &Seen, store: &dyn Engine, name: &str) {
        let cut = self.unanswered.take();
        let with_cut: Vec<&str> = self.done.iter().copied().chain(cut).collect();
        let is_own = |calls: &&Vec<String>| {
            let calls = calls.iter().map(String::as_str);
            calls.clone().eq(self.done.iter().copied()) || calls.eq(with_cut.iter().copied())
        };
        let own: Vec<&Vec<String>> = seen.calls.values().filter(is_own).collect();
        assert_eq!(own.len(), 1, "{name}: the entries of one caller are not what it was told, once each, in order");
        if own[0].len() > self.done.len() {
            self.done.extend(cut);
        }
        let subject: SubjectId = self.subject_id.parse().expect("an id");
        let items = store.scan(Space::Item, subject.as_bytes(), &[], usize::MAX).expect("reads").len();
        let put = self.done.iter().filter(|call| **call == "PutItem").count();
        assert_eq!(items, put, "{name}: each item has its entry and each entry its item");
    }
}

async fn write_until_killed(vault: &mut TestVault, writers: Vec<Writer>) -> Vec<Writer> {
    let mut tasks = JoinSet::new();
    for mut writer in writers {
        let mut service = vault.client("service");
        tasks.spawn(async move {
            while writer.call(&mut service).await.is_ok() {}
            writer
        });
    }
    let writers = tasks.join_all().await;
    vault.wait_for_death();
    writers
}

/// The log of a stopped vault, read whole.
struct Seen {
    leaves: Vec<Vec<u8>>,
    /// Calls about each subject, in order; its creation is left out.
    calls: BTreeMap<SubjectToken, Vec<String>>,
    largest_group: usize,
    signed: SignedCheckpoint,
}

impl Seen {
    fn of(store: &dyn Engine, key: &VerifierKey) -> Self {
        let log = StoredLog(store);
        let signed = log.checkpoint().expect("reads").expect("is there");
        let opened = Checkpoint::open(signed.note.as_bytes(), std::slice::from_ref(key)).expect("is signed");
        assert_eq!(opened, signed.checkpoint);
        let mut seen = Self { leaves: vec![], calls: BTreeMap::new(), largest_group: 0, signed };
        let mut requests = BTreeSet::new();
        for row in Rows::new(log, 0) {
            let (_, entries) = row.expect("no row is missing");
            seen.largest_group = seen.largest_group.max(entries.len());
            for (bytes, _) in entries {
                let leaf = leaf::decode(&bytes).expect("a leaf");
                assert_eq!(leaf.sequence, seen.leaves.len() as u64, "entries are counted without a gap");
                assert!(requests.insert(*leaf.request.as_bytes()) || leaf.actor_kind == 3, "a call is recorded twice");
                seen.note(&leaf);
                seen.leaves.push(bytes);
            }
        }
        assert_eq!(seen.root_at(seen.signed.checkpoint.size), seen.signed.checkpoint.root);
        seen
    }

    fn note(&mut self, leaf: &Leaf) {
        if let About::Subject(token) = leaf.about
            && leaf.operation != "CreateSubject"
        {
            self.calls.entry(token).or_default().push(leaf.operation.clone());
        }
    }

    fn root_at(&self, size: u64) -> Digest {
        let mut edge = Edge::default();
        self.leaves[..size as usize].iter().for_each(|leaf| edge.push(leaf_hash(leaf), &mut Vec::new()));
        edge.root()
    }
}
