//! What must hold after everything has reached everybody.

use super::schedule::{Fate, USERS};
use super::world::{User, Verdict, World};
use crate::agreement::{self, Disagreement};

impl World<'_> {
    /// Nobody is separated or asleep any more, and everything arrives. Then everything that must hold is checked; and
    /// again after all members have spoken, updated, and spoken again.
    pub(super) fn come_to_rest(&mut self) -> Verdict {
        self.log.push(String::new());
        self.network.part(0);
        self.network.asleep = [false; USERS];
        self.settle()?;
        if !self.network.is_quiet() {
            return Err("messages are on their way for ever".to_owned());
        }
        self.check_agreement()?;
        self.check_readings()?;
        for update in [false, true, false] {
            for user in (0..USERS).filter(|user| self.is_inside(*user)).collect::<Vec<_>>() {
                if update {
                    self.update(user, Fate::Lives)?;
                } else {
                    self.say(user, Fate::Lives)?;
                }
                self.settle()?;
            }
        }
        self.check_agreement()?;
        self.check_readings()?;
        self.audit_at_rest()
    }

    /// All members know each other, and the latest key material of each.
    fn check_agreement(&self) -> Verdict {
        let users = self.users.iter().map(|User { id, member, .. }| agreement::User {
            id: *id,
            member: &**member,
            is_member: !member.members().is_empty(),
        });
        let agreed = agreement::check(&users.collect::<Vec<_>>());
        agreed.map(drop).map_err(|disagreement| match disagreement {
            Disagreement::WrongMembers { at } | Disagreement::OutsiderKnowsMembers { at } => {
                format!("in the end user {at} does not know exactly the right members")
            }
            Disagreement::FingerprintsIncomplete { at } => {
                format!("in the end user {at} does not know every member's secret")
            }
            Disagreement::FingerprintsDiffer { at } => {
                format!("in the end user {at} has other key material than the rest")
            }
            Disagreement::FingerprintsAlike => "in the end two members have the same key material".to_owned(),
        })
    }

    /// Each application message was read by the members in its author's view, if they and the author are still members;
    /// never twice, and never by anybody else.
    fn check_readings(&self) -> Verdict {
        for (number, said) in self.said.iter().enumerate() {
            for reader in (0..USERS).filter(|reader| *reader != said.author) {
                let entitled = said.view.contains(&self.users[reader].id);
                let must = entitled && self.is_inside(reader) && self.is_inside(said.author);
                let read = said.read[reader];
                if read > u32::from(entitled) || read < u32::from(must) {
                    let entitled = if entitled { "entitled" } else { "not entitled" };
                    return Err(format!(
                        "user {reader}, {entitled}, has read message {number} of user {} {read} times",
                        said.author
                    ));
                }
            }
        }
        Ok(())
    }
}
