//! Which messages of an author have been received, by their numbers. Keys are deleted with the messages that they open, so
//! nothing else tells a repeated message from a forged one. It matters only for messages that do not open.

use protocol::error::Error;
use protocol::wire::codec::{Reader, put_len, put_varint};

/// Maximum number of ranges that are kept. Beyond it the oldest gap counts as received.
const MAX_RANGES: usize = 256;

/// A set of numbers: its ranges, in order, with a gap between every two. The first range begins with 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received(Vec<(u32, u32)>);

impl Default for Received {
    fn default() -> Self {
        Self(vec![(0, 0)])
    }
}

impl Received {
    /// Whether the message with this number has been received, or is too old for that to be known.
    pub(crate) fn contains(&self, number: u32) -> bool {
        self.0.iter().any(|(first, last)| (*first..=*last).contains(&number))
    }

    pub(crate) fn insert(&mut self, number: u32) {
        if self.contains(number) {
            return;
        }
        let place = self.0.partition_point(|(_, last)| *last < number);
        self.0.insert(place, (number, number));
        self.join(place);
        self.join(place.saturating_sub(1));
        if self.0.len() > MAX_RANGES {
            self.merge(0);
        }
    }

    /// Merges a range with the next one if there is no gap between them.
    fn join(&mut self, place: usize) {
        if let (Some((_, last)), Some((first, _))) = (self.0.get(place), self.0.get(place + 1))
            && last.checked_add(1) == Some(*first)
        {
            self.merge(place);
        }
    }

    fn merge(&mut self, place: usize) {
        let (_, last) = self.0.remove(place + 1);
        if let Some(range) = self.0.get_mut(place) {
            range.1 = last;
        }
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        put_len(out, self.0.len());
        for (first, last) in &self.0 {
            put_varint(out, *first);
            put_varint(out, *last);
        }
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Result<Self, Error> {
        let count = reader.count(2)?;
        let ranges: Vec<_> =
            (0..count).map(|_| Ok((reader.varint()?, reader.varint()?))).collect::<Result<_, Error>>()?;
        let starts = ranges.first().is_some_and(|(first, _)| *first == 0);
        let ordered = ranges.iter().all(|(first, last)| first <= last);
        let apart = ranges.is_sorted_by(|(_, last), (first, _)| last.checked_add(1).is_some_and(|next| next < *first));
        if starts && ordered && apart && count <= MAX_RANGES { Ok(Self(ranges)) } else { Err(Error::Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: impl IntoIterator<Item = u32>) -> Received {
        let mut received = Received::default();
        numbers.into_iter().for_each(|number| received.insert(number));
        let mut bytes = Vec::new();
        received.encode(&mut bytes);
        assert_eq!(Received::decode(&mut Reader::new(&bytes)).unwrap(), received);
        received
    }

    #[test]
    fn exactly_what_was_received_is_known_in_whatever_order_it_came() {
        let numbers = [7, 1, 2, u32::MAX, 9, 8, u32::MAX - 1, 4, 7];
        let received = of(numbers);
        assert_eq!(received.0, [(0, 2), (4, 4), (7, 9), (u32::MAX - 1, u32::MAX)]);
        assert!(numbers.into_iter().all(|number| received.contains(number)));
        assert!([3, 5, 6, 10, u32::MAX - 2].into_iter().all(|number| !received.contains(number)));
        let mut sorted = numbers;
        sorted.sort_unstable();
        assert_eq!(of(sorted), received);
        sorted.reverse();
        assert_eq!(of(sorted), received);
    }

    #[test]
    fn of_too_many_gaps_the_oldest_is_given_up() {
        let odd = |gaps: u32| (1..=gaps).map(|gap| 2 * gap + 1);
        let gaps = u32::try_from(MAX_RANGES).unwrap() - 1;
        assert!(!of(odd(gaps)).contains(2));
        let beyond = of(odd(gaps + 1));
        assert!(beyond.contains(2) && !beyond.contains(4));
        assert_eq!(beyond.0.len(), MAX_RANGES);
    }

    #[test]
    fn ranges_that_no_receiver_has_are_refused() {
        for ranges in [&[][..], &[(1, 2)], &[(0, 2), (3, 4)], &[(0, 4), (3, 5)], &[(0, 1), (5, 4)], &[(0, 9), (5, 6)]] {
            let mut bytes = Vec::new();
            Received(ranges.to_vec()).encode(&mut bytes);
            assert!(Received::decode(&mut Reader::new(&bytes)).is_err(), "{ranges:?}");
        }
    }
}
