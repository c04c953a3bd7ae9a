//! How steps are named from the run at the top: `a/b` is the step `b` inside `a`, `a["x"]` what `a` does for the item `x`.
//! Never knows a run.

/// The name of a step in a run that `prefix` leads to, which is empty or ends with a slash.
pub fn joined(prefix: &str, id: &str) -> String {
    match (id.starts_with('['), prefix.strip_suffix('/')) {
        (true, Some(above)) => format!("{above}{id}"),
        _ => format!("{prefix}{id}"),
    }
}

/// Where the last part of a name begins.
fn last_at(path: &str) -> usize {
    let item = path.ends_with(']').then(|| path.rfind('[')).flatten();
    item.or_else(|| path.rfind('/').map(|at| at + 1)).unwrap_or(0)
}

/// The last part of a name.
pub fn last(path: &str) -> &str {
    path.get(last_at(path)..).unwrap_or(path)
}

/// The step that a step is inside of.
pub fn above(path: &str) -> Option<&str> {
    match last_at(path) {
        0 => None,
        at => path.get(..at).map(|above| above.strip_suffix('/').unwrap_or(above)),
    }
}

/// How many steps it is inside of.
pub fn depth(path: &str) -> usize {
    std::iter::successors(above(path), |path| above(path)).count()
}

/// Whether a step is inside another, at whatever depth.
pub fn is_inside(path: &str, other: &str) -> bool {
    path.strip_prefix(other).is_some_and(|rest| rest.starts_with(['/', '[']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_put_together_and_taken_apart() {
        let item = joined("copy/", "[\"eu-west\"]");
        let inside = joined(&format!("{item}/"), "check");
        assert_eq!(inside, "copy[\"eu-west\"]/check");
        assert_eq!((last(&inside), above(&inside), depth(&inside)), ("check", Some(item.as_str()), 2));
        assert_eq!((last(&item), above(&item), depth(&item)), ("[\"eu-west\"]", Some("copy"), 1));
        assert_eq!((last("copy"), above("copy"), depth("copy")), ("copy", None, 0));
        assert!(is_inside(&inside, "copy") && is_inside(&inside, &item) && !is_inside("copying", "copy"));
    }
}
