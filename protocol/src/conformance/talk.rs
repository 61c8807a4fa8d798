//! What members say to each other, and what they agree on.

use rand_core::Rng as _;

use super::world::{Action, Fingerprints, PLAINTEXT_LEN, World};
use super::{Verdict, ensure};
use crate::id::MemberId;

impl World<'_> {
    /// Everybody inside, by number.
    pub(super) fn insiders(&self) -> Vec<usize> {
        (0..self.users.len()).filter(|user| self.users[*user].inside).collect()
    }

    /// Every member sends a message that all others read, the first one last.
    pub(super) fn converse(&mut self) -> Verdict {
        let mut speakers = self.insiders();
        if !speakers.is_empty() {
            speakers.rotate_left(1);
        }
        speakers.into_iter().try_for_each(|speaker| self.say(speaker, PLAINTEXT_LEN))
    }

    /// A member sends so many random bytes, which all others read.
    pub(super) fn say(&mut self, speaker: usize, len: usize) -> Verdict {
        let mut plaintext = vec![0; len];
        self.plaintexts.fill_bytes(&mut plaintext);
        self.run(speaker, &Action::Send(plaintext)).map(drop)
    }

    /// Checks who knows which members and which key material; gives the fingerprints, where there are any.
    pub(super) fn agree(&self) -> Verdict<Option<Fingerprints>> {
        let mut right: Vec<MemberId> = self.insiders().into_iter().map(|user| self.users[user].id).collect();
        right.sort_unstable();
        let mut agreed: Option<Option<Fingerprints>> = None;
        for user in &self.users {
            let (member, knows) = (&user.member, if user.inside { &right[..] } else { &[] });
            ensure(member.members() == knows, || match user.inside {
                true => "a member does not know exactly the right members".to_owned(),
                false => "somebody who is no member knows members".to_owned(),
            })?;
            if !user.inside {
                continue;
            }
            ensure(member.group() == Some(self.group), || "a member is in another group".to_owned())?;
            let shown = member.fingerprints();
            if let Some(shown) = &shown {
                let complete = shown.iter().map(|(sender, _)| sender).eq(&right);
                ensure(complete, || "a member does not show one fingerprint for each member".to_owned())?;
            }
            let same = agreed.as_ref().is_none_or(|others| *others == shown);
            ensure(same, || "members have different key material of one sender".to_owned())?;
            agreed = Some(shown);
        }
        let agreed = agreed.flatten();
        let mut hashes: Vec<[u8; 32]> = agreed.iter().flatten().map(|(_, hash)| *hash).collect();
        hashes.sort_unstable();
        let distinct = hashes.windows(2).all(|pair| pair[0] != pair[1]);
        ensure(distinct, || "two senders have the same key material".to_owned())?;
        Ok(agreed)
    }
}

/// Whether no key material of the one is in the other.
pub(super) fn disjoint(one: &Option<Fingerprints>, other: &Option<Fingerprints>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.iter().all(|entry| !other.contains(entry)),
        _ => true,
    }
}
