//! What people type.

use std::fmt;

use crate::{Error, Result};

/// Longest query in characters.
const MAX_CHARS: usize = 1000;

/// A query as typed: words, `"quoted phrases"` and `person:"Name"`.
///
/// ```
/// use heimdex::search::Query;
/// let query = Query::parse(r#"rain "red car" person:"Mina Kim""#)?;
/// assert_eq!(query.words, "rain");
/// assert_eq!(query.phrases, ["red car"]);
/// assert_eq!(query.people, ["Mina Kim"]);
/// # Ok::<(), heimdex::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Query {
    /// Words, one space between them. A scene needs none of them in particular.
    pub words: String,
    /// Each must be said, shown or named as written.
    pub phrases: Vec<String>,
    /// Each of these people must be in the scene.
    pub people: Vec<String>,
}

impl Query {
    /// Reads a query. A quote that is never closed counts as a letter.
    ///
    /// # Errors
    /// [`ErrorKind::Query`](crate::ErrorKind::Query) when it is empty or longer than 1,000 characters.
    pub fn parse(text: &str) -> Result<Self> {
        if text.chars().count() > MAX_CHARS {
            return Err(Error::Query(format!("longer than {MAX_CHARS} characters")));
        }
        let mut query = Self::default();
        let mut words = Vec::new();
        let mut rest = text.trim_start();
        while !rest.is_empty() {
            if let Some((phrase, after)) = quoted(rest) {
                push(&mut query.phrases, phrase);
                rest = after.trim_start();
                continue;
            }
            let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
            if let Some(name) = rest.strip_prefix("person:") {
                let (name, after) = quoted(name).unwrap_or_else(|| name.split_at(end - "person:".len()));
                push(&mut query.people, name);
                rest = after.trim_start();
                continue;
            }
            words.push(&rest[..end]);
            rest = rest[end..].trim_start();
        }
        query.words = words.join(" ");
        if query == Self::default() {
            return Err(Error::Query("there is nothing to search for".to_owned()));
        }
        Ok(query)
    }

    /// Everything in words, for models that read sentences.
    pub(super) fn sentence(&self) -> String {
        let mut parts = vec![self.words.as_str()];
        parts.extend(self.phrases.iter().map(String::as_str));
        parts.join(" ").trim().to_owned()
    }
}

fn push(list: &mut Vec<String>, text: &str) {
    let text = text.replace(['"', '“', '”'], " ");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.is_empty() {
        list.push(text);
    }
}

/// The text between quotes at the beginning, and what follows.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let open = text.chars().next().filter(|c| matches!(c, '"' | '“' | '”'))?;
    let inner = &text[open.len_utf8()..];
    let close = inner.find(['"', '“', '”'])?;
    let length = inner[close..].chars().next().map_or(1, char::len_utf8);
    Some((&inner[..close], &inner[close + length..]))
}

impl fmt::Display for Query {
    /// What [`parse`](Self::parse) reads back.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts: Vec<String> = self.phrases.iter().map(|phrase| format!("\"{phrase}\"")).collect();
        parts.extend(self.people.iter().map(|name| format!("person:\"{name}\"")));
        // Last, because a word may begin with a quote that is never closed.
        if !self.words.is_empty() {
            parts.push(self.words.clone());
        }
        f.write_str(&parts.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_people_type() {
        let parse = |text| Query::parse(text).unwrap();
        assert_eq!(parse("  red   car ").words, "red car");
        assert_eq!(parse("“red car”").phrases, ["red car"]);
        assert_eq!(parse("person:Mina rain").people, ["Mina"]);
        assert_eq!(parse("5\" nails").words, "5\" nails", "an open quote is a letter");
        assert_eq!(parse("\"open rain").words, "\"open rain");
        assert!(Query::parse("  ").is_err());
        assert!(Query::parse("\"\"").is_err());
        assert!(Query::parse(&"x".repeat(1001)).is_err());
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[\"“” :personé가\\PC]{0,40}") {
            let _ = Query::parse(&text);
        }

        #[test]
        fn display_is_read_back(text in "([a-z가-힣]{1,5}|\"[a-z ]{1,8}\"|person:[a-z]{1,4}|person:\"[a-z ]{1,6}\"| ){1,8}") {
            if let Ok(query) = Query::parse(&text) {
                prop_assert_eq!(Query::parse(&query.to_string()).unwrap(), query);
            }
        }
    }
}
