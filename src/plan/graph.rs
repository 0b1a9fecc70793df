//! The flow as a graph. Its edges come from the rules of the flow themselves
//! (`flow`), asked for every way a task can end: the engine can take exactly these.
#![forbid(unsafe_code)]

use super::flow::{self, Choice, FlowInput, FlowState, Policy, Position, Step};
use super::task_ends::{self, BlockEnds, Case};
use super::workflow::Workflow;
use crate::exit;
use crate::task::Ix;

/// A task, and whether the flow falls through handlers when it gets there.
pub type Node = usize;

/// Where an edge leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    Node(Node),
    End(i32),
}

impl To {
    pub fn node(self) -> Option<Node> {
        match self {
            To::Node(node) => Some(node),
            To::End(_) => None,
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Edge {
    pub case: Case,
    pub to: To,
    /// Whether it is a jump, not a fall-through.
    pub jump: bool,
    /// Whether the run ends because the next task is a handler.
    pub before_handler: bool,
    /// Whether the run ends with the task's own exit code.
    pub own_code: bool,
}

pub struct Graph {
    /// Ordered by the node they start from.
    edges: Vec<Edge>,
    /// Where the edges of each node begin, and where the last ones end.
    starts: Vec<usize>,
}

pub fn node(task: Ix, in_handlers: bool) -> Node {
    task * 2 + usize::from(in_handlers)
}

pub fn task_of(node: Node) -> Ix {
    node / 2
}

impl Graph {
    pub fn new(workflow: &Workflow) -> Graph {
        let nodes = workflow.tasks.len() * 2;
        let mut edges = Vec::with_capacity(nodes * 2);
        let mut starts = Vec::with_capacity(nodes + 1);
        starts.push(0);
        for node in 0..nodes {
            add_edges(workflow, task_of(node), node % 2 == 1, &mut edges);
            starts.push(edges.len());
        }
        Graph { edges, starts }
    }

    /// The edges that start from a node.
    pub fn edges_from(&self, node: Node) -> &[Edge] {
        &self.edges[self.starts[node]..self.starts[node + 1]]
    }

    fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    fn next(&self, node: Node) -> impl Iterator<Item = Node> + '_ {
        self.edges_from(node).iter().filter_map(|e| e.to.node())
    }

    /// For each node the nodes from which an edge leads to it.
    pub fn reversed(&self) -> Vec<Vec<Node>> {
        let mut before = vec![Vec::new(); self.nodes()];
        for from in 0..self.nodes() {
            self.next(from).for_each(|to| before[to].push(from));
        }
        before
    }

    /// Every node that a run can reach from these, themselves included.
    pub fn reachable(&self, from: &[Node]) -> Vec<bool> {
        self.reachable_past(from, &|_| false)
    }

    /// The same, but without entering the closed nodes.
    pub fn reachable_past(&self, from: &[Node], is_closed: &dyn Fn(Node) -> bool) -> Vec<bool> {
        let mut seen = vec![false; self.nodes()];
        let mut waiting = from.to_vec();
        while let Some(node) = waiting.pop() {
            if !std::mem::replace(&mut seen[node], true) {
                let open = |n: &Node| !seen[*n] && !is_closed(*n);
                waiting.extend(self.next(node).filter(open));
            }
        }
        seen
    }

    /// The cycles: sets of nodes each of which leads to every other (Tarjan's
    /// algorithm, without recursion so that a long file cannot overflow the stack).
    pub fn cycles(&self) -> Vec<Vec<Node>> {
        let mut search = CycleSearch {
            graph: self,
            index: vec![0; self.nodes()],
            low: vec![0; self.nodes()],
            on_stack: vec![false; self.nodes()],
            stack: Vec::new(),
            count: 0,
            found: Vec::new(),
        };
        for node in 0..self.nodes() {
            if search.index[node] == 0 {
                search.search_from(node);
            }
        }
        search.found
    }

    /// Whether the flow can leave the cycle, or the run can end in it.
    pub fn can_end(&self, cycle: &[Node]) -> bool {
        let inside = |to: To| matches!(to, To::Node(n) if cycle.contains(&n));
        cycle
            .iter()
            .any(|n| self.edges_from(*n).iter().any(|e| !inside(e.to)))
    }
}

struct CycleSearch<'a> {
    graph: &'a Graph,
    index: Vec<usize>,
    low: Vec<usize>,
    on_stack: Vec<bool>,
    stack: Vec<Node>,
    count: usize,
    found: Vec<Vec<Node>>,
}

impl CycleSearch<'_> {
    fn enter(&mut self, node: Node) {
        self.count += 1;
        self.index[node] = self.count;
        self.low[node] = self.count;
        self.stack.push(node);
        self.on_stack[node] = true;
    }

