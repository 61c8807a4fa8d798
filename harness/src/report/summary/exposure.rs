//! What attackers read, in words and tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use protocol::security::{SITUATIONS, Situation, Topic};

use super::table::Table;
use super::text::bytes;
use crate::analysis::promises::{PROMISES, Promise, promises};
use crate::record::exposure::{Attacked, Ended, Findings, Order, Played};

const TOPICS: [(Topic, &str); 6] = [
    (Topic::ForwardSecrecy, "Forward secrecy"),
    (Topic::Healing, "Healing"),
    (Topic::Removal, "Removed members"),
    (Topic::Joining, "Joiners"),
    (Topic::Forging, "Forging"),
    (Topic::Prekeys, "Prekeys"),
];

/// All tables.
#[must_use]
pub fn exposure(findings: &Findings) -> String {
    let Order { seed, quick } = findings.order;
    let mut text = format!(
        "# What a stolen state exposes\n\nMade by `{}` ({}), seed {seed}{}. An attacker takes states of members, and hears every \
         message. An attack shows what can be read, and what was not read may be read in another way.\n\n",
        findings.argv.join(" "),
        findings.program,
        if quick { ", small groups" } else { "" }
    );
    text += "## Situations\n\nEach cell: what the attacker has read, of what the situation asks about. `-`: the protocol does not have \
             what the situation needs. `?`: the same attacker reads nothing where it should, so the cell says nothing. Backends marked \
             with a star do not record what they derive: there, thieves run the protocol's own code, and may miss what somebody \
             else would find. Whether a backend passes the conformance suite, `harness conformance` says. `!`: the protocol's publication promises that nothing is read; what it promises stands below.\n\n";
    let mut notes = Notes::default();
    for (topic, title) in TOPICS {
        let _ = writeln!(text, "### {title}\n");
        let header: Vec<String> =
            std::iter::once("situation".to_owned()).chain(findings.backends.iter().map(named)).collect();
        let mut table = Table::new(&header.iter().map(String::as_str).collect::<Vec<_>>());
        let of_topic = || SITUATIONS.iter().filter(|situation| situation.topic == topic);
        for situation in of_topic() {
            let cells = findings.backends.iter().map(|attacked| cell(attacked, situation, &mut notes));
            let cells: Vec<String> = cells.collect();
            table.row(std::iter::once(situation.name.to_owned()).chain(cells));
        }
        let _ = writeln!(text, "{table}");
        for Situation { name, what, secret, twin, .. } in of_topic() {
            let _ = writeln!(text, "- `{name}`: {what}. Asked: {secret}. The same attacker should read {twin}.");
        }
        text.push('\n');
    }
    text += &notes.text();
    text += &promised(findings);
    text += &workloads(findings);
    text += &absence(findings);
    text
}

const CANNOT_FOLLOW: &str =
    "the backend does not let a thief follow the owner of a stolen state, so more may be readable than was read";

/// The name of a backend, with a star if its figures are lower bounds.
fn named(attacked: &Attacked) -> String {
    format!("{}{}", attacked.backend, if attacked.derived { "" } else { "*" })
}

fn cell(attacked: &Attacked, situation: &Situation, notes: &mut Notes) -> String {
    let Some(played) = attacked.situations.iter().find(|played| played.situation == situation.name) else {
        return String::new();
    };
    let Played { status, reason, tried, exposed, by_thieves, twin_read, follows, .. } = played;
    let broken = if *exposed > 0 && promises(&attacked.backend, situation.name).next().is_some() { " !" } else { "" };
    match status {
        Ended::NotPossible => "-".to_owned(),
        Ended::Failed => format!("failed{}", notes.mark(reason)),
        Ended::Measured if *twin_read == 0 && *exposed == 0 => "?".to_owned(),
        Ended::Measured if !follows && *exposed == 0 => format!("0/{tried}{}", notes.mark(CANNOT_FOLLOW)),
        Ended::Measured if by_thieves < exposed => {
            let more = "some of it follows from what was stolen, and no thief that runs the protocol's code reads it";
            format!("{exposed}/{tried}{broken}{}", notes.mark(more))
        }
        Ended::Measured => format!("{exposed}/{tried}{broken}"),
    }
}

