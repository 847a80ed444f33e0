//! Rules about Rust source.

use crate::tree::{File, files, has_word, numbered};
use crate::{Finding, expect_none};

/// A file with more lines than this has more than one job.
const LONGEST_FILE: usize = 700;

/// Where `unsafe` may stand: inner loops, and what touches hardware.
const MAY_BE_UNSAFE: [&str; 5] = [
    "core/src/arch/",
    "firmware/boards/",
    "firmware/support/",
    "firmware/examples/src/bin/",
    "firmware/examples/src/chip/",
];

/// Float methods that std takes from the platform's maths library, so that their bits differ between machines.
/// They take nothing but the number itself.
const STD_FLOATS: [&str; 24] = [
    "exp", "exp2", "exp_m1", "ln", "ln_1p", "log2", "log10", "sqrt", "cbrt", "sin", "cos", "tan", "sinh", "cosh",
    "tanh", "asin", "acos", "atan", "asinh", "acosh", "atanh", "floor", "ceil", "round",
];

/// Those that take a second number.
const STD_FLOATS_OF_TWO: [&str; 6] = ["powf", "powi", "log", "hypot", "atan2", "mul_add"];

/// Here `x.sqrt()` is an instruction of a vector register.
const VECTORS: [&str; 2] = ["core/src/arch/vector/", "core/src/arch/x86/"];

#[test]
fn unsafe_stays_in_its_folders() {
    let mut findings = Vec::new();
    for file in files(&[".rs"]) {
        if MAY_BE_UNSAFE.iter().any(|folder| file.path.starts_with(folder)) {
            continue;
        }
        let code = code_only(&file.text);
        let lines = numbered(&code).filter(|(_, line)| has_word(line, "unsafe"));
        findings.extend(lines.map(|(number, _)| at(&file, number, "`unsafe`")));
    }
    expect_none(
        "`unsafe` stands only in core/src/arch, boards, board support, whole programs of examples and their chips",
        &findings,
    );
}

/// Building core for a device finds these calls too, except in code that only a PC compiles.
#[test]
fn core_never_calls_stds_float_functions() {
    let mut findings = Vec::new();
    for file in files(&[".rs"]) {
        let is_test = file.path.ends_with("tests.rs") || file.path.contains("/tests/");
        let is_vector = VECTORS.iter().any(|folder| file.path.starts_with(folder));
        if !file.path.starts_with("core/src/") || is_test || is_vector {
            continue;
        }
        let code = without_tests(&code_only(&file.text));
        for (number, line) in numbered(&code) {
            findings.extend(std_float(line).map(|name| at(&file, number, &format!("`{name}`: use math.rs"))));
        }
    }
    expect_none("all maths of core goes through math.rs", &findings);
}

/// The first of std's float functions that a line calls: `x.exp()`, `x.powi(2)` or `f32::exp`.
fn std_float(line: &str) -> Option<&'static str> {
    let as_path = |name: &str| ["f32", "f64"].iter().any(|float| has_word(line, &format!("{float}::{name}")));
    let of_one = STD_FLOATS.into_iter().filter(|name| line.contains(&format!(".{name}()")) || as_path(name));
    let of_two = STD_FLOATS_OF_TWO.into_iter().filter(|name| line.contains(&format!(".{name}(")) || as_path(name));
    of_one.chain(of_two).next()
}

#[test]
fn files_have_one_job() {
    let too_long = |file: &File| file.text.lines().count() > LONGEST_FILE;
    let findings: Vec<_> = files(&[".rs"])
        .iter()
        .filter(|file| too_long(file))
        .map(|file| format!("{} has {} lines", file.path, file.text.lines().count()))
        .collect();
    expect_none("a file has at most 700 lines; move tests to a sibling tests.rs, or split it", &findings);
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not find itself.
    let words = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
    let calls = [concat!("todo", "!("), concat!("unimplemented", "!("), concat!("dbg", "!(")];
    let mut findings = Vec::new();
    for file in files(&[".rs", ".md", ".toml", ".x", ".yml", "run"]) {
        for (number, line) in numbered(&file.text) {
            let found = words.iter().any(|word| has_word(line, word)) || calls.iter().any(|call| line.contains(call));
            if found {
                findings.push(at(&file, number, line.trim()));
            }
        }
    }
    expect_none("what is not done is not in the tree", &findings);
}

