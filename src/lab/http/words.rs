//! What a server says of a failure, cut down to what a message can show.

use serde_json::Value;

/// The most characters of a server's words in a message.
const LONGEST: usize = 300;

/// Where APIs put the message of an error, the most telling place first.
const PLACES: [&str; 11] = [
    "/error/message",
    "/error/detail",
    "/error/msg",
    "/error",
    "/choices/0/error/message",
    "/errors/0/message",
    "/errors/0/detail",
    "/message",
    "/detail",
    "/detail/0/msg",
    "/error_description",
];

/// The message in the body of a response: of JSON the field that has it, of a web page its title or text, else the text; in one line,
/// without control characters, and cut if it is long. Empty if the body is.
pub fn what_it_says(body: &[u8]) -> String {
    what_it_says_without(body, None)
}

/// The same without a `secret` of the user's, which some servers repeat.
pub fn what_it_says_without(body: &[u8], secret: Option<&str>) -> String {
    clean_without(&message(body), secret)
}

/// The message in the body of a response, as the server wrote it.
fn message(body: &[u8]) -> String {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let text = String::from_utf8_lossy(body);
    let Ok(json) = serde_json::from_slice::<Value>(body) else {
        let is_page = is_page("", body) || text.trim_start().starts_with('<');
        return if is_page { page_text(&text) } else { text.into_owned() };
    };
    let said = PLACES.iter().find_map(|place| {
        let said = json.pointer(place)?.as_str()?.trim();
        Some(said.to_owned()).filter(|said| !said.is_empty())
    });
    said.unwrap_or_else(|| match &json {
        Value::String(text) => text.clone(),
        json => json.to_string(),
    })
}

/// Whether a body is a web page: its type says so, or its beginning does.
pub fn is_page(content_type: &str, body: &[u8]) -> bool {
    let content_type = content_type.trim_start().to_ascii_lowercase();
    if content_type.starts_with("text/html") || content_type.starts_with("application/xhtml") {
        return true;
    }
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body).trim_ascii_start();
    let begins = |tag: &str| {
        let (found, rest) = body.split_at(body.len().min(tag.len()));
        found.eq_ignore_ascii_case(tag.as_bytes()) && rest.first().is_none_or(|next| !next.is_ascii_alphanumeric())
    };
    begins("<!doctype html") || begins("<html") || begins("<head") || begins("<body")
}

/// A text in one line, without control characters and cut if it is long.
pub fn clean(text: &str) -> String {
    let mut line = String::new();
    let mut count = 0;
    for word in text.split_whitespace() {
        if count >= LONGEST {
            return line + " …";
        }
        if count > 0 {
            line.push(' ');
            count += 1;
        }
        for character in word.chars() {
            if count >= LONGEST {
                return line + "…";
            }
            if is_printable(character) {
                line.push(character);
            } else {
                line.extend(character.escape_unicode());
            }
            count += 1;
        }
    }
    line
}

/// [`clean`] of a text without a `secret` of the user's. The secret is looked for in the text as it is shown, not as it was sent, where it
/// may be written otherwise (`\/` in JSON).
pub fn clean_without(text: &str, secret: Option<&str>) -> String {
    match secret.map(in_one_line).filter(|secret| !secret.is_empty()) {
        Some(secret) => clean(&in_one_line(text).replace(&secret, "…")),
        None => clean(text),
    }
}

/// A text with one space in place of each white space.
fn in_one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for word in text.split_whitespace() {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    line
}

/// Whether a character can neither move the cursor nor change the direction of the text after it.
fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

