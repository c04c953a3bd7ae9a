//! Arithmetic, order and text of JSON values, as expressions see them. Never knows expressions.

use std::cmp::Ordering;

use serde_json::{Number, Value};

/// A JSON number: whole when it fits `i64`, a double otherwise.
#[derive(Debug, Clone, Copy)]
pub(super) enum Num {
    Integer(i64),
    Double(f64),
}

impl Num {
    pub(super) fn of(value: &Value) -> Option<Self> {
        let Value::Number(number) = value else { return None };
        match number.as_i64() {
            Some(integer) => Some(Self::Integer(integer)),
            None => number.as_f64().map(Self::Double),
        }
    }

    pub(super) fn double(self) -> f64 {
        match self {
            // The nearest double: what mixing the two kinds means.
            Self::Integer(integer) => integer as f64,
            Self::Double(double) => double,
        }
    }

    /// The JSON of it; `None` for what JSON cannot say (infinite, not a number).
    pub(super) fn value(self) -> Option<Value> {
        match self {
            Self::Integer(integer) => Some(Value::from(integer)),
            Self::Double(double) => Number::from_f64(double).map(Value::Number),
        }
    }

    /// Exact, also between an integer and a double. `None` only for not-a-number, which JSON has not.
    pub(super) fn compare(self, other: Self) -> Option<Ordering> {
        match (self, other) {
            (Self::Integer(a), Self::Integer(b)) => Some(a.cmp(&b)),
            (Self::Double(a), Self::Double(b)) => a.partial_cmp(&b),
            (Self::Integer(a), Self::Double(b)) => integer_to_double(a, b),
            (Self::Double(a), Self::Integer(b)) => integer_to_double(b, a).map(Ordering::reverse),
        }
    }
}

/// 2⁶³: the first double above every `i64`.
const ABOVE: f64 = 9_223_372_036_854_775_808.0;

fn integer_to_double(a: i64, b: f64) -> Option<Ordering> {
    if b.is_nan() {
        None
    } else if b >= ABOVE {
        Some(Ordering::Less)
    } else if b < -ABOVE {
        Some(Ordering::Greater)
    } else {
        // Within the range, so the cast only drops the fraction, which decides a tie.
        Some(a.cmp(&(b as i64)).then_with(|| 0.0f64.total_cmp(&(b - b.trunc() + 0.0))))
    }
}

/// The whole part of a double; `None` when it does not fit.
pub(super) fn truncate(double: f64) -> Option<i64> {
    (double > -ABOVE && double < ABOVE).then_some(double as i64)
}

/// The integer that a number is worth.
pub(super) fn whole(value: &Value) -> Option<i64> {
    match Num::of(value)? {
        Num::Integer(integer) => Some(integer),
        Num::Double(double) if double.fract() == 0.0 => truncate(double),
        Num::Double(_) => None,
    }
}

/// A scalar as plain text; `None` for null, lists and maps.
pub(super) fn scalar_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(boolean) => Some(boolean.to_string()),
        Value::Number(_) => Num::of(value).map(|number| match number {
            Num::Integer(integer) => integer.to_string(),
            // Never with an exponent, and without a fraction where there is none.
            Num::Double(double) => double.to_string(),
        }),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// The kind of a value in messages.
pub(super) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(number) if number.is_i64() => "an integer",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
}

/// About the length of the value's JSON, in bytes: escapes are not counted, and doubles as three characters.
pub(super) fn weight(value: &Value) -> usize {
    const QUOTES: usize = 2;
    match value {
        Value::Null | Value::Bool(_) => 4,
        Value::Number(number) => match number.as_i64() {
            Some(0) => 1,
            Some(integer) => integer.unsigned_abs().ilog10() as usize + 1,
            None => 3,
        },
        Value::String(text) => text.len() + QUOTES,
        Value::Array(items) => items.iter().fold(QUOTES, |sum, item| sum + weight(item) + 1),
        Value::Object(entries) => {
            entries.iter().fold(QUOTES, |sum, (key, item)| sum + key.len() + QUOTES + weight(item) + 2)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_doubles_compare_exactly() {
        let big = (1i64 << 53) + 1;
        for (a, b, expected) in [
            (1, 1.0, Ordering::Equal),
            (1, 1.5, Ordering::Less),
            (-1, -1.5, Ordering::Greater),
            (0, -0.0, Ordering::Equal),
            (2, 2.0, Ordering::Equal),
            // As doubles these two are equal.
            (big, (1i64 << 53) as f64, Ordering::Greater),
            (i64::MAX, ABOVE, Ordering::Less),
            (i64::MIN, -ABOVE, Ordering::Equal),
            (i64::MIN, f64::MIN, Ordering::Greater),
        ] {
            let (a, b) = (Num::Integer(a), Num::Double(b));
            assert_eq!(a.compare(b), Some(expected), "{a:?} {b:?}");
            assert_eq!(b.compare(a), Some(expected.reverse()), "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_weight_is_near_the_length_of_the_json() {
        for text in ["null", "[1,22,333]", "{\"a\":\"b\",\"c\":[true,{}]}", "\"long text\""] {
            let value: Value = serde_json::from_str(text).unwrap();
            assert!(weight(&value).abs_diff(text.len()) <= 3, "{text}: {}", weight(&value));
        }
    }
}
