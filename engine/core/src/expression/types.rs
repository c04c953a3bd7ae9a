//! The types of expressions. Never knows values.

use std::fmt;

use super::fault::NameFault;
use super::reference::Reference;
use crate::definition::ValueType;

/// What kind of value an expression gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Base {
    /// Not known at load: a member of a map, an element of a list.
    Any,
    /// Nothing but null.
    Null,
    /// Text.
    String,
    /// A whole number that fits 64 bits.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list of anything.
    List,
    /// Names to anything.
    Map,
}

impl Base {
    /// The name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Null => "null",
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::List => "list",
            Self::Map => "map",
        }
    }

    /// The name with its article.
    pub(super) const fn a(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Null => "null",
            Self::String => "a string",
            Self::Integer => "an integer",
            Self::Number => "a number",
            Self::Boolean => "a boolean",
            Self::List => "a list",
            Self::Map => "a map",
        }
    }

    /// Whether a value of this type can be one of `wanted`.
    pub(super) const fn fits(self, wanted: Self) -> bool {
        matches!(
            (self, wanted),
            (Self::Any, _)
                | (_, Self::Any)
                | (Self::Null, Self::Null)
                | (Self::String, Self::String)
                | (Self::Integer, Self::Integer | Self::Number)
                | (Self::Number, Self::Number)
                | (Self::Boolean, Self::Boolean)
                | (Self::List, Self::List)
                | (Self::Map, Self::Map)
        )
    }

    /// Whether it is a number, or may be.
    pub(super) const fn numeric(self) -> bool {
        matches!(self, Self::Any | Self::Integer | Self::Number)
    }
}

impl From<ValueType> for Base {
    fn from(declared: ValueType) -> Self {
        match declared {
            ValueType::String => Self::String,
            ValueType::Integer => Self::Integer,
            ValueType::Number => Self::Number,
            ValueType::Boolean => Self::Boolean,
            ValueType::List => Self::List,
            ValueType::Map => Self::Map,
            ValueType::Any => Self::Any,
        }
    }
}

/// The type of an expression, and what is to be known about its values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Type {
    /// What kind of value.
    pub base: Base,
    /// Whether it may be null instead.
    pub nullable: bool,
    /// Whether a secret had a part in it. Everything made of a secret is one, comparisons and sizes too.
    pub secret: bool,
}

impl Type {
    /// A type that is neither nullable nor secret ([`Base::Null`] is always nullable).
    pub const fn of(base: Base) -> Self {
        Self { base, nullable: matches!(base, Base::Null), secret: false }
    }

    /// The same, nullable.
    #[must_use]
    pub const fn nullable(self) -> Self {
        Self { nullable: true, ..self }
    }

    /// The same, secret.
    #[must_use]
    pub const fn secret(self) -> Self {
        Self { secret: true, ..self }
    }

    /// Whether every value of this type that is not null can go where `declared` is wanted. [`Base::Any`] fits
    /// everything; whether a null is taken is the caller's to ask.
    pub fn fits(self, declared: ValueType) -> bool {
        self.base.fits(declared.into())
    }

    /// The type of a value that is either of this or of the other type.
    pub(super) const fn or(self, other: Self) -> Self {
        let base = match (self.base, other.base) {
            (Base::Null, base) | (base, Base::Null) => base,
            (Base::Any, _) | (_, Base::Any) => Base::Any,
            (a, b) if b.fits(a) => a,
            (a, b) if a.fits(b) => b,
            _ => Base::Any,
        };
        Self { base, nullable: self.nullable || other.nullable, secret: self.secret || other.secret }
    }

    /// What is computed from a value of this type: of another kind, not null, as secret as it was.
    pub(super) const fn becomes(self, base: Base) -> Self {
        Self { base, nullable: false, secret: self.secret }
    }

    /// The same, secret if the flag says so.
    pub(super) const fn tainted(self, secret: bool) -> Self {
        Self { secret: self.secret || secret, ..self }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.base.name())?;
        if self.nullable && self.base != Base::Null {
            f.write_str(" or null")?;
        }
        Ok(())
    }
}

/// What is known at load, where an expression stands.
pub trait Names {
    /// The type of a reference there.
    ///
    /// # Errors
    /// Why it may not stand there, with a suggestion. [`Reference::fixed_type`] answers the rest of the
    /// question for most references.
    fn type_of(&self, reference: &Reference) -> Result<Type, NameFault>;
}
