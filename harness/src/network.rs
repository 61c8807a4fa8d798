//! Carries messages between members in memory, in rounds, and meters what passes and what each member does.
//!
//! All messages of one round reach a member together, in one call; the answers make up the next round. So each stage of an
//! operation runs until the network is quiet. In a stage with a partition, what one side sends to the other is withheld, up to
//! the first stage without it.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use protocol::directory::InMemoryDirectory;
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{Context, Event, Incoming, Member, Outgoing, Received, Recipients, Rule};
use protocol::operation::{Phase, Role};
use rand_chacha::ChaCha20Rng;

use crate::meter::{self, Effort};
use crate::script::{Action, Stage};

/// A protocol that still talks after so many rounds talks for ever.
const MAX_ROUNDS: usize = 64;

/// A member on the network.
pub struct Seat {
    /// The member.
    pub member: Box<dyn Member>,
    /// What it is in the operation.
    pub role: Role,
    /// Its randomness.
    pub rng: ChaCha20Rng,
}

/// Somebody who gets every message, whoever it is for, and whose answers reach nobody.
struct Onlooker {
    member: Box<dyn Member>,
    rng: ChaCha20Rng,
}

/// Members that reach each other, whoever overhears them, and the directory that they use.
pub struct Network {
    seats: Vec<Seat>,
    onlookers: Vec<Onlooker>,
    ids: Vec<MemberId>,
    directory: InMemoryDirectory,
    /// What is on its way to each seat.
    inboxes: Vec<Vec<Rc<Letter>>>,
    /// What onlookers have not overheard yet.
    unheard: Vec<Rc<Letter>>,
    /// What is taken down, by seat.
    transcripts: BTreeMap<usize, Transcript>,
}

/// What passes at one seat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// What the member got in each round, with the authors.
    pub rounds: Vec<Vec<(MemberId, Vec<u8>)>>,
    /// What it sent.
    pub sent: Vec<Vec<u8>>,
}

/// What happened in one run.
#[derive(Debug, Default)]
pub struct Record {
    /// The messages, by the senders' role, phase and kind.
    pub traffic: BTreeMap<(Role, Phase, &'static str), Volume>,
    /// What each member did in each phase, in the order of [`Phase::ALL`]; None where it had nothing to do.
    pub efforts: Vec<[Option<Effort>; Phase::ALL.len()]>,
    /// Application messages that were read.
    pub readings: Vec<Reading>,
    /// What onlookers have read.
    pub overheard: Vec<Vec<u8>>,
    /// What should not have happened.
    pub faults: Vec<Fault>,
}

/// Messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// How many.
    pub messages: u64,
    /// Their bytes, a broadcast counted once.
    pub bytes_sent: u64,
    /// Their bytes, counted once for each member that they reach.
    pub bytes_delivered: u64,
}

/// A member has read an application message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The reader's seat.
    pub seat: usize,
    /// From whom, as the reader says.
    pub from: MemberId,
    /// What.
    pub plaintext: Vec<u8>,
}

/// Something that should not happen in an honest run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// To whom it happened.
    pub role: Role,
    /// When.
    pub phase: Phase,
    /// What.
    pub trouble: Trouble,
}

/// What can go wrong in a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A call failed.
    #[error("{0}")]
    Error(Error),
    /// A message was rejected.
    #[error("a message was rejected by the rule {0:?}")]
    Rejected(Rule),
    /// A message could not be decrypted.
    #[error("an application message could not be decrypted")]
    Undecryptable,
    /// An author was said to have sent two messages under one number.
    #[error("an author sent two messages under one number")]
    Equivocation,
    /// A batch was not answered message by message.
    #[error("a batch of messages did not yield one result for each")]
    ResultsMissing,
    /// A message for somebody who is not there.
    #[error("a message is for somebody who takes no part")]
    NoSuchRecipient,
    /// The operator is in no group after the operation.
    #[error("the operator is in no group")]
    NoGroup,
    /// There is no end of messages.
    #[error("the network is not quiet after {MAX_ROUNDS} rounds")]
    NotQuiet,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in phase {}: {}", self.role.name(), self.phase.name(), self.trouble)
    }
}

struct Letter {
    author: usize,
    bytes: Vec<u8>,
}

impl Network {
    /// A network of these members.
    #[must_use]
    pub fn new(seats: Vec<Seat>, directory: InMemoryDirectory) -> Self {
        let ids = seats.iter().map(|seat| seat.member.id()).collect();
        let inboxes = seats.iter().map(|_| Vec::new()).collect();
        let (onlookers, unheard, transcripts) = Default::default();
        Self { seats, ids, onlookers, directory, inboxes, unheard, transcripts }
    }

