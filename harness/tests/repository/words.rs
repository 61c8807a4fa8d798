//! The words of docs/GLOSSARY.md, and no others: its last table lists words that the project does not use.

use crate::texts::{root, texts};

const GLOSSARY: &str = "docs/GLOSSARY.md";

/// The words in the first column of the glossary's last table.
fn banned() -> Vec<String> {
    let text = std::fs::read_to_string(root().join(GLOSSARY)).unwrap();
    let table = text.split("## Words that we do not use").nth(1).unwrap();
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let words = rows.flat_map(|row| row.split('|').nth(1).unwrap().split(','));
    words.map(|word| word.trim().to_owned()).collect()
}

/// The banned words in a text. A word alone in quotation marks or backticks is a name in data.
fn found<'a>(banned: &'a [String], text: &str) -> Vec<&'a str> {
    // Names in snake case and in camel case are words, too.
    let mut words = String::from(" ");
    let mut before = ' ';
    for c in text.chars() {
        if c.is_uppercase() && before.is_lowercase() {
            words.push(' ');
        }
        words.extend(c.to_lowercase().map(|c| if c == '_' || c == '-' { ' ' } else { c }));
        before = c;
    }
    let line = words + " ";
    let stands_in = |word: &&String| {
        line.match_indices(word.as_str()).any(|(at, _)| {
            let before = line[..at].chars().next_back().unwrap();
            let after = line[at + word.len()..].chars().next().unwrap();
            let is_name = before == after && ['"', '`'].contains(&before);
            !before.is_alphanumeric() && !after.is_alphanumeric() && !is_name
        })
    };
    banned.iter().filter(stands_in).map(String::as_str).collect()
}

#[test]
fn a_banned_word_is_found_unless_it_is_a_name_in_data() {
    let banned = banned();
    assert!(banned.len() > 25, "{banned:?}");
    for word in &banned {
        assert!(word.chars().all(|c| c.is_ascii_lowercase() || c == ' '), "{word}");
        for line in [
            word.clone(),
            format!("The {word}, and so on"),
            word.to_uppercase(),
            word.replace(' ', "_"),
            word.replace(' ', "-"),
        ] {
            assert!(found(&banned, &line).contains(&word.as_str()), "{line}");
        }
        for line in [format!("the field `{word}`"), format!("#[serde(rename = \"{word}\")]"), format!("un{word}ish")] {
            assert!(!found(&banned, &line).contains(&word.as_str()), "{line}");
        }
    }
}

#[test]
fn no_text_of_the_project_has_a_banned_word() {
    let banned = banned();
    let mut complaints = Vec::new();
    for (path, text) in texts().into_iter().filter(|(path, _)| path != GLOSSARY) {
        for (number, line) in text.lines().enumerate() {
            for word in found(&banned, line) {
                complaints.push(format!("{path}:{}: `{word}`", number + 1));
            }
        }
        // Phrases can go on in the next line, behind the mark of a comment.
        let lines: Vec<&str> =
            text.lines().map(|line| line.trim().trim_start_matches(['/', '!', '#', '>', '*', '|', ' '])).collect();
        for pair in lines.windows(2) {
            let joined = format!("{} {}", pair[0], pair[1]);
            for word in found(&banned, &joined).into_iter().filter(|word| word.contains(' ')) {
                complaints.push(format!("{path}: `{word}` in `{joined}`"));
            }
        }
        for word in found(&banned, &path) {
            complaints.push(format!("{path}: `{word}` in its name"));
        }
    }
    assert!(complaints.is_empty(), "docs/GLOSSARY.md says what to write instead:\n{}", complaints.join("\n"));
}
