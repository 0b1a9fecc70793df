//! Which tasks every way to a task leads over. Knows nothing of workflows.
#![forbid(unsafe_code)]

/// The dominator tree of a graph, from one start (Lengauer and Tarjan's
/// algorithm, without recursion so that a long file cannot overflow; time is
/// linear but for a logarithm).
pub struct Dominators {
    /// Each node's place and the size of its part, in an order of the tree in
    /// which every part lies together; nothing for what the start does not reach.
    places: Vec<Option<(usize, usize)>>,
}

impl Dominators {
    /// `next` gives the nodes that each node leads to.
    pub fn new(next: &[Vec<usize>], start: usize) -> Dominators {
        let walk = Walk::new(next, start);
        let above = immediate(&walk);
        // Above each stands one that was found before it.
        let count = walk.nodes.len();
        let mut sizes = vec![1; count];
        for w in (1..count).rev() {
            sizes[above[w]] += sizes[w];
        }
        let mut places = vec![None; next.len()];
        let mut place = vec![0; count];
        let mut free = vec![1; count];
        for w in 0..count {
            if w > 0 {
                place[w] = free[above[w]];
                free[above[w]] += sizes[w];
                free[w] = place[w] + 1;
            }
            places[walk.nodes[w]] = Some((place[w], sizes[w]));
        }
        Dominators { places }
    }

    /// Whether every way from the start to `to` leads over `over`; also true
    /// where there is no way at all.
    pub fn leads_over(&self, over: usize, to: usize) -> bool {
        match (self.places[over], self.places[to]) {
            (_, None) => true,
            (None, _) => false,
            (Some((from, size)), Some((at, _))) => (from..from + size).contains(&at),
        }
    }
}

/// A depth-first walk; nodes are numbered as they are found.
struct Walk {
    nodes: Vec<usize>,
    /// The numbers of the node it was found from, and of all that lead to it.
    parents: Vec<usize>,
    before: Vec<Vec<usize>>,
}

impl Walk {
    fn new(next: &[Vec<usize>], start: usize) -> Walk {
        let mut numbers = vec![usize::MAX; next.len()];
        let mut walk = Walk {
            nodes: Vec::new(),
            parents: Vec::new(),
            before: Vec::new(),
        };
        let mut path = vec![(start, 0)];
        walk.enter(start, 0, &mut numbers);
        while let Some((node, followed)) = path.last_mut() {
            let (node, edge) = (*node, *followed);
            let Some(to) = next[node].get(edge).copied() else {
                path.pop();
                continue;
            };
            *followed += 1;
            if numbers[to] == usize::MAX {
                walk.enter(to, numbers[node], &mut numbers);
                path.push((to, 0));
            }
            walk.before[numbers[to]].push(numbers[node]);
        }
        walk
    }

    fn enter(&mut self, node: usize, parent: usize, numbers: &mut [usize]) {
        numbers[node] = self.nodes.len();
        self.nodes.push(node);
        self.parents.push(parent);
        self.before.push(Vec::new());
    }
}

/// For each number the one right above it in the tree; 0 for the start.
fn immediate(walk: &Walk) -> Vec<usize> {
    let count = walk.nodes.len();
    let mut forest = Forest {
        above: vec![None; count],
        least: (0..count).collect(),
        semi: (0..count).collect(),
    };
    let mut dominator = vec![0; count];
    let mut waiting: Vec<Vec<usize>> = vec![Vec::new(); count];
    for w in (1..count).rev() {
        for before in &walk.before[w] {
            let least = forest.least_above(*before);
            forest.semi[w] = forest.semi[w].min(forest.semi[least]);
        }
        waiting[forest.semi[w]].push(w);
        let parent = walk.parents[w];
        forest.above[w] = Some(parent);
        for v in std::mem::take(&mut waiting[parent]) {
            let least = forest.least_above(v);
            let nearer = forest.semi[least] < forest.semi[v];
            dominator[v] = if nearer { least } else { parent };
        }
    }
    for w in 1..count {
        if dominator[w] != forest.semi[w] {
            dominator[w] = dominator[dominator[w]];
        }
    }
    dominator
}

/// The part of the walk's tree that is linked so far, with paths cut short as
/// they are looked along.
struct Forest {
    above: Vec<Option<usize>>,
    /// The node with the least `semi` between a node and its `above`.
    least: Vec<usize>,
    semi: Vec<usize>,
}

impl Forest {
    fn least_above(&mut self, node: usize) -> usize {
        let mut path = Vec::new();
        let mut at = node;
        while let Some(above) = self.above[at] {
            path.push(at);
            at = above;
        }
        // The topmost is linked to a root already.
        let mut nearer = path.pop();
        while let (Some(upper), Some(at)) = (nearer, path.pop()) {
            if self.semi[self.least[upper]] < self.semi[self.least[at]] {
                self.least[at] = self.least[upper];
            }
            self.above[at] = self.above[upper];
            nearer = Some(at);
        }
        self.least[node]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// By definition: without `over`, `to` is not reached.
    fn slowly(next: &[Vec<usize>], over: usize, to: usize) -> bool {
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
        let mut state = 7u64;
        let mut random = |below: usize| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % below
        };
        for _ in 0..500 {
            let count = 1 + random(14);
            let next: Vec<Vec<usize>> = (0..count)
                .map(|_| (0..random(4)).map(|_| random(count)).collect())
                .collect();
            let dominators = Dominators::new(&next, 0);
            for over in 0..count {
                for to in 0..count {
                    let expected = slowly(&next, over, to);
                    assert_eq!(
                        dominators.leads_over(over, to),
                        expected,
                        "{next:?}: {over} before {to}"
                    );
                }
            }
        }
    }
}
