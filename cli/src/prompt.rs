//! Questions to a person: the lines that are typed, and Ctrl-C in a watched run, which asks whether to detach or to
//! cancel while the run goes on. Knows questions and answers, never what follows from them.

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tokio::time::sleep;

use crate::console::Console;

/// The longest answer that is read, in bytes.
const ANSWER_BYTES: usize = 1_024;
/// How often the terminal is looked at while a question is open: a person does not feel it.
pub const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What a person wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// Leave; the run goes on.
    Detach,
    /// End the run.
    Cancel,
    /// End the run without grace.
    CancelNow,
    /// Neither: go on watching.
    Watch,
}

/// A question on the terminal.
#[derive(Debug)]
pub struct Prompt {
    canceling: bool,
}

impl Prompt {
    /// Asks. `canceling`: the run is being canceled already.
    pub fn new(console: &Console, canceling: bool) -> Self {
        console.ask(if canceling {
            "\ndetach, or cancel now, without grace? [d/n, enter to go on watching] "
        } else {
            "\ndetach, or cancel the run? [d/c, enter to go on watching] "
        });
        Self { canceling }
    }

    /// The answer, once the person has typed a line.
    ///
    /// # Errors
    /// Standard input cannot be read.
    pub async fn answer(&self) -> io::Result<Answer> {
        Ok(parse(typed_line().await?.as_bytes(), self.canceling))
    }
}

/// A line that a person types; empty at the end of the input.
///
/// # Errors
/// Standard input cannot be read.
pub async fn typed_line() -> io::Result<String> {
    let input = io::stdin();
    loop {
        let mut wanted = [PollFd::new(&input, PollFlags::IN)];
        if poll(&mut wanted, Some(&Timespec::default()))? > 0 {
            break;
        }
        sleep(LOOK_AGAIN).await;
    }
    let mut bytes = [0; ANSWER_BYTES];
    // A terminal in its usual mode is readable when a whole line is there.
    let length = rustix::io::read(&input, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..length]).into_owned())
}

fn parse(typed: &[u8], canceling: bool) -> Answer {
    match (typed.trim_ascii().to_ascii_lowercase().as_slice(), canceling) {
        (b"d" | b"detach", _) => Answer::Detach,
        (b"c" | b"cancel", false) => Answer::Cancel,
        (b"n" | b"now", true) => Answer::CancelNow,
        // The end of the input: nobody is there any more.
        _ if typed.is_empty() => Answer::Detach,
        _ => Answer::Watch,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers() {
        for (typed, canceling, expected) in [
            (&b"d\n"[..], false, Answer::Detach),
            (b" Cancel \n", false, Answer::Cancel),
            (b"c\n", true, Answer::Watch),
            (b"n\n", true, Answer::CancelNow),
            (b"n\n", false, Answer::Watch),
            (b"\n", false, Answer::Watch),
            (b"what?\n", false, Answer::Watch),
            (b"", false, Answer::Detach),
        ] {
            assert_eq!(parse(typed, canceling), expected, "{typed:?}");
        }
    }
}
