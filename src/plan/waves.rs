//! How a block's subtasks are divided into waves (SPEC §1.1).
#![forbid(unsafe_code)]

use crate::task::values::Wave;
use std::ops::Range;

/// The ranges of `total` subtasks, in order; each subtask is in exactly one.
///
/// A percentage is of the total, rounded up. The last size of the list repeats until
/// all subtasks are divided.
pub fn divide(waves: &[Wave], total: usize) -> Vec<Range<usize>> {
    let mut out = Vec::new();
    let mut from = 0;
    let mut sizes = waves.iter().copied();
    let mut size = sizes.next().unwrap_or(Wave::Rest);
    while from < total {
        let count = match size {
            Wave::Count(n) => n as usize,
            Wave::Percent(p) => (total * p as usize).div_ceil(100),
            Wave::Rest => total - from,
        };
        let to = (from + count.max(1)).min(total);
        out.push(from..to);
        from = to;
        size = sizes.next().unwrap_or(size);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    fn sizes(waves: &[Wave], total: usize) -> Vec<usize> {
        divide(waves, total).into_iter().map(|r| r.len()).collect()
    }

    #[test]
    fn waves_follow_the_list() {
        use Wave::{Count, Percent, Rest};
        assert_eq!(
            sizes(&[Count(1), Count(5), Percent(25), Rest], 40),
            [1, 5, 10, 24]
        );
        assert_eq!(sizes(&[Count(1), Count(3)], 9), [1, 3, 3, 2]);
        assert_eq!(sizes(&[Percent(1)], 3), [1, 1, 1]);
        assert_eq!(sizes(&[Rest, Count(1)], 3), [3]);
        assert_eq!(sizes(&[], 3), [3]);
        assert_eq!(sizes(&[Count(9)], 0), [0; 0]);
    }

    #[test]
    fn every_subtask_is_in_exactly_one_wave() {
        let mut chance = Chance::new(8);
        for _ in 0..2000 {
            let total = chance.below(500);
            let waves: Vec<Wave> = (0..chance.below(6))
                .map(|_| match chance.below(3) {
                    0 => Wave::Count(1 + chance.below(40) as u64),
                    1 => Wave::Percent(1 + chance.below(100) as u64),
                    _ => Wave::Rest,
                })
                .collect();
            let ranges = divide(&waves, total);
            let covered: Vec<usize> = ranges.iter().cloned().flatten().collect();
            assert_eq!(
                covered,
                (0..total).collect::<Vec<_>>(),
                "{waves:?} of {total}"
            );
            assert!(ranges.iter().all(|r| !r.is_empty()));
        }
    }
}
