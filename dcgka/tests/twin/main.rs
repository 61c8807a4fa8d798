//! A symbolic twin of the protocol, and the attacker on the real one: in any schedule with any thefts, the attacker reads
//! exactly what the twin says that it can.
//!
//! | file | what it models |
//! |---|---|
//! | `terms` | secrets as names, and what follows from what |
//! | `channel` | the channel between two members: 2SM, or a lean channel |
//! | `group` | a member of a group (paper, figure 7, and the rules of DEVIATIONS.md) |
//! | `world` | users, who play a recorded schedule |
//! | `naive.rs` of the crate `protocol` | membership, by its definition |
//!
//! The twin shares no code with the protocol. It knows which message reaches whom and when, and nothing of their bytes: it makes
//! its own messages. That they have the same authors and kinds, in the same order, is checked too.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "tests")]

mod channel;
mod group;
#[path = "../../../protocol/tests/membership/naive.rs"]
mod naive;
mod terms;
mod world;

use dcgka::Dcgka;
use protocol::member::Backend;
use protocol::security::SITUATIONS;
use protocol::security::schedules::{Length, Trace, played, random};

use world::{Rules, World};

/// Compares the two in one schedule. Returns the number of texts, and how many are exposed.
fn compare(variant: Dcgka, rules: Rules, length: Length, seed: u64) -> (usize, usize) {
    let make = || -> Box<dyn Backend> { Box::new(variant) };
    let trace = random(&make, length, seed).unwrap_or_else(|what| panic!("seed {seed}: {what}"));
    agree(variant, rules, &trace, &format!("seed {seed}"))
}

/// Compares what the attacker has read with what the twin predicts. Returns the number of texts, and how many are exposed.
fn agree(variant: Dcgka, rules: Rules, trace: &Trace, what: &str) -> (usize, usize) {
    let predicted = World::play(trace, rules).unwrap_or_else(|why| panic!("{what}: {why}"));
    let Trace { exposed, .. } = trace;
    let differ: Vec<usize> = (0..exposed.len()).filter(|said| exposed[*said] != predicted[*said]).collect();
    assert!(
        differ.is_empty(),
        "`{}`, {what}: the attacker and the twin differ in the texts {differ:?}; the attacker reads {:?}\n{:#?}",
        variant.description().variant,
        differ.iter().map(|said| exposed[*said]).collect::<Vec<_>>(),
        trace.steps
    );
    (exposed.len(), exposed.iter().filter(|exposed| **exposed).count())
}

fn length_of(seed: u64) -> Length {
    const USERS: usize = 7;
    let [founders, steps, thefts] = [3 + seed % 4, 50 + 10 * (seed % 5), 3 + seed % 8].map(|n| n as usize);
    // Enough for everybody, or so few that they run out.
    let one_time = if seed.is_multiple_of(4) { (seed / 4 % 3) as usize } else { USERS * USERS };
    Length { users: USERS, founders, steps, thefts, one_time }
}

/// Compares the two in random schedules.
fn campaign(variant: Dcgka, rules: Rules, schedules: u64) {
    let (mut said, mut exposed) = (0, 0);
    for seed in 1..=schedules {
        let (all, read) = compare(variant, rules, length_of(seed), seed);
        (said, exposed) = (said + all, exposed + read);
    }
    println!("`{}`: {schedules} schedules, {said} texts, {exposed} exposed", variant.description().variant);
    // Neither everything nor nothing.
    assert!(exposed * 20 > said && exposed * 10 < said * 9, "{exposed} of {said}");
}

const SHORT: u64 = 200;
/// `cargo test --release -p dcgka --test twin -- --ignored`
const LONG: u64 = 2000;

const CORRECTED: Rules = Rules { published: false, lean: false, tagged: false };
const PUBLISHED: Rules = Rules { published: true, ..CORRECTED };
const LEAN_CHANNELS: Rules = Rules { lean: true, ..CORRECTED };
const TAGGED_ACKS: Rules = Rules { tagged: true, ..CORRECTED };
const LEAN: Rules = Rules { lean: true, tagged: true, ..CORRECTED };

const VARIANTS: [(Dcgka, Rules); 5] = [
    (Dcgka::CORRECTED, CORRECTED),
    (Dcgka::PUBLISHED, PUBLISHED),
    (Dcgka::LEAN_CHANNELS, LEAN_CHANNELS),
    (Dcgka::TAGGED_ACKS, TAGGED_ACKS),
    (Dcgka::LEAN, LEAN),
];

#[test]
fn twin_and_attacker_agree_on_dcgka() {
    campaign(Dcgka::CORRECTED, CORRECTED, SHORT);
}

#[test]
fn twin_and_attacker_agree_on_dcgka_as_published() {
    campaign(Dcgka::PUBLISHED, PUBLISHED, SHORT);
}

#[test]
fn twin_and_attacker_agree_on_lean_channels() {
    campaign(Dcgka::LEAN_CHANNELS, LEAN_CHANNELS, SHORT);
}

#[test]
fn twin_and_attacker_agree_on_tagged_acknowledgements() {
    campaign(Dcgka::TAGGED_ACKS, TAGGED_ACKS, SHORT);
}

#[test]
fn twin_and_attacker_agree_on_the_leanest_form() {
    campaign(Dcgka::LEAN, LEAN, SHORT);
}

#[test]
#[ignore = "a campaign of minutes"]
fn twin_and_attacker_agree_on_two_thousand_schedules() {
    for (variant, rules) in VARIANTS {
        campaign(variant, rules, LONG);
    }
}

#[test]
fn twin_and_attacker_agree_in_each_situation() {
    for (variant, rules) in VARIANTS {
        for situation in SITUATIONS {
            let make = || -> Box<dyn Backend> { Box::new(variant) };
            let trace = played(&make, situation, 1).unwrap_or_else(|what| panic!("{}: {what}", situation.name));
            agree(variant, rules, &trace, situation.name);
        }
    }
}

/// A twin with the rules of another variant is wrong, and the comparison shows it.
#[test]
fn the_comparison_finds_a_twin_with_other_rules() {
    let differs = |variant: Dcgka, rules: Rules| {
        (1..=SHORT).any(|seed| {
            let make = || -> Box<dyn Backend> { Box::new(variant) };
            let trace = random(&make, length_of(seed), seed).unwrap();
            World::play(&trace, rules) != Ok(trace.exposed.clone())
        })
    };
    for (variant, other) in [
        (Dcgka::CORRECTED, PUBLISHED),
        (Dcgka::CORRECTED, LEAN_CHANNELS),
        (Dcgka::LEAN_CHANNELS, CORRECTED),
        (Dcgka::TAGGED_ACKS, CORRECTED),
        (Dcgka::LEAN, TAGGED_ACKS),
    ] {
        assert!(differs(variant, other), "{:?}", variant.description().variant);
    }
}
