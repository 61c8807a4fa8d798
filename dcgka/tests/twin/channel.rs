//! The channel between two members: each ciphertext brings the next key of either side.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::terms::{Atom, Terms};

/// Which key a ciphertext is encrypted to.
#[derive(Clone, Copy)]
enum To {
    /// The recipient's prekeys, with this one-time prekey if there was one.
    Prekeys(Option<usize>),
    /// The key that the sender's last ciphertext made for the recipient.
    Sender,
    /// The recipient's own key with this index.
    Own(u32),
}

/// A ciphertext.
#[derive(Clone)]
pub(crate) struct Slot {
    to: To,
    index: u32,
    secret: Atom,
    /// The recipient's next key, and the sender's.
    received: Atom,
    sender: Atom,
    /// Over a lean channel: what the recipient keeps until it computes the sender's key.
    tweak: Option<Atom>,
}

/// Private keys of the recipient's prekeys, as the sender finds them in the directory.
pub(crate) struct Bundle {
    pub(crate) identity: Atom,
    pub(crate) signed: Atom,
    pub(crate) one_time: Option<(usize, Atom)>,
}

/// One side of a channel. Of the other side's key it knows the public half only.
#[derive(Clone, Default)]
pub(crate) struct Channel {
    mine: BTreeMap<u32, Atom>,
    last: u32,
    received: Option<Atom>,
    peer: Option<(Atom, To)>,
    /// Message number and index of what the peer has not acknowledged.
    sent: VecDeque<(u32, u32)>,
    tweak: Option<Atom>,
}

impl Channel {
    /// Encrypts a secret, in message `number`. `shared` is the secret that a lean message announces its keys with.
    pub(crate) fn send(
        &mut self,
        secret: Atom,
        number: u32,
        bundle: impl FnOnce() -> Bundle,
        lean: Option<Atom>,
        terms: &mut Terms,
    ) -> Slot {
        let (to, needs, held) = match self.peer {
            Some((key, to)) => (to, vec![key], Some(key)),
            None => {
                let Bundle { identity, signed, one_time } = bundle();
                let needs = [identity, signed].into_iter().chain(one_time.map(|(_, key)| key)).collect();
                (To::Prekeys(one_time.map(|(which, _)| which)), needs, None)
            }
        };
        let (mine, received, tweak, index) = match lean {
            None => {
                let (mine, received) = (terms.fresh(), terms.fresh());
                terms.rule(&needs, &[secret, received]);
                (mine, received, None, self.last + 1)
            }
            Some(x) => {
                let [d, t, mine] = core::array::from_fn(|_| terms.fresh());
                terms.rule(&needs, &[secret, d, t]);
                sum(terms, mine, x, t);
                let received = held.map_or(d, |held| {
                    let received = terms.fresh();
                    sum(terms, received, held, d);
                    received
                });
                (mine, received, Some(t), number)
            }
        };
        self.mine.insert(index, mine);
        self.last = index;
        self.peer = Some((received, To::Sender));
        self.tweak = None;
        self.sent.push_back((number, index));
        Slot { to, index, secret, received, sender: mine, tweak }
    }

    /// Decrypts. The one-time prekeys are the recipient's.
    pub(crate) fn receive(&mut self, slot: &Slot, one_time: &mut BTreeMap<usize, Atom>) -> Atom {
        match slot.to {
            To::Prekeys(which) => {
                assert!(which.is_none_or(|which| one_time.remove(&which).is_some()), "it is used once")
            }
            To::Sender => assert!(self.received.is_some()),
            To::Own(index) => {
                assert!(self.mine.contains_key(&index));
                self.forget_through(index);
            }
        }
        self.received = Some(slot.received);
        self.peer = Some((slot.sender, To::Own(slot.index)));
        self.tweak = slot.tweak;
        slot.secret
    }

    /// The peer has acknowledged my message with this number.
    pub(crate) fn acknowledged(&mut self, number: u32) {
        if !self.sent.iter().any(|(sent, _)| *sent == number) {
            return;
        }
        let newest = self.sent.iter().filter(|(sent, _)| *sent <= number).map(|(_, index)| *index).max();
        self.sent.retain(|(sent, _)| *sent > number);
        if let Some(newest) = newest {
            self.forget_through(newest - 1);
        }
    }

    fn forget_through(&mut self, index: u32) {
        self.sent.retain(|(_, sent)| *sent > index);
        self.mine.retain(|mine, _| *mine > index);
    }

    /// What a thief of the state finds.
    pub(crate) fn held(&self, held: &mut BTreeSet<Atom>) {
        held.extend(self.mine.values().chain(&self.received).chain(&self.tweak));
    }
}

/// a = b + c: two of them give the third.
fn sum(terms: &mut Terms, a: Atom, b: Atom, c: Atom) {
    terms.rule(&[b, c], &[a]);
    terms.rule(&[a, c], &[b]);
    terms.rule(&[a, b], &[c]);
}
