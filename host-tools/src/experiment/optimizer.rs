//! Optimisers as experiment files and the command line name them. Defaults are Keras'.

use std::fmt;

use embernet_core::optim::OptimizerRecord;
use serde::de::value::{MapAccessDeserializer, StrDeserializer};
use serde::de::{Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize};

/// An update rule with its settings: `"adam"`, or `{ type = "adam", lr = 0.01 }`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
#[allow(missing_docs)] // the names are the textbook's
pub enum Optimizer {
    /// Gradient descent, with momentum if it is not 0.
    Sgd { lr: f32, momentum: f32, nesterov: bool, weight_decay: f32 },
    /// Kingma and Ba 2015.
    Adam { lr: f32, beta_1: f32, beta_2: f32, epsilon: f32, weight_decay: f32 },
    /// Duchi, Hazan and Singer 2011.
    Adagrad { lr: f32, initial_accumulator: f32, epsilon: f32, weight_decay: f32 },
}

impl Default for Optimizer {
    fn default() -> Self {
        Optimizer::adam(0.001)
    }
}

impl Optimizer {
    /// Plain gradient descent.
    pub const fn sgd(lr: f32) -> Self {
        Optimizer::Sgd { lr, momentum: 0.0, nesterov: false, weight_decay: 0.0 }
    }

    /// Gradient descent with momentum.
    pub const fn momentum(lr: f32, momentum: f32, nesterov: bool) -> Self {
        Optimizer::Sgd { lr, momentum, nesterov, weight_decay: 0.0 }
    }

    /// Adam with the usual settings beside the learning rate.
    pub const fn adam(lr: f32) -> Self {
        Optimizer::Adam { lr, beta_1: 0.9, beta_2: 0.999, epsilon: 1e-7, weight_decay: 0.0 }
    }

    /// AdaGrad with the usual settings beside the learning rate.
    pub const fn adagrad(lr: f32) -> Self {
        Optimizer::Adagrad { lr, initial_accumulator: 0.1, epsilon: 1e-7, weight_decay: 0.0 }
    }

    /// The learning rate.
    pub const fn lr(&self) -> f32 {
        match *self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::Adagrad { lr, .. } => lr,
        }
    }

    /// The same rule with another learning rate.
    #[must_use]
    pub const fn with_lr(mut self, rate: f32) -> Self {
        match &mut self {
            Optimizer::Sgd { lr, .. } | Optimizer::Adam { lr, .. } | Optimizer::Adagrad { lr, .. } => *lr = rate,
        }
        self
    }

    /// The settings as an image and the session hold them.
    pub const fn record(&self) -> OptimizerRecord {
        let (mut record, decay) = match *self {
            Optimizer::Sgd { lr, momentum: 0.0, weight_decay, .. } => (OptimizerRecord::sgd(lr), weight_decay),
            Optimizer::Sgd { lr, momentum, nesterov, weight_decay } => {
                (OptimizerRecord::momentum(lr, momentum, nesterov), weight_decay)
            }
            Optimizer::Adam { lr, beta_1, beta_2, epsilon, weight_decay } => {
                let mut record = OptimizerRecord::adam(lr);
                (record.momentum, record.beta_2, record.epsilon) = (beta_1, beta_2, epsilon);
                (record, weight_decay)
            }
            Optimizer::Adagrad { lr, initial_accumulator, epsilon, weight_decay } => {
                let mut record = OptimizerRecord::adagrad(lr);
                (record.state_init, record.epsilon) = (initial_accumulator, epsilon);
                (record, weight_decay)
            }
        };
        record.weight_decay = decay;
        record
    }
}

