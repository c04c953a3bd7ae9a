//! The environment of a command: what it always has, and the reading of `env_file`. Never knows expressions.

/// The variables of the daemon that every command gets.
pub const BASE_VARIABLES: [&str; 5] = ["PATH", "HOME", "USER", "LANG", "TZ"];

/// The most that an `env_file` may have, in bytes.
pub const ENV_FILE_BYTES: usize = 1 << 20;

/// Reads NAME=value lines. Empty lines and lines that begin with `#` are passed over; `export ` before a name is
/// allowed; one pair of quotes around the whole value is taken off; nothing is expanded.
///
/// # Errors
/// In words: the line that is no NAME=value. Its value is never shown: it may be a secret.
pub fn parse_env_file(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut variables = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let wrong = || format!("line {} is no NAME=value", index + 1);
        let (name, value) = line.split_once('=').ok_or_else(wrong)?;
        if !is_variable(name) {
            return Err(wrong());
        }
        let value =
            ['"', '\''].iter().find_map(|quote| value.strip_prefix(*quote)?.strip_suffix(*quote)).unwrap_or(value);
        variables.push((name.to_owned(), value.to_owned()));
    }
    Ok(variables)
}

/// Whether a text can be the name of a variable in a shell: POSIX.1-2017, 3.235.
pub fn is_variable(name: &str) -> bool {
    let mut bytes = name.bytes();
    bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_env_file_is_read_without_expanding_anything() {
        let text = "# comment\nA=1\n\nexport B=\"two $A\"\nC='x=y'\nD=\n";
        let read = parse_env_file(text).unwrap();
        let pairs: Vec<(&str, &str)> = read.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(pairs, [("A", "1"), ("B", "two $A"), ("C", "x=y"), ("D", "")]);
        assert_eq!(parse_env_file("A=1\nno sign").unwrap_err(), "line 2 is no NAME=value");
        assert_eq!(parse_env_file("1A=1").unwrap_err(), "line 1 is no NAME=value");
    }
}
