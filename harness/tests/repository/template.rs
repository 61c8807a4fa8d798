//! The template builds in the same way inside this workspace and outside it: what it repeats is what the workspace says.

use std::fs;

use toml::{Table, Value};

use crate::texts::root;

fn table(path: &str) -> Table {
    fs::read_to_string(root().join(path)).unwrap().parse().unwrap()
}

/// Checks that each value in `part` is in `whole` too, at the same place.
fn contains(whole: &Table, part: &Table) -> Result<(), String> {
    for (key, value) in part {
        match (whole.get(key), value) {
            (Some(Value::Table(whole)), Value::Table(part)) => {
                contains(whole, part).map_err(|place| format!("{key}.{place}"))?;
            }
            (found, value) if found == Some(value) => {}
            (found, value) => return Err(format!("{key} is {value:?}, but the workspace has {found:?}")),
        }
    }
    Ok(())
}

fn section<'a>(table: &'a Table, names: &[&str]) -> &'a Table {
    names.iter().fold(table, |table, name| table[*name].as_table().unwrap())
}

#[test]
fn the_template_has_the_flags_profiles_and_lints_of_the_workspace() {
    let (workspace, flags) = (table("Cargo.toml"), table(".cargo/config.toml"));
    let (package, config) = (table("examples/template/Cargo.toml"), table("examples/template/.cargo/config.toml"));
    assert_eq!(section(&config, &["target"]), section(&flags, &["target"]));
    assert_eq!(contains(section(&workspace, &["profile"]), section(&config, &["profile"])), Ok(()));
    // All of the release profile but the setting of one package, which only makes it compile faster.
    let mut release = section(&workspace, &["profile", "release"]).clone();
    release.remove("package");
    assert_eq!(section(&config, &["profile", "release"]), &release);
    assert_eq!(section(&package, &["lints"]), section(&workspace, &["workspace", "lints"]));
}

#[test]
fn the_template_has_the_editions_and_versions_of_the_workspace() {
    let (workspace, package) = (table("Cargo.toml"), table("examples/template/Cargo.toml"));
    let mut own = section(&package, &["package"]).clone();
    assert!(own.remove("name").is_some() && own.remove("description").is_some());
    assert_eq!(contains(section(&workspace, &["workspace", "package"]), &own), Ok(()));
    let mut others = section(&package, &["dependencies"]).clone();
    assert!(others.remove("harness").is_some() && others.remove("protocol").is_some());
    assert_eq!(contains(section(&workspace, &["workspace", "dependencies"]), &others), Ok(()));
}
