//! Tables in CSV files.
//!
//! A row is a sample; one column (or several numbers) is the target, the others are features.
//! Every feature cell must be a finite number. A cell that is not names its row and column in the
//! error, or is dealt with as [`Missing`] says: cells to fill come as NaN, because what fills them is
//! known only when the data are divided ([`super::Preprocessing::fill`]).

use std::collections::BTreeMap;
use std::path::Path;

use csv::ByteRecord;
use serde::{Deserialize, Serialize};

use super::dataset::Labels;

/// Why a table is unusable. Rows are counted from 1 without the header, lines from 1 with it.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs)] // the fields are the places that the messages name
pub enum CsvError {
    /// The file cannot be read, or its quotes never end.
    #[error("not a readable table")]
    Read(#[source] csv::Error),
    /// A row is longer or shorter than the others.
    #[error("row {row} (line {line}) has {found} cells; the table has {expected} columns")]
    Width { row: usize, line: u64, found: usize, expected: usize },
    /// An empty cell, `?`, `NA` or `nan`.
    #[error("{at}: the cell is missing ({text:?}); `missing` can be \"drop\", \"mean\" or \"median\"")]
    Missing { at: Cell, text: String },
    /// A cell that is no finite number.
    #[error("{at}: {text:?} is no number; `missing` can be \"drop\", \"mean\" or \"median\"")]
    NotANumber { at: Cell, text: String },
    /// A target that is missing.
    #[error("{at}: the target is missing ({text:?}); only `missing` = \"drop\" can help")]
    NoTarget { at: Cell, text: String },
    /// A class that is not among the given ones.
    #[error("{at}: class {text:?} is out of range; the classes are {known}")]
    UnknownClass { at: Cell, text: String, known: String },
    /// A column that the table lacks.
    #[error("there is no column {name:?}; the table has {known}")]
    NoColumn { name: String, known: String },
    /// A column name that stands twice.
    #[error("there are several columns {name:?}")]
    Ambiguous { name: String },
    /// No row, or none left.
    #[error("the table has no rows{}", if *.dropped > 0 { format!(" left: all {dropped} were dropped") } else { String::new() })]
    Empty { dropped: usize },
    /// Nothing but targets.
    #[error("the table has no feature column beside its target")]
    NoFeatures,
}

/// A place in a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// Row, from 1, without the header.
    pub row: usize,
    /// Line of the file, from 1.
    pub line: u64,
    /// The column's name, or its number from 1.
    pub column: String,
}

impl std::fmt::Display for Cell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "row {} (line {}), column {:?}", self.row, self.line, self.column)
    }
}

/// What happens to a feature cell that is missing or no number.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// It is an error.
    #[default]
    Error,
    /// Its row is left out.
    Drop,
    /// It becomes the mean of its column's numbers in the training part.
    Mean,
    /// It becomes the median of its column's numbers in the training part.
    Median,
}

/// Which columns say what should come out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Target {
    /// The last column holds a class.
    #[default]
    Last,
    /// The column of that name (or number, from 1) holds a class.
    Class(String),
    /// Columns of numbers to predict.
    Values(Vec<String>),
}

/// How to read a table.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CsvOptions {
    /// Whether the first row names the columns. By default it does when none of its cells is a
    /// number.
    pub header: Option<bool>,
    /// Between cells. By default whichever of `,` `;` and tab is most frequent in the first line.
    pub delimiter: Option<u8>,
    /// Which columns are the target.
    pub target: Target,
    /// Columns to leave out.
    pub ignore: Vec<String>,
    /// What to do with bad cells.
    pub missing: Missing,
    /// The classes in order; others are errors. By default all that occur, sorted (by value when
    /// all are whole numbers).
    pub classes: Option<Vec<String>>,
}

/// A table that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Table {
    /// Names of the feature columns.
    pub columns: Vec<String>,
    /// Features, row by row.
    pub x: Vec<f32>,
    /// The target.
    pub labels: Labels,
    /// Rows left out because of a bad cell.
    pub dropped: usize,
    /// How many cells of `x` are missing, and not a number there.
    pub holes: usize,
}

