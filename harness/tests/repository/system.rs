//! Processes, arguments and files are used in a few places only, which take care of what goes wrong elsewhere.

use crate::texts::texts;

/// What may be used only in these files, and why.
const RULES: [(&[&str], &[&str], &str); 4] = [
    (&["Command::new("], &["system/command.rs"], "a child process must not inherit git's variables"),
    (&["env::args(", "env::vars("], &[], "they panic where a text is not UTF-8"),
    (
        &["fs::write(", "fs::rename(", "fs::copy(", "File::create", "OpenOptions::new("],
        // The directory of a kept program is moved into place as a whole; a recording is in a temporary directory; samples
        // are appended to a file in a locked directory; a file in /proc is a request to the system.
        &["system/directory.rs", "gate/revision.rs", "gate/instructions.rs", "record/store.rs", "system/process.rs"],
        "a file may be written by one process only, and as a whole",
    ),
    (
        &["temp_dir(", "tempfile::"],
        &["gate/instructions.rs", "system/cleanup.rs"],
        "a temporary directory needs a name that no other process has",
    ),
];

/// The code of the harness, without tests.
fn code() -> Vec<(String, String)> {
    let sources = texts().into_iter().filter_map(|(path, text)| {
        let path = path.strip_prefix("harness/src/")?.strip_suffix(".rs")?.to_owned() + ".rs";
        let code = text.split("\n#[cfg(test)]\n").next().unwrap_or_default();
        let lines = code.lines().filter(|line| !line.trim_start().starts_with("//"));
        Some((path, lines.collect::<Vec<_>>().join("\n")))
    });
    sources.collect()
}

fn broken(sources: &[(String, String)]) -> Vec<String> {
    let mut found = Vec::new();
    for (words, files, why) in RULES {
        for (path, code) in sources.iter().filter(|(path, _)| !files.contains(&path.as_str())) {
            found.extend(
                words.iter().filter(|word| code.contains(**word)).map(|word| format!("{path}: `{word}`: {why}")),
            );
        }
    }
    found
}

#[test]
fn processes_arguments_and_files_are_used_where_it_is_safe() {
    let sources = code();
    assert!(sources.len() > 50, "{}", sources.len());
    assert_eq!(broken(&sources), [""; 0]);
    for (_, files, _) in RULES {
        files.iter().for_each(|file| assert!(sources.iter().any(|(path, _)| path == file), "{file}"));
    }
}

#[test]
fn a_use_elsewhere_is_found() {
    for (words, _, why) in RULES {
        for word in words {
            let source = ("cmd/new.rs".to_owned(), format!("fn f() {{ std::{word}\"x\"); }}\n"));
            assert_eq!(broken(&[source]), [format!("cmd/new.rs: `{word}`: {why}")]);
        }
    }
}

/// A test that starts git in a hook would otherwise work on the repository of the hook. The build script has the same rule.
#[test]
fn scripts_and_the_build_script_leave_gits_variables_behind() {
    let texts = texts();
    let uses_git = |text: &str| text.lines().any(|line| !line.trim_start().starts_with('#') && line.contains("git "));
    let scripts = texts.iter().filter(|(path, text)| {
        (path.starts_with("scripts/") && path.ends_with(".sh") || path == ".ci/run") && uses_git(text)
    });
    let mut count = 0;
    for (path, text) in scripts {
        count += 1;
        assert!(text.contains("unset $(git rev-parse --local-env-vars)"), "{path}");
    }
    assert!(count >= 3);
    let build = &texts.iter().find(|(path, _)| path == "harness/build.rs").unwrap().1;
    assert_eq!(build.matches("Command::new(\"git\")").count(), 1);
    assert!(build.contains("b\"GIT_\"") && !build.contains("env::vars("));
}
