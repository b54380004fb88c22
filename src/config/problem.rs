//! Problems of a configuration and how they are shown: file, line, column, the line with a caret, and what to write.
//!
//! Values that look secret are blanked out of the source before anything else sees it, so no way of showing a problem can
//! give them away.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use miette::{
    Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteError, MietteSpanContents, SourceCode, SourceOffset,
    SourceSpan, SpanContents,
};

use super::at::Place;

/// The text of a file as it may be shown: secrets blanked out, byte for byte of the same length.
#[derive(Clone)]
pub struct Shown {
    file: Arc<Path>,
    text: Arc<str>,
}

impl Default for Shown {
    fn default() -> Self {
        Self { file: Arc::from(Path::new("")), text: Arc::from("") }
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({} bytes)", self.file.display(), self.text.len())
    }
}

impl Shown {
    /// The text of a file.
    #[must_use]
    pub fn new(file: &Path, text: &str) -> Self {
        Self { file: Arc::from(file), text: Arc::from(super::secret::blank(text)) }
    }

    /// A problem at a place of this file.
    #[must_use]
    pub fn problem(&self, place: Place, message: impl Into<String>, help: impl Into<String>) -> Problem {
        Problem { message: message.into(), help: help.into(), span: Some(self.span(place)), shown: self.clone() }
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// What is written at a place.
    #[must_use]
    pub fn at(&self, place: Place) -> &str {
        self.text.get(place.offset..place.offset + place.len).unwrap_or("")
    }

    fn span(&self, place: Place) -> Span {
        let mut offset = place.offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        // One line is shown: a value of several is marked in its first.
        let line_len = self.text[offset..].find(['\n', '\r']).unwrap_or(self.text.len() - offset);
        let mut len = place.len.min(line_len);
        while !self.text.is_char_boundary(offset + len) {
            len += 1;
        }
        Span {
            line: before.matches('\n').count() + 1,
            column: before[start..].chars().count() + 1,
            offset,
            len: self.text[offset..offset + len].trim_end().len(),
        }
    }
}

/// Where a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Line, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// Bytes before it.
    pub offset: usize,
    /// Bytes that are marked.
    pub len: usize,
}

/// One problem of a configuration.
#[derive(Clone, Debug)]
pub struct Problem {
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Where; absent when the file itself cannot be read or the configuration was made without one.
    pub span: Option<Span>,
    shown: Shown,
}

impl Problem {
    /// A problem of a file as a whole.
    #[must_use]
    pub fn of_file(file: &Path, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { message: message.into(), help: help.into(), span: None, shown: Shown::new(file, "") }
    }

    /// The file that it is in.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.shown.file
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Diagnostic for Problem {
    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        (!self.help.is_empty()).then(|| Box::new(&self.help) as Box<dyn fmt::Display>)
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.span.map(|_| &self.shown as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let span = self.span?;
        let span = SourceSpan::new(SourceOffset::from(span.offset), span.len.max(1));
        Some(Box::new(std::iter::once(LabeledSpan::new_with_span(None, span))))
    }
}

/// A span is shown with its own line and no other. Miette asks without context for the place that it names above the line,
/// and with context for what it shows.
impl SourceCode for Shown {
    fn read_span<'a>(
        &'a self,
        span: &SourceSpan,
        before: usize,
        after: usize,
    ) -> Result<Box<dyn SpanContents<'a> + 'a>, MietteError> {
        let Span { line, column, offset, .. } = self.span(Place { offset: span.offset(), len: span.len() });
        let name = self.file.display().to_string();
        let contents = if before + after == 0 {
            MietteSpanContents::new_named(name, &[], *span, line - 1, column - 1, 1)
        } else {
            let start = self.text[..offset].rfind('\n').map_or(0, |newline| newline + 1);
            let end = self.text[offset..].find(['\n', '\r']).map_or(self.text.len(), |newline| offset + newline);
            let whole = SourceSpan::new(SourceOffset::from(start), end - start);
            MietteSpanContents::new_named(name, &self.text.as_bytes()[start..end], whole, line - 1, 0, 1)
        };
        Ok(Box::new(contents))
    }
}

/// What is wrong with a configuration: every problem that could be found, in the order of the file. Shown, it is plain text
/// with the lines and carets, whether or not there is a terminal. The exit code is [`ConfigError::EXIT_CODE`].
#[derive(Clone, Debug)]
pub struct ConfigError {
    /// The problems; never empty.
    pub problems: Vec<Problem>,
}

impl ConfigError {
    /// Exit code of a configuration that cannot be used: `EX_CONFIG` of sysexits.h.
    pub const EXIT_CODE: u8 = 78;

    /// The problems in the order of the file, those of other files after them.
    #[must_use]
    pub fn new(mut problems: Vec<Problem>) -> Self {
        let first = problems.first().map(|problem| problem.file().to_owned()).unwrap_or_default();
        problems.sort_by_key(|problem| {
            (problem.file() != first, problem.file().to_owned(), problem.span.map_or(0, |span| span.offset))
        });
        Self { problems }
    }

    /// Several errors as one.
    #[must_use]
    pub fn join(errors: impl IntoIterator<Item = Self>) -> Self {
        Self::new(errors.into_iter().flat_map(|error| error.problems).collect())
    }

    /// The text to print: each problem with its line and caret, and their number where there are several.
    #[must_use]
    pub fn render(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handler = GraphicalReportHandler::new_themed(GraphicalTheme::none())
            .with_context_lines(1)
            .with_links(false)
            .with_wrap_lines(false);
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            let mut text = String::new();
            handler.render_report(&mut text, problem)?;
            // A problem without a place has no frame that names the file.
            if problem.span.is_none() && !problem.file().as_os_str().is_empty() {
                writeln!(f, "{}:", problem.file().display())?;
            }
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                writeln!(f, "{}", line.trim_end())?;
            }
        }
        match self.problems.len() {
            1 => Ok(()),
            count => write!(f, "\n{count} problems; nothing was started\n"),
        }
    }
}

impl std::error::Error for ConfigError {}

/// The nearest of `known` to a misspelt word, when it is near enough to be meant.
#[must_use]
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let lower = word.to_lowercase();
    known
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&lower, &candidate.to_lowercase()), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len().max(word.len()).div_ceil(3))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
