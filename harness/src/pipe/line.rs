//! A line of a program: an answer, a refusal, or a question during a call.

use data_encoding::BASE64;
use protocol::id::MemberId;
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

/// Bytes, in base64.
pub(super) fn base64(bytes: &[u8]) -> String {
    BASE64.encode(bytes)
}

/// Bytes that were written in base64.
pub(super) struct Bytes(pub(super) Vec<u8>);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        BASE64.decode(text.as_bytes()).map(Self).map_err(|error| D::Error::custom(format!("no base64: {error}")))
    }
}

/// An id or a hash, of 32 bytes.
pub(super) struct Id(pub(super) [u8; 32]);

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Bytes(bytes) = Bytes::deserialize(deserializer)?;
        let len = bytes.len();
        bytes.try_into().map(Self).map_err(|_| D::Error::custom(format!("an id or hash of {len} bytes, not 32")))
    }
}

/// A line.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: u64,
    ok: Option<Map<String, Value>>,
    error: Option<String>,
    ask: Option<Ask>,
    user: Option<Id>,
}

/// What a program can ask for during a call.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ask {
    /// A user's bundle.
    Bundle,
    /// One of a user's one-time bundles.
    OneTime,
    /// Whether the user confirms an inviter.
    Confirm,
}

/// What a line says.
pub(super) enum Said {
    Ok(Map<String, Value>),
    Error(String),
    Asks(Ask, MemberId),
}

/// How many bytes are shown of a line that is no answer.
const SHOWN: usize = 80;

/// What a line says in the request of this number.
///
/// # Errors
/// It is no line of the protocol, or belongs to another request; in words.
pub(super) fn said(line: &[u8], id: u64) -> Result<Said, String> {
    let parsed = serde_json::from_slice(line).and_then(|fields| serde_json::from_value(Value::Object(fields)));
    let begins = String::from_utf8_lossy(&line[..line.len().min(SHOWN)]);
    let line: Line = parsed.map_err(|error| format!("its line is no answer: {error}; it begins with `{begins}`"))?;
    if line.id != id {
        return Err(format!("it has answered request {}, and was asked {id}", line.id));
    }
    match (line.ok, line.error, line.ask, line.user) {
        (Some(ok), None, None, None) => Ok(Said::Ok(ok)),
        (None, Some(error), None, None) => Ok(Said::Error(error)),
        (None, None, Some(ask), Some(Id(user))) => Ok(Said::Asks(ask, MemberId(user))),
        _ => Err("its line is no answer: one of `ok`, `error`, or `ask` with `user` is needed".to_owned()),
    }
}

/// The fields of an answer.
///
/// # Errors
/// They are not those of the call; in words.
pub(super) fn fields<T: DeserializeOwned>(call: &str, ok: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(ok)).map_err(|error| format!("its answer to `{call}` is wrong: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_that_are_no_answer_say_why() {
        let wrong = |line: &str| said(line.as_bytes(), 7).err().unwrap();
        for line in
            ["", "nonsense", "[]", "{}", "\u{0}", r#"{"id":-7}"#, r#"{"id":7,"ok":null}"#, r#"{"id":7,"ok":[]}"#]
        {
            assert!(wrong(line).starts_with("its line is no answer: "), "{line}");
        }
        assert_eq!(wrong(r#"{"id":8,"ok":{}}"#), "it has answered request 8, and was asked 7");
        assert!(wrong(r#"{"id":7,"ok":{},"error":"malformed"}"#).contains("one of `ok`"));
        assert!(wrong(r#"{"id":7,"ask":"bundle"}"#).contains("one of `ok`"));
        assert!(wrong(r#"{"id":7,"ask":"bundle","user":"AAAA"}"#).contains("of 3 bytes, not 32"));
        assert!(wrong(r#"{"id":7,"ask":"bundle","user":"A"}"#).contains("no base64"));
        assert!(wrong(&"{\"a\":".repeat(1 << 20)).contains("recursion limit"));
        assert!(matches!(said(br#"{"id":7,"error":"malformed"}"#, 7), Ok(Said::Error(name)) if name == "malformed"));
    }
}