fn at(file: &File, line: usize, what: &str) -> Finding {
    format!("{}:{line}: {what}", file.path)
}

/// The text with comments, strings and characters blanked; line numbers stay.
fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let literal = comment(rest).or_else(|| raw_string(rest)).or_else(|| quoted(rest)).unwrap_or(0);
        if literal == 0 {
            // A whole word at once: the `r` of `for"` or of `var#` begins no raw string.
            let word = rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len());
            let (copied, left) = rest.split_at(word.max(first.len_utf8()));
            code.push_str(copied);
            rest = left;
        } else {
            let (blanked, left) = rest.split_at(literal);
            code.extend(blanked.chars().map(|c| if c == '\n' { c } else { ' ' }));
            rest = left;
        }
    }
    code
}

/// Length of the comment that starts here.
fn comment(rest: &str) -> Option<usize> {
    if rest.starts_with("//") {
        return Some(rest.find('\n').unwrap_or(rest.len()));
    }
    if !rest.starts_with("/*") {
        return None;
    }
    let mut depth = 0;
    let mut at = 0;
    while at < rest.len() {
        match rest.as_bytes().get(at..at + 2) {
            Some(b"/*") => (depth, at) = (depth + 1, at + 2),
            Some(b"*/") => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    Some(at)
}

/// Length of the raw string that starts here, prefix included.
fn raw_string(rest: &str) -> Option<usize> {
    let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
        rest.strip_prefix(prefix).is_some_and(|after| after.starts_with('"') || after.starts_with("#\""))
            || rest.strip_prefix(prefix).is_some_and(|after| after.starts_with("##"))
    })?;
    let hashes = rest[prefix.len()..].bytes().take_while(|&byte| byte == b'#').count();
    let open = prefix.len() + hashes + 1;
    let close = format!("\"{}", "#".repeat(hashes));
    let length = rest.get(open..)?.find(&close)?;
    Some(open + length + close.len())
}

/// Length of the string or character that starts here; a lifetime is neither.
fn quoted(rest: &str) -> Option<usize> {
    let quote = rest.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    if quote == '\'' {
        let mut inside = rest[1..].chars();
        let (first, second) = (inside.next()?, inside.next()?);
        if first != '\\' && second != '\'' {
            return None;
        }
    }
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return Some(at + 1),
            _ => {}
        }
    }
    Some(rest.len())
}

/// Blanks `#[cfg(test)] mod … { … }` in code that has no comments or strings any more.
fn without_tests(code: &str) -> String {
    let mut kept = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(start) = rest.find("#[cfg(test)]") {
        let end = start + item_length(&rest[start..]);
        kept.push_str(&rest[..start]);
        kept.extend(rest[start..end].chars().map(|c| if c == '\n' { c } else { ' ' }));
        rest = &rest[end..];
    }
    kept.push_str(rest);
    kept
}

/// Length of an item: to its `;`, or to the brace that closes its block.
fn item_length(item: &str) -> usize {
    let mut depth = 0_usize;
    for (at, c) in item.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth <= 1 => return at + 1,
            '}' => depth -= 1,
            ';' if depth == 0 => return at + 1,
            _ => {}
        }
    }
    item.len()
}

#[test]
fn comments_and_strings_are_not_code() {
    let text = "a // unsafe\nb /* un /* nest */ safe */ c \"un\\\"safe\" 'x' '\\'' <'a> r#\"q\"q\"# br\"z\" d for\"s\"";
    let code = code_only(text);
    assert_eq!(code.lines().count(), 2);
    assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c", "<'a>", "d", "for"]);
}

#[test]
fn tests_are_cut_out_and_the_rest_stays() {
    let code = "a\n#[cfg(test)]\nmod tests;\nb\n#[cfg(test)]\nmod t { fn f() { x } }\nc";
    let kept = without_tests(code);
    assert_eq!(kept.split_whitespace().collect::<Vec<_>>(), ["a", "b", "c"]);
    assert_eq!(kept.lines().count(), code.lines().count());
}

#[test]
fn float_calls_are_told_from_ours() {
    assert_eq!(std_float("let y = x.exp();"), Some("exp"));
    assert_eq!(std_float("values.map(f32::tanh)"), Some("tanh"));
    assert_eq!(std_float("x.mul_add(y, z)"), Some("mul_add"));
    assert_eq!(std_float("math::exp(x) + table.exp(index) + f32::expand(x)"), None);
}
