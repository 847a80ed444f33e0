//! Every built-in operator case on every runtime of this process.

use embernet_tests::cases::{self, Case};
use embernet_tests::runtime::{Device, Runtime, hosts};

fn run_all(cases: &[Case], runtime: &mut dyn Runtime) {
    let name = runtime.name();
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| case.run(runtime).err().map(|error| format!("{} on {name}: {error}", case.name)))
        .collect();
    assert!(failures.is_empty(), "{} of {} cases fail:\n{}", failures.len(), cases.len(), failures.join("\n"));
    println!("{} cases pass on {name}", cases.len());
}

#[test]
fn all_cases_on_every_instruction_set() {
    let cases = cases::all();
    for mut runtime in hosts() {
        run_all(&cases, &mut *runtime);
    }
}

#[test]
fn all_cases_in_the_device_program() {
    run_all(&cases::all(), &mut Device::in_process());
}

#[test]
fn names_are_unique() {
    let mut names: Vec<String> = cases::all().into_iter().map(|case| case.name).collect();
    names.sort();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
}
