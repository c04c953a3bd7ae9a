//! Whether a condition can hold at all, as far as it can be told from what its references may be. Never knows why
//! they may be so, and says "perhaps" wherever it does not know.

use serde_json::Value;

use super::reference::{Located, Reference};
use super::syntax::{Binary, Kind, Node};

/// So many combinations of values are tried; a condition over more is not followed to its end.
const COMBINATIONS: usize = 128;

/// Whether there is no combination of possible values for which the tree is true. `values` gives all that a
/// reference may be, and `None` where that is not known.
pub(super) fn never_holds(
    root: &Node,
    references: &[Located<Reference>],
    values: &dyn Fn(&Reference) -> Option<Vec<Value>>,
) -> bool {
    let mut variables: Vec<(&Reference, Vec<Value>)> = Vec::new();
    let mut combinations = 1;
    // The same reference is the same value wherever it stands.
    let places: Vec<Option<usize>> = references
        .iter()
        .map(|located| {
            if let Some(known) = variables.iter().position(|(reference, _)| **reference == located.value) {
                return Some(known);
            }
            let possible = values(&located.value)?;
            combinations = Some(combinations * possible.len()).filter(|all| (1..=COMBINATIONS).contains(all))?;
            variables.push((&located.value, possible));
            Some(variables.len() - 1)
        })
        .collect();
    (0..combinations).all(|combination| {
        let mut rest = combination;
        let chosen: Vec<&Value> = variables
            .iter()
            .map(|(_, possible)| {
                let value = &possible[rest % possible.len()];
                rest /= possible.len();
                value
            })
            .collect();
        Known { places: &places, chosen }.truth(root) == Some(false)
    })
}

/// One combination: the values of the references that are known.
struct Known<'v> {
    places: &'v [Option<usize>],
    chosen: Vec<&'v Value>,
}

impl Known<'_> {
    /// The truth of a tree, `None` where it is not known.
    fn truth(&self, node: &Node) -> Option<bool> {
        match &node.kind {
            Kind::Literal(value) => value.as_bool(),
            Kind::Reference(place) => self.reference(*place)?.as_bool(),
            Kind::Not(inner) => self.truth(inner).map(|truth| !truth),
            // One part that is false is enough, whatever the others are, an error included.
            Kind::All(parts) => self.among(parts, false),
            Kind::Any(parts) => self.among(parts, true),
            Kind::Choice(parts) => {
                let [condition, yes, no] = &**parts;
                match self.truth(condition) {
                    Some(true) => self.truth(yes),
                    Some(false) => self.truth(no),
                    None => self.truth(yes).filter(|truth_of_yes| self.truth(no) == Some(*truth_of_yes)),
                }
            }
            Kind::Chain(first, rest) => match rest.as_slice() {
                [(operator, second)] => self.compare(*operator, first, second),
                _ => None,
            },
            _ => None,
        }
    }

    /// The truth of parts of which one decides when it is `decisive`.
    fn among(&self, parts: &[Node], decisive: bool) -> Option<bool> {
        let mut sure = true;
        for part in parts {
            match self.truth(part) {
                Some(truth) if truth == decisive => return Some(decisive),
                Some(_) => {}
                None => sure = false,
            }
        }
        sure.then_some(!decisive)
    }

    fn compare(&self, operator: Binary, first: &Node, second: &Node) -> Option<bool> {
        let left = self.value(first)?;
        match operator {
            Binary::Equal => Some(left == self.value(second)?),
            Binary::NotEqual => Some(left != self.value(second)?),
            Binary::In => match &second.kind {
                Kind::List(items) => {
                    let mut sure = true;
                    for item in items {
                        match self.value(item) {
                            Some(item) if item == left => return Some(true),
                            Some(_) => {}
                            None => sure = false,
                        }
                    }
                    sure.then_some(false)
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// A text or a truth value that is known; numbers are compared by rules of their own, and left out.
    fn value<'n>(&'n self, node: &'n Node) -> Option<&'n Value> {
        let value = match &node.kind {
            Kind::Literal(value) => value,
            Kind::Reference(place) => self.reference(*place)?,
            _ => return None,
        };
        matches!(value, Value::String(_) | Value::Bool(_)).then_some(value)
    }

    fn reference(&self, place: usize) -> Option<&Value> {
        self.chosen.get(self.places.get(place).copied().flatten()?).copied()
    }
}
