use proptest::prelude::*;

use super::*;

fn with(options: CsvOptions, text: &str) -> Result<Table, String> {
    parse(text.as_bytes(), &options).map_err(|error| error.to_string())
}

fn plain(text: &str) -> Result<Table, String> {
    with(CsvOptions::default(), text)
}

fn class(ids: &[u32], names: &[&str]) -> Labels {
    Labels::Class { ids: ids.to_vec(), names: names.iter().map(ToString::to_string).collect() }
}

#[test]
fn a_header_is_recognised_and_classes_are_named() {
    let table = plain("a,b,kind\n1,2,rose\n3,4,iris\n5,6,rose\n").unwrap();
    assert_eq!(table.columns, ["a", "b"]);
    assert_eq!(table.x, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
    assert_eq!(table.labels, class(&[1, 0, 1], &["iris", "rose"]));
}

#[test]
fn without_header_columns_have_numbers() {
    let table = plain("M,0.5,15\nF,0.4,7").unwrap_err();
    assert_eq!(
        table,
        "row 1 (line 1), column \"1\": \"M\" is no number; `missing` can be \"drop\", \"mean\" or \"median\""
    );
    let options = CsvOptions { target: Target::Class("1".into()), ..CsvOptions::default() };
    let table = with(options, "M,0.5,15\nF,0.4,7").unwrap();
    assert_eq!(table.x, [0.5, 15.0, 0.4, 7.0]);
    assert_eq!(table.labels, class(&[1, 0], &["F", "M"]));
}

#[test]
fn whole_numbers_sort_as_numbers() {
    let table = plain("x,y\n1,10\n1,9\n1,2\n").unwrap();
    assert_eq!(table.labels, class(&[2, 1, 0], &["2", "9", "10"]));
}

#[test]
fn spaces_quotes_semicolons_and_the_byte_order_mark() {
    let table = plain("\u{feff}\"a\"; b ;\"the target\"\r\n 1 ;\"2\"; x\r\n").unwrap();
    assert_eq!(table.columns, ["a", "b"]);
    assert_eq!(table.x, [1.0, 2.0]);
}

#[test]
fn bad_cells_name_row_and_column() {
    for (cell, message) in [
        (
            "",
            "row 2 (line 3), column \"b\": the cell is missing (\"\"); `missing` can be \"drop\", \"mean\" or \"median\"",
        ),
        (
            "?",
            "row 2 (line 3), column \"b\": the cell is missing (\"?\"); `missing` can be \"drop\", \"mean\" or \"median\"",
        ),
        (
            "NaN",
            "row 2 (line 3), column \"b\": the cell is missing (\"NaN\"); `missing` can be \"drop\", \"mean\" or \"median\"",
        ),
        (
            "12O",
            "row 2 (line 3), column \"b\": \"12O\" is no number; `missing` can be \"drop\", \"mean\" or \"median\"",
        ),
        (
            "inf",
            "row 2 (line 3), column \"b\": \"inf\" is no number; `missing` can be \"drop\", \"mean\" or \"median\"",
        ),
        (
            "1e99",
            "row 2 (line 3), column \"b\": \"1e99\" is no number; `missing` can be \"drop\", \"mean\" or \"median\"",
        ),
    ] {
        assert_eq!(plain(&format!("a,b,c\n1,2,x\n1,{cell},x\n")).unwrap_err(), message);
    }
}

#[test]
fn bad_cells_can_be_dropped_or_filled() {
    let text = "a,b,c\n1,2,x\nzwei,?,y\n3,,x\n8,10,y\n";
    let missing = |missing| with(CsvOptions { missing, ..CsvOptions::default() }, text).unwrap();
    let dropped = missing(Missing::Drop);
    assert_eq!((dropped.x, dropped.dropped, dropped.holes), (vec![1.0, 2.0, 8.0, 10.0], 2, 0));
    assert_eq!(dropped.labels, class(&[0, 1], &["x", "y"]));
    // What fills them is found later, from the training part.
    let mean = missing(Missing::Mean);
    let known: Vec<Option<f32>> = mean.x.iter().map(|x| Some(*x).filter(|x| !x.is_nan())).collect();
    assert_eq!(known, [Some(1.0), Some(2.0), None, None, Some(3.0), None, Some(8.0), Some(10.0)]);
    assert_eq!((mean.holes, missing(Missing::Median).holes), (3, 3));
}

#[test]
fn a_column_of_text_can_be_left_out() {
    let options = CsvOptions { ignore: vec!["island".into()], ..CsvOptions::default() };
    assert_eq!(with(options, "a,island,c\n1,Torgersen,x\n2,Biscoe,y\n").unwrap().x, [1.0, 2.0]);
}

#[test]
fn targets_must_be_there_and_known() {
    assert_eq!(
        plain("a,c\n1,x\n2,\n").unwrap_err(),
        "row 2 (line 3), column \"c\": the target is missing (\"\"); only `missing` = \"drop\" can help"
    );
    let options = CsvOptions { classes: Some(vec!["0".into(), "1".into()]), ..CsvOptions::default() };
    assert_eq!(
        with(options, "a,c\n1,1\n2,7\n").unwrap_err(),
        "row 2 (line 3), column \"c\": class \"7\" is out of range; the classes are \"0\", \"1\""
    );
}

#[test]
fn several_numbers_can_be_the_target() {
    let options = CsvOptions { target: Target::Values(vec!["y".into(), "z".into()]), ..CsvOptions::default() };
    let table = with(options.clone(), "y,a,z\n1,2,3\n4,5,6\n").unwrap();
    assert_eq!(table.x, [2.0, 5.0]);
    assert_eq!(table.labels, Labels::Values { values: vec![1.0, 3.0, 4.0, 6.0], width: 2 });
    let error = with(options, "y,a,z\n1,2,much\n").unwrap_err();
    assert!(error.starts_with("row 1 (line 2), column \"z\": \"much\" is no number"), "{error}");
}

#[test]
fn tables_that_are_none() {
    assert_eq!(plain("").unwrap_err(), "the table has no rows");
    assert_eq!(plain("a,b\n").unwrap_err(), "the table has no rows");
    assert_eq!(plain("a\n1\n").unwrap_err(), "the table has no feature column beside its target");
    assert_eq!(plain("a,b\n1,2\n1\n").unwrap_err(), "row 2 (line 3) has 1 cells; the table has 2 columns");
    let options = CsvOptions { target: Target::Class("c".into()), ..CsvOptions::default() };
    assert_eq!(with(options, "a,b\n1,2\n").unwrap_err(), "there is no column \"c\"; the table has \"a\", \"b\"");
    let options = CsvOptions { missing: Missing::Drop, ..CsvOptions::default() };
    assert_eq!(with(options, "a,b\n?,2\n").unwrap_err(), "the table has no rows left: all 1 were dropped");
}

#[test]
fn empty_lines_do_not_shift_the_line_numbers() {
    let error = plain("a,b\n1,x\n\n\n2,x\nq,x\n").unwrap_err();
    assert!(error.starts_with("row 3 (line 6), column \"a\""), "{error}");
}

#[test]
fn bytes_that_are_no_text_are_no_number() {
    let error = parse(b"a,b\n\xff\xfe,x\n", &CsvOptions::default()).unwrap_err();
    assert!(matches!(error, CsvError::NotANumber { .. }));
}

proptest! {
    #[test]
    fn what_is_written_is_read(
        rows in prop::collection::vec((prop::array::uniform3(-1e30f32..1e30), 0u32..4), 1..30),
        header: bool,
    ) {
        let mut text = String::from(if header { "a,b,c,target\n" } else { "" });
        for (x, label) in &rows {
            text.push_str(&format!("{},{:e},{},{label}\n", x[0], x[1], x[2]));
        }
        let classes = Some((0..4).map(|i| i.to_string()).collect());
        let table = with(CsvOptions { classes, ..CsvOptions::default() }, &text).unwrap();
        prop_assert_eq!(table.x, rows.iter().flat_map(|(x, _)| *x).collect::<Vec<_>>());
        let ids: Vec<_> = rows.iter().map(|(_, label)| *label).collect();
        prop_assert_eq!(table.labels, class(&ids, &["0", "1", "2", "3"]));
    }

    #[test]
    fn any_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), text in "[0-9a,;\"\n\r?.]{0,80}") {
        for missing in [Missing::Error, Missing::Drop, Missing::Mean, Missing::Median] {
            let options = CsvOptions { missing, ..CsvOptions::default() };
            let _ = parse(&bytes, &options);
            let _ = parse(text.as_bytes(), &options);
        }
    }
}
