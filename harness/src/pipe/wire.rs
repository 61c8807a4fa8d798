//! What programs say, as values of the contract.

use protocol::crypto::count::Counted;
use protocol::error::Error;
use protocol::id::MemberId;
use protocol::member::{COMMIT, Capabilities, Description, Event, Ordering, Outgoing, Received, Recipients, Rule};
use protocol::operation::Operation;
use serde::Deserialize;

use super::line::{Bytes, Id};
use crate::registry::is_name;

/// What a program says of itself.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Hello {
    /// Checked before the rest is read.
    #[serde(rename = "protocol")]
    _protocol: u64,
    pub(super) name: String,
    variants: Vec<Variant>,
}

/// A backend of a program.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Variant {
    variant: String,
    summary: String,
    operations: Vec<String>,
    /// The kinds of its messages.
    kinds: Vec<String>,
    concurrent_operations: bool,
    pcs_update: bool,
    forward_secrecy: bool,
    signed: String,
    ordering: Order,
    deterministic: bool,
    public_randomness: Vec<String>,
    caveats: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Order {
    Causal,
    Total,
}

/// A backend of a program, as the contract describes it. It lives as long as this process: a description has static texts.
#[derive(Debug)]
pub(super) struct Spoken {
    pub(super) description: Description,
    pub(super) operations: Vec<Operation>,
    kinds: &'static [&'static str],
}

impl Spoken {
    /// The backends of a program that adapts this implementation.
    ///
    /// # Errors
    /// One of them cannot be; in words.
    pub(super) fn all(hello: Hello, implementation: &str, caveats: &[&str]) -> Result<Vec<&'static Self>, String> {
        let name = leak(hello.name);
        let mut all = Vec::<&'static Self>::new();
        for variant in hello.variants {
            let spoken = Self::new(name, variant, implementation, caveats)?;
            let variant = spoken.description.variant;
            if !variant.is_empty() && !is_name(variant) || all.iter().any(|it| it.description.variant == variant) {
                return Err(format!("`{variant}` cannot be the name of a variant, or is there twice"));
            }
            all.push(Box::leak(Box::new(spoken)));
        }
        if all.is_empty() { Err("the program has no variant; one may have an empty name".to_owned()) } else { Ok(all) }
    }

    fn new(name: &'static str, said: Variant, implementation: &str, caveats: &[&str]) -> Result<Self, String> {
        let kinds = leak_all(said.kinds);
        if matches!(said.ordering, Order::Total) && !kinds.contains(&COMMIT) {
            return Err(format!("it needs a total order, and has no messages of the kind `{COMMIT}`"));
        }
        if kinds.contains(&"") {
            return Err("a kind of messages has no name".to_owned());
        }
        let operation = |name: &String| match name.parse::<Operation>() {
            Ok(operation) if operation.parts().is_empty() => Ok(operation),
            _ => Err(format!("`{name}` is no operation of one member")),
        };
        let operations = said.operations.iter().map(operation).collect::<Result<_, _>>()?;
        let caveats = said.caveats.into_iter().chain(caveats.iter().map(|caveat| (*caveat).to_owned())).collect();
        let capabilities = Capabilities {
            concurrent_operations: said.concurrent_operations,
            pcs_update: said.pcs_update,
            forward_secrecy: said.forward_secrecy,
            signed: leak(said.signed),
            ordering: match said.ordering {
                Order::Causal => Ordering::Causal,
                Order::Total => Ordering::Total,
            },
            deterministic: said.deterministic,
            public_randomness: leak_all(said.public_randomness),
            // Those of its own process are all timed.
            threads: false,
            counted: Counted::Nothing,
        };
        let description = Description {
            name,
            variant: leak(said.variant),
            summary: leak(said.summary),
            capabilities,
            adapts: Some(leak(implementation.to_owned())),
            caveats: leak_all(caveats),
            // Its file says that.
            growth: &[],
        };
        Ok(Self { description, operations, kinds })
    }

    /// A message of a declared kind.
    fn outgoing(&self, sent: Sent) -> Result<Outgoing, String> {
        let kind = self.kinds.iter().find(|kind| **kind == sent.kind);
        let kind =
            *kind.ok_or_else(|| format!("it sends a message of kind `{}`, which it has not declared", sent.kind))?;
        let to = sent.to.map_or(Recipients::Everyone, |id| Recipients::One(MemberId(id.0)));
        Ok(Outgoing { to, kind, bytes: sent.bytes.0 })
    }

    pub(super) fn all_outgoing(&self, sent: Vec<Sent>) -> Result<Vec<Outgoing>, String> {
        sent.into_iter().map(|sent| self.outgoing(sent)).collect()
    }

    /// What follows from one message.
    pub(super) fn received(&self, said: ForOne) -> Result<Result<Received, Error>, String> {
        if let Some(name) = said.error {
            return error_of(&name).map(Err).ok_or_else(|| format!("it knows no error `{name}`"));
        }
        let events = said.events.into_iter().map(Event::try_from).collect::<Result<_, _>>()?;
        Ok(Ok(Received { outgoing: self.all_outgoing(said.outgoing)?, events }))
    }
}

