//! Progress bars, on standard error and only when that is a terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over `total` things; call [`ProgressBar::set_position`] and, at the end,
/// [`ProgressBar::finish_and_clear`].
pub fn bar(what: &'static str, total: usize) -> ProgressBar {
    // indicatif draws on standard error and hides itself when that is no terminal.
    let style = ProgressStyle::with_template("{msg:>12} [{bar:32}] {pos}/{len} {prefix} {eta}");
    let bar = ProgressBar::new(total as u64).with_message(what);
    match style {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
