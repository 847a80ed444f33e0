use super::*;
use crate::data::{Axis, Dataset, Labels, Storage};
use embernet_core::optim::{OptimizerRecord, Rule};
use std::path::Path;

const MINIMAL: &str = r#"
[data]
csv = "table.csv"

[model]
layers = [
    { type = "dense", units = 4, activation = "relu" },
    { type = "dense", units = 2, activation = "softmax" },
]

[train]
epochs = 3
"#;

fn parse(text: &str) -> Result<Experiment, String> {
    Experiment::parse("exp/a.toml".as_ref(), text).map_err(|error| error.to_string())
}

fn with(from: &str, to: &str) -> Result<Experiment, String> {
    assert!(MINIMAL.contains(from), "{from}");
    parse(&MINIMAL.replacen(from, to, 1))
}

#[test]
fn defaults() {
    let experiment = parse(MINIMAL).unwrap();
    assert_eq!(experiment.model.name, "a");
    assert_eq!(experiment.train.optimizer, Optimizer::adam(0.001));
    assert_eq!((experiment.train.batch.get(), experiment.train.seed), (32, 0));
    assert_eq!((experiment.data.split, experiment.data.stratify, experiment.data.scale), (0.8, true, 1.0));
    assert_eq!(experiment.loss(), Loss::CrossEntropy);
    assert_eq!(experiment.quantize, None);
    assert_eq!(experiment.lines.layers, [7, 8]);
}

#[test]
fn settings_in_every_form() {
    let data = |text: &str| with("csv = \"table.csv\"", &format!("csv = \"t\"\n{text}")).map(|e| e.data);
    assert_eq!(data("standardise = true").unwrap().standardise, Some(Axis::Feature));
    assert_eq!(data("standardise = false").unwrap().standardise, None);
    assert_eq!(data("standardise = \"channel\"").unwrap().standardise, Some(Axis::Channel));
    assert_eq!(data("target = 5").unwrap().target.unwrap(), ["5"]);
    assert_eq!(data("ignore = [\"a\", 2]").unwrap().ignore.unwrap(), ["a", "2"]);
    assert_eq!(data("delimiter = \"\\t\"").unwrap().delimiter, Some(b'\t'));
    assert_eq!(data("missing = \"median\"").unwrap().missing, Missing::Median);
}

#[test]
fn optimizers_by_name_or_table() {
    let optimizer = |text: &str| {
        with("epochs = 3", &format!("epochs = 3\noptimizer = {text}")).map(|experiment| experiment.train.optimizer)
    };
    assert_eq!(optimizer("\"sgd\"").unwrap(), Optimizer::sgd(0.01));
    assert_eq!(optimizer("{ type = \"nesterov\", lr = 0.5 }").unwrap(), Optimizer::momentum(0.5, 0.9, true));
    assert_eq!(optimizer("{ type = \"sgd\", lr = 1 }").unwrap(), Optimizer::sgd(1.0));
    assert_eq!(optimizer("\"adagrad\"").unwrap(), Optimizer::adagrad(0.001));
    assert_eq!("momentum".parse(), Ok(Optimizer::momentum(0.01, 0.9, false)));
    assert!("adamw".parse::<Optimizer>().unwrap_err().to_string().contains("unknown variant `adamw`"));
    let error = optimizer("{ type = \"adam\", momentum = 0.9 }").unwrap_err();
    assert!(error.starts_with("exp/a.toml:13:13: unknown field `momentum`"), "{error}");
    let error = optimizer("{ type = \"adam\", lr = -1 }").unwrap_err();
    assert!(error.contains(":13:") && error.contains("-1 is not a positive number"), "{error}");
    let error = optimizer("{ type = \"adam\", beta_1 = 1.0 }").unwrap_err();
    assert!(error.contains("1 is not a number from 0 to below 1"), "{error}");
}

#[test]
fn records_carry_every_setting() {
    assert_eq!(Optimizer::sgd(0.1).record(), OptimizerRecord::sgd(0.1));
    assert_eq!(Optimizer::momentum(0.1, 0.0, true).record().rule(), Some(Rule::Sgd));
    assert_eq!(Optimizer::momentum(0.1, 0.5, true).record(), OptimizerRecord::momentum(0.1, 0.5, true));
    assert_eq!(Optimizer::adam(0.1).record(), OptimizerRecord::adam(0.1));
    assert_eq!(Optimizer::adagrad(0.1).record(), OptimizerRecord::adagrad(0.1));
    let adam = Optimizer::Adam { lr: 0.1, beta_1: 0.2, beta_2: 0.3, epsilon: 0.4, weight_decay: 0.5 }.record();
    assert_eq!((adam.lr, adam.momentum, adam.beta_2, adam.epsilon, adam.weight_decay), (0.1, 0.2, 0.3, 0.4, 0.5));
}

