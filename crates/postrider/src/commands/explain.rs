//! `postrider explain`: what an error code means and what to do about it.

use crate::failure::Failure;
use crate::output;

/// Code and page, sorted by code.
const PAGES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/error_pages.rs"));

pub(crate) fn run(code: Option<&str>) -> Result<(), Failure> {
    let Some(code) = code else {
        let rows = PAGES.iter().map(|(code, page)| vec![(*code).to_owned(), title(page).to_owned()]);
        return output::line(&output::table(&["CODE", "MEANING"], rows));
    };
    match PAGES.binary_search_by(|(known, _)| (*known).cmp(code)) {
        Ok(found) => output::line(PAGES[found].1.trim_end()),
        Err(_) => Err(Failure::usage(format!(
            "there is no error code {code:?}; `postrider explain` lists them all"
        ))),
    }
}

/// What the heading says after the code: `# code: meaning`.
fn title(page: &str) -> &str {
    let heading = page.lines().next().unwrap_or_default();
    heading.split_once(": ").map_or(heading, |(_, meaning)| meaning)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_of_the_api_and_of_the_configuration_has_a_page() {
        let api = api::problem::CODES.iter().map(|entry| entry.code);
        let config = config::Code::ALL.iter().map(|code| code.as_str());
        for code in api.chain(config) {
            assert!(PAGES.iter().any(|(known, _)| *known == code), "docs/errors/{code}.md is missing");
        }
    }
}
