//! "Did you mean": the candidate nearest to a misspelt word. Never knows what the words are.

/// Words longer than this many characters get no suggestion: nobody mistypes them by hand.
const LONGEST: usize = 128;

/// The candidate nearest to `word`, when one is near enough to be meant: at most a third of its characters
/// (and at least one) inserted, removed, changed, or exchanged with a neighbour; the case of letters does not
/// count. Among equals the first in the order given. A candidate equal to `word` is returned as it is.
pub fn did_you_mean<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let wanted: Vec<char> = word.chars().take(LONGEST + 1).map(fold).collect();
    if wanted.is_empty() || wanted.len() > LONGEST {
        return None;
    }
    let letters = letters(&wanted);
    let mut allowed = (wanted.len() / 3).max(1);
    let mut best = None;
    let mut other = Vec::new();
    for candidate in candidates {
        other.clear();
        other.extend(candidate.chars().take(LONGEST + 1).map(fold));
        // Two cheap lower bounds of the distance spare the table for nearly all of many candidates.
        if other.is_empty()
            || other.len() > LONGEST
            || other.len().abs_diff(wanted.len()) > allowed
            || (letters ^ self::letters(&other)).count_ones() as usize > 2 * allowed
        {
            continue;
        }
        let distance = distance(&wanted, &other);
        // A word of one or two letters changed altogether is another word.
        if distance <= allowed && distance < wanted.len().max(other.len()) {
            best = Some(candidate);
            if distance == 0 {
                break;
            }
            allowed = distance - 1;
        }
    }
    best.map(str::to_owned)
}

fn fold(c: char) -> char {
    c.to_ascii_lowercase()
}

/// A bit for each letter that occurs. Each edit changes at most two.
fn letters(word: &[char]) -> u64 {
    word.iter().fold(0, |set, c| set | 1 << (u32::from(*c) % 64))
}

/// The optimal string alignment distance: Levenshtein's, with an exchange of neighbours as one edit.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = vec![0; b.len() + 1];
    let mut above: Vec<usize> = (0..=b.len()).collect();
    let mut row = above.clone();
    for (i, x) in a.iter().enumerate() {
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let changed = above[j] + usize::from(x != y);
            row[j + 1] = changed.min(above[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                row[j + 1] = row[j + 1].min(before[j - 1] + 1);
            }
        }
        std::mem::swap(&mut before, &mut above);
        std::mem::swap(&mut above, &mut row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::did_you_mean;

    #[test]
    fn the_nearest_word_is_suggested_when_it_is_near() {
        let steps = ["dump", "prove", "publish", "pre-flight", "a"];
        for (word, expected) in [
            ("dumb", Some("dump")),
            ("dmup", Some("dump")),
            ("Publish", Some("publish")),
            ("publsh", Some("publish")),
            ("preflight", Some("pre-flight")),
            ("pre_flight", Some("pre-flight")),
            ("prune", None),
            ("restore", None),
            ("b", None),
            ("", None),
        ] {
            assert_eq!(did_you_mean(word, steps).as_deref(), expected, "{word}");
        }
    }

    #[test]
    fn a_long_word_costs_nothing() {
        let long = "x".repeat(1 << 20);
        assert_eq!(did_you_mean(&long, ["dump"]), None);
        assert_eq!(did_you_mean("dump", [long.as_str()]), None);
    }

    proptest::proptest! {
        #[test]
        fn one_slip_in_a_word_is_always_found(word in "[a-z][a-z-]{3,20}", at in 0usize..20, c in "[a-z]") {
            let mut slipped: Vec<char> = word.chars().collect();
            let at = at % slipped.len();
            slipped.splice(at..=at, c.chars());
            let slipped: String = slipped.into_iter().collect();
            proptest::prop_assert_eq!(did_you_mean(&slipped, [word.as_str()]), Some(word));
        }
    }
}
