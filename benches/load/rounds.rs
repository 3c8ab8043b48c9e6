//! Interleaved rounds: every load once in each round, so that what slows the machine down for a while slows all alike.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::Error;
use super::crowd::Crowds;
use super::data::{ITEMS, Stored};
use super::documents::Documents;
use super::drive::{Call, Load, Run, drive};
use super::figures::{FIGURES, Figure};
use super::import;
use super::servers::Server;

/// How much is measured.
pub struct Plan {
    /// Subjects, of five items each.
    pub subjects: usize,
    /// Rounds; the median counts.
    pub rounds: usize,
    /// Before each load, not counted.
    pub warm_up: Duration,
    /// Of each load.
    pub time: Duration,
    /// Whether the server has a CPU of its own.
    pub pinned: bool,
    /// Whether the server can leave reads out of its log; else it records them in every load.
    pub unrecorded: bool,
    /// People in a small and in a large vault; without, what needs them is not measured.
    pub crowds: Option<(usize, usize)>,
}

impl Plan {
    /// The figures as they are meant.
    pub const FULL: Self = Self {
        subjects: 100_000,
        rounds: 5,
        warm_up: Duration::from_millis(500),
        time: Duration::from_secs(3),
        pinned: true,
        unrecorded: true,
        crowds: None,
    };
    /// A direction.
    pub const QUICK: Self =
        Self { subjects: 5_000, warm_up: Duration::from_millis(300), time: Duration::from_secs(1), ..Self::FULL };
    /// Less noise.
    pub const LONG: Self =
        Self { rounds: 9, time: Duration::from_secs(10), crowds: Some((10_000, 1_000_000)), ..Self::FULL };
}

/// What was measured.
pub struct Measured {
    /// Each figure with its value in each round.
    pub figures: Vec<(&'static Figure, Vec<f64>)>,
    /// Each load as each round saw it.
    pub loads: Vec<(Load, Vec<Run>)>,
    /// Subjects stored.
    pub subjects: usize,
}

/// Starts both servers, stores the data and measures the figures whose names contain `only`, or one of several parts with commas between.
pub fn measure(program: &Path, dir: &Path, plan: &Plan, only: &str) -> Result<Measured, Error> {
    let dir = tempfile::Builder::new().prefix("lacuna-load").tempdir_in(dir)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let vault = Server::vault(&runtime, program, dir.path(), plan.pinned)?;
    let echo = Server::echo(&runtime, dir.path(), plan.pinned)?;
    let least = Server::least(&runtime, dir.path(), plan.pinned, plan.subjects)?;
    let stored = Stored::create(&runtime, &vault, plan.subjects, ITEMS)?;
    let wanted = FIGURES.iter().filter(|figure| only.split(',').any(|part| figure.name.contains(part)));
    let wanted = wanted.filter(|figure| plan.crowds.is_some() || !figure.needs_crowds);
    let mut figures: Vec<(&Figure, Vec<f64>)> = wanted.map(|figure| (figure, Vec::new())).collect();
    let mut loads: Vec<(Load, Vec<Run>)> = Vec::new();
    let needs_crowds = figures.iter().any(|(figure, _)| figure.needs_crowds);
    let crowds = plan.crowds.filter(|_| needs_crowds);
    let crowds = crowds.map(|people| Crowds::create(&runtime, program, dir.path(), plan.pinned, people)).transpose()?;
    for number in 1..=plan.rounds {
        eprintln!("round {number} of {}", plan.rounds);
        let servers = Servers { vault: &vault, echo: &echo, least: &least };
        let (runs, place) = (Vec::new(), (program, dir.path()));
        let mut round = Round {
            runtime: &runtime,
            servers,
            stored: &stored,
            plan,
            place,
            runs,
            crowds: crowds.as_ref(),
            documents: None,
            alone: None,
        };
        for (figure, values) in &mut figures {
            values.push((figure.measure)(&mut round)?);
        }
        for (load, run) in round.runs {
            match loads.iter_mut().find(|(known, _)| *known == load) {
                Some((_, runs)) => runs.push(run),
                None => loads.push((load, vec![run])),
            }
        }
    }
    Ok(Measured { figures, loads, subjects: plan.subjects })
}

/// What is called.
struct Servers<'a> {
    vault: &'a Server,
    echo: &'a Server,
    least: &'a Server,
}

