//! What can be wrong with an expression, before and while it runs. Never knows files or lines: spans are byte
//! offsets into the source that was given.

use std::ops::Range;

/// What is wrong with an expression at load. The language maps each kind to a diagnostic code, so a kind keeps
/// its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaultKind {
    /// There is nothing between the brackets of a `${{ }}`, or the whole expression is blank.
    Empty,
    /// The source is longer than `limits::EXPRESSION_BYTES`.
    TooLong,
    /// The tree is deeper than `limits::EXPRESSION_DEPTH`.
    TooDeep,
    /// More than `limits::EXPRESSION_COMPREHENSIONS` of `all exists exists_one map filter` inside each other.
    TooManyComprehensions,
    /// A character that begins nothing in the language.
    UnexpectedCharacter,
    /// A word or sign that cannot stand where it stands.
    UnexpectedToken,
    /// The expression stops in the middle.
    UnexpectedEnd,
    /// A text literal without its closing quote.
    UnterminatedText,
    /// A `${{` without its `}}`.
    UnterminatedTemplate,
    /// A number that does not fit, or an escape that does not exist.
    InvalidLiteral,
    /// A regular expression that does not compile or is too large.
    InvalidPattern,
    /// Something of CEL that is left out here: bytes, unsigned numbers, messages, optional selection.
    Unsupported,
    /// A function that does not exist, or is called in the other style (`f(x)` for `x.f()`).
    UnknownFunction,
    /// Too few, too many or malformed arguments of a function.
    WrongArguments,
    /// A word that is neither a variable nor one of the roots (`inputs`, `steps`, …).
    UnknownName,
    /// A path that stops too early to be a value, such as `inputs` or `steps.a.outputs`.
    NotAValue,
    /// A field that `run`, `attempt` or a step does not have.
    UnknownField,
    /// An input that is not declared.
    UnknownInput,
    /// A variable that `env:` does not declare.
    UnknownEnv,
    /// A secret that `requires.secrets` does not declare.
    UnknownSecret,
    /// A step that does not exist.
    UnknownStep,
    /// An output that its step does not declare.
    UnknownOutput,
    /// An artifact that its step does not declare.
    UnknownArtifact,
    /// A step that need not be over when this expression is asked.
    NotUpstream,
    /// A reference that has no meaning where this expression stands.
    Misplaced,
    /// An operand or argument of a type that the operator or function does not take.
    WrongType,
    /// A value that may be null where a value is needed.
    PossibleNull,
    /// A comparison with a word that the value never is.
    ImpossibleValue,
}

/// A fault in an expression, at a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where: byte offsets into the source given to `parse`.
    pub span: Range<usize>,
    /// What kind.
    pub kind: FaultKind,
    /// What and why, one sentence without a full stop.
    pub message: String,
    /// What to do next.
    pub help: Option<String>,
}

impl Fault {
    pub(super) fn new(span: Range<usize>, kind: FaultKind, message: impl Into<String>) -> Self {
        Self { span, kind, message: message.into(), help: None }
    }

    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

/// Why a reference may not stand where it stands; the expression adds the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NameFault {
    /// What kind.
    pub kind: FaultKind,
    /// What and why, one sentence without a full stop.
    pub message: String,
    /// What to do next, such as "did you mean `dump`?".
    pub help: Option<String>,
}

impl NameFault {
    /// A fault without help.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), help: None }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn at(self, span: Range<usize>) -> Fault {
        Fault { span, kind: self.kind, message: self.message, help: self.help }
    }
}

/// Why an expression has no value. Holds no value of a reference, so it may be shown and stored even when the
/// expression reads secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{excerpt}` {message}")]
pub struct EvaluationError {
    /// Where: byte offsets into the source given to `parse`.
    pub span: Range<usize>,
    /// The author's text at that place.
    pub excerpt: String,
    /// What went wrong, as the rest of a sentence that begins with the excerpt.
    pub message: String,
}
