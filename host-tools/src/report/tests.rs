use super::*;

fn sample() -> Report {
    let loss = |scale: f64| (1..=60).map(move |i| (f64::from(i), scale * (-f64::from(i) / 12.0).exp() + 0.02 * scale));
    let accuracy = |top: f64| (1..=60).map(move |i| (f64::from(i), top - 0.6 * (-f64::from(i) / 8.0).exp()));
    let mut digits = Confusion::new((0..10).map(|digit| digit.to_string()).collect());
    for truth in 0..10u32 {
        (0..34).for_each(|_| digits.add(truth, truth));
        if truth % 3 == 0 {
            digits.add(truth, (truth + 5) % 10);
        }
    }
    (0..12).for_each(|_| digits.add(8, 1));
    let mut iris = Confusion::new(["setosa", "versicolor", "virginica"].map(String::from).to_vec());
    for (truth, predicted, count) in [(0, 0, 10), (1, 1, 9), (1, 2, 1), (2, 2, 10)] {
        (0..count).for_each(|_| iris.add(truth, predicted));
    }
    let steps = [
        "conv2d",
        "max_pool2d",
        "conv2d_1",
        "max_pool2d_1",
        "dense",
        "softmax loss",
        "dense weights",
        "dense input",
        "max_pool2d_1 back",
        "conv2d_1 weights",
    ];
    let region =
        |name: &str, kind, offset, bytes, first, last| Region { name: name.into(), kind, offset, bytes, first, last };
    let map = MemoryMap {
        arena_bytes: 11_264,
        steps: steps.map(String::from).to_vec(),
        regions: vec![
            region("dense/kernel", RegionKind::Parameters, 0, 2560, 0, 9),
            region("dense/bias", RegionKind::Parameters, 2560, 40, 0, 9),
            region("Adam m, v", RegionKind::State, 2624, 5200, 0, 9),
            region("input", RegionKind::Activation, 7840, 256, 0, 9),
            region("conv2d/output", RegionKind::Activation, 8096, 2048, 0, 1),
            region("pool", RegionKind::Activation, 10144, 512, 1, 9),
            region("conv2d_1/output", RegionKind::Activation, 8096, 1024, 2, 3),
            region("d pool_1", RegionKind::Gradient, 8096, 256, 7, 9),
            region("tile", RegionKind::Scratch, 10656, 576, 6, 9),
        ],
    };
    Report::new("Digits & <iris>")
        .subtitle("conv-pool-conv-pool-dense, trained on the PC, adapted on an emulated Cortex-M4F")
        .section(
            "At a glance",
            Section::Figures(
                [
                    ("accuracy f32", "0.9861"),
                    ("accuracy int8", "0.9861"),
                    ("flash", "9.1 KB"),
                    ("RAM", "3.4 KB"),
                    ("instructions", "412 k"),
                ]
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            ),
        )
        .section(
            "Training",
            Section::Columns(vec![
                (
                    "loss".into(),
                    Section::Curves(
                        Curves::new("epoch", "loss").series("training", loss(2.3)).series("validation", loss(2.6)),
                    ),
                ),
                (
                    "accuracy".into(),
                    Section::Curves(
                        Curves::new("epoch", "accuracy")
                            .range(Range::UpToOne)
                            .series("training", accuracy(0.995))
                            .series("validation", accuracy(0.98)),
                    ),
                ),
            ]),
        )
        .section(
            "On the device",
            Section::Curves(
                Curves::new("step", "loss").series("SGD", loss(3.0)).series("Adam", loss(2.0)).mark("new user", 20.0),
            ),
        )
        .section(
            "What was taken for what",
            Section::Columns(vec![
                ("iris".into(), Section::Confusion(iris)),
                ("digits".into(), Section::Confusion(digits)),
            ]),
        )
        .section("Memory", Section::MemoryMap(map))
        .section(
            "Footprint",
            Section::Table(
                Table::new(["model", "type", "accuracy", "flash", "RAM", "stack", "instructions"])
                    .row(["iris", "f32", "0.9667", "1 420", "196", "312", "4 311"])
                    .row(["iris", "int8", "0.9667", "980", "64", "296", "3 702"])
                    .row(["digits", "f32", "0.9861", "9 320", "3 400", "344", "412 008"])
                    .row(["digits", "int8", "0.9833", "4 210", "900", "352", "301 777"]),
            ),
        )
        .section(
            "Settings",
            Section::KeyValues(
                [
                    ("optimizer", "Adam, lr 0.003"),
                    ("epochs", "30"),
                    ("batch", "32"),
                    ("seed", "1"),
                    ("training samples", "1438"),
                    ("test samples", "359"),
                ]
                .map(|(name, value)| (name.into(), value.into()))
                .to_vec(),
            ),
        )
        .section(
            "Remarks",
            Section::Text("QEMU counts instructions, not cycles.\n\nA <script>alert(1)</script> is only text.".into()),
        )
}

#[test]
fn the_page_is_whole_and_alone() {
    let html = sample().to_html();
    assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    for outside in ["<script", "http:", "https:", "@import", "url(", "<link", "<img"] {
        // The one address is the name of SVG's vocabulary, which nothing fetches.
        let found = html.replace("xmlns=\"http://www.w3.org/2000/svg\"", "").contains(outside);
        assert!(!found, "{outside}");
    }
    assert!(!html.contains("<?xml"));
    for tag in ["section", "div", "table", "svg", "figure", "dl", "tr", "g", "ul"] {
        let opened = html.matches(&format!("<{tag}>")).count() + html.matches(&format!("<{tag} ")).count();
        assert_eq!(opened, html.matches(&format!("</{tag}>")).count(), "{tag}");
    }
}

#[test]
fn everything_handed_in_is_escaped() {
    let evil = "<b>\"&'";
    let mut matrix = Confusion::new(vec![evil.into()]);
    matrix.add(0, 0);
    let map = MemoryMap {
        arena_bytes: 64,
        steps: vec![evil.into()],
        regions: vec![Region { name: evil.into(), kind: RegionKind::Scratch, offset: 0, bytes: 64, first: 0, last: 0 }],
    };
    let pairs = vec![(evil.to_string(), evil.to_string())];
    let sections = [
        Section::Text(evil.into()),
        Section::KeyValues(pairs.clone()),
        Section::Figures(pairs),
        Section::Curves(Curves::new(evil, evil).series(evil, [(0.0, 1.0)]).mark(evil, 0.5)),
        Section::Confusion(matrix),
        Section::Table(Table::new([evil]).row([evil])),
        Section::MemoryMap(map),
    ];
    for section in sections {
        let html =
            Report::new(evil).subtitle(evil).section(evil, Section::Columns(vec![(evil.into(), section)])).to_html();
        assert!(!html.contains("<b>\"") && !html.contains("&'"), "{html}");
    }
}

/// `EMBERNET_REPORT=/tmp/x.html cargo test -p embernet report` keeps the page, to be looked at.
#[test]
fn the_page_can_be_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    sample().write(&path).unwrap();
    if let Some(copy) = std::env::var_os("EMBERNET_REPORT") {
        std::fs::copy(&path, copy).unwrap();
    }
}