/// What may stand in a file: every setting optional.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
enum Written {
    Sgd {
        lr: Option<Rate>,
        momentum: Option<Fraction>,
        #[serde(default)]
        nesterov: bool,
        weight_decay: Option<NotNegative>,
    },
    /// `sgd` whose momentum defaults to 0.9.
    Momentum {
        lr: Option<Rate>,
        momentum: Option<Fraction>,
        #[serde(default)]
        nesterov: bool,
        weight_decay: Option<NotNegative>,
    },
    /// `momentum` with Nesterov's variant.
    Nesterov { lr: Option<Rate>, momentum: Option<Fraction>, weight_decay: Option<NotNegative> },
    Adam {
        lr: Option<Rate>,
        beta_1: Option<Fraction>,
        beta_2: Option<Fraction>,
        epsilon: Option<Rate>,
        weight_decay: Option<NotNegative>,
    },
    Adagrad {
        lr: Option<Rate>,
        initial_accumulator: Option<NotNegative>,
        epsilon: Option<Rate>,
        weight_decay: Option<NotNegative>,
    },
}

impl From<Written> for Optimizer {
    fn from(written: Written) -> Self {
        let rate = |value: Option<Rate>, default| value.map_or(default, |Rate(value)| value);
        let fraction = |value: Option<Fraction>, default| value.map_or(default, |Fraction(value)| value);
        let amount = |value: Option<NotNegative>, default| value.map_or(default, |NotNegative(value)| value);
        match written {
            Written::Sgd { lr, momentum, nesterov, weight_decay } => Optimizer::Sgd {
                lr: rate(lr, 0.01),
                momentum: fraction(momentum, 0.0),
                nesterov,
                weight_decay: amount(weight_decay, 0.0),
            },
            Written::Momentum { lr, momentum, nesterov, weight_decay } => Optimizer::Sgd {
                lr: rate(lr, 0.01),
                momentum: fraction(momentum, 0.9),
                nesterov,
                weight_decay: amount(weight_decay, 0.0),
            },
            Written::Nesterov { lr, momentum, weight_decay } => Optimizer::Sgd {
                lr: rate(lr, 0.01),
                momentum: fraction(momentum, 0.9),
                nesterov: true,
                weight_decay: amount(weight_decay, 0.0),
            },
            Written::Adam { lr, beta_1, beta_2, epsilon, weight_decay } => Optimizer::Adam {
                lr: rate(lr, 0.001),
                beta_1: fraction(beta_1, 0.9),
                beta_2: fraction(beta_2, 0.999),
                epsilon: rate(epsilon, 1e-7),
                weight_decay: amount(weight_decay, 0.0),
            },
            Written::Adagrad { lr, initial_accumulator, epsilon, weight_decay } => Optimizer::Adagrad {
                lr: rate(lr, 0.001),
                initial_accumulator: amount(initial_accumulator, 0.1),
                epsilon: rate(epsilon, 1e-7),
                weight_decay: amount(weight_decay, 0.0),
            },
        }
    }
}

impl<'de> Deserialize<'de> for Optimizer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameOrTable;

        impl<'de> Visitor<'de> for NameOrTable {
            type Value = Written;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of an optimizer, or a table with its type and settings")
            }

            fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Written, E> {
                let name: StrDeserializer<'_, E> = name.into_deserializer();
                let pairs = std::iter::once(("type", name));
                Written::deserialize(serde::de::value::MapDeserializer::new(pairs))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Written, A::Error> {
                Written::deserialize(MapAccessDeserializer::new(map))
            }
        }

        deserializer.deserialize_any(NameOrTable).map(Optimizer::from)
    }
}

impl std::str::FromStr for Optimizer {
    type Err = serde::de::value::Error;

    /// A bare name, as after `--optimizer`.
    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Optimizer::deserialize(IntoDeserializer::<Self::Err>::into_deserializer(name))
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $test:expr) => {
        $(#[$doc])*
        struct $name(f32);

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = f32::deserialize(deserializer)?;
                let fits: fn(f32) -> bool = $test;
                if fits(value) {
                    return Ok(Self(value));
                }
                Err(serde::de::Error::custom(format_args!(concat!("{} is not ", $expected), value)))
            }
        }
    };
}
number!(
    /// A learning rate or an epsilon.
    Rate, "a positive number", |x| x > 0.0 && x.is_finite()
);
number!(
    /// A momentum or a beta.
    Fraction, "a number from 0 to below 1", |x| (0.0..1.0).contains(&x)
);
number!(
    /// A penalty or a start value.
    NotNegative, "a number from 0", |x| x >= 0.0 && x.is_finite()
);