#[test]
fn errors_have_line_and_column() {
    for (from, to, message) in [
        ("epochs = 3", "epoch = 3", "exp/a.toml:12:1: unknown field `epoch`, expected one of"),
        ("epochs = 3", "epochs = 0", "exp/a.toml:12:10: invalid value: integer `0`, expected a nonzero usize"),
        ("epochs = 3", "epochs = ", "exp/a.toml:12:10: string values must be quoted, expected literal string"),
        ("epochs = 3", "epochs = 3\nloss = \"hinge\"", "exp/a.toml:13:8: unknown variant `hinge`"),
        ("csv = \"table.csv\"", "", "exp/a.toml:2:1: name the data: `csv`, `npz`, or `x` and `y`"),
        ("csv = \"table.csv\"", "x = \"x.npy\"", "exp/a.toml:2:1: `x` and `y` come together"),
        ("csv = \"table.csv\"", "csv = \"t\"\nsplit = 1.5", "exp/a.toml:4:9: 1.5 does not lie between 0 and 1"),
        (
            "csv = \"table.csv\"",
            "csv = \"t\"\nshape = [0]",
            "exp/a.toml:4:9: a shape has at least one axis and no zero",
        ),
        ("csv = \"table.csv\"", "csv = \"t\"\nmissing = \"skip\"", "exp/a.toml:4:11: unknown variant `skip`"),
        ("\"dense\", units = 2", "\"dense\", unit = 2", "exp/a.toml:8:5: unknown field `unit`"),
        ("\"dense\", units = 2", "\"dense\"", "exp/a.toml:8:5: missing field `units`"),
        ("\"dense\", units = 2", "\"dens\", units = 2", "exp/a.toml:8:5: unknown variant `dens`"),
        ("\"dense\", units = 2", "\"dropout\", rate = 0.5", "exp/a.toml:8:5: dropout is not supported yet"),
    ] {
        let error = with(from, to).unwrap_err();
        assert!(error.starts_with(message), "{to}\n{error}\n{message}");
        assert!(!error.contains('\n'), "{error}");
    }
    let error = parse("[data]\ncsv = \"a\"\n[model]\nlayers = []\n[train]\nepochs = 1\n").unwrap_err();
    assert_eq!(error, "exp/a.toml:4:10: the model has no layers");
    assert_eq!(parse("").unwrap_err(), "exp/a.toml:1:1: missing field `data`");
}

#[test]
fn layers_have_their_short_forms() {
    let experiment = with(
        "{ type = \"dense\", units = 4, activation = \"relu\" },",
        r#"
        { type = "conv2d", filters = 4, kernel = 3, strides = [2, 1], padding = "same", activation = "relu" },
        { type = "depthwise_conv2d", kernel = [3, 3] },
        { type = "relu6" },
        { type = "max_pool2d", size = 2 },
        { type = "tanh", name = "squash" },
        { type = "flatten" },"#,
    )
    .unwrap();
    let kinds: Vec<_> = experiment.model.layers.iter().map(|layer| layer.op.kind()).collect();
    assert_eq!(kinds[..2], ["conv2d", "depthwise_conv2d"]);
    assert_eq!(experiment.model.layers[4].name.as_deref(), Some("squash"));
    let crate::graph::Op::Conv2d(conv) = &experiment.model.layers[0].op else { panic!("{kinds:?}") };
    assert_eq!((conv.kernel, conv.strides), ([3, 3], [2, 1]));
}

fn folder(table: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("table.csv"), table).unwrap();
    folder
}

fn table() -> String {
    (0..40).fold(String::from("a,b,kind\n"), |text, i| {
        format!("{text}{i},{},{}\n", 100 - i, if i % 4 == 0 { "rare" } else { "common" })
    })
}