    fn search_from(&mut self, start: Node) {
        let graph = self.graph;
        // Each node with those of its edges that are still to be followed.
        let mut path: Vec<(Node, &[Edge])> = Vec::new();
        self.enter(start);
        path.push((start, graph.edges_from(start)));
        while let Some((node, left)) = path.last_mut() {
            let node = *node;
            let edge = left.split_off_last();
            match edge.map(|e| e.to) {
                Some(To::End(_)) => {}
                Some(To::Node(next)) if self.index[next] == 0 => {
                    self.enter(next);
                    path.push((next, graph.edges_from(next)));
                }
                Some(To::Node(next)) if self.on_stack[next] => {
                    self.low[node] = self.low[node].min(self.index[next])
                }
                Some(To::Node(_)) => {}
                None => {
                    path.pop();
                    if let Some((before, _)) = path.last() {
                        self.low[*before] = self.low[*before].min(self.low[node]);
                    }
                    if self.low[node] == self.index[node] {
                        self.close(node);
                    }
                }
            }
        }
    }

    /// Takes the node and everything above it off the stack: one set. It is a cycle
    /// unless it is a single node that does not lead to itself.
    fn close(&mut self, node: Node) {
        let mut set = Vec::new();
        while let Some(top) = self.stack.pop() {
            self.on_stack[top] = false;
            set.push(top);
            if top == node {
                break;
            }
        }
        if set.len() > 1 || self.graph.next(node).any(|n| n == node) {
            set.sort_unstable();
            self.found.push(set);
        }
    }
}

/// Adds the edges of a task, one for each way it can end.
fn add_edges(workflow: &Workflow, ix: Ix, in_handlers: bool, out: &mut Vec<Edge>) {
    let state = FlowState {
        in_handlers,
        ..FlowState::default()
    };
    let task = &workflow.tasks[ix];
    for (case, seen) in task_ends::endings(workflow, ix) {
        let choice = flow::choose(task, Position::at(ix), &seen).0;
        out.push(edge(workflow, state, ix, case, choice, &seen));
    }
    let ends = BlockEnds::of_conditional(workflow, ix).unwrap_or_default();
    for (choice, seen) in ends.leaves {
        out.push(edge(workflow, state, ix, Case::Left, choice, &seen));
    }
}

fn edge(
    workflow: &Workflow,
    state: FlowState,
    from: Ix,
    case: Case,
    choice: Choice,
    seen: &FlowInput,
) -> Edge {
    let jump = matches!(choice, Choice::Jump { .. });
    let falls = matches!(choice, Choice::FallThrough);
    let fails = matches!(choice, Choice::Never(code) if code != exit::OK);
    let policy = Policy::default();
    let at = Position::at(from);
    let decision = flow::decide(workflow, policy, state, at, seen, Some((choice, "".into())));
    let to = match decision.step {
        Step::Go(to) => To::Node(node(to, decision.state.in_handlers)),
        Step::End(code) => To::End(code),
        Step::Retry | Step::Iterate => To::Node(node(from, state.in_handlers)),
    };
    let stopped = matches!(to, To::End(_)) && workflow.next_of(from).is_some();
    Edge {
        case,
        to,
        jump,
        before_handler: falls && stopped,
        own_code: matches!(to, To::End(_)) && (fails || decision.failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::workflow::tests::workflow;

    fn graph(tasks: &[(&str, &str)]) -> (Workflow, Graph) {
        let text: String = tasks
            .iter()
            .map(|(id, keys)| {
                format!(
                    "task={id}\nexec=local\ncommand=true\n{}\n",
                    keys.replace(' ', "\n")
                )
            })
            .collect();
        let workflow = workflow(&text);
        let graph = Graph::new(&workflow);
        (workflow, graph)
    }

    #[test]
    fn reachability_follows_the_rules_of_handlers() {
        let (workflow, graph) = graph(&[
            ("0", "on_failure=90"),
            ("1", "next=never"),
            ("2", ""),
            ("90", ""),
            ("99", ""),
        ]);
        let seen = graph.reachable(&[node(0, false)]);
        let reached: Vec<u32> = (0..5)
            .filter(|ix| seen[node(*ix, false)] || seen[node(*ix, true)])
            .map(|ix| workflow.tasks[ix].id)
            .collect();
        assert_eq!(reached, [0, 1, 90, 99]);
    }

    #[test]
    fn cycles_are_found_and_whether_they_end() {
        let (_, g) = graph(&[("0", ""), ("1", "on_failure=0"), ("2", "")]);
        let cycles = g.cycles();
        assert_eq!(cycles.len(), 1 + usize::from(cycles.len() > 1));
        assert!(cycles.iter().all(|c| g.can_end(c)));
        let (_, g) = graph(&[("0", "next=always"), ("1", "goto=0")]);
        assert!(g.cycles().iter().all(|c| !g.can_end(c)) && !g.cycles().is_empty());
    }
}
