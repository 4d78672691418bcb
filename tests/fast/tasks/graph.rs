//! What depends on what.

use tanuki::tasks::graph::{Node, graph};

fn told(tasks: &[(&str, &str, &[&str])]) -> Vec<String> {
    let depends: Vec<Vec<String>> =
        tasks.iter().map(|(.., on)| on.iter().map(|id| (*id).to_owned()).collect()).collect();
    let nodes: Vec<Node<'_>> =
        tasks.iter().zip(&depends).map(|((file, id, _), depends_on)| Node { id, file, depends_on }).collect();
    graph(&nodes)
        .tangles
        .iter()
        .map(|tangle| format!("{}: {}", tasks[tangle.task].0, tangle.message))
        .collect()
}

#[test]
fn what_is_tangled_is_told_with_the_files() {
    assert_eq!(told(&[("a.md", "a", &["b"]), ("b.md", "b", &[])]), [""; 0]);
    let tangled = told(&[
        ("a.md", "a", &["b", "free"]),
        ("b.md", "b", &["c"]),
        ("c.md", "c", &["b", "a"]),
        ("d.md", "d", &["a", "nothing"]),
        ("e/d.md", "d", &[]),
        ("free.md", "free", &[]),
    ]);
    insta::assert_debug_snapshot!(tangled);
}

#[test]
fn a_long_chain_does_not_recurse() {
    let ids: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    let depends: Vec<Vec<String>> =
        (0..ids.len()).map(|index| ids[(index + 1) % ids.len()].clone()).map(|id| vec![id]).collect();
    let nodes: Vec<Node<'_>> =
        ids.iter().zip(&depends).map(|(id, depends_on)| Node { id, file: id, depends_on }).collect();
    assert_eq!(graph(&nodes).tangles.len(), ids.len());
}
