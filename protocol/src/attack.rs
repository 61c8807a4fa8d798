//! An attacker that has stolen states of members and hears everything that passes on the wire.
//!
//! It makes several *thieves* of each stolen state and has read what any of them reads: a wrong guess costs it nothing.
//!
//! | thief | hears | shows |
//! |---|---|---|
//! | follower ([`Backend::steal`]) | everything | what the stolen secrets open, given all that the owner has done since |
//! | copy ([`Backend::restore`]) | everything but the owner's messages | what a second device of the owner would read |
//! | the same two, deaf | the same without the messages that should shut them out | what opens if that step is ignored |
//!
//! An attack shows that something *can* be read. That something cannot be read follows only if the same attacker reads
//! where it should: before the step that shuts it out, or without it. So each attack needs such a twin.

use std::collections::BTreeSet;

use crate::error::Error;
use crate::id::{GroupId, MemberId};
use crate::member::{Backend, Context, Event, Incoming, Member};

/// A message as it passed on the wire, to whatever recipients.
#[derive(Clone, Copy, Debug)]
pub struct Overheard<'a> {
    /// Its author.
    pub author: MemberId,
    /// The message in its encoded form.
    pub bytes: &'a [u8],
    /// Whether it should shut the attacker out: the message of an update or a removal.
    pub decisive: bool,
}

/// Somebody who has stolen states.
#[derive(Default)]
pub struct Attacker {
    thieves: Vec<Thief>,
    read: BTreeSet<Vec<u8>>,
}

struct Thief {
    owner: MemberId,
    member: Box<dyn Member>,
    hears_owner: bool,
    deaf: bool,
}

impl Attacker {
    /// Adds a stolen state. Returns whether the backend lets a thief follow the state's owner; without that, what the
    /// attacker does not read may be secret, or may only be out of reach of a copy.
    ///
    /// # Errors
    /// [`Error::BadExport`] if the state does not decode.
    pub fn steal(&mut self, backend: &dyn Backend, state: &[u8]) -> Result<bool, Error> {
        let mut follows = true;
        for deaf in [false, true] {
            let copy = backend.restore(state)?;
            let owner = copy.id();
            self.thieves.push(Thief { owner, member: copy, hears_owner: false, deaf });
            match backend.steal(state) {
                Ok(member) => self.thieves.push(Thief { owner, member, hears_owner: true, deaf }),
                Err(Error::Unsupported) => follows = false,
                Err(error) => return Err(error),
            }
        }
        Ok(follows)
    }

    /// Adds a stolen state in the hands of a follower alone. Returns whether the backend offers one.
    ///
    /// # Errors
    /// [`Error::BadExport`] if the state does not decode.
    pub fn follow(&mut self, backend: &dyn Backend, state: &[u8]) -> Result<bool, Error> {
        match backend.steal(state) {
            Ok(member) => {
                self.thieves.push(Thief { owner: member.id(), member, hears_owner: true, deaf: false });
                Ok(true)
            }
            Err(Error::Unsupported) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Hears messages of a group, in this order. What the thieves want to send is dropped.
    pub fn hear<'m>(
        &mut self,
        group: GroupId,
        messages: impl IntoIterator<Item = Overheard<'m>>,
        context: &mut Context<'_>,
    ) {
        for Overheard { author, bytes, decisive } in messages {
            for thief in &mut self.thieves {
                if author == thief.owner && !thief.hears_owner || decisive && thief.deaf {
                    continue;
                }
                let received = thief.member.receive_one(&Incoming { group, author, bytes }, context);
                let events = received.unwrap_or_default().events.into_iter();
                self.read.extend(events.filter_map(|event| match event {
                    Event::Message { plaintext, .. } => Some(plaintext),
                    _ => None,
                }));
            }
        }
    }

    /// Whether it has read this.
    #[must_use]
    pub fn has_read(&self, plaintext: &[u8]) -> bool {
        self.read.contains(plaintext)
    }
}