    /// The members with their roles.
    #[must_use]
    pub fn seats(&self) -> &[Seat] {
        &self.seats
    }

    /// The members' ids, in the order of the seats.
    #[must_use]
    pub fn ids(&self) -> &[MemberId] {
        &self.ids
    }

    /// The directory.
    #[must_use]
    pub fn directory(&self) -> &InMemoryDirectory {
        &self.directory
    }

    /// Lets somebody overhear everything from now on. Nothing of that is metered.
    pub fn admit_onlooker(&mut self, member: Box<dyn Member>, rng: ChaCha20Rng) {
        self.onlookers.push(Onlooker { member, rng });
    }

    /// Takes down what passes at a seat from now on.
    pub fn transcribe(&mut self, seat: usize) {
        self.transcripts.insert(seat, Transcript::default());
    }

    /// What was taken down at a seat.
    #[must_use]
    pub fn transcript(&self, seat: usize) -> Option<&Transcript> {
        self.transcripts.get(&seat)
    }

    /// Whether anybody overhears.
    #[must_use]
    pub fn has_onlookers(&self) -> bool {
        !self.onlookers.is_empty()
    }

    /// Runs these stages, one after the other.
    pub fn run(&mut self, stages: &[Stage]) -> Record {
        let efforts = vec![[None; Phase::ALL.len()]; self.seats.len()];
        let mut record = Record { efforts, ..Record::default() };
        let end = stages.iter().try_for_each(|stage| self.run_stage(stage, &mut record));
        record.faults.extend(end.err());
        record
    }

