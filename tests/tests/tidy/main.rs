//! Rules of the house that no compiler checks. Each test names the rule it keeps.

mod docs;
mod manifests;
mod source;
mod tree;

/// A finding: where, and what is wrong there.
type Finding = String;

/// Fails with every finding, one per line.
#[track_caller]
fn expect_none(rule: &str, findings: &[Finding]) {
    assert!(findings.is_empty(), "{rule}:\n  {}", findings.join("\n  "));
}
