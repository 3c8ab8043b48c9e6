//! Answers that were given, by question: exact, bounded, found with one hash.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hasher, RandomState};

use parking_lot::RwLock;

use super::question::Question;

/// A bounded set of answers. Equal questions have equal answers, so nothing in it grows old; whoever changes the rules
/// drops it whole.
pub(super) struct Answers<A> {
    shards: Vec<RwLock<Shard<A>>>,
    shard_max: usize,
    hasher: RandomState,
}

/// The question stands beside its answer: a hash alone proves nothing. Of two questions with one hash, the later stays.
type Shard<A> = HashMap<u64, (Question, A), BuildHasherDefault<Hashed>>;

const SHARDS: usize = 16;

impl<A: Clone> Answers<A> {
    /// Room for about `max` answers.
    pub(super) fn new(max: usize) -> Self {
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        Self { shards, shard_max: (max / SHARDS).max(1), hasher: RandomState::new() }
    }

    /// The answer that was given, or the one that `decide` gives now.
    pub(super) fn find_or(&self, question: &Question, decide: impl FnOnce() -> A) -> A {
        let hash = self.hasher.hash_one(question);
        // From bits that the map, which looks at the highest and the lowest, makes little of.
        let shard = &self.shards[(hash >> 32) as usize % SHARDS];
        if let Some((known, answer)) = shard.read().get(&hash)
            && known == question
        {
            return answer.clone();
        }
        let answer = decide();
        let mut shard = shard.write();
        if shard.len() >= self.shard_max {
            shard.clear(); // simpler than telling old from new, and as exact
        }
        shard.insert(hash, (question.clone(), answer.clone()));
        answer
    }
}

/// Passes on what is a hash already, under a key of its own.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|byte| self.0 = self.0.rotate_left(8) ^ u64::from(*byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::action::Action;
    use crate::policy::caller::RoleId;
    use crate::policy::question::Standing;
    use crate::policy::rules::Rules;
    use crate::policy::tests::{data, question};

    #[test]
    fn an_answer_is_given_to_its_own_question_only() {
        let rules = Rules::shipped().expect("loads");
        let answers = Answers::new(1_000);
        let region = |region: &str, restricted| Question {
            resource: data(
                "contact",
                Standing { labels: [("region".into(), region.into())].into(), restricted, own: false },
            ),
            ..question(&rules, RoleId::Support, "service_delivery", Action::GetItem)
        };
        let mut asked = vec![question(&rules, RoleId::Service, "service_delivery", Action::GetItem)];
        asked.push(Question { ticket: true, ..asked[0].clone() });
        asked.push(Question { role: RoleId::Billing, ..asked[0].clone() });
        asked.push(Question { action: Action::PutItem, ..asked[0].clone() });
        asked.push(Question { caller: "dns:other.example.org".parse().expect("a name"), ..asked[0].clone() });
        asked.extend([region("eu", false), region("us", false), region("eu", true)]);
        for (answer, question) in asked.iter().enumerate() {
            assert_eq!(answers.find_or(question, || answer), answer);
        }
        for (answer, question) in asked.iter().enumerate() {
            assert_eq!(answers.find_or(question, || unreachable!("was answered")), answer);
        }
    }

    #[test]
    fn questions_of_one_hash_do_not_share_an_answer() {
        let rules = Rules::shipped().expect("loads");
        let answers = Answers::new(1_000);
        let one = question(&rules, RoleId::Service, "service_delivery", Action::GetItem);
        let other = Question { ticket: true, ..one.clone() };
        let hash = answers.hasher.hash_one(&one);
        answers.shards[(hash >> 32) as usize % SHARDS].write().insert(hash, (other, false));
        assert!(answers.find_or(&one, || true));
    }

    #[test]
    fn it_is_bounded() {
        let rules = Rules::shipped().expect("loads");
        let answers = Answers::new(SHARDS * 4);
        let of = |region: u64| Question {
            resource: data(
                "contact",
                Standing { labels: [("region".into(), region.to_string())].into(), restricted: false, own: false },
            ),
            ..question(&rules, RoleId::Support, "service_delivery", Action::GetItem)
        };
        (0..1_000).for_each(|region| {
            answers.find_or(&of(region), || region);
        });
        let kept: usize = answers.shards.iter().map(|shard| shard.read().len()).sum();
        assert!(kept <= SHARDS * 4, "{kept}");
    }
}
