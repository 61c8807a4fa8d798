//! No two files of a crate import each other, directly or in a circle. Each room of the harness (a folder of `harness/src`)
//! uses only those below it.

use std::collections::{BTreeMap, BTreeSet};

use crate::texts::texts;

/// The rooms of the harness: each uses only those after it.
const ROOMS: [&str; 11] =
    ["program", "cmd", "gate", "report", "run", "measure", "pipe", "registry", "analysis", "record", "system"];

/// A module, as the path of names from its crate's root.
type Module = Vec<String>;
/// The modules that each module imports.
type Imports = BTreeMap<Module, BTreeSet<Module>>;

/// The modules of a crate and their imports. Tests are left out.
fn imports(sources: &[(String, String)], name: &str) -> Imports {
    let source = format!("{name}/src/");
    let module = |path: &str| -> Option<Module> {
        let parts: Vec<&str> = path.strip_prefix(&source)?.strip_suffix(".rs")?.split('/').collect();
        let is_root = ["mod", "lib"].contains(parts.last()?);
        let own = &parts[..parts.len() - usize::from(is_root)];
        (!parts.contains(&"tests") && *path != format!("{source}main.rs"))
            .then(|| own.iter().map(|part| (*part).to_owned()).collect())
    };
    let modules: BTreeMap<Module, &str> =
        sources.iter().filter_map(|(path, text)| Some((module(path)?, text.as_str()))).collect();
    modules.iter().map(|(module, text)| (module.clone(), imported(module, text, &modules))).collect()
}

fn imported(module: &Module, text: &str, modules: &BTreeMap<Module, &str>) -> BTreeSet<Module> {
    let code = code(text);
    // Such imports would hide where a name comes from.
    for hidden in ["use crate as", "extern crate self", "use crate::*", "use super::*", "use self::*"] {
        assert!(!code.contains(hidden), "{module:?} has `{hidden}`; try to import names");
    }
    let mut paths: Vec<String> = Vec::new();
    let mut rest = String::new();
    for statement in code.split_inclusive(';') {
        // The keyword, not the end of a name.
        let keyword = |at: &usize| statement[..*at].chars().next_back().is_none_or(char::is_whitespace);
        match statement.rfind("use ").filter(keyword) {
            Some(at) if !statement[at..].contains(['(', '=']) => {
                rest.push_str(&statement[..at]);
                paths.extend(expand(statement[at + 4..].trim_end_matches(';').trim()));
            }
            _ => rest.push_str(statement),
        }
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut words: Vec<String> =
        rest.split(|c| !is_part(c)).filter(|word| word.contains("::")).map(str::to_owned).collect();
    // A path may begin with a module that was imported.
    for word in &mut words {
        let (first, others) = word.split_once("::").unwrap();
        if let Some(path) = paths.iter().find(|path| path.rsplit("::").next() == Some(first)) {
            *word = format!("{path}::{others}");
        }
    }
    paths.extend(words);
    paths.iter().filter_map(|path| target(module, path, modules)).filter(|other| other != module).collect()
}

/// The text without comments, texts in quotes, and items for tests.
fn code(text: &str) -> String {
    let mut code = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '/' if chars.peek() == Some(&'/') => while chars.next_if(|c| *c != '\n').is_some() {},
            '"' => {
                while let Some(c) = chars.next().filter(|c| *c != '"') {
                    if c == '\\' {
                        chars.next();
                    }
                }
            }
            // A character; what begins otherwise is a lifetime.
            '\'' => {
                let mut ahead = chars.clone();
                let escaped = ahead.next() == Some('\\');
                if escaped {
                    ahead.next();
                }
                if ahead.find(|c| !escaped || *c == '\'') == Some('\'') {
                    chars = ahead;
                }
            }
            _ => code.push(c),
        }
    }
    without_tests(&code)
}

/// A module for tests is a declaration, or a block.
fn without_tests(code: &str) -> String {
    let mut parts = code.split("#[cfg(test)]");
    let mut kept = parts.next().unwrap().to_owned();
    for part in parts {
        let (mut depth, mut end) = (0, 0);
        for (at, c) in part.char_indices() {
            depth += i32::from(c == '{') - i32::from(c == '}');
            end = at + 1;
            if depth == 0 && (c == ';' || c == '}') {
                break;
            }
        }
        kept.push_str(&part[end..]);
    }
    kept
}

/// `a::{b, c::{d, e}}` as `a::b`, `a::c::d` and `a::c::e`.
fn expand(tree: &str) -> Vec<String> {
    let Some((before, inner)) = tree.split_once('{') else {
        return vec![tree.split_whitespace().next().unwrap_or_default().to_owned()];
    };
    let inner = &inner[..inner.rfind('}').unwrap_or(inner.len())];
    let (mut paths, mut depth, mut start) = (Vec::new(), 0, 0);
    for (at, c) in inner.char_indices().chain([(inner.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                paths
                    .extend(expand(inner[start..at].trim()).into_iter().map(|path| format!("{}{path}", before.trim())));
                start = (at + 1).min(inner.len());
            }
            _ => {}
        }
    }
    paths
}