/// Footnotes, each once.
#[derive(Default)]
struct Notes(BTreeMap<String, usize>);

impl Notes {
    fn mark(&mut self, note: &str) -> String {
        let next = self.0.len() + 1;
        format!(" [{}]", self.0.entry(note.to_owned()).or_insert(next))
    }

    fn text(&self) -> String {
        let mut notes: Vec<(&usize, &String)> = self.0.iter().map(|(note, number)| (number, note)).collect();
        notes.sort();
        let lines: String = notes.iter().map(|(number, note)| format!("[{number}] {note}.\n\n")).collect();
        lines
    }
}

/// What the publications of these backends promise.
fn promised(findings: &Findings) -> String {
    let mut text = "### What is promised\n\nThat nothing is read, as the publications say it:\n\n".to_owned();
    let is_here = |name: &&str| findings.backends.iter().any(|attacked| attacked.backend.starts_with(name));
    for Promise { backends, situations, source } in PROMISES {
        if backends.iter().any(&is_here) {
            let _ = writeln!(text, "- {source}: {}.", situations.join(", "));
        }
    }
    text + "\n"
}

fn workloads(findings: &Findings) -> String {
    let Some(first) = findings.backends.iter().find_map(|attacked| attacked.workloads.first()) else {
        return String::new();
    };
    let mut text = format!(
        "## A conversation\n\n{} members say {} messages; some join and leave. After a number of messages each time, one of them updates. \
         The state of a member is taken at a random moment, by an attacker of its own each time. Exposed messages are the mean and the \
         most over the thefts; `until` is the mean number of messages from the theft to the last exposed one. CPU time is that of all \
         members together; where derivations are recorded, that adds up to 5 %. Starred figures are lower bounds.\n\n",
        first.members, first.messages,
    );
    let mut table = Table::new(&[
        "backend",
        "update every",
        "bytes/message",
        "CPU ms/message",
        "exposed",
        "most",
        "of them before",
        "until",
        "thefts",
    ]);
    for attacked in &findings.backends {
        for ran in &attacked.workloads {
            let every = ran.update_every.map_or_else(|| "never".to_owned(), |every| every.to_string());
            let row = match ran.status {
                Ended::Measured => vec![
                    bytes(Some(ran.bytes_per_message())),
                    format!("{:.2}", ran.cpu_ms_per_message()),
                    format!("{:.1}", ran.mean_exposed()),
                    ran.most_exposed().to_string(),
                    format!("{:.1}", ran.mean_before()),
                    format!("{:.1}", ran.mean_until()),
                    ran.thefts.len().to_string(),
                ],
                _ => vec![ran.reason.clone()],
            };
            let row = row.into_iter().chain(std::iter::repeat(String::new())).take(7);
            table.row([named(attacked), every].into_iter().chain(row));
        }
    }
    let _ = writeln!(text, "{table}");
    text
}

fn absence(findings: &Findings) -> String {
    let mut text = "## While a member is away\n\nAnother member updates again and again. Of what is said meanwhile: what the state of the \
                    member that is away exposes, and what another member's does. And the bytes of both kinds of states.\n\n"
        .to_owned();
    let mut table = Table::new(&[
        "backend",
        "messages",
        "its state exposes",
        "another exposes",
        "its state",
        "largest other state",
    ]);
    for attacked in &findings.backends {
        for moment in &attacked.absence {
            table.row([
                named(attacked),
                moment.messages.to_string(),
                moment.absent.to_string(),
                moment.present.to_string(),
                bytes(Some(moment.absent_state as f64)),
                bytes(Some(moment.largest_state as f64)),
            ]);
        }
        if !attacked.absence_reason.is_empty() {
            let reason = [named(attacked), attacked.absence_reason.clone()].into_iter();
            table.row(reason.chain(std::iter::repeat(String::new())).take(6));
        }
    }
    let _ = writeln!(text, "{table}");
    text
}
