//! Completion, as a real bash does it.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use libtest_mimic::Trial;

pub(crate) fn trials() -> Vec<Trial> {
    vec![
        Trial::test("bash completes commands flags and values", || {
            completes("bywash");
            Ok(())
        }),
        Trial::test(
            "bash completes the plugin of kubectl under its own name",
            || {
                completes("kubectl-bywash");
                Ok(())
            },
        ),
        Trial::test("kubectl is answered as by cobra", || {
            kubectl_is_answered();
            Ok(())
        }),
    ]
}

/// What bash offers in the place of the last word.
fn offered(name: &str, line: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    symlink(env!("CARGO_BIN_EXE_bywash"), folder.path().join(name)).unwrap();
    let words: Vec<String> = line.split(' ').map(|word| format!("'{word}'")).collect();
    let script = format!(
        "eval \"$({name} completion bash)\"\n\
         COMP_WORDS=({words}) COMP_CWORD={last} COMP_LINE='{line}' COMP_POINT={point}\n\
         complete -p {name} >/dev/null || exit 1\n\
         function=$(complete -p {name} | sed -E 's/.*-F ([^ ]+).*/\\1/')\n\
         $function {name} {current} {previous}\n\
         printf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
        words = words.join(" "),
        last = words.len() - 1,
        point = line.len(),
        current = words.last().unwrap(),
        previous = words[words.len() - 2],
    );
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let output = Command::new("bash")
        .env_clear()
        .env("PATH", path)
        .args(["--norc", "-c", &script])
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {complaint}");
    said.lines().map(str::to_owned).collect()
}

fn completes(name: &str) {
    assert_eq!(offered(name, &format!("{name} expl")), ["explain"]);
    let flags = offered(name, &format!("{name} explain --as"));
    assert_eq!(flags, ["--as", "--as-group"]);
    let values = offered(name, &format!("{name} check --output s"));
    assert_eq!(values, ["sarif"]);
}

/// The script beside the plugin, run as kubectl runs it.
fn kubectl_is_answered() {
    let folder = tempfile::tempdir().unwrap();
    let program = env!("CARGO_BIN_EXE_bywash");
    symlink(program, folder.path().join("kubectl-bywash")).unwrap();
    let script = folder.path().join("kubectl_complete-bywash");
    let printed = Command::new(program)
        .args(["completion", "kubectl"])
        .output()
        .unwrap();
    fs::write(&script, printed.stdout).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.path().display());
    let answer = Command::new("sh")
        .env_clear()
        .env("PATH", path)
        .arg(&script)
        .args(["explain", "--contex"])
        .output()
        .unwrap();
    let answer = String::from_utf8(answer.stdout).unwrap();
    let lines: Vec<&str> = answer.lines().collect();
    assert_eq!(lines.len(), 2, "{answer}");
    assert!(
        lines[0].starts_with("--context\t") && lines[1] == ":4",
        "{answer}"
    );
}
