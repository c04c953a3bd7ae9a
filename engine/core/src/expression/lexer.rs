//! Source to tokens, on demand. Never knows what the tokens mean together.

use std::ops::Range;

use super::fault::{Fault, FaultKind};

/// A word or sign of the language.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Token {
    /// A whole number without its sign.
    Integer(u64),
    Number(f64),
    Text(String),
    /// A name, or one of the keywords `true false null in`.
    Word(String),
    Sign(&'static str),
    End,
}

impl Token {
    /// How messages call it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Integer(_) | Self::Number(_) => "a number".to_owned(),
            Self::Text(_) => "a text".to_owned(),
            Self::Word(word) => format!("`{}`", shorten(word)),
            Self::Sign(sign) => format!("`{sign}`"),
            Self::End => "the end".to_owned(),
        }
    }
}

/// A word of the source for a message: at most 40 characters of it.
pub(super) fn shorten(word: &str) -> String {
    const SHOWN: usize = 40;
    match word.char_indices().nth(SHOWN) {
        Some((at, _)) => format!("{}…", &word[..at]),
        None => word.to_owned(),
    }
}

/// Longer signs before their beginnings.
const SIGNS: [&str; 26] = [
    "==", "!=", "<=", ">=", "&&", "||", "(", ")", "[", "]", "{", "}", ".", ",", ":", "?", "+", "-", "*", "/", "%", "!",
    "<", ">", "=", "&",
];

/// Reads tokens of `source[at..end]`; spans are offsets into the whole source.
pub(super) struct Lexer<'a> {
    source: &'a str,
    at: usize,
    end: usize,
}

impl<'a> Lexer<'a> {
    pub(super) fn new(source: &'a str, range: Range<usize>) -> Self {
        Self { source, at: range.start, end: range.end }
    }

    /// Where the next token is looked for.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    fn rest(&self) -> &'a str {
        self.source.get(self.at..self.end).unwrap_or_default()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    /// The next token and where it stands.
    pub(super) fn next(&mut self) -> Result<(Token, Range<usize>), Fault> {
        self.skip_space();
        let start = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else {
            return Ok((Token::End, start..start));
        };
        let second = rest.chars().nth(1);
        let token = if quote_at(rest).is_some() {
            self.text()?
        } else if first.is_ascii_digit() || (first == '.' && second.is_some_and(|c| c.is_ascii_digit())) {
            self.number()?
        } else if let Some(word) = self.name(false) {
            Token::Word(word)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            self.at += sign.len();
            match *sign {
                "=" => {
                    return Err(self.slip(start, "`=` compares nothing", "write == to compare"));
                }
                "&" => return Err(self.slip(start, "`&` is no operator", "write && for \"and\"")),
                sign => Token::Sign(sign),
            }
        } else {
            self.at += first.len_utf8();
            return Err(match first {
                '|' => self.slip(start, "`|` is no operator", "write || for \"or\""),
                '$' => self.slip(
                    start,
                    "`$` has no meaning in an expression",
                    "this is an expression already: leave out ${{ and }}, and write a name as it is",
                ),
                '`' => self.slip(start, "a text is written in '…' or \"…\"", "use one of these"),
                _ => Fault::new(
                    start..self.at,
                    FaultKind::UnexpectedCharacter,
                    format!("{first:?} has no meaning in an expression"),
                )
                .help("a text is written in '…' or \"…\""),
            });
        };
        Ok((token, start..self.at))
    }

    fn slip(&self, start: usize, message: &str, help: &str) -> Fault {
        Fault::new(start..self.at, FaultKind::UnexpectedCharacter, message).help(help)
    }

