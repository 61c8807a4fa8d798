//! An in-memory network. It carries messages between participants in rounds, and meters the messages and each
//! participant's work.
//!
//! A participant receives all its messages of one round together, in one call. The answers make up the next round. Each
//! stage of an operation runs until the network is quiet. In a stage with a partition, messages from one part to
//! another are withheld until the first stage without the partition.
//!
//! If the protocol needs a total order, a sequencer puts all messages in one order, and echoes them to their authors.

use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use protocol::directory::{Directory, InMemoryDirectory};
use protocol::error::Error;
use protocol::id::{GroupId, MemberId};
use protocol::member::{
    Backend, COMMIT, Context, Event, Incoming, Member, Ordering, Outgoing, Received, Recipients, Rule,
};
use protocol::operation::{Phase, Role};
use rand_chacha::ChaCha20Rng;

use super::meter::{self, Effort, Scope};
use super::script::{self, Action, Script, Stage};
use super::sequencer::{Call, Sequencer, Submission};
use super::tampering::{self, Tampering};
use super::transcript::{Remembering, Step, Transcript};

/// A protocol that still sends messages after this many rounds is assumed never to stop.
const MAX_ROUNDS: usize = 64;
/// What is called the kind of messages that the sequencer drops, because another commit came first. They reach nobody.
pub const REJECTED: &str = "rejected";

/// A member or joiner on the network.
pub struct Participant {
    /// The state of its protocol.
    pub member: Box<dyn Member>,
    /// Its role in the operation.
    pub role: Role,
    /// Its own stream of randomness.
    pub rng: ChaCha20Rng,
}

/// Somebody outside the group who gets every message, no matter whom it is for, and whose answers reach nobody.
struct Eavesdropper {
    member: Box<dyn Member>,
    rng: ChaCha20Rng,
}

/// What a protocol needs of the network that measures it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// How far the meter must see when a member is called.
    pub scope: Scope,
    /// The order in which members must get messages.
    pub ordering: Ordering,
}

impl Needs {
    /// What this backend needs.
    #[must_use]
    pub fn of(backend: &dyn Backend) -> Self {
        Self { scope: Scope::of(backend), ordering: backend.description().capabilities.ordering }
    }
}

/// Participants, the eavesdroppers that overhear them, and the directory that all of them use.
pub struct Network {
    participants: Vec<Participant>,
    eavesdroppers: Vec<Eavesdropper>,
    ids: Vec<MemberId>,
    directory: InMemoryDirectory,
    needs: Needs,
    sequencer: Option<Sequencer>,
    /// The messages on their way to each participant.
    inboxes: Vec<Vec<Rc<InTransit>>>,
    /// The messages that eavesdroppers have not overheard yet.
    unheard: Vec<Rc<InTransit>>,
    /// The transcripts that are being recorded, by participant.
    transcripts: BTreeMap<usize, Transcript>,
    /// Who alters messages and is late with some; nobody in an operation that is measured.
    tampering: Option<Tampering>,
    /// The late messages, with the positions of those that they are for.
    late: Vec<(usize, Rc<InTransit>)>,
}

/// What happened while stages ran.
#[derive(Debug, Default)]
pub struct Record {
    /// The messages, by the senders' role, phase and kind.
    pub traffic: BTreeMap<(Role, Phase, &'static str), Volume>,
    /// The effort of each participant in each phase, in the order of [`Phase::ALL`]; `None` if it had nothing to do.
    pub efforts: Vec<[Option<Effort>; Phase::ALL.len()]>,
    /// The number of messages that each participant has received.
    pub received: Vec<u64>,
    /// The application data that stages have let participants send.
    pub sent: Vec<(usize, Vec<u8>)>,
    /// The application messages that participants have read.
    pub readings: Vec<Reading>,
    /// The plaintexts that eavesdroppers have read.
    pub overheard: Vec<Vec<u8>>,
    /// The rounds in which somebody received a message, over all stages.
    pub rounds: u32,
    /// What should not have happened; empty if all went well.
    pub faults: Vec<Fault>,
}

/// How much was sent in messages of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// The number of messages. A broadcast counts as one.
    pub messages: u64,
    /// Their bytes, a broadcast counted once.
    pub bytes_sent: u64,
    /// Their bytes, counted once for each participant that they are for.
    pub bytes_delivered: u64,
}

