//! What protocols promise, as their publications say it, for comparison with what attackers read.

/// What one publication promises: that an attacker reads nothing of what these situations ask about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Promise {
    /// How the names of the backends begin that it holds for.
    pub backends: &'static [&'static str],
    /// The situations.
    pub situations: &'static [&'static str],
    /// Where it is made.
    pub source: &'static str,
}

/// The promises. Where a publication says nothing of a situation, there is none.
pub const PROMISES: &[Promise] = &[
    Promise {
        backends: &["dcgka", "p2panda"],
        situations: &["after-delivery", "acks-outstanding", "beside-offline-member", "used-prekeys"],
        source: "DCGKA: keys are erased when they have been used (Weidner et al., CCS 2021, sections 4 and 6.1)",
    },
    Promise {
        backends: &["dcgka", "p2panda"],
        situations: &[
            "own-update",
            "two-updates",
            "own-removal",
            "update-beside-update",
            "update-beside-removal",
            "taken-twice",
        ],
        source: "DCGKA: an update or a removal gives its author new key material (section 6.2)",
    },
    Promise {
        backends: &["dcgka", "p2panda"],
        situations: &["removed", "two-removed", "two-removed-at-once", "removed-beside-add", "removed-adds", "joiner"],
        source: "DCGKA: members alone read, from when they join until they are removed (sections 5.2 and 6.2)",
    },
    Promise {
        backends: &["pairwise", "vodozemac:olm"],
        situations: &["after-delivery", "acks-outstanding", "beside-offline-member"],
        source: "Double Ratchet specification, revision 1, section 2.2: message keys are erased, and chains do not go back",
    },
    Promise {
        backends: &["pairwise", "vodozemac:olm"],
        situations: &["own-update", "two-updates", "round-trip"],
        source: "Double Ratchet specification, sections 2.3 and 6.2: a new ratchet key of each side replaces what was stolen",
    },
    Promise {
        backends: &["sender-keys", "vodozemac:megolm"],
        situations: &["after-delivery", "removed", "two-removed", "joiner"],
        source: "Sender Keys: chains do not go back, and are replaced at a removal (Balbas, Collins, Gajland, ASIACRYPT 2023)",
    },
    Promise {
        backends: &["openmls", "mls-rs"],
        situations: &["after-delivery", "beside-offline-member", "used-prekeys"],
        source: "MLS: used secrets are deleted (RFC 9420, sections 9.2 and 16.6), and key packages are used once (section 16.8)",
    },
    Promise {
        backends: &["openmls", "mls-rs"],
        situations: &[
            "own-update",
            "two-updates",
            "two-updates-at-once",
            "own-removal",
            "update-beside-update",
            "update-beside-add",
            "update-beside-removal",
            "removed",
            "two-removed",
            "joiner",
        ],
        source: "MLS: a commit with a path replaces its author's secrets, and removed members are shut out (RFC 9420, section 16.6)",
    },
    Promise {
        backends: &["beekem"],
        situations: &["own-update", "removed"],
        source: "BeeKEM: a member that renews its key heals (Keyhive notebook, 02, Group Key Agreement with BeeKEM)",
    },
    Promise {
        backends: &["dcgka", "pairwise", "sender-keys", "p2panda"],
        situations: &["replayed"],
        source: "X3DH specification, section 4.2: one-time prekeys keep an initial message from being replayed",
    },
];

/// The promises for a backend in a situation.
pub fn promises<'a>(backend: &'a str, situation: &'a str) -> impl Iterator<Item = &'static Promise> + 'a {
    PROMISES.iter().filter(move |promise| {
        promise.backends.iter().any(|name| backend.starts_with(name)) && promise.situations.contains(&situation)
    })
}

#[cfg(test)]
mod tests {
    use protocol::security::SITUATIONS;

    use super::*;

    #[test]
    fn promises_are_about_situations() {
        let is_one = |name: &&str| SITUATIONS.iter().any(|situation| situation.name == *name);
        assert!(PROMISES.iter().all(|promise| promise.situations.iter().all(&is_one)));
        assert_eq!(promises("dcgka:lean", "own-update").count(), 1);
        assert_eq!(promises("sender-keys:lazy", "own-update").count(), 0);
    }
}
