//! Progress bars, on standard error and only when that is a terminal (indicatif sees to both).

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` things; call [`ProgressBar::set_position`] and, at the end,
/// [`ProgressBar::finish_and_clear`].
pub fn bar(what: &'static str, total: usize) -> ProgressBar {
    styled(what, total, "{msg:>12} [{bar:32}] {pos}/{len} {prefix} {eta}")
}

/// A bar over bytes.
pub fn bytes(what: &'static str, total: usize) -> ProgressBar {
    styled(what, total, "{msg:>12} [{bar:32}] {bytes}/{total_bytes} {bytes_per_sec} {eta}")
}

fn styled(what: &'static str, total: usize, template: &str) -> ProgressBar {
    let bar = ProgressBar::new(total as u64).with_message(what);
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
