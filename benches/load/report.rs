//! The measured figures as a table for people and as `figures.json`.

use std::path::Path;

use comfy_table::{Cell, CellAlignment, Table, presets};
use serde_json::{Value, json};

use super::Error;
use super::data::ITEMS;
use super::drive::Run;
use super::figures::{Better, Figure};
use super::rounds::Measured;

/// Prints the figures, then the loads they were made of.
pub fn print(measured: &Measured) {
    let mut table = plain_table(["figure", "value", "unit", "floor", "aim", "verdict", "rounds"]);
    for (figure, rounds) in &measured.figures {
        let value = median(rounds);
        let rounds: Vec<String> = rounds.iter().map(|value| format!("{value:.2}")).collect();
        table.add_row([
            Cell::new(figure.name),
            number(value, 2),
            Cell::new(figure.unit),
            bound(figure.floor),
            bound(figure.aim),
            Cell::new(verdict(figure, value)),
            Cell::new(rounds.join(" ")),
        ]);
    }
    println!("{table}\n");
    let mut table = plain_table(["load", "calls/s", "p50 ms", "p99 ms", "server CPU us"]);
    for (load, runs) in &measured.loads {
        let of = |value: fn(&Run) -> f64| median(&runs.iter().map(value).collect::<Vec<_>>());
        table.add_row([
            Cell::new(load),
            number(of(Run::rate), 0),
            number(of(|run| run.percentile_ms(50)), 2),
            number(of(|run| run.percentile_ms(99)), 2),
            number(of(Run::cpu_us), 1),
        ]);
    }
    println!("{table}\n\n{} subjects of {ITEMS} items; {}", measured.subjects, machine());
}

/// Writes the figures.
pub fn write(measured: &Measured, path: &Path) -> Result<(), Error> {
    let figures = measured.figures.iter().map(|(figure, rounds)| entry(figure, rounds));
    let figures: Vec<Value> = figures.collect();
    let all = json!({ "version": 1, "machine": machine(), "subjects": measured.subjects, "figures": figures });
    std::fs::write(path, serde_json::to_string_pretty(&all)?)?;
    eprintln!("written to {}", path.display());
    Ok(())
}

fn entry(figure: &Figure, rounds: &[f64]) -> Value {
    let value = median(rounds);
    json!({
        "name": figure.name,
        "value": value,
        "unit": figure.unit,
        "better": match figure.better { Better::Higher => "higher", Better::Lower => "lower" },
        "floor": figure.floor,
        "aim": figure.aim,
        "verdict": verdict(figure, value),
        "rounds": rounds,
        "method": figure.method,
    })
}

/// `aim` or `floor`, whichever is reached, else `missed`; `reference` where nothing is to be reached.
fn verdict(figure: &Figure, value: f64) -> &'static str {
    let reaches = |bound: f64| match figure.better {
        Better::Higher => value >= bound,
        Better::Lower => value <= bound,
    };
    match (figure.aim.map(reaches), figure.floor.map(reaches)) {
        (Some(true), _) => "aim",
        (_, Some(true)) => "floor",
        (_, Some(false)) => "missed",
        (_, None) => "reference",
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// The class of machine: processors, their model, memory, kernel.
fn machine() -> String {
    let cpus = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let count = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once(':')).map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let memory = field(&std::fs::read_to_string("/proc/meminfo").unwrap_or_default(), "MemTotal");
    let kib: u64 = memory.trim_end_matches(" kB").parse().unwrap_or_default();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = field(&cpus, "model name");
    format!("{count} CPUs ({model}), {} GiB, Linux {}", kib.div_ceil(1 << 20), kernel.trim())
}

fn plain_table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header);
    table
}

fn bound(value: Option<f64>) -> Cell {
    value.map_or_else(|| Cell::new(""), |value| number(value, 2))
}

fn number(value: f64, digits: usize) -> Cell {
    Cell::new(format!("{value:.digits$}")).set_alignment(CellAlignment::Right)
}