/// The title of a page, or its text where it has none.
fn page_text(page: &str) -> String {
    // Of the same length, so that places are the same.
    let small = page.to_ascii_lowercase();
    let title = small.find("<title").and_then(|start| {
        let begin = start + small.get(start..)?.find('>')? + 1;
        let end = begin + small.get(begin..)?.find("</title")?;
        page.get(begin..end)
    });
    if let Some(title) = title.filter(|title| !title.trim().is_empty()) {
        return title.to_owned();
    }
    let mut text = String::new();
    let mut is_tag = false;
    for character in page.chars() {
        match character {
            '<' => {
                is_tag = true;
                text.push(' ');
            }
            '>' if is_tag => is_tag = false,
            character if !is_tag => text.push(character),
            _ => {}
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_an_error_is_found_wherever_it_stands() {
        let said = [
            r#"{"error": {"message": "maximum context length is 2048 tokens", "type": "BadRequest"}}"#,
            r#"{"error": "slow down"}"#,
            r#"{"message": "no such model", "code": 404}"#,
            r#"{"detail": "Not authenticated"}"#,
            r#"{"detail": [{"loc": ["body"], "msg": "field required"}]}"#,
            r#"{"errors": [{"message": "first"}, {"message": "second"}]}"#,
            r#"{"error": {"code": 7}}"#,
            r#"{"choices": [{"text": "half", "error": {"message": "gone"}}]}"#,
            r#""just a text""#,
            "bad gateway\n",
            "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>",
            "<html>Please <b>log in</b></html>",
            "",
        ]
        .map(|body| what_it_says(body.as_bytes()));
        insta::assert_snapshot!(said.join("\n"), @r#"
        maximum context length is 2048 tokens
        slow down
        no such model
        Not authenticated
        field required
        first
        {"error":{"code":7}}
        gone
        just a text
        bad gateway
        502 Bad Gateway
        Please log in
        "#);
    }

    #[test]
    fn a_server_cannot_draw_on_the_terminal_or_fill_it() {
        assert_eq!(
            what_it_says(b"{\"error\": \"a\\u001b[31mb\\r\\nc\\u0007\"}"),
            "a\\u{1b}[31mb c\\u{7}"
        );
        assert_eq!(clean("abc\u{202e}def\u{61c}"), "abc\\u{202e}def\\u{61c}");
        assert_eq!(what_it_says(b"\xff\x00x"), "\u{fffd}\\u{0}x");
        let long = what_it_says("word ".repeat(1000).as_bytes());
        assert!(long.chars().count() <= LONGEST + 2 && long.ends_with('…'), "{long}");
        let endless = what_it_says("x".repeat(100_000).as_bytes());
        assert_eq!(endless.chars().count(), LONGEST + 1);
    }

    #[test]
    fn a_secret_is_hidden_however_it_was_sent() {
        let said = [
            r#"{"error": {"message": "no user hush/hush"}}"#,
            r#"{"error": "no user hush\/hush"}"#,
            r#"{"error": "no user hush\u002fhush, nor hush/hush"}"#,
            r#"{"users": ["hush\/hush"]}"#,
            "<html><title>no user hush/hush</title></html>",
            "no user hush/hush\n",
        ]
        .map(|body| what_it_says_without(body.as_bytes(), Some("hush/hush")));
        insta::assert_snapshot!(said.join("\n"), @r#"
        no user …
        no user …
        no user …, nor …
        {"users":["…"]}
        no user …
        no user …
        "#);
        assert_eq!(clean_without("a hush\nhush", Some("hush \t hush")), "a …");
        assert_eq!(clean_without("a  b", Some(" ")), "a b");
        // Where it would be cut, too.
        let long = clean_without(&format!("{}hush/hush", "x".repeat(296)), Some("hush/hush"));
        assert_eq!(long, format!("{}…", "x".repeat(296)));
    }

    #[test]
    fn pages_are_known_by_type_or_beginning() {
        for (content_type, body) in [
            ("text/html; charset=utf-8", "{}"),
            ("Application/XHTML+xml", ""),
            ("", "\u{feff}\n <!DOCTYPE HTML PUBLIC"),
            ("text/plain", "<HTML lang='en'>"),
            ("", "<html"),
        ] {
            assert!(is_page(content_type, body.as_bytes()), "{content_type} {body}");
        }
        for (content_type, body) in [
            ("application/json", "{\"a\": \"<html>\"}"),
            ("", "<htmlish>"),
            ("", "<xml>"),
            ("", "a,b\n"),
            ("", ""),
        ] {
            assert!(!is_page(content_type, body.as_bytes()), "{content_type} {body}");
        }
    }
}
