//! Rendering, within bounds: a template is written by whoever may write a ConfigMap, and runs on the
//! threads that serve everybody.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, UndefinedBehavior, context};

use super::{PageName, PageSet, TemplateError};

/// The most bytes of a page.
const MOST_BYTES: usize = 256 * 1024;

/// The most that rendering may do: so many instructions, or 64 times as many bytes made or looked at.
/// A millisecond or two, and twice what the longest page costs.
const FUEL: u64 = 10_000;

/// What a page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shown<'a> {
    /// The status of the answer.
    pub status: u16,
    /// Its reason phrase.
    pub title: &'a str,
    /// What happened, in a sentence.
    pub cause: &'a str,
    /// By what to ask about it.
    pub request_id: &'a str,
    /// After how many seconds to ask again, where that is known.
    pub retry_after: Option<u64>,
}

/// Templates, ready to be rendered.
pub struct Engine(Environment<'static>);

impl Default for Engine {
    /// Without a template. Values are escaped as the form asks for; what is misspelt is an error and
    /// not an empty text; no template sees another one.
    fn default() -> Self {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        environment.set_undefined_behavior(UndefinedBehavior::SemiStrict);
        // As it is written, to the last line's end.
        let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
        if let Ok(syntax) = syntax {
            environment.set_syntax(syntax);
        }
        Self(environment)
    }
}

impl Engine {
    /// The templates of a set.
    pub fn of(pages: &PageSet) -> Self {
        let mut engine = Self::default();
        for (name, template) in pages.iter() {
            // It was found to work; were it not, the built-in page would stand in.
            let _ = engine.add(name, template.source());
        }
        engine
    }

    /// Adds a template.
    ///
    /// # Errors
    /// With what cannot be read, and in which line.
    pub fn add(&mut self, name: PageName, source: &str) -> Result<(), TemplateError> {
        let added = self
            .0
            .add_template_owned(name.to_string(), source.to_owned());
        added.map_err(|error| explained(&error))
    }

    /// Renders a template.
    ///
    /// # Errors
    /// With what does not work, and in which line; what takes too long or yields too much does not.
    pub fn render(&self, name: PageName, shown: &Shown<'_>) -> Result<String, TemplateError> {
        let Shown {
            status,
            title,
            cause,
            request_id,
            retry_after,
        } = *shown;
        let template = self.0.get_template(&name.to_string());
        let template = template.map_err(|error| explained(&error))?;
        let variables = context! { status, title, cause, request_id, retry_after };
        let page = template.render(variables);
        let page = page.map_err(|error| explained(&error))?;
        if page.len() > MOST_BYTES {
            return Err(TemplateError(format!(
                "it yields more than {MOST_BYTES} bytes"
            )));
        }
        Ok(page)
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Engine")
    }
}

impl Shown<'static> {
    pub(super) fn example(status: u16, retry_after: Option<u64>) -> Self {
        Self {
            status,
            title: "Bad Gateway",
            cause: "The connection was refused.",
            request_id: "01J00000000000000000000000",
            retry_after,
        }
    }
}

fn explained(error: &minijinja::Error) -> TemplateError {
    let line = error.line().map(|line| format!("line {line}: "));
    let why = match (error.kind(), error.detail()) {
        (minijinja::ErrorKind::OutOfFuel, _) => "it takes too long".to_owned(),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    };
    TemplateError(format!("{}{why}", line.unwrap_or_default()))
}
