//! Acknowledgements under tags that nobody here can check.

use protocol::causal_order::{CausalOrder, Receipt};
use protocol::crypto::hash::Digest;
use protocol::crypto::secret::Secret;
use protocol::id::MemberId;
use protocol::wire::envelope::{Draft, History, Kind, NO_LINK, Subject, next_link};

use crate::{Author, GROUP, delivered, receive};

impl Author {
    /// The author's acknowledgement under a tag, and its digest.
    fn tag(&self, number: u32, other: MemberId, secret: u8) -> (Vec<u8>, Digest) {
        let subject = Subject::Acknowledged(other, 1);
        let draft = Draft { kind: Kind::TAGGED, sender: self.id, number, subject, new_key: None, body: &[] };
        draft.tag(&GROUP, (self.id.handle(), Some(other.handle())), &Secret::new([secret; 32]))
    }

    /// A signed message that says by one hash what came before it under tags.
    fn sign_after(&self, number: u32, before: &[Digest]) -> Vec<u8> {
        let link = before.iter().fold(NO_LINK, |link, digest| next_link(&link, digest));
        let history = History { link, digests: &[] };
        let draft = Draft { kind: Kind(1), sender: self.id, number, subject: Subject::None, new_key: None, body: b"" };
        draft.sign_after(&GROUP, (self.id.handle(), None), Some(&history), &self.key).0
    }
}

/// Settles what can be settled, at a member that finds the tags of none of them right, and of those under `refused` wrong.
fn settle(order: &mut CausalOrder, refused: &[MemberId]) {
    while let Some((id, candidates)) = order.due(&GROUP) {
        for tagged in candidates.iter().filter(|_| refused.contains(&id)) {
            order.refuse(&id, tagged);
        }
        let _ = order.reach(&id, &GROUP).unwrap();
    }
}

/// A forged acknowledgement was the only one under the next number, and is gone when a user becomes known whom a later one
/// names.
#[test]
fn what_names_a_new_user_is_looked_at_again_although_nothing_waits_before_it() {
    let [alice, mut bob, mut carol] = [1, 2, 5].map(Author::new);
    let mut order = CausalOrder::with_tags();
    for author in [&alice, &bob] {
        order.introduce(author.id, author.key.verification_key(), 0, &GROUP);
    }
    let (first, second) = (alice.tag(1, bob.id, 7), alice.tag(2, carol.id, 7));
    let signed = alice.sign_after(3, &[first.1, second.1]);
    let forged = alice.tag(1, bob.id, 8).0;
    for bytes in [&second.0, &signed, &forged] {
        assert_eq!(receive(&mut order, alice.id, bytes), Ok(Receipt::Waits));
        settle(&mut order, &[]);
    }
    receive(&mut order, bob.id, &bob.send(b"acknowledged")).unwrap();
    assert_eq!(delivered(&mut order).len(), 1);
    settle(&mut order, &[alice.id]);
    order.introduce(carol.id, carol.key.verification_key(), 0, &GROUP);
    receive(&mut order, carol.id, &carol.send(b"acknowledged too")).unwrap();
    assert_eq!(delivered(&mut order).len(), 1);
    settle(&mut order, &[]);
    assert_eq!(receive(&mut order, alice.id, &first.0), Ok(Receipt::Waits));
    settle(&mut order, &[]);
    assert_eq!(delivered(&mut order).len(), 3);
}
