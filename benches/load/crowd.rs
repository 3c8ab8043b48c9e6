//! Two vaults, one of few people and one of many, that nothing else is asked of: what an act costs as a vault grows.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lacuna::api::proto::{CallContext, EraseSubjectRequest};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::Error;
use super::data::{self, Stored};
use super::servers::Server;

/// Items of each person, so that many people fit.
const ITEMS: usize = 1;
/// Erasures of one vault in a round.
const ERASURES: usize = 300;

/// The vaults.
pub struct Crowds {
    few: Crowd,
    many: Crowd,
}

struct Crowd {
    server: Server,
    /// Removed with the server.
    _home: TempDir,
}

impl Crowds {
    /// Starts both and stores so many people.
    pub fn create(
        runtime: &Runtime,
        program: &Path,
        dir: &Path,
        pinned: bool,
        (few, many): (usize, usize),
    ) -> Result<Self, Error> {
        let create = |people| {
            let home = tempfile::Builder::new().prefix("crowd").tempdir_in(dir)?;
            let server = Server::vault(runtime, program, home.path(), pinned)?;
            Stored::create(runtime, &server, people, ITEMS)?;
            Ok::<_, Error>(Crowd { server, _home: home })
        };
        Ok(Self { few: create(few)?, many: create(many)? })
    }

    /// The median time of an erasure among many over that among few; one caller.
    pub fn erase(&self, runtime: &Runtime) -> Result<f64, Error> {
        let few = self.few.erase(runtime)?;
        let many = self.many.erase(runtime)?;
        eprintln!("an erasure: {few:.2?} among few, {many:.2?} among many");
        Ok(many.as_secs_f64() / few.as_secs_f64())
    }
}

impl Crowd {
    fn erase(&self, runtime: &Runtime) -> Result<Duration, Error> {
        let doomed: Arc<Stored> = Stored::create(runtime, &self.server, ERASURES, ITEMS)?;
        self.server.settle()?;
        let mut officer = self.server.officer(0).ok_or("not a vault")?;
        let mut times = Vec::with_capacity(ERASURES);
        runtime.block_on(async {
            for number in 0..ERASURES {
                let subject = doomed.subject(number).ok_or("too few subjects to erase")?;
                let context = Some(CallContext { purpose: "legal_compliance".into(), ..Default::default() });
                let request = EraseSubjectRequest { context, subject: data::subject(subject), ..Default::default() };
                let start = Instant::now();
                let receipt = officer.erase_subject(request).await?.into_inner().receipt;
                times.push(start.elapsed());
                receipt.ok_or("no receipt")?;
            }
            Ok::<_, Error>(())
        })?;
        times.sort_unstable();
        Ok(times[ERASURES / 2])
    }
}