/// Parses a whole table.
pub fn parse(bytes: &[u8], options: &CsvOptions) -> Result<Table, CsvError> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let delimiter = options.delimiter.unwrap_or_else(|| guess_delimiter(bytes));
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .delimiter(delimiter)
        .from_reader(bytes);

    let mut record = ByteRecord::new();
    if !reader.read_byte_record(&mut record).map_err(CsvError::Read)? {
        return Err(CsvError::Empty { dropped: 0 });
    }
    let header = options.header.unwrap_or_else(|| !record.iter().any(|cell| number(cell).is_some()));
    let names: Vec<String> = if header {
        record.iter().map(text).collect()
    } else {
        (1..=record.len()).map(|number| number.to_string()).collect()
    };
    let roles = Roles::new(&names, options)?;
    let mut builder = Builder::new(&names, &roles, options.missing);
    let mut row = 0;
    if !header {
        row += 1;
        builder.row(row, &record)?;
    }
    while reader.read_byte_record(&mut record).map_err(CsvError::Read)? {
        row += 1;
        builder.row(row, &record)?;
    }
    builder.finish(options.classes.as_deref())
}

/// Reads a table from a file.
pub fn read(path: &Path, options: &CsvOptions) -> Result<Table, super::DataError> {
    let bytes = crate::files::read_unpacked(path, super::MAX_FILE_BYTES)?;
    parse(&bytes, options).map_err(|source| super::DataError::Csv { path: path.into(), source })
}

fn guess_delimiter(bytes: &[u8]) -> u8 {
    let line = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| line.iter().filter(|&&byte| byte == wanted).count();
    // max_by_key keeps the last of equals, so the comma stands last.
    [b'\t', b';', b','].into_iter().max_by_key(|&delimiter| count(delimiter)).unwrap_or(b',')
}

fn text(cell: &[u8]) -> String {
    String::from_utf8_lossy(cell).into_owned()
}

fn is_missing(cell: &[u8]) -> bool {
    [&b""[..], b"?", b"na", b"n/a", b"nan", b"null"].iter().any(|word| cell.eq_ignore_ascii_case(word))
}

fn number(cell: &[u8]) -> Option<f32> {
    std::str::from_utf8(cell).ok()?.parse().ok().filter(|x: &f32| x.is_finite())
}

/// What each column is for, by index.
struct Roles {
    class: Option<usize>,
    values: Vec<usize>,
    features: Vec<usize>,
}

impl Roles {
    fn new(names: &[String], options: &CsvOptions) -> Result<Self, CsvError> {
        let find = |wanted: &String| {
            let mut found = names.iter().enumerate().filter(|(_, name)| *name == wanted);
            match (found.next(), found.next()) {
                (Some((index, _)), None) => Ok(index),
                (Some(_), Some(_)) => Err(CsvError::Ambiguous { name: wanted.clone() }),
                (None, _) => Err(CsvError::NoColumn { name: wanted.clone(), known: listed(names) }),
            }
        };
        let ignored = options.ignore.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        let (class, values) = match &options.target {
            Target::Last => ((0..names.len()).rev().find(|index| !ignored.contains(index)), Vec::new()),
            Target::Class(name) => (Some(find(name)?), Vec::new()),
            Target::Values(columns) => (None, columns.iter().map(find).collect::<Result<_, _>>()?),
        };
        let used = |index: &usize| class == Some(*index) || values.contains(index) || ignored.contains(index);
        let features: Vec<usize> = (0..names.len()).filter(|index| !used(index)).collect();
        if features.is_empty() {
            return Err(CsvError::NoFeatures);
        }
        Ok(Self { class, values, features })
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let mut text = names.iter().take(SHOWN).map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// Collects rows.
struct Builder<'t> {
    names: &'t [String],
    roles: &'t Roles,
    missing: Missing,
    x: Vec<f32>,
    /// Cells of `x` that are missing.
    holes: usize,
    classes: Vec<(String, Cell)>,
    values: Vec<f32>,
    rows: usize,
    dropped: usize,
}

impl<'t> Builder<'t> {
    fn new(names: &'t [String], roles: &'t Roles, missing: Missing) -> Self {
        Self {
            names,
            roles,
            missing,
            x: Vec::new(),
            holes: 0,
            classes: Vec::new(),
            values: Vec::new(),
            rows: 0,
            dropped: 0,
        }
    }

