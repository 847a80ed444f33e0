//! Which parameters training may change, as a value and as text.

use serde::{Deserialize, Serialize};
use std::ops::Range;
use std::str::FromStr;

/// Which parameters training may change.
///
/// As text: `all`, `none`, `last:2`, or names separated by commas. Behind each of these but `none` may stand what of the
/// layers learns: `last:2:bias`, `conv:channels=0-7+12`, `head:lora=4`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Selection {
    /// Every layer.
    #[default]
    All,
    /// No layer.
    None,
    /// The last so many layers that have parameters.
    Last(usize),
    /// The layers with these names.
    Names(Vec<String>),
    /// Layers, and what of them.
    Each(Vec<Choice>),
}

/// Some layers, and what of them learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Which layers.
    pub layers: Layers,
    /// What of them.
    pub what: What,
}

/// Layers of a [`Choice`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Layers {
    /// All for which it makes sense.
    All,
    /// The last so many for which it makes sense.
    Last(usize),
    /// One.
    Name(String),
}

/// What of a layer learns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum What {
    /// All its parameters.
    #[default]
    Whole,
    /// Its bias.
    Biases,
    /// The weights and biases of some output channels.
    Channels(Channels),
    /// Two matrices of this rank whose product is added to its weights (LoRA, Hu et al. 2021). The weights stay.
    Adapter {
        /// Columns of the one, rows of the other.
        rank: usize,
    },
}

/// Output channels: ranges that ascend and do not touch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channels(Vec<Range<usize>>);

impl Channels {
    /// From ranges in any order; `None` if there are none, or one is empty.
    pub fn new(ranges: impl IntoIterator<Item = Range<usize>>) -> Option<Self> {
        let mut ranges: Vec<Range<usize>> = ranges.into_iter().collect();
        ranges.sort_by_key(|range| range.start);
        let mut joined: Vec<Range<usize>> = Vec::new();
        for range in ranges {
            if range.is_empty() {
                return None;
            }
            match joined.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => joined.push(range),
            }
        }
        (!joined.is_empty()).then_some(Self(joined))
    }

    /// One behind the last channel.
    pub fn end(&self) -> usize {
        self.0.last().map_or(0, |range| range.end)
    }

    /// `0..count` in ranges of channels that all learn, or none of which does.
    pub fn parts(&self, count: usize) -> Vec<(Range<usize>, bool)> {
        let (mut parts, mut at) = (Vec::new(), 0);
        for range in &self.0 {
            parts.extend((at < range.start).then_some((at..range.start, false)));
            parts.push((range.clone(), true));
            at = range.end;
        }
        parts.extend((at < count).then_some((at..count, false)));
        parts
    }
}

impl FromStr for Channels {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "channels are numbers and ranges from 0, as 0-7+12";
        let range = |text: &str| -> Option<Range<usize>> {
            let (first, last) = text.split_once('-').unwrap_or((text, text));
            Some(first.trim().parse().ok()?..last.trim().parse::<usize>().ok()?.checked_add(1)?)
        };
        let ranges: Option<Vec<Range<usize>>> = text.split('+').map(range).collect();
        ranges.and_then(Self::new).ok_or(WHY)
    }
}

impl core::fmt::Display for Channels {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        for (index, range) in self.0.iter().enumerate() {
            let plus = if index > 0 { "+" } else { "" };
            match range.len() {
                1 => write!(f, "{plus}{}", range.start)?,
                _ => write!(f, "{plus}{}-{}", range.start, range.end - 1)?,
            }
        }
        Ok(())
    }
}

impl core::fmt::Display for What {
    /// As behind the layers' name: nothing, `:bias`, `:channels=0-7`, `:lora=4`.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Whole => Ok(()),
            Self::Biases => f.write_str(":bias"),
            Self::Channels(channels) => write!(f, ":channels={channels}"),
            Self::Adapter { rank } => write!(f, ":lora={rank}"),
        }
    }
}

impl core::fmt::Display for Choice {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match &self.layers {
            Layers::All => f.write_str("all")?,
            Layers::Last(n) => write!(f, "last:{n}")?,
            Layers::Name(name) => f.write_str(name)?,
        }
        self.what.fmt(f)
    }
}

impl FromStr for Choice {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (layers, what) = match text.rsplit_once(':').map(|(layers, what)| (layers, what.trim())) {
            Some((layers, "bias")) => (layers, What::Biases),
            Some((layers, what)) => match what.split_once('=') {
                Some(("channels", list)) => (layers, What::Channels(list.parse()?)),
                Some(("lora", rank)) => match rank.trim().parse() {
                    Ok(0) | Err(_) => return Err("after `lora=` stands a rank, at least 1"),
                    Ok(rank) => (layers, What::Adapter { rank }),
                },
                _ => (text, What::Whole),
            },
            None => (text, What::Whole),
        };
        let layers = match (layers.trim(), layers.trim().strip_prefix("last:")) {
            ("", _) => return Err("a name is empty"),
            ("all", _) => Layers::All,
            (_, Some(count)) => match count.trim().parse() {
                Ok(0) | Err(_) => return Err("after `last:` stands a number of layers, at least 1"),
                Ok(count) => Layers::Last(count),
            },
            (name, None) => Layers::Name(name.to_owned()),
        };
        Ok(Self { layers, what })
    }
}

impl Selection {
    /// The choices that it consists of.
    pub fn choices(&self) -> Vec<Choice> {
        let whole = |layers| Choice { layers, what: What::Whole };
        match self {
            Self::All => vec![whole(Layers::All)],
            Self::None => Vec::new(),
            Self::Last(n) => vec![whole(Layers::Last(*n))],
            Self::Names(names) => names.iter().map(|name| whole(Layers::Name(name.clone()))).collect(),
            Self::Each(choices) => choices.clone(),
        }
    }
}

impl FromStr for Selection {
    type Err = SelectionError;

    fn from_str(text: &str) -> Result<Self, SelectionError> {
        let error = |why| SelectionError { text: text.to_owned(), why };
        match text.trim() {
            "" => return Err(error("it is empty")),
            "none" => return Ok(Self::None),
            _ => {}
        }
        let choices: Vec<Choice> = text.split(',').map(str::parse).collect::<Result<_, _>>().map_err(error)?;
        let name = |choice: &Choice| match choice {
            Choice { layers: Layers::Name(name), what: What::Whole } => Some(name.clone()),
            _ => None,
        };
        match choices.as_slice() {
            [Choice { layers: Layers::All, what: What::Whole }] => return Ok(Self::All),
            [Choice { layers: Layers::Last(count), what: What::Whole }] => return Ok(Self::Last(*count)),
            _ => {}
        }
        let names: Option<Vec<String>> = choices.iter().map(name).collect();
        Ok(names.map_or(Self::Each(choices), Self::Names))
    }
}

/// Text that selects no layers in a way we know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` selects no layers: {why} (write all, none, last:N or names separated by commas; behind each :bias, \
     :channels=LIST or :lora=RANK)"
)]
pub struct SelectionError {
    /// What was written.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl TryFrom<String> for Selection {
    type Error = SelectionError;

    fn try_from(text: String) -> Result<Self, SelectionError> {
        text.parse()
    }
}

impl core::fmt::Display for Selection {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        if *self == Self::None {
            return f.write_str("none");
        }
        for (index, choice) in self.choices().iter().enumerate() {
            write!(f, "{}{choice}", if index > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

impl From<Selection> for String {
    fn from(selection: Selection) -> Self {
        selection.to_string()
    }
}
