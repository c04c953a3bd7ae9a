//! Versions of programs, as they say them of themselves, and conditions on them. Never starts a program.

/// Numbers with dots between them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Version(Vec<u64>);

impl std::fmt::Display for Version {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&parts.join("."))
    }
}

impl Version {
    /// The first word that is numbers with dots, or else the first that is one number; a `v` before it and what
    /// follows it do not matter.
    pub(super) fn find(text: &str) -> Option<Self> {
        let words = || text.split(|c: char| c.is_whitespace() || "(),;:\"".contains(c)).filter_map(Self::leading);
        words().find(|version| version.0.len() > 1).or_else(|| words().next())
    }

    fn leading(word: &str) -> Option<Self> {
        let word = word.strip_prefix('v').unwrap_or(word);
        let end = word.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(word.len());
        let numbers = word[..end].trim_end_matches('.');
        let parts: Option<Vec<u64>> = numbers.split('.').map(|part| part.parse().ok()).collect();
        parts.map(Self)
    }

    /// Whether it meets all of a condition such as `>=1.29, <2`.
    pub(super) fn meets(&self, condition: &str) -> bool {
        condition.split(',').all(|part| {
            let part = part.trim();
            let at = part.find(|c: char| c.is_ascii_digit()).unwrap_or(part.len());
            let (sign, number) = part.split_at(at);
            let Some(wanted) = Self::leading(number) else { return false };
            let order = self.compare(&wanted);
            match sign.trim() {
                "" | "=" => order.is_eq(),
                ">" => order.is_gt(),
                ">=" => order.is_ge(),
                "<" => order.is_lt(),
                "<=" => order.is_le(),
                _ => false,
            }
        })
    }

    /// By number after number; what is not there counts as 0.
    fn compare(&self, other: &Self) -> std::cmp::Ordering {
        let length = self.0.len().max(other.0.len());
        let part = |version: &Self, index| version.0.get(index).copied().unwrap_or(0);
        (0..length).map(|i| part(self, i).cmp(&part(other, i))).find(|o| o.is_ne()).unwrap_or(std::cmp::Ordering::Equal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_found_in_what_programs_say() {
        for (text, version) in [
            ("tar (GNU tar) 1.34\nCopyright (C) 2021", "1.34"),
            ("pg_dump (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)", "15.18"),
            ("Terraform v1.9.5\non linux_amd64", "1.9.5"),
            ("less 590 (GNU regular expressions)", "590"),
            ("git version 2.47.3", "2.47.3"),
        ] {
            assert_eq!(Version::find(text).map(|v| v.to_string()).as_deref(), Some(version), "{text}");
        }
        assert_eq!(Version::find("no number here"), None);
    }

    #[test]
    fn conditions_compare_by_number() {
        let version = Version(vec![1, 10]);
        for (condition, meets) in
            [(">=1.9", true), ("<1.9", false), ("=1.10.0", true), (">=1.2, <2", true), (">1.10", false), ("1.10", true)]
        {
            assert_eq!(version.meets(condition), meets, "{condition}");
        }
    }
}