    /// The error is what keeps the stages after it from being run.
    fn run_stage(&mut self, stage: &Stage, record: &mut Record) -> Result<(), Fault> {
        let count_as = |phase| stage.phase.unwrap_or(phase);
        for (operator, action) in &stage.acts {
            self.generate(*operator, action, count_as(Phase::Generate), stage, record);
        }
        let fault = |phase, trouble| Fault { role: Role::Sender, phase, trouble };
        let mut groups = self.seats.iter().filter_map(|seat| seat.member.group());
        let group = groups.next().ok_or_else(|| fault(count_as(Phase::Generate), Trouble::NoGroup))?;
        let mut phase = count_as(Phase::Process);
        for _ in 0..MAX_ROUNDS {
            self.overhear(group, record);
            let batches = self.take_batches(stage);
            if batches.iter().all(Vec::is_empty) {
                return Ok(());
            }
            for (seat, batch) in batches.iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
                self.deliver(group, seat, batch, phase, stage, record);
            }
            phase = count_as(Phase::Responses);
        }
        Err(fault(phase, Trouble::NotQuiet))
    }

    fn generate(&mut self, operator: usize, action: &Action, phase: Phase, stage: &Stage, record: &mut Record) {
        let Some(seat) = self.seats.get_mut(operator) else { return };
        let member = &mut seat.member;
        let mut context = Context { rng: &mut seat.rng, directory: &self.directory, confirm_inviter: &|_| true };
        let (result, effort) = meter::measure(&self.directory, || match action {
            Action::Create(others) => member.create(others, &mut context),
            Action::CreateMesh(others) => member.create_mesh(others, &mut context),
            Action::Add(user) => member.add(user, &mut context),
            Action::Remove(user) => member.remove(user, &mut context),
            Action::Update => member.update(&mut context),
            Action::Send(plaintext) => member.send(plaintext, &mut context),
        });
        let role = seat.role;
        record.add_effort(operator, phase, effort);
        match result {
            Ok(outgoing) => self.post(operator, phase, outgoing, stage, record),
            Err(error) => record.faults.push(Fault { role, phase, trouble: Trouble::Error(error) }),
        }
    }

    /// What each seat gets in this round. What cannot be carried stays on its way.
    fn take_batches(&mut self, stage: &Stage) -> Vec<Vec<Rc<Letter>>> {
        let batch = |(seat, inbox): (usize, &mut Vec<Rc<Letter>>)| {
            let (carried, withheld) =
                std::mem::take(inbox).into_iter().partition(|letter| stage.connects(letter.author, seat));
            *inbox = withheld;
            carried
        };
        self.inboxes.iter_mut().enumerate().map(batch).collect()
    }

    /// Hands a member its letters in one call.
    fn deliver(
        &mut self,
        group: GroupId,
        index: usize,
        letters: &[Rc<Letter>],
        phase: Phase,
        stage: &Stage,
        record: &mut Record,
    ) {
        if let Some(transcript) = self.transcripts.get_mut(&index) {
            let taken_down = |letter: &Rc<Letter>| (self.ids[letter.author], letter.bytes.clone());
            transcript.rounds.push(letters.iter().map(taken_down).collect());
        }
        let seat = &mut self.seats[index];
        let (member, role) = (&mut seat.member, seat.role);
        let batch: Vec<Incoming<'_>> = letters
            .iter()
            .map(|letter| Incoming { group, author: self.ids[letter.author], bytes: &letter.bytes })
            .collect();
        let mut context = Context { rng: &mut seat.rng, directory: &self.directory, confirm_inviter: &|_| true };
        let (results, effort) = meter::measure(&self.directory, || member.receive(&batch, &mut context));
        record.add_effort(index, phase, effort);
        if results.len() != batch.len() {
            record.faults.push(Fault { role, phase, trouble: Trouble::ResultsMissing });
        }
        for result in results {
            match result {
                Ok(received) => self.accept(index, phase, received, stage, record),
                Err(error) => record.faults.push(Fault { role, phase, trouble: Trouble::Error(error) }),
            }
        }
    }

    /// Hands each onlooker all letters. What it says of them is its own affair, but for what it reads.
    fn overhear(&mut self, group: GroupId, record: &mut Record) {
        let letters = std::mem::take(&mut self.unheard);
        for Onlooker { member, rng } in &mut self.onlookers {
            let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
            for letter in &letters {
                let incoming = Incoming { group, author: self.ids[letter.author], bytes: &letter.bytes };
                let received = member.receive_one(&incoming, &mut context).unwrap_or_default();
                record.overheard.extend(received.events.into_iter().filter_map(|event| match event {
                    Event::Message { plaintext, .. } => Some(plaintext),
                    _ => None,
                }));
            }
        }
    }

    fn accept(&mut self, seat: usize, phase: Phase, received: Received, stage: &Stage, record: &mut Record) {
        self.post(seat, phase, received.outgoing, stage, record);
        for event in received.events {
            let trouble = match event {
                Event::Message { from, plaintext } => {
                    record.readings.push(Reading { seat, from, plaintext });
                    continue;
                }
                Event::Rejected { rule, .. } => Trouble::Rejected(rule),
                Event::Undecryptable { .. } => Trouble::Undecryptable,
                Event::Equivocation { .. } => Trouble::Equivocation,
                _ => continue,
            };
            record.faults.push(Fault { role: self.seats[seat].role, phase, trouble });
        }
    }

    fn post(&mut self, author: usize, phase: Phase, sent: Vec<Outgoing>, stage: &Stage, record: &mut Record) {
        let role = self.seats[author].role;
        for Outgoing { to, kind, bytes } in sent {
            if let Some(transcript) = self.transcripts.get_mut(&author) {
                transcript.sent.push(bytes.clone());
            }
            let to = match to {
                Recipients::Everyone => None,
                Recipients::One(id) => match self.ids.iter().position(|other| *other == id) {
                    Some(seat) => Some(seat),
                    None => {
                        record.faults.push(Fault { role, phase, trouble: Trouble::NoSuchRecipient });
                        continue;
                    }
                },
            };
            let letter = Rc::new(Letter { author, bytes });
            let volume = record.traffic.entry((role, phase, kind)).or_default();
            volume.messages += 1;
            volume.bytes_sent += letter.bytes.len() as u64;
            for (seat, inbox) in self.inboxes.iter_mut().enumerate() {
                if to.map_or_else(|| stage.addresses(author, seat), |to| to == seat) {
                    volume.bytes_delivered += letter.bytes.len() as u64;
                    inbox.push(Rc::clone(&letter));
                }
            }
            self.unheard.push(letter);
        }
    }
}

impl Record {
    /// The effort of all members in a phase, summed.
    pub(crate) fn effort_of(&self, seats: impl Iterator<Item = usize>, phase: Phase) -> Effort {
        let mut sum = Effort::default();
        seats.filter_map(|seat| self.efforts.get(seat)?[phase as usize]).for_each(|effort| sum += effort);
        sum
    }

    fn add_effort(&mut self, seat: usize, phase: Phase, effort: Effort) {
        *self.efforts[seat][phase as usize].get_or_insert_default() += effort;
    }
}
