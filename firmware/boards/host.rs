// What every board's package is on a PC: it builds its program for the board, starts it there (in QEMU, or on the board
// that is plugged in) and watches it. `cargo run -p embernet-board-m4` does.

fn main() -> std::process::ExitCode {
    use std::process::{Command, ExitCode};
    let package = env!("CARGO_PKG_NAME");
    let board = package.strip_prefix("embernet-board-").unwrap_or(package);
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--package", "xtask", "--", "start", board]).args(std::env::args_os().skip(1));
    match command.status() {
        Ok(status) if status.success() => ExitCode::SUCCESS,
        Ok(_) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("cannot start cargo: {error}");
            ExitCode::FAILURE
        }
    }
}
