//! Why there is no project.

use std::path::PathBuf;

use crate::image::{ContainerError, PackError};

/// What keeps a project from being written.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// No name for a package.
    #[error("{name:?} is no name for a project: {why}")]
    Name {
        /// The name.
        name: String,
        /// What a name is like.
        why: &'static str,
    },
    /// No template.
    #[error("there is no template for {board}, whose chip no HAL drives here; there are some for {}", offered())]
    NotOffered {
        /// The board.
        board: &'static str,
    },
    /// Nowhere to get `embernet-core` from.
    #[error(
        "{} holds no checkout of embernet, which is in no registry: name one with --checkout FOLDER, or a repository \
         with --git URL",
        .0.display()
    )]
    NoCheckout(PathBuf),
    /// A model that the board's loops cannot run.
    #[error("the model is packed for {found}, {board} runs {expected}: pack it with --for {board}")]
    Isa {
        /// What the image is packed for.
        found: String,
        /// The board.
        board: &'static str,
        /// The board's instruction set.
        expected: &'static str,
    },
    /// A model that does not take one row of features.
    #[error("the model has {inputs} inputs and {outputs} outputs; the templates are for one of each")]
    Ends {
        /// Inputs of the model.
        inputs: usize,
        /// Outputs of the model.
        outputs: usize,
    },
    /// The untrained model could not be made.
    #[error("the untrained model")]
    Model(#[source] PackError),
    /// The model could not be written as source text.
    #[error("the model as Rust")]
    Container(#[source] ContainerError),
    /// Something has the folder's name.
    #[error("{} is there already", .0.display())]
    Exists(PathBuf),
    /// The folder could not be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        error: std::io::Error,
    },
}

/// The boards that have templates.
fn offered() -> String {
    super::Project::boards().map(|board| board.name.as_str()).collect::<Vec<_>>().join(", ")
}