/// A participant has read an application message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The position of the reader.
    pub participant: usize,
    /// The author, as the reader reports it.
    pub from: MemberId,
    /// The application's data.
    pub plaintext: Vec<u8>,
}

/// Something that should not happen when everybody is honest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The role of the participant where it happened.
    pub role: Role,
    /// The phase in which it happened.
    pub phase: Phase,
    /// What happened.
    pub trouble: Trouble,
}

/// What can go wrong while stages run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// A member's call returned an error, or its result for one message is an error.
    #[error("{0}")]
    Error(Error),
    /// A member rejected a message.
    #[error("a message was rejected by the rule {0:?}")]
    Rejected(Rule),
    /// A member does not have the key of an application message.
    #[error("an application message could not be decrypted")]
    Undecryptable,
    /// A member reported that an author signed two different messages under one number.
    #[error("an author sent two messages under one number")]
    Equivocation,
    /// A member reported that an author sent another member another secret than it knows.
    #[error("an author sent somebody a secret that is not the one that others know")]
    Inconsistent,
    /// In a total order, a call that changes the group returned no commit, perhaps because the first one was too late.
    #[error("a call that changes the group has returned no commit")]
    NoCommit,
    /// A member did not return one result for each message of a batch.
    #[error("a batch of messages did not yield one result for each message")]
    ResultsMissing,
    /// A message is for somebody who is not on the network.
    #[error("a message is for somebody who is not on the network")]
    NoSuchRecipient,
    /// No participant is in a group after the calls of a stage.
    #[error("no participant is in a group after the call")]
    NoGroup,
    /// Participants still send messages after the last permitted round.
    #[error("the network is not quiet after {MAX_ROUNDS} rounds")]
    NotQuiet,
    /// A member took an altered message for a genuine one.
    #[error("an altered message of kind `{0}` was taken for a genuine one")]
    Forged(&'static str),
    /// An altered message has changed what a member shows, or its state although it was refused.
    #[error("an altered message of kind `{0}` has left a trace")]
    Trace(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in phase {}: {}", self.role.name(), self.phase.name(), self.trouble)
    }
}

/// A message on its way.
struct InTransit {
    /// The position of the author.
    author: usize,
    kind: &'static str,
    bytes: Vec<u8>,
}

impl Network {
    /// A network of these participants. No message is on its way.
    #[must_use]
    pub fn new(participants: Vec<Participant>, directory: InMemoryDirectory, needs: Needs) -> Self {
        let sequencer = (needs.ordering == Ordering::Total).then(|| Sequencer::new(participants.len()));
        let ids = participants.iter().map(|participant| participant.member.id()).collect();
        let inboxes = participants.iter().map(|_| Vec::new()).collect();
        let (eavesdroppers, unheard, transcripts, tampering, late) = Default::default();
        Self {
            participants,
            eavesdroppers,
            ids,
            directory,
            needs,
            sequencer,
            inboxes,
            unheard,
            transcripts,
            tampering,
            late,
        }
    }

    /// The participants, by position.
    #[must_use]
    pub fn participants(&self) -> &[Participant] {
        &self.participants
    }

    /// The participants' ids, by position.
    #[must_use]
    pub fn ids(&self) -> &[MemberId] {
        &self.ids
    }

    /// The members and their directory, without what is on its way.
    #[must_use]
    pub fn into_members(self) -> (Vec<Box<dyn Member>>, InMemoryDirectory) {
        (self.participants.into_iter().map(|participant| participant.member).collect(), self.directory)
    }

    /// The positions of the participants that have this role.
    pub fn with_role(&self, role: Role) -> impl Iterator<Item = usize> {
        self.participants.iter().enumerate().filter(move |(_, found)| found.role == role).map(|(at, _)| at)
    }

    /// The directory that all participants use.
    #[must_use]
    pub fn directory(&self) -> &InMemoryDirectory {
        &self.directory
    }

