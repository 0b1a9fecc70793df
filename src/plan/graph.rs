//! The flow as a graph. Its edges come from the rules of the flow themselves
//! (`flow`), asked for every way a task can end: the engine can take exactly these.
#![forbid(unsafe_code)]

use super::flow::{self, Choice, FlowInput, FlowState, Policy, Position, Step};
use super::start::{self, BranchEntry, Start};
use super::task_ends::{self, BlockEnds, Case};
use super::workflow::Workflow;
use crate::exit;
use crate::task::Ix;
use std::collections::HashSet;

/// A task, and whether the flow falls through handlers when it gets there. One after all
/// tasks stands for the first visit of a block that the flow begins in the middle of.
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
        Graph::with_policy(workflow, Policy::default())
    }

    fn with_policy(workflow: &Workflow, policy: Policy) -> Graph {
        let nodes = workflow.tasks.len() * 2;
        let mut edges = Vec::with_capacity(nodes * 2);
        let mut starts = Vec::with_capacity(nodes + 1);
        starts.push(0);
        for node in 0..nodes {
            let visit = Visit {
                workflow,
                policy,
                task: task_of(node),
                in_handlers: node % 2 == 1,
            };
            visit.add_edges(&[], &mut edges);
            starts.push(edges.len());
        }
        Graph { edges, starts }
    }

    /// The graph of a run that begins there, and the node that it begins at.
    pub fn beginning_at(workflow: &Workflow, start: &Start, policy: Policy) -> (Graph, Node) {
        let mut graph = Graph::with_policy(workflow, policy);
        let in_handlers = start::begins_in_handlers(workflow, start.first, &start.way);
        if start.way.is_empty() {
            return (graph, node(start.first, in_handlers));
        }
        let visit = Visit {
            workflow,
            policy,
            task: start.first,
            in_handlers,
        };
        visit.add_edges(&start.way, &mut graph.edges);
        graph.starts.push(graph.edges.len());
        (graph, node(workflow.tasks.len(), false))
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
        let members: HashSet<Node> = cycle.iter().copied().collect();
        let inside = |to: To| matches!(to, To::Node(n) if members.contains(&n));
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

/// A task where the flow gets to it.
struct Visit<'a> {
    workflow: &'a Workflow,
    policy: Policy,
    task: Ix,
    in_handlers: bool,
}

impl Visit<'_> {
    /// Adds the edges of the task, one for each way it can end. `way` leads on to the
    /// member that it is entered at.
    fn add_edges(&self, way: &[BranchEntry], out: &mut Vec<Edge>) {
        let (workflow, ix) = (self.workflow, self.task);
        for (case, seen) in task_ends::endings(workflow, ix, way) {
            let choice = flow::choose(&workflow.tasks[ix], Position::at(ix), &seen).0;
            out.push(self.edge(case, choice, &seen));
        }
        let ends = BlockEnds::of_conditional(workflow, ix, way).unwrap_or_default();
        for (choice, seen) in ends.leaves {
            out.push(self.edge(Case::Left, choice, &seen));
        }
    }

    fn edge(&self, case: Case, choice: Choice, seen: &FlowInput) -> Edge {
        let (workflow, from) = (self.workflow, self.task);
        let jump = matches!(choice, Choice::Jump { .. });
        let falls = matches!(choice, Choice::FallThrough);
        let fails = matches!(choice, Choice::Never(code) if code != exit::OK);
        let state = FlowState {
            in_handlers: self.in_handlers,
            ..FlowState::default()
        };
        let departure = Some((choice, "".into()));
        let at = Position::at(from);
        let decision = flow::decide(workflow, self.policy, state, at, seen, departure);
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
