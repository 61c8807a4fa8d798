//! What a backend says of itself, as data.

use protocol::crypto::count::Counted;
use protocol::member::{Backend, Capabilities, Description, Ordering};
use serde::{Deserialize, Serialize};

/// What a backend says of itself. Its name and variant stand beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct About {
    /// One line on what it is.
    pub summary: String,
    /// Name and version of the implementation that it adapts; null if it is one of this project's.
    pub adapts: Option<String>,
    /// What a reader of its figures must know besides.
    pub caveats: Vec<String>,
    /// Whether concurrent operations all take effect.
    pub concurrent_operations: bool,
    /// Whether a member can heal its own compromise.
    pub pcs_update: bool,
    /// Whether read messages stay secret when the state is stolen.
    pub forward_secrecy: bool,
    /// What carries a signature.
    pub signed: String,
    /// `causal` or `total`.
    pub ordering: String,
    /// Whether the same randomness gives the same bytes.
    pub deterministic: bool,
    /// The kinds of messages that carry a random value in clear.
    pub public_randomness: Vec<String>,
    /// Whether it needs other threads.
    pub threads: bool,
    /// How its costs grow with the group, as it claims.
    #[serde(default)]
    pub growth: Vec<String>,
    /// Which of its primitives are counted: `all`, `public-key` or `nothing`.
    pub counted: String,
}

impl About {
    /// What this backend says.
    #[must_use]
    pub fn of(backend: &dyn Backend) -> Self {
        let Description { summary, capabilities, adapts, caveats, growth, .. } = backend.description();
        let Capabilities {
            concurrent_operations,
            pcs_update,
            forward_secrecy,
            signed,
            ordering,
            deterministic,
            public_randomness,
            threads,
            counted,
        } = capabilities;
        let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        Self {
            summary: summary.to_owned(),
            adapts: adapts.map(str::to_owned),
            caveats: owned(caveats),
            growth: owned(growth),
            concurrent_operations,
            pcs_update,
            forward_secrecy,
            signed: if signed.is_empty() { "nothing" } else { signed }.to_owned(),
            ordering: match ordering {
                Ordering::Causal => "causal".to_owned(),
                Ordering::Total => "total".to_owned(),
            },
            deterministic,
            public_randomness: owned(public_randomness),
            threads,
            counted: match counted {
                Counted::All => "all".to_owned(),
                Counted::PublicKey => "public-key".to_owned(),
                Counted::Nothing => "nothing".to_owned(),
            },
        }
    }

    /// The same in plain text: without control characters, and without what begins a tag in Markdown.
    #[must_use]
    pub fn plain(mut self) -> Self {
        let adapts = self.adapts.iter_mut();
        let lists = [&mut self.caveats, &mut self.public_randomness, &mut self.growth];
        let words = [&mut self.summary, &mut self.signed, &mut self.ordering, &mut self.counted];
        let all = words.into_iter().chain(adapts).chain(lists.into_iter().flatten());
        all.for_each(|text| {
            *text = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().replace('<', "&lt;");
        });
        self
    }

    /// What a reader must know of the figures of a backend that adapts an implementation of others, in one line: what it is,
    /// what it signs, orders and forgets, and its caveats. Of others, their caveats alone; `None` if there is none.
    #[must_use]
    pub fn footnote(&self) -> Option<String> {
        let Some(adapts) = &self.adapts else {
            return Some(self.caveats.join("; ")).filter(|caveats| !caveats.is_empty());
        };
        let order = match self.ordering.as_str() {
            "total" => "needs a total order",
            _ => "needs no order of messages",
        };
        let mut parts =
            vec![format!("{} ({adapts})", self.summary), format!("signed: {}", self.signed), order.to_owned()];
        let lacks = [
            (self.forward_secrecy, "no forward secrecy"),
            (self.pcs_update, "no update that heals"),
            (self.concurrent_operations, "concurrent operations do not all take effect"),
        ];
        parts.extend(lacks.into_iter().filter(|(has, _)| !has).map(|(_, lack)| lack.to_owned()));
        if !self.deterministic {
            parts.push("not deterministic, so no part was repeated in a process of its own".to_owned());
        }
        parts.extend(match self.counted.as_str() {
            "all" => None,
            "public-key" => Some("of its primitives, public-key operations alone are counted".to_owned()),
            _ => Some("primitives not counted".to_owned()),
        });
        parts.extend(self.caveats.iter().cloned());
        Some(parts.join("; "))
    }
}