    /// Lets an eavesdropper overhear every message from now on. Its work is not metered.
    pub fn admit_eavesdropper(&mut self, member: Box<dyn Member>, rng: ChaCha20Rng) {
        self.eavesdroppers.push(Eavesdropper { member, rng });
    }

    /// Records a transcript of this participant from now on.
    pub fn transcribe(&mut self, participant: usize) {
        self.transcripts.insert(participant, Transcript::default());
    }

    /// The transcript of this participant; `None` if none has been recorded.
    #[must_use]
    pub fn transcript(&self, participant: usize) -> Option<&Transcript> {
        self.transcripts.get(&participant)
    }

    /// Alters messages from now on, and is late with some; `None` ends that.
    pub fn tamper(&mut self, tampering: Option<Tampering>) {
        self.tampering = tampering;
    }

    /// What the protocol needs.
    #[must_use]
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether an eavesdropper has been admitted.
    #[must_use]
    pub fn has_eavesdroppers(&self) -> bool {
        !self.eavesdroppers.is_empty()
    }

    /// Runs these stages in order. The last one that runs is the first that ends with [`Trouble::NoGroup`] or
    /// [`Trouble::NotQuiet`].
    pub fn run(&mut self, stages: &[Stage]) -> Record {
        self.run_until(stages, &[])
    }

    /// Runs an operation: its stages, and those of its recovery until no conflict is left.
    pub fn perform(&mut self, script: &Script) -> Record {
        self.run_until(&script.stages, &script.recovery)
    }

    fn run_until(&mut self, stages: &[Stage], recovery: &[Stage]) -> Record {
        let efforts = vec![[None; Phase::ALL.len()]; self.participants.len()];
        let mut record = Record { efforts, received: vec![0; self.participants.len()], ..Record::default() };
        let mut end = stages.iter().try_for_each(|stage| self.run_stage(stage, &mut record));
        for stage in recovery {
            if end.is_err() || !self.has_conflicts() {
                break;
            }
            end = self.run_stage(stage, &mut record);
        }
        record.faults.extend(end.err());
        record
    }

    /// Whether a member's view of the group has a conflict.
    fn has_conflicts(&self) -> bool {
        self.participants
            .iter()
            .any(|participant| participant.member.conflicts().is_some_and(|conflicts| conflicts > 0))
    }

    /// Runs one stage. After an error, later stages must not run.
    fn run_stage(&mut self, stage: &Stage, record: &mut Record) -> Result<(), Fault> {
        let count_as = |phase| stage.phase.unwrap_or(phase);
        record.sent.extend(stage.sends().map(|(operator, plaintext)| (operator, plaintext.to_vec())));
        for (operator, action) in &stage.acts {
            let call = Call { operator: *operator, action: action.clone(), again: false };
            // In a total order, it may wait until its participant knows what has become of the call before.
            let call = match &mut self.sequencer {
                Some(sequencer) => sequencer.begin(call),
                None => Some(call),
            };
            if let Some(call) = call {
                self.generate(call, count_as(Phase::Generate), stage, record);
            }
        }
        let fault = |phase, trouble| Fault { role: Role::Sender, phase, trouble };
        let mut groups = self.participants.iter().filter_map(|participant| participant.member.group());
        let group = groups.next().ok_or_else(|| fault(count_as(Phase::Generate), Trouble::NoGroup))?;
        let mut phase = count_as(Phase::Process);
        for _ in 0..MAX_ROUNDS + stage.acts.len() {
            self.sequence(stage, record);
            self.overhear(group, record);
            let mut batches = self.take_batches(stage);
            self.hold_back(&mut batches);
            if batches.iter().all(Vec::is_empty) {
                self.late.drain(..).for_each(|(participant, message)| batches[participant].push(message));
            }
            if batches.iter().all(Vec::is_empty) {
                return Ok(());
            }
            record.rounds += 1;
            for (participant, batch) in batches.iter().enumerate().filter(|(_, batch)| !batch.is_empty()) {
                self.hand_over(group, participant, batch, phase, stage, record);
            }
            phase = count_as(Phase::Responses);
            for call in self.sequencer.as_mut().map_or_else(Vec::new, Sequencer::ready) {
                self.generate(call, phase, stage, record);
            }
        }
        Err(fault(phase, Trouble::NotQuiet))
    }