/// One round.
pub struct Round<'a> {
    runtime: &'a Runtime,
    servers: Servers<'a>,
    stored: &'a Arc<Stored>,
    plan: &'a Plan,
    /// The program, and the folder of its vault.
    place: (&'a Path, &'a Path),
    runs: Vec<(Load, Run)>,
    crowds: Option<&'a Crowds>,
    documents: Option<Arc<Documents>>,
    alone: Option<(f64, f64)>,
}

impl Round<'_> {
    /// The median time of an erasure in a large vault over that in a small one.
    pub fn erase_among_many(&self) -> Result<f64, Error> {
        self.crowds.ok_or("no crowds")?.erase(self.runtime)
    }

    /// MiB a second of one upload and of one download.
    pub fn document(&mut self) -> Result<(f64, f64), Error> {
        if let Some(known) = self.alone {
            return Ok(known);
        }
        let alone = self.documents()?.alone(self.runtime, self.servers.vault)?;
        self.alone = Some(alone);
        Ok(alone)
    }

    /// By how many MiB the vault's memory grew with streams of documents.
    pub fn document_memory(&mut self) -> Result<f64, Error> {
        self.documents()?.memory(self.runtime, self.servers.vault)
    }

    /// What a load shows beside uploads.
    pub fn drive_beside_uploads(&mut self, load: Load) -> Result<Run, Error> {
        let documents = self.documents()?;
        let (vault, plan) = (self.servers.vault, self.plan);
        documents.beside(vault, || drive(self.runtime, vault, self.stored, load, plan.warm_up, plan.time))
    }

    fn documents(&mut self) -> Result<Arc<Documents>, Error> {
        if let Some(known) = &self.documents {
            return Ok(known.clone());
        }
        let documents = Documents::create(self.runtime, self.servers.vault, self.plan.pinned)?;
        self.documents = Some(documents.clone());
        Ok(documents)
    }

    /// Rows a second of a bulk load.
    pub fn import(&self) -> Result<f64, Error> {
        let (program, dir) = self.place;
        import::rows_per_second(program, dir, (self.plan.subjects / 5).max(100))
    }

    /// What a load shows beside a bulk load.
    pub fn drive_beside_import(&self, load: Load) -> Result<Run, Error> {
        let (vault, plan) = (self.servers.vault, self.plan);
        // More than an import stores in that time.
        let rows = (plan.warm_up + plan.time).as_secs() as usize * 20_000 + 40_000;
        import::beside(self.place, rows, || drive(self.runtime, vault, self.stored, load, plan.warm_up, plan.time))
    }

    /// What a load shows in this round; driven when first asked for.
    pub fn drive(&mut self, load: Load) -> Result<Run, Error> {
        if let Some((_, run)) = self.runs.iter().find(|(known, _)| *known == load) {
            return Ok(run.clone());
        }
        let server = match load.call {
            Call::Echo => self.servers.echo,
            Call::Least | Call::LeastUnrecorded | Call::LeastBatch => self.servers.least,
            Call::GetItem | Call::Unrecorded | Call::BatchGetItems => self.servers.vault,
            Call::PutItem | Call::EraseSubject | Call::RecordEvents => self.servers.vault,
        };
        let drive = || drive(self.runtime, server, self.stored, load, self.plan.warm_up, self.plan.time);
        let run =
            if load.call == Call::Unrecorded && self.plan.unrecorded { server.without_log(drive)? } else { drive()? };
        self.runs.push((load, run.clone()));
        Ok(run)
    }
}
