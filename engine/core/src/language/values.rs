//! Stage 2: what every scalar is, told by a second, independent YAML reader, which has to see the same document.
//!
//! The only place of the core that knows serde_yaml. It runs after stage 1 has bounded depth and size.

use std::fmt;

use serde::Deserializer;
use serde::de::{DeserializeSeed, EnumAccess, Error, MapAccess, SeqAccess, VariantAccess, Visitor};

use super::code::Code;
use super::report::{Lines, Problem, Report};
use super::tree::{Kind, NodeId, Scalar, Style, Tree};

/// What an error of ours begins with, to tell it from one of the reader's.
const DISAGREE: &str = "readers disagree: ";

/// Sets the type of every scalar of the tree. `false` when the two readers differ, which is reported.
pub(super) fn resolve(source: &str, tree: &mut Tree<'_>, report: &mut Report<'_>) -> bool {
    let text = source.strip_prefix('\u{feff}').unwrap_or(source);
    let id = tree.root;
    let Err(error) = (Fill { tree, id }).deserialize(serde_yaml::Deserializer::from_str(text)) else {
        return true;
    };
    let at = error.location().map_or(0, |place| {
        let (line, column) = (place.line().saturating_sub(1), place.column().saturating_sub(1));
        Lines::new(text).offset(text, line, column) + source.len() - text.len()
    });
    let message = error.to_string();
    // The place follows, which the finding has already.
    let message = message.find(" at line ").map_or(message.as_str(), |end| &message[..end]);
    let message = match message.find(DISAGREE) {
        Some(start) => {
            format!("two YAML readers see different documents: {}", &message[start + DISAGREE.len()..])
        }
        None => format!("one of two YAML readers refuses this: {message}"),
    };
    let help = match message.contains("tab character") {
        true => "indent with spaces, and leave no tabs in empty lines",
        false => "write this place in a simpler way, with quotes",
    };
    report.add(Problem::new(Code::ReadersDisagree, at..at, message).help(help));
    false
}

/// Reads one node's value beside the tree's node.
struct Fill<'t, 'a> {
    tree: &'t mut Tree<'a>,
    id: NodeId,
}

impl Fill<'_, '_> {
    fn set<E: Error>(self, value: Scalar) -> Result<(), E> {
        let node = self.tree.node_mut(self.id);
        match &mut node.kind {
            Kind::Scalar(_, slot) if node.style == Style::Plain => {
                *slot = value;
                Ok(())
            }
            _ => Err(E::custom(format!("{DISAGREE}one sees a plain value, one does not"))),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Fill<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Fill<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value without a tag")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.set(Scalar::Null)
    }

    fn visit_none<E: Error>(self) -> Result<(), E> {
        self.set(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.set(Scalar::Boolean(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.set(Scalar::Integer(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        self.set(i64::try_from(value).map_or(Scalar::TooBig, Scalar::Integer))
    }

    fn visit_i128<E: Error>(self, _: i128) -> Result<(), E> {
        self.set(Scalar::TooBig)
    }

    fn visit_u128<E: Error>(self, _: u128) -> Result<(), E> {
        self.set(Scalar::TooBig)
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        self.set(Scalar::Float(value))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        match &self.tree.node(self.id).kind {
            Kind::Scalar(text, _) if text == value => Ok(()),
            _ => Err(E::custom(format!("{DISAGREE}one sees the text `{}`", super::show(value)))),
        }
    }

    /// A tag, which stage 1 has reported: what it stands at is read all the same.
    fn visit_enum<A: EnumAccess<'de>>(self, access: A) -> Result<(), A::Error> {
        let (_, tagged) = access.variant::<serde::de::IgnoredAny>()?;
        tagged.newtype_variant_seed(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Kind::List(items) = &self.tree.node(self.id).kind else {
            return Err(A::Error::custom(format!("{DISAGREE}one sees a list")));
        };
        let count = items.len();
        for index in 0..count {
            let id = match &self.tree.node(self.id).kind {
                Kind::List(items) => items[index],
                _ => break,
            };
            if access.next_element_seed(Fill { tree: self.tree, id })?.is_none() {
                return Err(A::Error::custom(format!("{DISAGREE}one sees a shorter list")));
            }
        }
        match access.next_element::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom(format!("{DISAGREE}one sees a longer list"))),
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<(), A::Error> {
        let Kind::Map(entries) = &self.tree.node(self.id).kind else {
            return Err(A::Error::custom(format!("{DISAGREE}one sees a map")));
        };
        let count = entries.len();
        for index in 0..count {
            let (key, id) = match &self.tree.node(self.id).kind {
                Kind::Map(entries) => entries[index],
                _ => break,
            };
            if access.next_key_seed(Fill { tree: self.tree, id: key })?.is_none() {
                return Err(A::Error::custom(format!("{DISAGREE}one sees a smaller map")));
            }
            access.next_value_seed(Fill { tree: self.tree, id })?;
        }
        match access.next_key::<serde::de::IgnoredAny>()? {
            None => Ok(()),
            Some(_) => Err(A::Error::custom(format!("{DISAGREE}one sees a larger map"))),
        }
    }
}
