//! What is told of a step's groups.

use super::group::{Group, Seconds};
use crate::generation::sequence::Finish;
use crate::learning::episodes::call::Outcome;
use crate::learning::episodes::episode::Turn;
use crate::learning::rollouts::{Drawn, distinct};
use crate::session::guard::ENDED;
use crate::training::lessons::Metrics;

/// What is told of a step's groups.
pub fn told(groups: &[Group], seconds: Seconds) -> Metrics {
    let answers: Vec<&Drawn> = groups.iter().flat_map(|group| &group.drawn).collect();
    let (n, of) = (answers.len() as f64, groups.len() as f64);
    let rewards = groups.iter().flat_map(|group| &group.rewards);
    let rewards: Vec<f64> = rewards.flatten().copied().collect();
    let mean = rewards.iter().sum::<f64>() / rewards.len().max(1) as f64;
    let squares = rewards
        .iter()
        .map(|reward| (reward - mean).powi(2))
        .sum::<f64>();
    let share = |count: usize, of: f64| count as f64 / of;
    let all_right = groups
        .iter()
        .filter(|group| group.right() == group.drawn.len())
        .count();
    let all_wrong = groups.iter().filter(|group| group.right() == 0).count();
    let tokens: usize = answers
        .iter()
        .map(|answer| answer.sample.tokens.len())
        .sum();
    let finished = |finish: Finish| answers.iter().filter(|a| a.sample.finish == finish).count();
    let alike = groups.iter().filter(|group| !group.has_spread()).count();
    let distinct: usize = groups
        .iter()
        .map(|group| distinct(group.drawn.iter()))
        .sum();
    let mut all = Metrics::from([
        ("reward", mean),
        (
            "reward_std",
            (squares / rewards.len().saturating_sub(1).max(1) as f64).sqrt(),
        ),
        ("frac_reward_zero_std", share(alike, of)),
        ("completions/mean_length", tokens as f64 / n),
        (
            "completions/clipped_ratio",
            share(finished(Finish::Length), n),
        ),
        (ENDED, share(finished(Finish::Stop), n)),
        ("rollouts", n),
        (
            "rollouts/passed",
            share(answers.iter().filter(|a| a.passed()).count(), n),
        ),
        (
            "rollouts/ran",
            share(
                answers
                    .iter()
                    .filter(|a| a.judged.returned.is_some())
                    .count(),
                n,
            ),
        ),
        ("groups/all_right", share(all_right, of)),
        ("groups/all_wrong", share(all_wrong, of)),
        ("groups/mixed", 1.0 - share(all_right + all_wrong, of)),
        ("groups/distinct_queries", distinct as f64 / of),
        ("seconds/generation", seconds.generation),
        ("seconds/scoring", seconds.scoring),
    ]);
    all.extend(of_turns(groups));
    all
}

/// What is told of the turns of episodes, where there are any: shares of turns, and means.
fn of_turns(groups: &[Group]) -> Metrics {
    let played = || groups.iter().flat_map(|group| &group.played);
    let episodes = played().count();
    if episodes == 0 {
        return Metrics::new();
    }
    let turns: Vec<&Turn> = played().flat_map(|(episode, _)| &episode.turns).collect();
    let n = turns.len().max(1) as f64;
    let share =
        |is: &dyn Fn(&Turn) -> bool| turns.iter().filter(|turn| is(turn)).count() as f64 / n;
    let worth: f64 = played().flat_map(|(_, steps)| steps).sum();
    Metrics::from([
        ("episodes/turns", turns.len() as f64 / episodes as f64),
        ("episodes/step_reward", worth / n),
        (
            "episodes/tool_errors",
            share(&|turn| matches!(turn.outcome, Outcome::Error | Outcome::UnknownTable)),
        ),
        (
            "episodes/unknown_tables",
            share(&|turn| turn.outcome == Outcome::UnknownTable),
        ),
        ("episodes/repeated", share(&|turn| turn.repeated)),
        (
            "episodes/malformed",
            share(&|turn| turn.outcome == Outcome::Malformed),
        ),
    ])
}