    fn generate(&mut self, call: Call, phase: Phase, stage: &Stage, record: &mut Record) {
        let Some(participant) = self.participants.get_mut(call.operator) else { return };
        let Participant { member, rng, role } = participant;
        let role = *role;
        let transcript = self.transcripts.get_mut(&call.operator);
        let step = if call.again { Step::ActsAgain } else { Step::Acts };
        let (result, effort) = observed(&self.directory, transcript, step, |directory| {
            let mut context = Context { rng, directory, confirm_inviter: &|_| true };
            meter::measure(self.needs.scope, &self.directory, || call.action.perform(&mut **member, &mut context))
        });
        record.add_effort(call.operator, phase, effort);
        let changes = matches!(call.action, Action::Add(_) | Action::Remove(_) | Action::Update);
        match result {
            Ok(outgoing) if changes && self.sequencer.is_some() && !outgoing.iter().any(|it| it.kind == COMMIT) => {
                record.faults.push(Fault { role, phase, trouble: Trouble::NoCommit });
            }
            Ok(outgoing) => self.dispatch(call.operator, Some(call), phase, outgoing, stage, record),
            Err(error) => record.faults.push(Fault { role, phase, trouble: Trouble::Error(error) }),
        }
    }

    /// Lets the sequencer put what has reached it in order, and carries what it takes. What it drops is counted as sent.
    fn sequence(&mut self, stage: &Stage, record: &mut Record) {
        let Some(sequencer) = &mut self.sequencer else { return };
        let reaches = |participant| stage.has_sequencer(participant);
        for decided in sequencer.take(reaches) {
            match decided {
                Ok(Submission { author, phase, sent, .. }) => self.carry(author, phase, sent, stage, record),
                Err(Submission { author, phase, sent, .. }) => {
                    let role = self.participants[author].role;
                    let volume = record.traffic.entry((role, phase, REJECTED)).or_default();
                    volume.messages += sent.len() as u64;
                    volume.bytes_sent += sent.iter().map(|message| message.bytes.len() as u64).sum::<u64>();
                }
            }
        }
        // They receive it in this round.
        let Some(sequencer) = &mut self.sequencer else { return };
        (0..self.participants.len()).filter(|at| reaches(*at)).for_each(|at| sequencer.caught_up(at));
    }

    /// The messages that each participant receives in this round. Those that a partition withholds stay in the inboxes.
    fn take_batches(&mut self, stage: &Stage) -> Vec<Vec<Rc<InTransit>>> {
        let batch = |(participant, inbox): (usize, &mut Vec<Rc<InTransit>>)| {
            let (carried, withheld) =
                std::mem::take(inbox).into_iter().partition(|message| stage.connects(message.author, participant));
            *inbox = withheld;
            carried
        };
        self.inboxes.iter_mut().enumerate().map(batch).collect()
    }

    /// Takes the messages that are to be late out of the batches of a round.
    fn hold_back(&mut self, batches: &mut [Vec<Rc<InTransit>>]) {
        let Some(tampering) = &mut self.tampering else { return };
        for (participant, batch) in batches.iter_mut().enumerate() {
            let kinds: Vec<&'static str> = batch.iter().map(|message| message.kind).collect();
            let held = tampering.held_back(participant, &kinds);
            if self.sequencer.is_some() {
                // In a total order, what follows a late message is late too.
                let lags = self.late.iter().any(|(other, _)| *other == participant);
                let first = if lags { 0 } else { held.first().copied().unwrap_or(batch.len()) };
                self.late.extend(batch.drain(first..).map(|message| (participant, message)));
                continue;
            }
            for place in held.into_iter().rev() {
                self.late.push((participant, batch.remove(place)));
            }
        }
    }

    /// Altered copies of some of these messages, by their places.
    fn forgeries(&mut self, participant: usize, messages: &[Rc<InTransit>]) -> BTreeMap<usize, Vec<Vec<u8>>> {
        let Some(tampering) = &mut self.tampering else { return BTreeMap::new() };
        let kinds: Vec<&'static str> = messages.iter().map(|message| message.kind).collect();
        let places = tampering.altered_first(participant, &kinds).into_iter();
        places.map(|place| (place, tampering::altered(&messages[place].bytes))).collect()
    }

