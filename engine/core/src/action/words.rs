//! What keys of actions take: how such a value is read, and the words for it. Never knows a particular action.

/// What a key of `with` takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// One of a few words; and these words as they are listed.
    Word(&'static [&'static str], &'static str),
    /// Text with `${{ }}`, stored and shown.
    Text,
    /// Text with `${{ }}` that is seen by the action alone: secrets may go there.
    Hidden,
    /// A path with `${{ }}`, relative to the project folder.
    Path,
    /// Paths with `${{ }}`, relative to the project folder.
    Paths,
    /// Texts with `${{ }}`, stored and shown.
    List,
    /// Names to text with `${{ }}`; secrets may go there.
    Texts,
    /// Names to text with `${{ }}`, stored and shown.
    Shown,
    /// Any value, with `${{ }}` in its texts; secrets may go there. A text that is one expression and nothing else gives
    /// the expression's value.
    Tree,
    /// A map of such values.
    Trees,
    /// A length of time.
    Duration,
    /// A whole number of a range.
    Whole(i64, i64),
    /// `true` or `false`.
    Flag,
    /// Statuses of HTTP: 200, or `2xx` for all of a class.
    Statuses,
    /// An expression about what the attempt found, true or false.
    Condition,
}

impl Takes {
    /// What it takes, in words.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Word(_, words) => words,
            Self::Text => "text with `${{ }}`",
            Self::Hidden => "text with `${{ }}`, secrets too",
            Self::Path => "a path with `${{ }}`",
            Self::Paths => "a list of paths with `${{ }}`",
            Self::List => "a list of texts with `${{ }}`",
            Self::Texts => "a map of names to text with `${{ }}`, secrets too",
            Self::Shown => "a map of names to text with `${{ }}`",
            Self::Tree => "a value with `${{ }}` in its texts, secrets too",
            Self::Trees => "a map of names to values with `${{ }}` in their texts, secrets too",
            Self::Duration => "a duration",
            Self::Whole(0, _) => "a whole number from 0",
            Self::Whole(..) => "a whole number from 1",
            Self::Flag => "`true` or `false`",
            Self::Statuses => "a list of statuses, such as `200` or `2xx`",
            Self::Condition => "an expression, boolean",
        }
    }
}
