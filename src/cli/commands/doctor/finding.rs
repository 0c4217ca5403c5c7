//! Owns what a look comes to: a verdict, the facts, and what to do.

use crate::cli::print::{Look, Style, View, escape, text};
use crate::model::Value;

/// How it stands with what was looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// As it should be.
    Pass,
    /// It works, but not as it should, or not for long.
    Warn,
    /// It does not work.
    Fail,
    /// There is nothing to look at; the facts say why.
    Skip,
}

/// What one look came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    check: &'static str,
    pub(super) verdict: Verdict,
    facts: String,
    hint: Option<String>,
}

impl Finding {
    pub(super) fn pass(check: &'static str, facts: impl Into<String>) -> Finding {
        Finding { check, verdict: Verdict::Pass, facts: facts.into(), hint: None }
    }

    pub(super) fn skip(check: &'static str, why: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Skip, ..Finding::pass(check, why) }
    }

    pub(super) fn warn(check: &'static str, facts: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Warn, hint: Some(hint.into()), ..Finding::pass(check, facts) }
    }

    pub(super) fn fail(check: &'static str, facts: impl Into<String>, hint: impl Into<String>) -> Finding {
        Finding { verdict: Verdict::Fail, ..Finding::warn(check, facts, hint) }
    }
}

/// The names of the checks that failed.
pub(super) fn failed(findings: &[Finding]) -> Vec<&'static str> {
    let mut names: Vec<_> = findings.iter().filter(|f| f.verdict == Verdict::Fail).map(|f| f.check).collect();
    names.dedup();
    names
}

/// A line a finding, and one below it for its hint; for programs a row a finding.
pub(super) fn view(findings: &[Finding], style: Style) -> View {
    let row = |f: &Finding| {
        let hint = f.hint.as_ref().map_or(Value::Null, text);
        vec![text(f.check), text(f.verdict.word()), text(&f.facts), hint]
    };
    let lines: String = findings.iter().map(|finding| line(finding, style)).collect();
    View::list(&["check", "verdict", "finding", "hint"], findings.iter().map(row).collect()).look(Look::Text(lines))
}

fn line(finding: &Finding, style: Style) -> String {
    let Finding { check, verdict, facts, hint } = finding;
    let (paint, plain) = if style.color { (verdict.colour(), "\u{1b}[0m") } else { ("", "") };
    let mut out = format!("{paint}{}{plain}  {check:<14}  {}\n", verdict.word(), escape(facts));
    if let Some(hint) = hint {
        out += &format!("      hint: {}\n", escape(hint));
    }
    out
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Warn => "WARN",
            Verdict::Fail => "FAIL",
            Verdict::Skip => "SKIP",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Verdict::Pass => "\u{1b}[32m",
            Verdict::Warn => "\u{1b}[33m",
            Verdict::Fail => "\u{1b}[1;31m",
            Verdict::Skip => "\u{1b}[2m",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::print::Format;

    #[test]
    fn a_finding_is_a_line_with_its_hint_and_a_row_for_programs() {
        let found = [
            Finding::pass("config", "all is well"),
            Finding::fail("ports", "in use\u{1b}", "end it"),
            Finding::skip("clocks", "no node answers"),
        ];
        let shown = view(&found, Style::default());
        let wanted = "\
PASS  config          all is well
FAIL  ports           in use\\u{1b}
      hint: end it
SKIP  clocks          no node answers
";
        assert_eq!(shown.render(Format::Table, Style::default()), wanted);
        let json = shown.render(Format::Jsonl, Style::default());
        assert!(
            json.starts_with(r#"{"check":"config","verdict":"PASS","finding":"all is well","hint":null}"#),
            "{json}"
        );
        assert_eq!(failed(&found), ["ports"]);
    }
}