    /// Hands a participant its messages of one round, in one call.
    fn hand_over(
        &mut self,
        group: GroupId,
        index: usize,
        messages: &[Rc<InTransit>],
        phase: Phase,
        stage: &Stage,
        record: &mut Record,
    ) {
        let forgeries = self.forgeries(index, messages);
        let Participant { member, rng, role } = &mut self.participants[index];
        let role = *role;
        let mut fault = |trouble| record.faults.push(Fault { role, phase, trouble });
        let incoming = |author: usize, bytes| Incoming { group, author: self.ids[author], bytes };
        // In front of each message, its altered copies.
        let mut batch: Vec<(Option<&'static str>, Incoming<'_>)> = Vec::with_capacity(messages.len());
        for (place, message) in messages.iter().enumerate() {
            for bytes in forgeries.get(&place).into_iter().flatten() {
                let forged = incoming(message.author, bytes);
                let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
                without_effect(&mut **member, message.kind, &forged, &mut context)
                    .err()
                    .into_iter()
                    .for_each(&mut fault);
                batch.push((Some(message.kind), forged));
            }
            batch.push((None, incoming(message.author, &message.bytes)));
        }
        let (forged, batch): (Vec<Option<&'static str>>, Vec<Incoming<'_>>) = batch.into_iter().unzip();
        let received = Step::Receives(match self.transcripts.contains_key(&index) {
            true => batch.iter().map(|message| (message.author, message.bytes.to_vec())).collect(),
            false => Vec::new(),
        });
        let transcript = self.transcripts.get_mut(&index);
        let (results, effort) = observed(&self.directory, transcript, received, |directory| {
            let mut context = Context { rng, directory, confirm_inviter: &|_| true };
            meter::measure(self.needs.scope, &self.directory, || {
                script::deliver(&mut **member, &batch, stage.delivery, &mut context)
            })
        });
        if results.len() != batch.len() {
            fault(Trouble::ResultsMissing);
        }
        record.add_effort(index, phase, effort);
        record.received[index] += batch.len() as u64;
        for (forged, result) in forged.into_iter().zip(results) {
            if let Some(kind) = forged {
                let effect = result.is_ok_and(|received| received != Received::default());
                record.faults.extend(effect.then_some(Fault { role, phase, trouble: Trouble::Forged(kind) }));
                continue;
            }
            match result {
                Ok(received) => self.accept(index, phase, received, stage, record),
                Err(error) => record.faults.push(Fault { role, phase, trouble: Trouble::Error(error) }),
            }
        }
    }

    /// Hands each eavesdropper all messages. Of its results, only the plaintexts that it reads are recorded.
    fn overhear(&mut self, group: GroupId, record: &mut Record) {
        let messages = std::mem::take(&mut self.unheard);
        for Eavesdropper { member, rng } in &mut self.eavesdroppers {
            let mut context = Context { rng, directory: &self.directory, confirm_inviter: &|_| true };
            for message in &messages {
                let incoming = Incoming { group, author: self.ids[message.author], bytes: &message.bytes };
                let received = member.receive_one(&incoming, &mut context).unwrap_or_default();
                record.overheard.extend(received.events.into_iter().filter_map(|event| match event {
                    Event::Message { plaintext, .. } => Some(plaintext),
                    _ => None,
                }));
            }
        }
    }

    fn accept(&mut self, participant: usize, phase: Phase, received: Received, stage: &Stage, record: &mut Record) {
        self.dispatch(participant, None, phase, received.outgoing, stage, record);
        for event in received.events {
            let trouble = match event {
                Event::Message { from, plaintext } => {
                    record.readings.push(Reading { participant, from, plaintext });
                    continue;
                }
                Event::Rejected { rule, .. } => Trouble::Rejected(rule),
                Event::Undecryptable { .. } => Trouble::Undecryptable,
                Event::Equivocation { .. } => Trouble::Equivocation,
                Event::Inconsistent { .. } => Trouble::Inconsistent,
                _ => continue,
            };
            record.faults.push(Fault { role: self.participants[participant].role, phase, trouble });
        }
    }