/// A text for the rest of this process. A program says it once.
fn leak(text: String) -> &'static str {
    Box::leak(text.into_boxed_str())
}

fn leak_all(texts: Vec<String>) -> &'static [&'static str] {
    Box::leak(texts.into_iter().map(leak).collect::<Box<[_]>>())
}

/// The fields of an answer to `new-user`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Made {
    pub(super) user: Id,
    pub(super) bundle: Bytes,
    pub(super) one_time: Vec<Bytes>,
}

/// The fields of an answer to `restore` and `steal`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Restored {
    pub(super) user: Id,
}

/// The fields of an answer that says no more than that the call was made.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Done {}

/// The fields of an answer to a call that sends messages.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sends {
    pub(super) outgoing: Vec<Sent>,
}

/// A message to send.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sent {
    /// `null` if it is for everyone.
    to: Option<Id>,
    kind: String,
    bytes: Bytes,
}

/// The fields of an answer to `receive`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Results {
    pub(super) results: Vec<ForOne>,
}

/// What follows from one message: an error, or answers and events.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForOne {
    error: Option<String>,
    #[serde(default)]
    outgoing: Vec<Sent>,
    #[serde(default)]
    events: Vec<Happened>,
}

/// The fields of answers that show a member.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Group {
    pub(super) group: Option<Id>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Members {
    pub(super) members: Vec<Id>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Prints {
    pub(super) fingerprints: Option<Vec<(Id, Id)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Delivered {
    pub(super) delivered: Option<Vec<(Id, u32)>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct State {
    pub(super) state: Bytes,
}

/// Something that happened in the group.
#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
enum Happened {
    Joined { inviter: Id },
    Added { by: Id, user: Id },
    Removed { by: Id, user: Id },
    Updated { by: Id },
    Acked { by: Id },
    Message { from: Id, plaintext: Bytes },
    Undecryptable { from: Id },
    Rejected { from: Id, rule: String },
    Equivocation { by: Id },
    Inconsistent { by: Id },
}

impl TryFrom<Happened> for Event {
    type Error = String;

    fn try_from(happened: Happened) -> Result<Self, String> {
        let id = |id: Id| MemberId(id.0);
        Ok(match happened {
            Happened::Joined { inviter } => Self::Joined { inviter: id(inviter) },
            Happened::Added { by, user } => Self::Added { by: id(by), user: id(user) },
            Happened::Removed { by, user } => Self::Removed { by: id(by), user: id(user) },
            Happened::Updated { by } => Self::Updated { by: id(by) },
            Happened::Acked { by } => Self::Acked { by: id(by) },
            Happened::Message { from, plaintext } => Self::Message { from: id(from), plaintext: plaintext.0 },
            Happened::Undecryptable { from } => Self::Undecryptable { from: id(from) },
            Happened::Rejected { from, rule } => {
                let rule = find(&RULES, &rule).ok_or_else(|| format!("it knows no rule `{rule}`"))?;
                Self::Rejected { from: id(from), rule }
            }
            Happened::Equivocation { by } => Self::Equivocation { by: id(by) },
            Happened::Inconsistent { by } => Self::Inconsistent { by: id(by) },
        })
    }
}

/// The error of this name.
pub(super) fn error_of(name: &str) -> Option<Error> {
    find(&ERRORS, name)
}

fn find<T: Copy>(named: &[(&str, T)], name: &str) -> Option<T> {
    named.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
}

/// The errors of the contract that a program can name.
pub(super) const ERRORS: [(&str, Error); 19] = [
    ("unsupported", Error::Unsupported),
    ("not-in-group", Error::NotInGroup),
    ("already-in-group", Error::AlreadyInGroup),
    ("not-a-member", Error::NotAMember),
    ("already-a-member", Error::AlreadyAMember),
    ("removes-itself", Error::RemovesItself),
    ("group-size", Error::GroupSize),
    ("plaintext-too-long", Error::PlaintextTooLong),
    ("too-many-unacknowledged", Error::TooManyUnacknowledged),
    ("no-bundle", Error::NoBundle),
    ("numbers-exhausted", Error::NumbersExhausted),
    ("malformed", Error::Malformed),
    ("wrong-group", Error::WrongGroup),
    ("wrong-author", Error::WrongAuthor),
    ("not-authentic", Error::NotAuthentic),
    ("inviter-not-confirmed", Error::InviterNotConfirmed),
    ("queue-full", Error::QueueFull),
    ("bad-export", Error::BadExport),
    ("internal", Error::Internal),
];

/// The rules of the contract that a message can break.
pub(super) const RULES: [(&str, Rule); 9] = [
    ("form", Rule::Form),
    ("author-not-a-member", Rule::AuthorNotAMember),
    ("removes-itself", Rule::RemovesItself),
    ("target-not-a-member", Rule::TargetNotAMember),
    ("already-a-member", Rule::AlreadyAMember),
    ("group-size", Rule::GroupSize),
    ("group-exists", Rule::GroupExists),
    ("nothing-to-acknowledge", Rule::NothingToAcknowledge),
    ("acknowledges-own-removal", Rule::AcknowledgesOwnRemoval),
];

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn hello(change: impl FnOnce(&mut Value)) -> Result<Vec<&'static Spoken>, String> {
        let mut hello = json!({
            "protocol": 1,
            "name": "toy",
            "variants": [{
                "variant": "", "summary": "a toy", "operations": ["create", "message"], "kinds": ["create", "message"],
                "concurrent_operations": false, "pcs_update": false, "forward_secrecy": false, "signed": "nothing",
                "ordering": "causal", "deterministic": true, "public_randomness": [], "caveats": ["slow"],
            }],
        });
        change(&mut hello);
        let hello = serde_json::from_value(hello).map_err(|error| error.to_string())?;
        Spoken::all(hello, "toy 1", &["ours"])
    }

    #[test]
    fn a_description_is_what_the_program_says_and_what_the_harness_adds() {
        let all = hello(|_| ()).unwrap();
        assert_eq!(all[0].description.adapts, Some("toy 1"));
        assert_eq!(all[0].description.caveats, ["slow", "ours"]);
        assert_eq!(all[0].operations, [Operation::Create, Operation::Message]);
    }

    #[test]
    fn a_description_that_cannot_be_is_refused() {
        let first = |hello: &mut Value| hello["variants"][0].take();
        for (change, reason) in [
            (&(|it: &mut Value| it["variants"] = json!([])) as &dyn Fn(&mut Value), "no variant"),
            (&|it| it["variants"][0]["variant"] = "Ab".into(), "`Ab` cannot be the name of a variant"),
            (&|it| it["variants"][0]["operations"] = json!(["fly"]), "`fly` is no operation"),
            (&|it| it["variants"][0]["operations"] = json!(["partition-heal"]), "no operation of one member"),
            (&|it| it["variants"][0]["kinds"] = json!([""]), "has no name"),
            (&|it| it["variants"][0]["ordering"] = json!("total"), "no messages of the kind `commit`"),
            (&|it| it["variants"][0]["speed"] = json!(3), "unknown field `speed`"),
            (&|it| it["variants"][0]["ordering"] = json!("none"), "unknown variant `none`"),
            (
                &|it| {
                    let one = first(it);
                    it["variants"] = json!([one, one]);
                },
                "is there twice",
            ),
        ] {
            let said = hello(change).unwrap_err();
            assert!(said.contains(reason), "{said}");
        }
    }

    #[test]
    fn results_are_read_and_what_is_wrong_in_them_is_named() {
        let spoken = hello(|_| ()).unwrap()[0];
        let id = super::super::line::base64(&[7; 32]);
        let read = |said: Value| spoken.received(serde_json::from_value(said).map_err(|it| it.to_string())?);
        assert_eq!(read(json!({})), Ok(Ok(Received::default())));
        assert_eq!(read(json!({ "error": "not-authentic" })), Ok(Err(Error::NotAuthentic)));
        let event = Event::Rejected { from: MemberId([7; 32]), rule: Rule::Form };
        let said = json!({ "events": [{ "event": "rejected", "from": id, "rule": "form" }] });
        assert_eq!(read(said), Ok(Ok(Received { outgoing: Vec::new(), events: vec![event] })));
        for (said, reason) in [
            (json!({ "error": "tired" }), "it knows no error `tired`"),
            (json!({ "events": [{ "event": "rejected", "from": id, "rule": "law" }] }), "it knows no rule `law`"),
            (json!({ "events": [{ "event": "born" }] }), "unknown variant `born`"),
            (
                json!({ "outgoing": [{ "to": null, "kind": "ack", "bytes": "" }] }),
                "of kind `ack`, which it has not declared",
            ),
            (json!({ "outgoing": [{ "to": "AA==", "kind": "create", "bytes": "" }] }), "of 1 bytes, not 32"),
        ] {
            let found = read(said).unwrap_err();
            assert!(found.contains(reason), "{found}");
        }
    }

    #[test]
    fn every_name_is_documented() {
        let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/MEMBER_PROTOCOL.md")).unwrap();
        let names = ERRORS.iter().map(|(name, _)| name).chain(RULES.iter().map(|(name, _)| name));
        for name in names {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }
}
