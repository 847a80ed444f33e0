//! Nodes whose results no output of the graph needs are dropped.

use super::editor::Editor;

/// Gives the number of nodes dropped.
pub fn run(editor: &mut Editor) -> usize {
    let mut dropped = 0;
    // Backwards: a node goes after all its readers have gone.
    for id in editor.nodes().into_iter().rev() {
        let idle = |y| editor.readers(y).is_empty() && !editor.is_output(y);
        if editor.node(id).outputs.iter().copied().all(idle) {
            editor.remove(id);
            dropped += 1;
        }
    }
    dropped
}
