//! Lists that the daemon gives page by page, read to their end or to a limit. Never knows what is listed.

use crate::failure::Result;

/// Items asked for at once.
const PAGE: u32 = 1_000;

/// The first items of a list, at most `limit`, and whether there are more. `ask` is given how many to ask for and the token
/// of a page, empty for the first; it gives the page and the token of the next one, empty behind the last.
///
/// # Errors
/// Those of `ask`.
pub async fn first<T>(
    limit: u32,
    mut ask: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String)>,
) -> Result<(Vec<T>, bool)> {
    let mut found: Vec<T> = Vec::new();
    let mut token = String::new();
    loop {
        let left = limit.saturating_sub(u32::try_from(found.len()).unwrap_or(u32::MAX));
        if left == 0 {
            return Ok((found, !token.is_empty()));
        }
        let (page, next) = ask(i32::try_from(left.min(PAGE)).unwrap_or(i32::MAX), token).await?;
        found.extend(page);
        token = next;
        if token.is_empty() {
            return Ok((found, false));
        }
    }
}

/// All items of a list, as [`first`].
///
/// # Errors
/// Those of `ask`.
pub async fn all<T>(ask: impl AsyncFnMut(i32, String) -> Result<(Vec<T>, String)>) -> Result<Vec<T>> {
    Ok(first(u32::MAX, ask).await?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for the numbers up to 2,500 and notes how many are asked for each time.
    async fn asked(limit: u32) -> (usize, bool, Vec<i32>) {
        let mut sizes = Vec::new();
        let found = first(limit, async |size, token: String| {
            sizes.push(size);
            let begin: i32 = token.parse().unwrap_or(0);
            let end = (begin + size).min(2_500);
            Ok(((begin..end).collect(), if end == 2_500 { String::new() } else { end.to_string() }))
        });
        let (found, more) = found.await.unwrap();
        assert!(found.iter().zip(0..).all(|(number, place)| *number == place), "in order, each once");
        (found.len(), more, sizes)
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end_or_to_the_limit() {
        assert_eq!(asked(u32::MAX).await, (2_500, false, vec![1_000, 1_000, 1_000]));
        assert_eq!(asked(2_500).await, (2_500, false, vec![1_000, 1_000, 500]));
        assert_eq!(asked(1_010).await, (1_010, true, vec![1_000, 10]));
        assert_eq!(asked(1_000).await, (1_000, true, vec![1_000]));
        assert_eq!(asked(0).await, (0, false, vec![]));
    }
}
