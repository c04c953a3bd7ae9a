//! Chance, from a seed alone: SplitMix64. Never knows what is drawn with it.

/// A source of chance. Two with the same seed give the same draws on every machine.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(mix(seed.wrapping_add(STEP)))
    }

    /// Another source that depends on this one's seed and on what it is for, and does not disturb this one: what is
    /// drawn for one purpose stays when more or less is drawn for another.
    pub(crate) fn fork(&self, purpose: &str, number: u64) -> Self {
        let name = purpose.bytes().fold(number, |hash, byte| mix(hash ^ u64::from(byte)));
        Self(mix(self.0 ^ name))
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(STEP);
        mix(self.0)
    }

    /// From 0 to `bound` - 1; 0 for a bound of 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        if bound == 0 { 0 } else { (self.next() % bound as u64) as usize }
    }

    /// From `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        let width = high.saturating_sub(low).max(0) as u64 + 1;
        low + (self.next() % width) as i64
    }

    /// From `low` to `high`, short ones as likely as long ones: each order of magnitude alike.
    pub(crate) fn spread(&mut self, low: i64, high: i64) -> i64 {
        let top = self.between(low.max(1).ilog2().into(), high.max(1).ilog2().into());
        self.between(low, (1_i64 << (top + 1).min(62)).min(high))
    }

    /// True in so many cases of a hundred.
    pub(crate) fn percent(&mut self, percent: u32) -> bool {
        self.next() % 100 < u64::from(percent)
    }

    /// True in so many cases of a thousand.
    pub(crate) fn permille(&mut self, permille: u32) -> bool {
        self.next() % 1_000 < u64::from(permille)
    }

    /// One of a few.
    pub(crate) fn pick<T: Copy, const N: usize>(&mut self, of: [T; N]) -> T {
        const { assert!(N > 0) };
        of[self.below(N)]
    }

    /// The index of a weight, in proportion to the weights; 0 where all are 0.
    pub(crate) fn weighted(&mut self, weights: &[u32]) -> usize {
        let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        if all == 0 {
            return 0;
        }
        let mut left = self.next() % all;
        for (index, weight) in weights.iter().enumerate() {
            if left < u64::from(*weight) {
                return index;
            }
            left -= u64::from(*weight);
        }
        0
    }

    /// Any order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            list.swap(last, self.below(last + 1));
        }
    }
}