    /// A name right here. With `hyphens`, it may hold hyphens inside, as an id does; a hyphen at its end stays
    /// a minus.
    pub(super) fn name(&mut self, hyphens: bool) -> Option<String> {
        let rest = self.rest();
        if !rest.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_') {
            return None;
        }
        let end = rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || (hyphens && c == '-')))
            .unwrap_or(rest.len());
        let name = rest.get(..end).unwrap_or_default().trim_end_matches('-');
        self.at += name.len();
        Some(name.to_owned())
    }

    /// The same after skipping space.
    pub(super) fn name_after_space(&mut self, hyphens: bool) -> Option<String> {
        self.skip_space();
        self.name(hyphens)
    }

    fn number(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let rest = self.rest();
        let bytes = rest.as_bytes();
        let digits = |from: usize| from + bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
        let hex = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X"));
        let mut fraction = false;
        let mut end = match hex {
            Some(hex) => 2 + hex.bytes().take_while(u8::is_ascii_hexdigit).count(),
            None => {
                let mut end = digits(0);
                if bytes.get(end) == Some(&b'.') && digits(end + 1) > end + 1 {
                    fraction = true;
                    end = digits(end + 1);
                }
                if matches!(bytes.get(end), Some(b'e' | b'E')) {
                    let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
                    if digits(end + 1 + sign) > end + 1 + sign {
                        fraction = true;
                        end = digits(end + 1 + sign);
                    }
                }
                end
            }
        };
        let text = rest.get(..end).unwrap_or_default();
        // What sticks to a number belongs to the same mistake.
        let tail: usize =
            rest[end..].chars().take_while(|c| c.is_alphanumeric() || *c == '_').map(char::len_utf8).sum();
        let suffix = rest.get(end..end + tail).unwrap_or_default();
        end += tail;
        self.at += end;
        let span = start..self.at;
        if suffix == "u" || suffix == "U" {
            return Err(
                Fault::new(span, FaultKind::Unsupported, "there are no unsigned numbers").help(format!("write {text}"))
            );
        }
        if !suffix.is_empty() {
            let message = format!("`{}` is no number", shorten(&rest[..end]));
            return Err(Fault::new(span, FaultKind::InvalidLiteral, message).help("a text is written in '…' or \"…\""));
        }
        if fraction {
            return match text.parse::<f64>() {
                Ok(number) if number.is_finite() => Ok(Token::Number(number)),
                _ => Err(Fault::new(span, FaultKind::InvalidLiteral, "the number is too large")),
            };
        }
        let integer = match hex {
            Some(_) => u64::from_str_radix(text.get(2..).unwrap_or_default(), 16),
            None => text.parse(),
        };
        integer
            .map(Token::Integer)
            .map_err(|_| Fault::new(span, FaultKind::InvalidLiteral, "the number does not fit 64 bits"))
    }

    fn text(&mut self) -> Result<Token, Fault> {
        let start = self.at;
        let rest = self.rest();
        let (prefix, quote) = quote_at(rest).unwrap_or_default();
        let content = prefix.len() + quote.len();
        let Some(length) = text_length(rest) else {
            // Up to the end of the line: the author closed it somewhere there.
            let line = rest.find('\n').unwrap_or(rest.len()).max(content);
            self.at += line;
            return Err(Fault::new(
                start..start + line,
                FaultKind::UnterminatedText,
                format!("the text that begins here has no closing {quote}"),
            )
            .help("a quote inside a text is written \\' or \\\", or use the other kind around it"));
        };
        self.at += length;
        if prefix.contains(['b', 'B']) {
            return Err(Fault::new(start..self.at, FaultKind::Unsupported, "there are no byte texts")
                .help("write it without the b"));
        }
        let body = rest.get(content..length - quote.len()).unwrap_or_default();
        // As CEL reads it, a line break in a text is one \n whatever the file uses.
        let body = body.replace("\r\n", "\n").replace('\r', "\n");
        if !prefix.is_empty() || !body.contains('\\') {
            return Ok(Token::Text(body));
        }
        unescape(&body).map(Token::Text).map_err(|escape| {
            Fault::new(start..self.at, FaultKind::InvalidLiteral, format!("`{escape}` is no escape in a text"))
                .help("write \\\\ for a backslash, or put r before the text: r'…'")
        })
    }
}

/// The prefix and the quote of the text literal that begins here, if one does.
pub(super) fn quote_at(rest: &str) -> Option<(&str, &str)> {
    let prefix = ["", "r", "R", "b", "B", "br", "bR", "Br", "BR", "rb", "rB", "Rb", "RB"]
        .into_iter()
        .find(|prefix| rest.strip_prefix(prefix).is_some_and(|after| after.starts_with(['\'', '"'])))?;
    let after = rest.get(prefix.len()..)?;
    let length = if after.starts_with("'''") || after.starts_with("\"\"\"") { 3 } else { 1 };
    Some((rest.get(..prefix.len())?, after.get(..length)?))
}

/// The length in bytes of the text literal that begins here, quotes included; `None` if it does not end.
pub(super) fn text_length(rest: &str) -> Option<usize> {
    let (prefix, quote) = quote_at(rest)?;
    let raw = prefix.contains(['r', 'R']);
    let mut at = prefix.len() + quote.len();
    loop {
        let after = rest.get(at..)?;
        if after.starts_with(quote) {
            return Some(at + quote.len());
        }
        let c = after.chars().next()?;
        if matches!(c, '\n' | '\r') && quote.len() == 1 {
            return None;
        }
        at += c.len_utf8();
        if c == '\\' && !raw {
            at += rest.get(at..)?.chars().next()?.len_utf8();
        }
    }
}

/// The text that escapes stand for; the escape itself where it stands for nothing.
fn unescape(body: &str) -> Result<String, String> {
    let mut text = String::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = &rest[at + 1..];
        let Some(c) = escape.chars().next() else {
            return Err("\\".to_owned());
        };
        let numeric = match c {
            'x' | 'X' => Some((1, 2, 16)),
            'u' => Some((1, 4, 16)),
            'U' => Some((1, 8, 16)),
            '0'..='3' => Some((0, 3, 8)),
            _ => None,
        };
        let length = match numeric {
            Some((skipped, digits, radix)) => {
                let end = skipped + digits;
                let value = escape
                    .get(skipped..end)
                    .filter(|digits| digits.chars().all(|c| c.is_digit(radix)))
                    .and_then(|digits| u32::from_str_radix(digits, radix).ok())
                    .and_then(char::from_u32)
                    .ok_or_else(|| shown(escape, end))?;
                text.push(value);
                end
            }
            None => {
                text.push(match c {
                    'a' => '\u{7}',
                    'b' => '\u{8}',
                    'f' => '\u{c}',
                    'n' => '\n',
                    'r' => '\r',
                    't' => '\t',
                    'v' => '\u{b}',
                    '\\' | '?' | '"' | '\'' | '`' => c,
                    _ => return Err(shown(escape, 1)),
                });
                c.len_utf8()
            }
        };
        rest = escape.get(length..).unwrap_or_default();
    }
    text.push_str(rest);
    Ok(text)
}

fn shown(escape: &str, characters: usize) -> String {
    format!("\\{}", escape.chars().take(characters).collect::<String>())
}