#[test]
fn data_are_divided_and_prepared() {
    let folder = folder(&table());
    let text = MINIMAL.replace("\"table.csv\"", "\"table.csv\"\nstandardise = true\nvalidation = 0.25");
    let experiment = Experiment::parse(&folder.path().join("a.toml"), &text).unwrap();
    let parts = experiment.load().unwrap();
    let validation = parts.validation.as_ref().unwrap();
    assert_eq!((parts.train.len(), validation.len(), parts.test.len()), (24, 8, 8));
    assert_eq!(parts.watched(), validation);
    for part in [&parts.train, validation, &parts.test] {
        let Labels::Class { ids, names } = part.labels() else { unreachable!() };
        assert_eq!(names, &["common", "rare"]);
        assert_eq!(ids.iter().filter(|&&id| id == 1).count(), part.len() / 4);
        assert_eq!(part.preprocessing(), parts.train.preprocessing());
    }
    let x = parts.train.x();
    let mean: f32 = x.iter().step_by(2).sum::<f32>() / 24.0;
    assert!(mean.abs() < 1e-6, "{mean}");

    let graph = experiment.build(&parts.train).unwrap();
    assert_eq!(graph.meta.class_names, ["common", "rare"]);
    assert_eq!(&graph.meta.preprocessing, parts.train.preprocessing());
    assert_eq!(experiment.load().unwrap(), parts, "the seed fixes everything");
}

#[test]
fn layers_that_do_not_fit_name_their_line() {
    let folder = folder(&table());
    let path = folder.path().join("a.toml");
    let build = |text: &str| {
        let experiment = Experiment::parse(&path, text).unwrap();
        let parts = experiment.load().unwrap();
        let error = anyhow::Error::from(experiment.build(&parts.train).unwrap_err());
        format!("{error:#}").replace(&format!("{}", path.display()), "a.toml")
    };
    assert_eq!(
        build(&MINIMAL.replace("units = 2", "units = 3")),
        "a.toml:8: the last layer gives shape [3]; the data have 2 classes"
    );
    let error = build(&MINIMAL.replace(
        "{ type = \"dense\", units = 2",
        "{ type = \"max_pool2d\", size = 2 },\n{ type = \"dense\", units = 2",
    ));
    assert!(error.starts_with("a.toml:8: node `max_pool2d`"), "{error}");
}

#[test]
fn the_shape_must_fit_the_columns() {
    let folder = folder(&table());
    let text = MINIMAL.replace("\"table.csv\"", "\"table.csv\"\nshape = [3, 1]");
    let experiment = Experiment::parse(&folder.path().join("a.toml"), &text).unwrap();
    let error = format!("{:#}", anyhow::Error::from(experiment.load().unwrap_err()));
    assert!(error.ends_with("a.toml:2: [data]: 2 values are not a whole number of samples of shape [3, 1]"), "{error}");
}

#[test]
fn a_bad_cell_names_file_row_and_column() {
    let folder = folder("a,b\n1,x\n?,y\n");
    let experiment = Experiment::parse(&folder.path().join("a.toml"), MINIMAL).unwrap();
    let error = format!("{:#}", anyhow::Error::from(experiment.load().unwrap_err()));
    assert!(error.contains("table.csv: row 2 (line 3), column \"a\": the cell is missing"), "{error}");
}

#[test]
fn holes_are_filled_from_the_training_part_alone() {
    // Of eight rows six train; the hole takes their mean, wherever it is.
    let table = "a,b,kind\n1,?,x\n2,10,x\n4,20,x\n8,40,x\n16,80,x\n32,160,x\n64,320,x\n128,640,x\n";
    let folder = folder(table);
    let text = MINIMAL.replace("\"table.csv\"", "\"table.csv\"\nmissing = \"mean\"\nsplit = 0.75");
    let parts = Experiment::parse(&folder.path().join("a.toml"), &text).unwrap().load().unwrap();
    let Storage::F32(raw) = parts.train.samples() else { unreachable!() };
    let known: Vec<f32> = raw.iter().skip(1).step_by(2).copied().filter(|b| !b.is_nan()).collect();
    let mean = known.iter().sum::<f32>() / known.len() as f32;
    assert_eq!(parts.train.preprocessing().fill[1], mean);
    assert_eq!(parts.test.preprocessing(), parts.train.preprocessing());
    let hole = |part: &Dataset| {
        let rows = part.x();
        rows.chunks(2).find(|row| row[0] == 1.0).map(|row| row[1])
    };
    assert_eq!(hole(&parts.train).or(hole(&parts.test)), Some(mean));

    let folder = self::folder(&format!("a,b,kind\n{}", "?,1,x\n".repeat(8)));
    let error = Experiment::parse(&folder.path().join("a.toml"), &text).unwrap().load().unwrap_err();
    assert!(error.to_string().contains("column \"a\" holds no number in the training part"), "{error}");
}

