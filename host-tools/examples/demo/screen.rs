//! What the demo shows: headings and tables on standard output, progress on standard error.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::fmt::Display;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A numbered heading.
pub fn heading(text: &str) {
    static NUMBER: AtomicUsize = AtomicUsize::new(1);
    println!("\n{}. {text}", NUMBER.fetch_add(1, Ordering::Relaxed));
}

/// A line or a table.
pub fn say(text: impl Display) {
    println!("{}", text.to_string().trim_end());
}

/// One line about what is left out, and how to get it.
pub fn skipped(text: &str) {
    println!("\nskipped: {text}");
}

/// A bar over `total` things, below those of others; hidden where standard error is no terminal.
pub fn bar(what: &str, total: usize) -> ProgressBar {
    static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
    let bar = BARS.add(ProgressBar::new(total as u64).with_message(what.to_owned()));
    match ProgressStyle::with_template("   {msg:<34} [{bar:30}] {pos}/{len} {prefix}") {
        Ok(style) => bar.with_style(style.progress_chars("=> ")),
        Err(_) => bar,
    }
}
