//! The exit codes of `runbook`: named, documented, stable. A number is never reused for another meaning. Knows
//! nothing of how a command comes to its code.

use std::fmt::Write as _;

/// How the process ends, for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// What was asked for is done; a watched run succeeded.
    Succeeded = 0,
    /// The watched run failed or was rolled back, a scenario ended otherwise than expected, an objective is broken, or
    /// something differs from what is written that nobody accepted.
    RunFailed = 1,
    /// The command line, an input, a name or a runbook's definition is wrong.
    Usage = 2,
    /// The watched run was canceled.
    Canceled = 3,
    /// The watched run cannot go on without a person, or nobody knows what differs from what is written or what is to be restored.
    Attention = 4,
    /// No daemon answers.
    Unreachable = 5,
    /// The daemon refuses: a precondition or a permission is missing.
    Refused = 6,
    /// Anything else, a bug included.
    Other = 7,
    /// Ctrl-C ended the watching; the run goes on.
    Interrupted = 130,
    /// Who read the output went away.
    OutputClosed = 141,
}

impl ExitCode {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::Succeeded,
        Self::RunFailed,
        Self::Usage,
        Self::Canceled,
        Self::Attention,
        Self::Unreachable,
        Self::Refused,
        Self::Other,
        Self::Interrupted,
        Self::OutputClosed,
    ];

    /// The number that the shell sees.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The meaning, for the help.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Succeeded => "done; a watched run succeeded",
            Self::RunFailed => "the watched run failed or was rolled back; a scenario or objective is missed; drift",
            Self::Usage => "the command line, an input, a name or a definition is wrong",
            Self::Canceled => "the watched run was canceled",
            Self::Attention => "the watched run needs a person to go on; drift or objectives are not known",
            Self::Unreachable => "no daemon answers",
            Self::Refused => "refused: a precondition or a permission is missing",
            Self::Other => "another error",
            Self::Interrupted => "Ctrl-C ended the watching; the run goes on",
            Self::OutputClosed => "the reader of the output went away",
        }
    }

    /// The table for `runbook --help`.
    pub fn table() -> String {
        let mut text = String::from("Exit codes:");
        for code in Self::ALL {
            // Writing to a String cannot fail.
            let _ = write!(text, "\n  {:>3}  {}", code.number(), code.meaning());
        }
        text
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.number())
    }
}

#[cfg(test)]
mod tests {
    use super::ExitCode;

    #[test]
    fn the_numbers_are_stable() {
        let numbers: Vec<u8> = ExitCode::ALL.iter().map(|code| code.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 7, 130, 141]);
    }

    #[test]
    fn the_table_has_a_line_for_each() {
        let table = ExitCode::table();
        assert_eq!(table.lines().count(), ExitCode::ALL.len() + 1);
        assert!(
            table.contains("\n    4  the watched run needs a person to go on; drift or objectives are not known\n"),
            "{table}"
        );
    }
}