#[test]
fn noise_can_be_recognised_or_given_back() {
    let text = MINIMAL.replace("csv = \"table.csv\"", "synthetic = { samples = 20, shape = [2, 3], classes = 4 }");
    let experiment = parse(&text).unwrap();
    let parts = experiment.load().unwrap();
    assert_eq!((parts.train.len(), parts.train.shape(), parts.train.labels().outputs()), (16, &[2, 3][..], 4));
    assert_eq!(experiment.load().unwrap(), parts, "the seed fixes everything");

    let text = text.replace("synthetic", "task = \"reconstruction\"\nsynthetic").replace("[2, 3]", "[6]");
    let experiment = parse(&text.replace("units = 2, activation = \"softmax\"", "units = 6")).unwrap();
    let parts = experiment.load().unwrap();
    assert_eq!((parts.train.labels().outputs(), experiment.loss()), (6, Loss::Mse));
    experiment.build(&parts.train).unwrap();
    let error = parse(&text).unwrap().build(&parts.train).unwrap_err().to_string();
    assert!(error.ends_with("the last layer gives shape [2]; the data have samples of shape [6]"), "{error}");
    let error = parse(&text.replace("synthetic", "y = \"y.npy\"\nsynthetic")).unwrap_err();
    assert!(error.ends_with("reconstruction has no `y`"), "{error}");
}

#[test]
fn branches_part_and_meet() {
    let layers = |text: &str| {
        let text = format!("{}[model]\nlayers = [{text}]\n[train]\nepochs = 1\n", "[data]\ncsv = \"table.csv\"\n");
        let folder = folder(&table());
        let experiment = Experiment::parse(&folder.path().join("a.toml"), &text).unwrap();
        let parts = experiment.load().unwrap();
        let result = experiment.build(&parts.train);
        result.map_err(|error| format!("{:#}", anyhow::Error::from(error)))
    };
    let dense = r#"{ type = "dense", units = 2, name = "a", activation = "tanh" }, "#;
    let sum = r#"{ type = "add", inputs = ["a", "input"], activation = "relu" }"#;
    let graph = layers(&format!("{dense}{sum}")).unwrap();
    let kinds: Vec<_> = graph.nodes.iter().map(|node| node.op.kind()).collect();
    assert_eq!(kinds, ["dense", "tanh", "add"]);
    assert_eq!(graph.nodes[2].data_inputs(), [graph.nodes[1].outputs[0], graph.inputs[0]], "a is what follows tanh");
    let error = layers(&format!("{dense}{}", sum.replace("\"a\"", "\"b\""))).unwrap_err();
    assert!(error.contains("no tensor or layer is called `b`; there are: a, input"), "{error}");
    let error = layers(&format!("{dense}{dense}{sum}")).unwrap_err();
    assert!(error.contains("two layers are called `a`"), "{error}");
    let error = layers(&format!("{dense}{}", r#"{ type = "add" }"#)).unwrap_err();
    assert!(error.contains("expected 2 (name them with `inputs`)"), "{error}");
}

#[test]
fn the_repositorys_experiments_load_and_build() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments");
    for (name, rows, classes, parameters) in [("iris", 150, 3, 4 * 10 + 10 + 110 + 33), ("digits", 1797, 10, 1898)] {
        let experiment = Experiment::read(&folder.join(name).with_extension("toml")).unwrap();
        let parts = experiment.load().unwrap();
        assert_eq!(parts.train.len() + parts.test.len(), rows);
        assert_eq!(parts.train.labels().outputs(), classes);
        assert_eq!(experiment.build(&parts.train).unwrap().parameter_count(), parameters);
    }
    // The published sizes (statistics of batch normalisation included, as Keras counts), less the biases of
    // convolutions before a normalisation, which takes them away again: 9 of 64, and 240 in all.
    for (name, parameters) in
        [("s1", 193), ("dscnn", 24_908 - 9 * 64), ("resnet8", 78_666 - 240), ("autoencoder", 269_992)]
    {
        let experiment = Experiment::read(&folder.join(name).with_extension("toml")).unwrap();
        assert_eq!(
            experiment.build(&experiment.load().unwrap().train).unwrap().parameter_count(),
            parameters,
            "{name}"
        );
    }
}

#[test]
fn mnist_that_is_not_there_says_how_to_get_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../experiments/s2.toml");
    // As if it stood in a folder without data.
    let text = std::fs::read_to_string(path).unwrap();
    let mut experiment = Experiment::parse(&folder.path().join("s2.toml"), &text).unwrap();
    experiment.data_folder = Some(folder.path().into());
    let error = experiment.load().unwrap_err().to_string();
    assert!(error.contains("train-images-idx3-ubyte; fetch it with `embernet data get mnist`, or say"), "{error}");
}
