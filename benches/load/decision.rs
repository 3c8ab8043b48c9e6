//! One access decision that was made before, as every read asks for it: the question put together and answered.

use std::hint::black_box;
use std::time::{Duration, Instant};

use lacuna::catalog::classes::class_of;
use lacuna::policy::action::Action;
use lacuna::policy::caller::RoleId;
use lacuna::policy::question::{Question, Resource, Standing};
use lacuna::policy::rules::Rules;

use super::Error;

const WARM_UP: u32 = 10_000;
const TIMES: u32 = 200_000;
/// Standings of people that are asked about in turn.
const REGIONS: u32 = 16;

/// How long one takes.
pub fn cached() -> Result<Duration, Error> {
    let rules = Rules::shipped()?;
    let class = class_of("contact").ok_or("no such class")?.id;
    let question = Question {
        caller: "spiffe://example.org/checkout".parse()?,
        role: RoleId::Service,
        purpose: rules.registry().purpose("service_delivery").ok_or("no such purpose")?.id.clone(),
        action: Action::GetItem,
        ticket: false,
        resource: Resource::Vault,
    };
    let standing =
        |region: u32| Standing { labels: [("region".into(), format!("r{region}"))].into(), ..Standing::default() };
    let people: Vec<Standing> = (0..REGIONS).map(standing).collect();
    let decide = |number: u32| {
        let standing = people[(number % REGIONS) as usize].clone();
        let resource = Resource::Data { class, standing, objected: false, kept: false };
        black_box(rules.decide(black_box(&Question { resource, ..question.clone() })));
    };
    (0..WARM_UP).for_each(decide);
    let start = Instant::now();
    (0..TIMES).for_each(decide);
    Ok(start.elapsed() / TIMES)
}