    fn row(&mut self, row: usize, record: &ByteRecord) -> Result<(), CsvError> {
        let line = record.position().map_or(0, csv::Position::line);
        if record.len() != self.names.len() {
            return Err(CsvError::Width { row, line, found: record.len(), expected: self.names.len() });
        }
        let at = |index: usize| Cell { row, line, column: self.names[index].clone() };
        let starts = (self.x.len(), self.holes, self.values.len());
        let mut bad = false;

        for &index in &self.roles.features {
            match number(&record[index]) {
                Some(value) => self.x.push(value),
                None if self.missing == Missing::Error => {
                    return Err(not_a_number(at(index), &record[index]));
                }
                None => {
                    bad = true;
                    self.holes += 1;
                    self.x.push(f32::NAN);
                }
            }
        }
        let dropping = self.missing == Missing::Drop;
        for &index in &self.roles.values {
            match number(&record[index]) {
                Some(value) => self.values.push(value),
                None if dropping => bad = true,
                None if is_missing(&record[index]) => {
                    return Err(CsvError::NoTarget { at: at(index), text: text(&record[index]) });
                }
                None => return Err(not_a_number(at(index), &record[index])),
            }
        }
        let class = match self.roles.class {
            Some(index) if is_missing(&record[index]) => {
                if !dropping {
                    return Err(CsvError::NoTarget { at: at(index), text: text(&record[index]) });
                }
                bad = true;
                None
            }
            Some(index) => Some((text(&record[index]), at(index))),
            None => None,
        };
        if bad && dropping {
            self.x.truncate(starts.0);
            self.holes = starts.1;
            self.values.truncate(starts.2);
            self.dropped += 1;
            return Ok(());
        }
        self.classes.extend(class);
        self.rows += 1;
        Ok(())
    }

    fn finish(self, known: Option<&[String]>) -> Result<Table, CsvError> {
        if self.rows == 0 {
            return Err(CsvError::Empty { dropped: self.dropped });
        }
        let labels = if self.roles.class.is_some() {
            class_labels(&self.classes, known)?
        } else {
            Labels::Values { values: self.values, width: self.roles.values.len() }
        };
        Ok(Table {
            columns: self.roles.features.iter().map(|&index| self.names[index].clone()).collect(),
            x: self.x,
            labels,
            dropped: self.dropped,
            holes: self.holes,
        })
    }
}

fn not_a_number(at: Cell, cell: &[u8]) -> CsvError {
    let text = text(cell);
    if is_missing(cell) { CsvError::Missing { at, text } } else { CsvError::NotANumber { at, text } }
}

fn class_labels(found: &[(String, Cell)], known: Option<&[String]>) -> Result<Labels, CsvError> {
    let names = match known {
        Some(names) => names.to_vec(),
        None => {
            let mut names: Vec<String> = found.iter().map(|(name, _)| name.clone()).collect();
            names.sort_unstable();
            names.dedup();
            let numbers: Option<Vec<i64>> = names.iter().map(|name| name.parse().ok()).collect();
            if numbers.is_some() {
                names.sort_by_key(|name| name.parse::<i64>().unwrap_or_default());
            }
            names
        }
    };
    let index: BTreeMap<&str, u32> = names.iter().map(String::as_str).zip(0..).collect();
    let id = |(name, at): &(String, Cell)| {
        index.get(name.as_str()).copied().ok_or_else(|| CsvError::UnknownClass {
            at: at.clone(),
            text: name.clone(),
            known: listed(&names),
        })
    };
    let ids = found.iter().map(id).collect::<Result<_, _>>()?;
    Ok(Labels::Class { ids, names })
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
