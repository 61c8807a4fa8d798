//! What the crate's group layer wants to be told of messages and their order. The order is kept outside ([`crate::group`]):
//! here a message goes in when it is its turn, and comes out at once.

use p2panda_encryption::message_scheme::Generation;
use p2panda_encryption::traits::{ForwardSecureGroupMessage, ForwardSecureMessageContent, ForwardSecureOrdering};
use protocol::error::Error;
use serde::{Deserialize, Serialize};

use crate::ids::{Id, Op};
use crate::roster::Dgm;
use crate::wire::{Change, Direct};

/// A message, as the crate sees it. An application message has the number 0.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Post {
    pub(crate) op: Op,
    pub(crate) body: Body,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Body {
    Control(Change, Vec<Direct>),
    Text { generation: Generation, ciphertext: Vec<u8> },
}

impl ForwardSecureGroupMessage<Id, Op, Dgm> for Post {
    fn id(&self) -> Op {
        self.op
    }

    fn sender(&self) -> Id {
        self.op.0
    }

    fn content(&self) -> ForwardSecureMessageContent<Id, Op> {
        match self.body.clone() {
            Body::Control(change, _) => ForwardSecureMessageContent::Control(change),
            Body::Text { generation, ciphertext } => {
                ForwardSecureMessageContent::Application { generation, ciphertext }
            }
        }
    }

    fn direct_messages(&self) -> Vec<Direct> {
        match &self.body {
            Body::Control(_, direct) => direct.clone(),
            Body::Text { .. } => Vec::new(),
        }
    }
}

/// Numbers my control messages, and passes on those of others.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Passing;

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Passage {
    /// My last control message.
    last: Op,
    /// The message whose turn it is.
    next: Option<Post>,
}

impl Passage {
    pub(crate) fn new(me: Id) -> Self {
        Self { last: Op(me, 0), next: None }
    }
}

impl ForwardSecureOrdering<Id, Op, Dgm> for Passing {
    type State = Passage;
    type Error = Error;
    type Message = Post;

    fn next_control_message(mut y: Passage, change: &Change, direct: &[Direct]) -> Result<(Passage, Post), Error> {
        y.last.1 = y.last.1.checked_add(1).ok_or(Error::NumbersExhausted)?;
        let body = Body::Control(change.clone(), direct.to_vec());
        Ok((Passage { ..y }, Post { op: y.last, body }))
    }

    fn next_application_message(
        y: Passage,
        generation: Generation,
        ciphertext: Vec<u8>,
    ) -> Result<(Passage, Post), Error> {
        let op = Op(y.last.0, 0);
        Ok((y, Post { op, body: Body::Text { generation, ciphertext } }))
    }

    fn queue(mut y: Passage, message: &Post) -> Result<Passage, Error> {
        y.next = Some(message.clone());
        Ok(y)
    }

    /// The crate processes the welcome without asking for it.
    fn set_welcome(mut y: Passage, _: &Post) -> Result<Passage, Error> {
        y.next = None;
        Ok(y)
    }

    fn next_ready_message(mut y: Passage) -> Result<(Passage, Option<Post>), Error> {
        let next = y.next.take();
        Ok((y, next))
    }
}