/// The module in which a path ends, if it is one of the crate's own.
fn target(module: &Module, path: &str, modules: &BTreeMap<Module, &str>) -> Option<Module> {
    let mut names = path.split("::").peekable();
    let mut at: Module = match names.peek()? {
        &"crate" => names.next().map(|_| Vec::new())?,
        &"self" | &"super" => {
            let mut at = module.clone();
            while let Some(name) = names.next_if(|name| ["self", "super"].contains(name)) {
                if name == "super" {
                    at.pop();
                }
            }
            at
        }
        name => {
            let child = [module.as_slice(), &[(*name).to_owned()]].concat();
            modules.contains_key(&child).then(|| module.clone())?
        }
    };
    for name in names {
        at.push(name.to_owned());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
    }
    modules.contains_key(&at).then_some(at)
}

/// A circle of imports, if there is one.
fn circle(imports: &Imports) -> Option<Vec<&Module>> {
    fn visit<'a>(
        imports: &'a Imports,
        module: &'a Module,
        open: &mut Vec<&'a Module>,
        done: &mut BTreeSet<&'a Module>,
    ) -> bool {
        if done.contains(module) {
            return false;
        }
        let again = open.contains(&module);
        open.push(module);
        if again || imports[module].iter().any(|other| visit(imports, other, open, done)) {
            return true;
        }
        open.pop();
        done.insert(module);
        false
    }
    let (mut open, mut done) = (Vec::new(), BTreeSet::new());
    imports.keys().any(|module| visit(imports, module, &mut open, &mut done)).then(|| {
        let first = open.iter().position(|module| Some(module) == open.last()).unwrap();
        open.split_off(first)
    })
}

#[test]
fn no_file_imports_itself_by_way_of_others() {
    let sources = texts();
    for name in ["protocol", "dcgka", "baselines", "harness"] {
        let imports = imports(&sources, name);
        assert!(imports.len() > 5 && imports.values().filter(|others| !others.is_empty()).count() > 5, "{name}");
        let circle = circle(&imports).map(|modules| modules.iter().map(|module| module.join("::")).collect::<Vec<_>>());
        assert_eq!(circle, None, "in {name}");
    }
}

#[test]
fn rooms_of_the_harness_use_only_those_below_them() {
    let rank = |module: &Module| ROOMS.iter().position(|room| Some(*room) == module.first().map(String::as_str));
    let imports = imports(&texts(), "harness");
    for (module, others) in imports.iter().filter(|(module, _)| !module.is_empty()) {
        for other in others {
            let (from, to) = (rank(module), rank(other));
            if from.is_some() || to.is_some() {
                assert!(from <= to && from.is_some() || module[0] == "synthetic", "{module:?} uses {other:?}");
            }
        }
    }
}

#[test]
fn circles_are_found_in_every_form_of_an_import() {
    let source = |name: &str, text: &str| (format!("toy/src/{name}.rs"), text.to_owned());
    let circles = |files: &[(&str, &str)]| {
        let sources: Vec<_> = files.iter().map(|(name, text)| source(name, text)).collect();
        circle(&imports(&sources, "toy")).is_some()
    };
    for text in [
        "use crate::b::B;",
        "pub(crate) use crate::{c::C, b::{self, B}};",
        "use super::b;",
        "fn f() {\n    crate::b::g();\n}\n",
        "use std::fmt;\n\nuse super::{\n    b::B,\n    c::C,\n};\n",
    ] {
        assert!(
            circles(&[
                ("lib", "mod a; mod b; mod c;"),
                ("a", text),
                ("b", "use crate::c::C;"),
                ("c", "use crate::a::A;")
            ]),
            "{text}"
        );
    }
    let by_name = [
        ("lib", ""),
        ("a", "use crate::b;\nfn f() { b::c::g() }\n"),
        ("b/mod", "pub mod c;"),
        ("b/c", "use crate::a::A;"),
    ];
    assert!(circles(&by_name), "by way of an imported module");
    let after_tests = [("lib", ""), ("a", "#[cfg(test)]\nmod tests;\n\nuse crate::b::B;\n"), ("b", "use crate::a::A;")];
    assert!(circles(&after_tests), "below a module for tests");
    let quoted = [("lib", ""), ("a", "const Q: char = '\"'; use crate::b::B;"), ("b", "use crate::a::A;")];
    assert!(circles(&quoted), "after a quotation mark");
    assert!(circles(&[("lib", ""), ("a/mod", "mod b;\nuse b::B;\n"), ("a/b", "use super::A;\n")]), "parent and child");
    let fair = [
        ("lib", "mod a;\nmod b;\n"),
        ("a", "use crate::b::B; // use crate::a\n"),
        ("b", "#[cfg(test)]\nmod tests {\n    use crate::a::A;\n}\n"),
    ];
    assert!(!circles(&fair), "comments and tests do not count");
}
