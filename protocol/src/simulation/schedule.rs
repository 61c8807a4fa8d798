//! What happens in a simulation, step by step, and the bytes that stand for it.
//!
//! ```text
//! seed 8, big-endian | founders 1 | steps 4 each: what 1, three arguments 1 each
//! ```
//!
//! Any bytes are a schedule, and any part of a schedule is one: a step names users and messages relative to those that
//! exist when the step is made. So failures shrink by leaving out steps, and fuzzers need to know nothing.

use core::fmt;
use core::str::FromStr;

use proptest::prelude::*;

/// The number of users of a simulation, members or not.
pub const USERS: usize = 10;
/// The greatest number of steps of a schedule.
pub const MAX_STEPS: usize = 1 << 12;

const SEED_LEN: usize = 8;
const STEP_LEN: usize = 4;
/// The greatest number of founders of a group; the smallest is 1.
const MAX_FOUNDERS: u8 = 8;

/// Everything that happens before the network becomes quiet.
#[derive(Clone, PartialEq, Eq)]
pub struct Schedule {
    /// The seed of the users' randomness.
    pub seed: u64,
    /// The number of members that found the group, the creator included.
    pub founders: usize,
    /// The steps, in their order.
    pub steps: Vec<Step>,
}

/// One thing that happens.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Step {
    code: u8,
    pub(super) arguments: [u8; 3],
}

/// What a step does. Its arguments name users. What is then not possible is left out or must be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Update,
    Say,
    Add,
    Remove,
    CreateAgain,
    Receive,
    CatchUp,
    Settle,
    Repeat,
    Damage,
    Part,
    Heal,
    Sleep,
    Wake,
    Restart,
}

/// What happens to a member after a call has returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It lives.
    Lives,
    /// It dies before it has stored anything: it resumes from its export before the call, and nothing is sent.
    DiesBefore,
    /// It dies after it has stored its state and its outgoing messages: it resumes from its export after the call.
    DiesAfter,
}

/// How often each thing happens, out of 256. Steps shrink to the first.
const SHARES: [(What, u16); 15] = [
    (What::Settle, 14),
    (What::Say, 32),
    (What::Update, 34),
    (What::Add, 30),
    (What::Remove, 22),
    (What::CatchUp, 36),
    (What::Receive, 32),
    (What::Part, 8),
    (What::Heal, 8),
    (What::Sleep, 7),
    (What::Wake, 6),
    (What::Restart, 5),
    (What::Repeat, 10),
    (What::Damage, 10),
    (What::CreateAgain, 2),
];

impl fmt::Display for Fate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Lives => "lives",
            Self::DiesBefore => "dies before anything is stored",
            Self::DiesAfter => "dies after everything is stored",
        })
    }
}

impl Step {
    pub(super) fn what(self) -> What {
        let mut code = u16::from(self.code);
        for (what, share) in SHARES {
            match code.checked_sub(share) {
                Some(rest) => code = rest,
                None => return what,
            }
        }
        What::Settle
    }

    /// The fate that the last argument names: mostly the member lives.
    pub(super) fn fate(self) -> Fate {
        match self.arguments[2] % 8 {
            6 => Fate::DiesBefore,
            7 => Fate::DiesAfter,
            _ => Fate::Lives,
        }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}{:?}", self.what(), self.arguments)
    }
}

impl Schedule {
    /// The schedule that these bytes stand for. Missing bytes count as zeros, and steps beyond [`MAX_STEPS`] are not
    /// read.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let (seed, rest) = bytes.split_at(bytes.len().min(SEED_LEN));
        let seed = seed.iter().chain(&[0; SEED_LEN]).take(SEED_LEN).fold(0, |seed, byte| seed << 8 | u64::from(*byte));
        let (founders, rest) = rest.split_first().unwrap_or((&0, &[]));
        let steps = rest.chunks_exact(STEP_LEN).take(MAX_STEPS);
        let step = |bytes: &[u8]| Step { code: bytes[0], arguments: [bytes[1], bytes[2], bytes[3]] };
        Self { seed, founders: usize::from(1 + founders % MAX_FOUNDERS), steps: steps.map(step).collect() }
    }

    /// The bytes that stand for the schedule.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = self.seed.to_be_bytes().to_vec();
        bytes.extend(u8::try_from(self.founders.saturating_sub(1)));
        self.steps.iter().for_each(|step| {
            bytes.push(step.code);
            bytes.extend_from_slice(&step.arguments);
        });
        bytes
    }

    /// Random schedules with this number of steps, which shrink by losing steps and by smaller arguments.
    pub(super) fn strategy(seed: u64, steps: usize) -> impl Strategy<Value = Self> {
        let step = (proptest::bool::weighted(1.0), any::<[u8; STEP_LEN]>());
        (any::<u8>(), proptest::collection::vec(step, steps)).prop_map(move |(founders, steps)| {
            let kept = steps.into_iter().filter(|(kept, _)| *kept).flat_map(|(_, step)| step);
            let bytes: Vec<u8> = seed.to_be_bytes().into_iter().chain([founders]).chain(kept).collect();
            Self::from_bytes(&bytes)
        })
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, {} founders, {:?}", self.seed, self.founders, self.steps)
    }
}

impl fmt::Display for Schedule {
    /// The bytes in hexadecimal.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text does not stand for a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a schedule is an even number of hexadecimal digits: 16 of the seed, 2 of the founders, 8 of each step")]
pub struct NotASchedule;

impl FromStr for Schedule {
    type Err = NotASchedule;

    fn from_str(text: &str) -> Result<Self, NotASchedule> {
        let head = 2 * (SEED_LEN + 1);
        let fits = text.len() >= head
            && (text.len() - head).is_multiple_of(2 * STEP_LEN)
            && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let byte = |at: usize| u8::from_str_radix(text.get(at..at + 2)?, 16).ok();
        let bytes: Option<Vec<u8>> = (0..text.len()).step_by(2).map(byte).collect();
        bytes.filter(|_| fits).map(|bytes| Self::from_bytes(&bytes)).ok_or(NotASchedule)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_a_byte() {
        assert_eq!(SHARES.iter().map(|(_, share)| share).sum::<u16>(), 256);
        let whats: Vec<What> = (0..=255).map(|code| Step { code, arguments: [0; 3] }.what()).collect();
        assert!(
            SHARES.iter().all(|(what, share)| whats.iter().filter(|it| *it == what).count() == usize::from(*share))
        );
    }

    #[test]
    fn schedules_are_bytes_and_text() {
        let bytes: Vec<u8> = (0..37).collect();
        let schedule = Schedule::from_bytes(&bytes);
        assert_eq!((schedule.seed, schedule.steps.len()), (0x0001_0203_0405_0607, 7));
        assert_eq!(Schedule::from_bytes(&schedule.to_bytes()), schedule);
        assert_eq!(schedule.to_string().parse(), Ok(schedule));
        assert_eq!(Schedule::from_bytes(&[]).steps.len(), 0);
        for wrong in ["", "00", "0001020304050607", "000102030405060700aa", "00010203040506070x"] {
            assert_eq!(wrong.parse::<Schedule>(), Err(NotASchedule), "{wrong}");
        }
    }
}
