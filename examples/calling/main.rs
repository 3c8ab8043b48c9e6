//! The samples of `docs/calling-services.md`.
//!
//! `lacuna::api::proto` is what `tonic-prost-build` makes of the proto files: a service of your own has it made by its
//! own build.

mod client;
mod documents;
mod events;
mod passport;
mod people;

use std::path::Path;

use client::Failure;

/// Usage: calling passport|documents|events|people DEV.JSON
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [sample, dev] = arguments.as_slice() else {
        return Err("usage: calling passport|documents|events|people DEV.JSON".into());
    };
    for line in run(sample, Path::new(dev)).await? {
        println!("{line}");
    }
    Ok(())
}

/// What a sample says.
pub async fn run(sample: &str, dev: &Path) -> Result<Vec<String>, Failure> {
    let dev = serde_json::from_slice(&std::fs::read(dev)?)?;
    match sample {
        "passport" => passport::run(&dev).await,
        "documents" => documents::run(&dev).await,
        "events" => events::run(&dev).await,
        "people" => people::run(&dev).await,
        _ => Err("there are passport, documents, events and people".into()),
    }
}
