//! What depends on what, and what is wrong with it: double ids, unknown dependencies, cycles. Pure.
//!
//! Guarantees: the graph it returns has no cycle among tasks that are not flawed; every flaw names the files it is
//! about; the time is linear in tasks and dependencies, and nothing recurses.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Files of a cycle that are named.
const SHOWN: usize = 12;

/// A task, as far as the graph cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node<'a> {
    /// Its id.
    pub id: &'a str,
    /// Its file, for people.
    pub file: &'a str,
    /// Ids it depends on.
    pub depends_on: &'a [String],
}

/// What is wrong with a task's place in the graph.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tangle {
    /// Index of the task.
    pub task: usize,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub help: String,
    /// The key of its file that is wrong.
    pub key: &'static str,
}

/// Tasks by index, each id once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Graph {
    /// The task that has an id: the first by file where several do.
    pub by_id: BTreeMap<String, usize>,
    /// For each task, the tasks it depends on.
    pub dependencies: Vec<Vec<usize>>,
    /// What is wrong.
    pub tangles: Vec<Tangle>,
}

/// Finds out what depends on what. `nodes` are in the order of their files.
pub fn graph(nodes: &[Node<'_>]) -> Graph {
    let mut graph = Graph { dependencies: vec![Vec::new(); nodes.len()], ..Graph::default() };
    let mut owners: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, node) in nodes.iter().enumerate() {
        owners.entry(node.id).or_default().push(index);
    }
    for (id, indices) in &owners {
        graph.by_id.insert((*id).to_owned(), indices[0]);
        if indices.len() > 1 {
            let files: Vec<&str> = indices.iter().map(|index| nodes[*index].file).collect();
            for index in indices {
                graph.tangles.push(Tangle {
                    task: *index,
                    message: format!("the id '{id}' is used by {}", files.join(" and ")),
                    help: "give each task an id of its own".to_owned(),
                    key: "id",
                });
            }
        }
    }
    for (index, node) in nodes.iter().enumerate() {
        for id in node.depends_on {
            match owners.get(id.as_str()) {
                Some(indices) => graph.dependencies[index].push(indices[0]),
                None => graph.tangles.push(Tangle {
                    task: index,
                    message: format!("it depends on '{id}', and no task has that id"),
                    help: "correct `depends_on`, or add the task".to_owned(),
                    key: "depends_on",
                }),
            }
        }
    }
    for component in components(&graph.dependencies) {
        if component.len() < 2 {
            continue;
        }
        let cycle = cycle(&graph.dependencies, &component);
        let message = format!("it is in a cycle: {}", cycle_text(nodes, &cycle));
        for task in component {
            graph.tangles.push(Tangle {
                task,
                message: message.clone(),
                help: "take one of these dependencies out".to_owned(),
                key: "depends_on",
            });
        }
    }
    graph.tangles.sort_by(|a, b| (a.task, &a.message).cmp(&(b.task, &b.message)));
    graph
}

fn cycle_text(nodes: &[Node<'_>], cycle: &[usize]) -> String {
    let mut names: Vec<String> =
        cycle.iter().chain(cycle.first()).map(|index| nodes[*index].file.to_owned()).collect();
    if names.len() > SHOWN {
        let hidden = names.len() - SHOWN;
        names.splice(SHOWN - 1..=SHOWN - 1 + hidden, [format!("… {hidden} more …")]);
        names.extend(cycle.first().map(|index| nodes[*index].file.to_owned()));
    }
    names.join(" -> ")
}

/// Sets of tasks that reach each other, each in order. (Tarjan's algorithm, with a stack of its own.)
fn components(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    const UNSEEN: usize = usize::MAX;
    let (mut order, mut low) = (vec![UNSEEN; edges.len()], vec![0; edges.len()]);
    let (mut on_stack, mut stack) = (vec![false; edges.len()], Vec::new());
    let (mut counter, mut found) = (0, Vec::new());
    let mut work: Vec<(usize, usize)> = Vec::new();
    for root in 0..edges.len() {
        if order[root] != UNSEEN {
            continue;
        }
        work.push((root, 0));
        while let Some((node, next)) = work.pop() {
            if next == 0 {
                order[node] = counter;
                low[node] = counter;
                counter += 1;
                stack.push(node);
                on_stack[node] = true;
            }
            if let Some(&to) = edges[node].get(next) {
                work.push((node, next + 1));
                if order[to] == UNSEEN {
                    work.push((to, 0));
                } else if on_stack[to] {
                    low[node] = low[node].min(order[to]);
                }
                continue;
            }
            if let Some(&(parent, _)) = work.last() {
                low[parent] = low[parent].min(low[node]);
            }
            if low[node] == order[node] {
                let mut component = Vec::new();
                while let Some(member) = stack.pop() {
                    on_stack[member] = false;
                    component.push(member);
                    if member == node {
                        break;
                    }
                }
                component.sort_unstable();
                found.push(component);
            }
        }
    }
    found
}

/// A shortest cycle through the first task of a component.
fn cycle(edges: &[Vec<usize>], component: &[usize]) -> Vec<usize> {
    let start = component[0];
    let inside: BTreeSet<usize> = component.iter().copied().collect();
    let mut from: BTreeMap<usize, usize> = BTreeMap::new();
    let mut queue = VecDeque::from([start]);
    while let Some(node) = queue.pop_front() {
        for &to in edges[node].iter().filter(|to| inside.contains(to)) {
            if to == start {
                let mut path = vec![node];
                while let Some(&before) =
                    path.last().filter(|last| **last != start).and_then(|last| from.get(last))
                {
                    path.push(before);
                }
                path.reverse();
                return path;
            }
            if let Entry::Vacant(entry) = from.entry(to) {
                entry.insert(node);
                queue.push_back(to);
            }
        }
    }
    component.to_vec()
}