    /// Sends messages that a call has returned, or that answer others.
    fn dispatch(
        &mut self,
        author: usize,
        call: Option<Call>,
        phase: Phase,
        sent: Vec<Outgoing>,
        stage: &Stage,
        record: &mut Record,
    ) {
        if let Some(transcript) = self.transcripts.get_mut(&author) {
            transcript.sent.extend(sent.iter().map(|message| message.bytes.clone()));
        }
        match &mut self.sequencer {
            Some(sequencer) => sequencer.submit(author, call, phase, sent),
            None => self.carry(author, phase, sent, stage, record),
        }
    }

    /// Puts messages into the inboxes of their recipients and counts them. A sequencer echoes broadcasts to their author.
    fn carry(&mut self, author: usize, phase: Phase, sent: Vec<Outgoing>, stage: &Stage, record: &mut Record) {
        let (role, echoes) = (self.participants[author].role, self.sequencer.is_some());
        for Outgoing { to, kind, bytes } in sent {
            let to = match to {
                Recipients::Everyone => None,
                Recipients::One(id) => match self.ids.iter().position(|other| *other == id) {
                    Some(participant) => Some(participant),
                    None => {
                        record.faults.push(Fault { role, phase, trouble: Trouble::NoSuchRecipient });
                        continue;
                    }
                },
            };
            let message = Rc::new(InTransit { author, kind, bytes });
            let volume = record.traffic.entry((role, phase, kind)).or_default();
            volume.messages += 1;
            volume.bytes_sent += message.bytes.len() as u64;
            let broadcast = |participant| stage.addresses(author, participant) || (echoes && author == participant);
            for (participant, inbox) in self.inboxes.iter_mut().enumerate() {
                if to.map_or_else(|| broadcast(participant), |to| to == participant) {
                    volume.bytes_delivered += message.bytes.len() as u64;
                    inbox.push(Rc::clone(&message));
                }
            }
            self.unheard.push(message);
        }
    }
}

/// Makes a call with a directory, and adds it to the transcript if there is one.
fn observed<T>(
    directory: &InMemoryDirectory,
    transcript: Option<&mut Transcript>,
    step: Step,
    call: impl FnOnce(&dyn Directory) -> T,
) -> T {
    let Some(transcript) = transcript else { return call(directory) };
    let remembering = Remembering::new(directory);
    let result = call(&remembering);
    transcript.steps.push(step);
    transcript.fetched.extend(remembering.into_answers());
    result
}

/// Hands a member an altered message. It must be refused without a trace, or accepted in silence: it may wait for what it
/// seems to depend on.
fn without_effect(
    member: &mut dyn Member,
    kind: &'static str,
    forged: &Incoming<'_>,
    context: &mut Context<'_>,
) -> Result<(), Trouble> {
    let shown = |member: &dyn Member| (member.group(), member.members(), member.fingerprints());
    let (state, before) = (member.export(), shown(member));
    for result in member.receive(&[*forged], context) {
        match result {
            Ok(received) if received != Received::default() => return Err(Trouble::Forged(kind)),
            Err(_) if member.export() != state => return Err(Trouble::Trace(kind)),
            _ => {}
        }
    }
    if shown(member) == before { Ok(()) } else { Err(Trouble::Trace(kind)) }
}

impl Record {
    /// The effort of a participant in all phases.
    #[must_use]
    pub fn effort(&self, participant: usize) -> Effort {
        let mut sum = Effort::default();
        self.efforts[participant].iter().flatten().for_each(|effort| sum += *effort);
        sum
    }

    /// The effort of these participants in a phase, summed.
    pub(crate) fn effort_of(&self, participants: impl Iterator<Item = usize>, phase: Phase) -> Effort {
        let mut sum = Effort::default();
        participants
            .filter_map(|participant| self.efforts.get(participant)?[phase as usize])
            .for_each(|effort| sum += effort);
        sum
    }

    fn add_effort(&mut self, participant: usize, phase: Phase, effort: Effort) {
        *self.efforts[participant][phase as usize].get_or_insert_default() += effort;
    }
}
