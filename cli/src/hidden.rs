//! A value that nobody is to see: typed at a terminal that does not show it, else read from standard input. Never knows what it
//! is for.

use std::collections::HashMap;
use std::io::{self, Read as _};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::console::Console;
use crate::failure::{Failure, Result};

/// What stands for such a value on the command line.
pub const MARK: &str = "-";
/// The longest value, in bytes.
const VALUE_BYTES: usize = 64 << 10;
/// Ctrl-C and Ctrl-D, as a terminal gives them that makes no signals of them.
const LEAVES: [u8; 2] = [3, 4];
/// Backspace, in both of its forms.
const BACK: [u8; 2] = [8, 127];

/// A terminal that does not show what is typed, until the value goes.
struct Hidden(Termios);

impl Hidden {
    fn new() -> io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut hidden = before.clone();
        // Without signals too: one would leave the terminal as it is.
        hidden.local_modes -= LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG;
        tcsetattr(io::stdin(), OptionalActions::Flush, &hidden)?;
        Ok(Self(before))
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        // Where the terminal is gone there is nothing to restore.
        let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &self.0);
    }
}

/// Reads a value: `what` is asked where a person can be, else all of standard input is taken, but for one end of line.
///
/// # Errors
/// The person leaves, or it cannot be read, is no UTF-8 or too long.
pub fn read(console: &Console, what: &str) -> Result<String> {
    let cannot = |why: String| Failure::usage(format!("cannot read {what}")).why(why);
    let mut bytes = Vec::new();
    if console.can_ask {
        console.ask(&format!("{what} (not shown): "));
        let typed = {
            let _hidden = Hidden::new().map_err(|error| cannot(error.to_string()))?;
            typed_line(io::stdin().lock()).map_err(|error| cannot(error.to_string()))?
        };
        console.ask("\n");
        bytes = typed.ok_or_else(|| cannot("nothing was typed".to_owned()))?;
    } else {
        let read = io::stdin().lock().take(VALUE_BYTES as u64 + 1).read_to_end(&mut bytes);
        read.map_err(|error| cannot(error.to_string()))?;
        if bytes.last() == Some(&b'\n') {
            bytes.pop();
        }
    }
    if bytes.len() > VALUE_BYTES {
        return Err(cannot(format!("it has more than {VALUE_BYTES} bytes, which is the limit")));
    }
    String::from_utf8(bytes).map_err(|_| cannot("it is not UTF-8".to_owned()))
}

/// Values by their names as a command line gives them, those read of which it has the mark alone. `what` they are, in the
/// plural.
///
/// # Errors
/// A name is given twice, several are to be read from one standard input, or those of [`read`].
pub fn texts(console: &Console, given: &[(String, String)], what: &str) -> Result<HashMap<String, String>> {
    let (mut texts, mut twice, mut hidden) = (HashMap::new(), Vec::new(), 0);
    for (name, text) in given {
        let text = match text.as_str() {
            MARK => {
                hidden += 1;
                if hidden > 1 && !console.can_ask {
                    let problem = format!("standard input is one value, and several {what} are to be read from it");
                    return Err(Failure::usage(problem).next("run it at a terminal, which asks for each"));
                }
                read(console, name)?
            }
            _ => text.clone(),
        };
        if texts.insert(name.clone(), text).is_some() {
            twice.push((name.clone(), "is given twice".to_owned()));
        }
    }
    if !twice.is_empty() {
        return Err(Failure { details: twice, ..Failure::usage(format!("{what} are given more than once")) });
    }
    Ok(texts)
}

/// A line as it is typed, with what was taken back; `None` where the person leaves.
fn typed_line(input: impl io::BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    for byte in input.bytes() {
        match byte? {
            b'\n' | b'\r' => return Ok(Some(line)),
            byte if LEAVES.contains(&byte) => return Ok(None),
            byte if BACK.contains(&byte) => {
                // All bytes of a character.
                while line.pop().is_some_and(|byte| byte & 0xc0 == 0x80) {}
            }
            byte if line.len() <= VALUE_BYTES => line.push(byte),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_can_be_taken_back() {
        for (typed, expected) in [
            (&b"abc\n"[..], Some("abc")),
            (b"ab\x7fc\r", Some("ac")),
            ("aé\u{8}b\n".as_bytes(), Some("ab")),
            (b"\x7f\x7fa\n", Some("a")),
            (b"ab\x03", None),
            (b"\x04", None),
            (b"ab", None),
        ] {
            let line = typed_line(typed).unwrap().map(|line| String::from_utf8(line).unwrap());
            assert_eq!(line.as_deref(), expected, "{typed:?}");
        }
    }
}
