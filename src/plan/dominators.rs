//! Which nodes every path to a node passes through. Knows nothing of workflows.
//!
//! The iterative algorithm of Cooper, Harvey and Kennedy ("A simple, fast dominance
//! algorithm"): no recursion, so a long file cannot overflow the stack, and nearly
//! linear for the flow of a task file, which is a line with a few jumps.
#![forbid(unsafe_code)]

use std::collections::BinaryHeap;

/// The dominator tree of a graph, from one start node.
pub struct Dominators {
    /// For each node, its first and last number in a walk of the tree; `None` where
    /// the start does not reach it. One node dominates another if its range covers
    /// the other's.
    ranges: Vec<Option<(usize, usize)>>,
}

impl Dominators {
    /// `next` lists the successors of each node. Gives up after `steps` up the tree:
    /// a ladder of jumps needs a number that grows with the square of its length.
    pub fn new(next: &[Vec<usize>], start: usize, mut steps: usize) -> Option<Dominators> {
        let order = reverse_postorder(next, start);
        let parents = immediate_dominators(next, &order, &mut steps)?;
        // In reverse postorder a parent comes before its children.
        let mut sizes = vec![1; order.len()];
        for child in (1..order.len()).rev() {
            sizes[parents[child]] += sizes[child];
        }
        let mut ranges = vec![None; next.len()];
        let mut firsts = vec![0; order.len()];
        let mut free = vec![1; order.len()];
        for (number, node) in order.iter().enumerate() {
            if number > 0 {
                let parent = parents[number];
                firsts[number] = free[parent];
                free[parent] += sizes[number];
                free[number] = firsts[number] + 1;
            }
            ranges[*node] = Some((firsts[number], firsts[number] + sizes[number] - 1));
        }
        Some(Dominators { ranges })
    }

    /// Whether every path from the start to `node` passes through `dominator`;
    /// also true if there is no path at all.
    pub fn dominates(&self, dominator: usize, node: usize) -> bool {
        match (self.ranges[dominator], self.ranges[node]) {
            (_, None) => true,
            (None, _) => false,
            (Some((first, last)), Some((number, _))) => (first..=last).contains(&number),
        }
    }
}

/// The nodes that the start reaches, each before its successors unless a cycle
/// leads back to it.
fn reverse_postorder(next: &[Vec<usize>], start: usize) -> Vec<usize> {
    let mut seen = vec![false; next.len()];
    let mut order = Vec::new();
    let mut path = vec![(start, next[start].iter())];
    seen[start] = true;
    while let Some((node, successors)) = path.last_mut() {
        match successors.next() {
            Some(to) if seen[*to] => {}
            Some(to) => {
                seen[*to] = true;
                path.push((*to, next[*to].iter()));
            }
            None => {
                order.push(*node);
                path.pop();
            }
        }
    }
    order.reverse();
    order
}

/// The immediate dominator of each node of `order`, all by their places in it; the
/// start is its own. Repeats the pass until nothing changes.
fn immediate_dominators(
    next: &[Vec<usize>],
    order: &[usize],
    steps: &mut usize,
) -> Option<Vec<usize>> {
    let mut number = vec![0; next.len()];
    let mut predecessors: Vec<Vec<usize>> = vec![Vec::new(); order.len()];
    for (place, node) in order.iter().enumerate() {
        number[*node] = place;
    }
    let mut has_jumps_back = false;
    for (from, node) in order.iter().enumerate() {
        for to in next[*node].iter().map(|to| number[*to]) {
            predecessors[to].push(from);
            has_jumps_back |= to <= from;
        }
    }
    let mut parents: Vec<Option<usize>> = vec![None; order.len()];
    parents[0] = Some(0);
    let mut changed = true;
    while changed {
        changed = false;
        for node in 1..order.len() {
            let parent = match predecessors[node].as_slice() {
                [only] => *only,
                several => {
                    let known = several.iter().filter(|p| parents[**p].is_some());
                    nearest_common(&parents, known.copied().collect(), steps)?
                }
            };
            changed |= parents[node] != Some(parent);
            parents[node] = Some(parent);
        }
        // Without jumps back, one pass is enough.
        changed &= has_jumps_back;
    }
    parents.into_iter().collect()
}

/// The nearest node that dominates all of these, as far as `parents` is known. The
/// deepest gives way to its parent until one is left, so that no part of the tree
/// is climbed twice even if every task of a long file jumps to one handler.
fn nearest_common(
    parents: &[Option<usize>],
    mut nodes: BinaryHeap<usize>,
    steps: &mut usize,
) -> Option<usize> {
    while let Some(deepest) = nodes.pop() {
        *steps = steps.checked_sub(1)?;
        match nodes.peek() {
            None => return Some(deepest),
            Some(other) if *other == deepest => {}
            Some(_) => nodes.extend(parents[deepest]),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::chance::Chance;

    /// The definition: without `over`, `to` is not reached.
    fn dominates_by_definition(next: &[Vec<usize>], over: usize, to: usize) -> bool {
        let mut seen = vec![false; next.len()];
        let mut waiting = vec![0];
        while let Some(node) = waiting.pop() {
            if node != over && !std::mem::replace(&mut seen[node], true) {
                waiting.extend(&next[node]);
            }
        }
        !seen[to]
    }

    #[test]
    fn random_graphs_agree_with_the_definition() {
        let mut chance = Chance::new(7);
        for _ in 0..500 {
            let count = 1 + chance.below(14);
            let next: Vec<Vec<usize>> = (0..count)
                .map(|_| (0..chance.below(4)).map(|_| chance.below(count)).collect())
                .collect();
            let dominators = Dominators::new(&next, 0, 10_000).expect("enough steps");
            for over in 0..count {
                for to in 0..count {
                    let expected = dominates_by_definition(&next, over, to);
                    assert_eq!(
                        dominators.dominates(over, to),
                        expected,
                        "{next:?}: {over} before {to}"
                    );
                }
            }
        }
    }

    #[test]
    fn jumps_to_one_handler_take_few_steps_and_a_ladder_gives_up() {
        let count = 1000;
        let line = |jump: &dyn Fn(usize) -> usize| -> Vec<Vec<usize>> {
            let next = (0..count).map(|i| vec![i + 1, jump(i)]);
            let ends = (count..2 * count).map(|i| vec![(i + 1).min(2 * count - 1)]);
            next.chain(ends).collect()
        };
        let one_handler = line(&|_| 2 * count - 1);
        assert!(Dominators::new(&one_handler, 0, 20 * count).is_some());
        let ladder = line(&|i| count + i);
        assert!(Dominators::new(&ladder, 0, 20 * count).is_none());
    }
}
