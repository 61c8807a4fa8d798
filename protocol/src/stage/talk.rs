//! What members say to each other, and what they agree on.

use rand_core::Rng as _;

use super::verdict::{Verdict, ensure};
use super::world::{Action, User, World};
use crate::agreement;
use crate::member::Fingerprints;
use crate::operation::PLAINTEXT_LEN;

impl World<'_> {
    /// All members, by their numbers.
    pub(crate) fn insiders(&self) -> Vec<usize> {
        (0..self.users.len()).filter(|user| self.users[*user].inside).collect()
    }

    /// The members that speak in a conversation: all, or of many the first and the last.
    pub(crate) fn speakers(&self) -> Vec<usize> {
        let mut speakers = self.insiders();
        if speakers.len() > self.most_speakers {
            speakers.drain(self.most_speakers - 1..speakers.len() - 1);
        }
        speakers
    }

    /// Every speaker but one sends a message that all others read.
    pub(crate) fn converse_without(&mut self, silent: usize) -> Verdict {
        let speakers = self.speakers().into_iter().filter(|user| *user != silent);
        speakers.collect::<Vec<_>>().into_iter().try_for_each(|speaker| self.say(speaker, PLAINTEXT_LEN))
    }

    /// Every speaker sends a message that all others read. The first member comes last.
    pub(crate) fn converse(&mut self) -> Verdict {
        let mut speakers = self.speakers();
        if !speakers.is_empty() {
            speakers.rotate_left(1);
        }
        speakers.into_iter().try_for_each(|speaker| self.say(speaker, PLAINTEXT_LEN))
    }

    /// A member sends `len` random bytes, which all others read.
    pub(crate) fn say(&mut self, speaker: usize, len: usize) -> Verdict {
        let mut plaintext = vec![0; len];
        self.plaintexts.fill_bytes(&mut plaintext);
        self.said.push((speaker, plaintext.clone()));
        self.run(speaker, &Action::Send(plaintext)).map(drop)
    }

    /// Checks that everybody knows the right members and the same key material; returns the fingerprints, if there are
    /// any.
    pub(crate) fn agree(&self) -> Verdict<Option<Fingerprints>> {
        let users = self.users.iter();
        let users = users.map(|User { id, member, inside, .. }| agreement::User {
            id: *id,
            member: &**member,
            is_member: *inside,
        });
        let agreed = agreement::check(&users.collect::<Vec<_>>()).map_err(|disagreement| disagreement.to_string())?;
        let mut insiders = self.users.iter().filter(|user| user.inside);
        let together = insiders.all(|user| user.member.group() == Some(self.group));
        ensure(together, || "a member is in another group".to_owned())?;
        Ok(agreed)
    }
}

/// Whether no fingerprint is in both.
pub(crate) fn disjoint(one: &Option<Fingerprints>, other: &Option<Fingerprints>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().all(|entry| !other.contains(entry)),
        _ => true,
    }
}
