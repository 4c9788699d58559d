//! File names to field of view, time, channel, focal plane, sample and session.
//!
//! Takes a path relative to the watched folder, gives a [`FrameName`]. A name that fits no template is an error that
//! names the templates tried; nothing is ever guessed.
//!
//! # Templates
//!
//! A template is the whole relative path with its changing parts in braces:
//!
//! | part | stands for |
//! |---|---|
//! | `{time}` `{z}` | digits; a number |
//! | `{fov}` `{channel}` `{sample}` `{session}` | any text without `/`, as short as fits, at least one character |
//! | `*` | any text without `/`, also none |
//! | `**` | any text, folders too, also none |
//! | `/` | a folder boundary, whatever the operating system |
//! | anything else | itself, upper and lower case told apart |
//!
//! `{sample}_s{fov}_t{time}.tif` makes `A2058_s19_t60.tif` sample `A2058`, field of view `19`, time 60. Two text parts
//! side by side (`{sample}{fov}`) cannot be told apart and are refused. A template may also be the name of a preset
//! ([`PRESETS`]), which stands for several templates.

use regex::Regex;
use serde::Serialize;
use thiserror::Error;

/// Presets: what to write in `templates`, and what it stands for, tried in this order.
pub const PRESETS: &[(&str, &[&str])] = &[
    (
        "nikon-export",
        &[
            "{session}/{sample}t{time}xy{fov}c{channel}.tif",
            "{session}/{sample}t{time}xy{fov}.tif",
            "{session}/{sample}xy{fov}t{time}c{channel}.tif",
            "{session}/{sample}xy{fov}t{time}.tif",
            "{sample}xy{fov}t{time}c{channel}.tif",
            "{sample}xy{fov}t{time}.tif",
            "{sample}t{time}xy{fov}c{channel}.tif",
            "{sample}t{time}xy{fov}.tif",
        ],
    ),
    (
        "micro-manager",
        &[
            "**/{session}/img_channel{channel}_position{fov}_time{time}_z{z}.tif",
            "{session}/img_channel{channel}_position{fov}_time{time}_z{z}.tif",
            "img_channel{channel}_position{fov}_time{time}_z{z}.tif",
            "{session}/{fov}/img_{time}_{channel}_{z}.tif",
        ],
    ),
    ("s-t", &["{session}/{sample}_s{fov}_t{time}.tif", "{sample}_s{fov}_t{time}.tif", "s{fov}_t{time}.tif"]),
    ("t-number", &["{session}/{fov}/t{time}.tif", "{fov}/t{time}.tif", "t{time}.tif"]),
    ("number", &["{fov}/{time}.png", "{fov}/{time}.jpg", "{fov}/{time}.tif", "{time}.png", "{time}.jpg", "{time}.tif"]),
];

/// What a name says. What it does not say is `None`; the container's own facts and the defaults fill it in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct FrameName {
    /// The acquisition run.
    pub session: Option<String>,
    /// The field of view, as written (leading zeros kept).
    pub fov: Option<String>,
    /// The time point.
    pub time_index: Option<i64>,
    /// The channel, as written.
    pub channel: Option<String>,
    /// The focal plane.
    pub z_index: Option<i64>,
    /// What is in the well.
    pub sample: Option<String>,
}

/// A template that cannot be used.
#[derive(Debug, Error)]
pub enum TemplateError {
    /// An empty template.
    #[error("a template in watch.templates is empty: write the file name with its changing parts in braces")]
    Empty,
    /// A part in braces that does not exist.
    #[error("template {template:?}: {{{part}}} is not known: use session, sample, fov, time, channel or z")]
    UnknownPart {
        /// The template.
        template: String,
        /// The part.
        part: String,
    },
    /// A part twice.
    #[error("template {template:?}: {{{part}}} stands there twice: keep one, write * for the other")]
    Twice {
        /// The template.
        template: String,
        /// The part.
        part: String,
    },
    /// A brace without its partner.
    #[error("template {template:?}: a brace is not closed or not opened")]
    Brace {
        /// The template.
        template: String,
    },
    /// Two text parts without anything between them.
    #[error(
        "template {template:?}: nothing separates {{{part}}} from the text part before it: write what stands between them"
    )]
    Touching {
        /// The template.
        template: String,
        /// The second part.
        part: String,
    },
    /// The expression it gives is refused.
    #[error("template {template:?} is too long")]
    Compile {
        /// The template.
        template: String,
        /// Why.
        #[source]
        source: Box<regex::Error>,
    },
}

/// Why a name gives no frame.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum NameError {
    /// No template fits.
    #[error("{path:?} fits none of the templates {}: correct watch.templates, or add it to watch.ignore", tried.join(", "))]
    Mismatch {
        /// The path below the watched folder.
        path: String,
        /// The templates as written, in the order tried.
        tried: Vec<String>,
    },
    /// A number too large to be an index.
    #[error("{path:?}: the number {digits} is too large: correct watch.templates")]
    TooLarge {
        /// The path below the watched folder.
        path: String,
        /// The digits.
        digits: String,
    },
}

impl NameError {
    /// The stable code: metric label, database value and API field.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Mismatch { .. } => "template_mismatch",
            Self::TooLarge { .. } => "number_too_large",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(&'static str),
    Number(&'static str),
    Star,
    AnyDepth,
    Literal(String),
}

/// One compiled template.
#[derive(Debug, Clone)]
pub struct Template {
    written: String,
    parts: Vec<Part>,
    expression: Regex,
}

const TEXT_PARTS: [&str; 4] = ["session", "sample", "fov", "channel"];
const NUMBER_PARTS: [&str; 2] = ["time", "z"];

impl Template {
    /// Compiles `written`.
    ///
    /// # Errors
    /// A [`TemplateError`] that says what to correct.
    pub fn new(written: &str) -> Result<Self, TemplateError> {
        let template = || written.to_owned();
        let parts = parse(written)?;
        let mut expression = String::from("^(?s:");
        let mut seen: Vec<&str> = Vec::new();
        let mut open_ended = false;
        for part in &parts {
            match part {
                Part::Text(name) | Part::Number(name) => {
                    if seen.contains(name) {
                        return Err(TemplateError::Twice { template: template(), part: (*name).to_owned() });
                    }
                    seen.push(name);
                    let is_text = matches!(part, Part::Text(_));
                    if is_text && open_ended {
                        return Err(TemplateError::Touching { template: template(), part: (*name).to_owned() });
                    }
                    open_ended = is_text;
                    expression.push_str(&["(?P<", name, ">", if is_text { "[^/]+?" } else { "[0-9]+" }, ")"].concat());
                }
                Part::Star => expression.push_str("[^/]*?"),
                Part::AnyDepth => expression.push_str(".*?"),
                Part::Literal(text) => {
                    open_ended = false;
                    expression.push_str(&regex::escape(text));
                }
            }
        }
        expression.push_str(")$");
        let expression = Regex::new(&expression)
            .map_err(|source| TemplateError::Compile { template: template(), source: Box::new(source) })?;
        Ok(Self { written: template(), parts, expression })
    }

    /// As it stands in the settings.
    pub fn written(&self) -> &str {
        &self.written
    }

    /// What `relative_path` says by this template; `None` when it does not fit.
    ///
    /// # Errors
    /// [`NameError::TooLarge`].
    pub fn parse(&self, relative_path: &str) -> Result<Option<FrameName>, NameError> {
        let Some(found) = self.expression.captures(relative_path) else { return Ok(None) };
        let text = |name: &str| found.name(name).map(|part| part.as_str().to_owned());
        let number = |name: &str| {
            text(name)
                .map(|digits| match digits.parse::<i64>() {
                    Ok(number) => Ok(number),
                    Err(_) => Err(NameError::TooLarge { path: relative_path.to_owned(), digits }),
                })
                .transpose()
        };
        Ok(Some(FrameName {
            session: text("session"),
            fov: text("fov"),
            time_index: number("time")?,
            channel: text("channel"),
            z_index: number("z")?,
            sample: text("sample"),
        }))
    }

    /// The path that this template gives to `name`; wildcards become nothing. `None` when `name` lacks a part.
    pub fn format(&self, name: &FrameName) -> Option<String> {
        let mut path = String::new();
        for part in &self.parts {
            match part {
                Part::Literal(text) => path.push_str(text),
                Part::Star | Part::AnyDepth => {}
                Part::Text(which) => path.push_str(match *which {
                    "session" => name.session.as_deref()?,
                    "sample" => name.sample.as_deref()?,
                    "fov" => name.fov.as_deref()?,
                    _ => name.channel.as_deref()?,
                }),
                Part::Number(which) => {
                    let number = if *which == "time" { name.time_index? } else { name.z_index? };
                    path.push_str(&number.to_string());
                }
            }
        }
        Some(path)
    }
}

fn parse(written: &str) -> Result<Vec<Part>, TemplateError> {
    let brace = || TemplateError::Brace { template: written.to_owned() };
    if written.is_empty() {
        return Err(TemplateError::Empty);
    }
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = written.chars().peekable();
    while let Some(next) = rest.next() {
        let part = match next {
            '{' => {
                let mut name = String::new();
                loop {
                    match rest.next() {
                        Some('}') => break,
                        Some('{') | None => return Err(brace()),
                        Some(letter) => name.push(letter),
                    }
                }
                let known = |names: &[&'static str]| names.iter().copied().find(|known| *known == name);
                if let Some(text) = known(&TEXT_PARTS) {
                    Part::Text(text)
                } else if let Some(number) = known(&NUMBER_PARTS) {
                    Part::Number(number)
                } else {
                    return Err(TemplateError::UnknownPart { template: written.to_owned(), part: name });
                }
            }
            '}' => return Err(brace()),
            '*' if rest.next_if_eq(&'*').is_some() => Part::AnyDepth,
            '*' => Part::Star,
            other => {
                literal.push(other);
                continue;
            }
        };
        if !literal.is_empty() {
            parts.push(Part::Literal(std::mem::take(&mut literal)));
        }
        parts.push(part);
    }
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    Ok(parts)
}

/// The templates of one watched folder.
#[derive(Debug, Clone, Default)]
pub struct Naming {
    templates: Vec<Template>,
    ignore: Vec<Template>,
}

impl Naming {
    /// Compiles `templates` (tried in order; preset names allowed) and `ignore`.
    ///
    /// # Errors
    /// The first template that cannot be used.
    pub fn new(templates: &[String], ignore: &[String]) -> Result<Self, TemplateError> {
        Ok(Self { templates: compile(templates)?, ignore: compile(ignore)? })
    }

    /// Whether `relative_path` is left out on purpose.
    pub fn is_ignored(&self, relative_path: &str) -> bool {
        self.ignore.iter().any(|template| template.expression.is_match(relative_path))
    }

    /// What `relative_path` (folders separated by `/`) says.
    ///
    /// # Errors
    /// [`NameError::Mismatch`] with the templates tried; [`NameError::TooLarge`].
    pub fn parse(&self, relative_path: &str) -> Result<FrameName, NameError> {
        for template in &self.templates {
            if let Some(name) = template.parse(relative_path)? {
                return Ok(name);
            }
        }
        Err(NameError::Mismatch {
            path: relative_path.to_owned(),
            tried: self.templates.iter().map(|template| template.written.clone()).collect(),
        })
    }
}

fn compile(written: &[String]) -> Result<Vec<Template>, TemplateError> {
    let mut templates = Vec::new();
    for one in written {
        match PRESETS.iter().find(|(name, _)| name == one) {
            Some((_, several)) => {
                for template in *several {
                    templates.push(Template::new(template)?);
                }
            }
            None => templates.push(Template::new(one)?),
        }
    }
    Ok(templates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn naming(templates: &[&str]) -> Naming {
        Naming::new(&templates.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>(), &[]).unwrap()
    }

    fn name(parts: [Option<&str>; 4], time_index: Option<i64>, z_index: Option<i64>) -> FrameName {
        let [session, sample, fov, channel] = parts.map(|part| part.map(str::to_owned));
        FrameName { session, fov, time_index, channel, z_index, sample }
    }

    #[test]
    fn the_presets_read_real_names() {
        for (preset, path, expected) in [
            (
                "nikon-export",
                "20180101ef002xy01t07.tif",
                name([None, Some("20180101ef002"), Some("01"), None], Some(7), None),
            ),
            (
                "nikon-export",
                "run3/A2058t012xy05c2.tif",
                name([Some("run3"), Some("A2058"), Some("05"), Some("2")], Some(12), None),
            ),
            (
                "micro-manager",
                "img_channel000_position004_time000000017_z001.tif",
                name([None, None, Some("004"), Some("000")], Some(17), Some(1)),
            ),
            (
                "micro-manager",
                "a/b/HeLa_1/img_channel000_position004_time000000017_z001.tif",
                name([Some("HeLa_1"), None, Some("004"), Some("000")], Some(17), Some(1)),
            ),
            ("s-t", "A375_s19_t60.tif", name([None, Some("A375"), Some("19"), None], Some(60), None)),
            ("s-t", "s19_t60.tif", name([None, None, Some("19"), None], Some(60), None)),
            ("t-number", "t000.tif", name([None; 4], Some(0), None)),
            ("t-number", "02/t114.tif", name([None, None, Some("02"), None], Some(114), None)),
            ("number", "081.jpg", name([None; 4], Some(81), None)),
        ] {
            assert_eq!(naming(&[preset]).parse(path), Ok(expected), "{preset}: {path}");
        }
    }

    #[test]
    fn a_name_that_fits_nothing_is_named_with_what_was_tried() {
        let error = naming(&["s{fov}_t{time}.tif", "t{time}.png"]).parse("x/s1_t2.tif").unwrap_err();
        assert_eq!(error.code(), "template_mismatch");
        let text = error.to_string();
        assert!(text.contains("x/s1_t2.tif") && text.contains("s{fov}_t{time}.tif, t{time}.png"), "{text}");
    }

    #[test]
    fn dots_are_dots_and_folders_are_folders() {
        let naming = naming(&["s{fov}_t{time}.tif"]);
        for path in ["s1_t2xtif", "s1/2_t3.tif", "s1_t2.tif.tmp", "as1_t2.tif", "s_t2.tif", "s1_t.tif"] {
            assert!(naming.parse(path).is_err(), "{path}");
        }
    }

    #[test]
    fn numbers_beyond_an_index_are_refused_not_wrapped() {
        let error = naming(&["t{time}.tif"]).parse("t99999999999999999999.tif").unwrap_err();
        assert_eq!(error.code(), "number_too_large");
    }

    #[test]
    fn wildcards_and_ignored_names() {
        let ignore = ["**thumb*.tif".to_owned(), "notes/**".to_owned()];
        let naming = Naming::new(&["**/*_s{fov}_t{time}.tif".to_owned()], &ignore).unwrap();
        assert_eq!(naming.parse("a/b/x_s3_t4.tif").unwrap(), name([None, None, Some("3"), None], Some(4), None));
        assert!(naming.is_ignored("a/thumb_1.tif") && naming.is_ignored("notes/x/y.txt"));
        assert!(!naming.is_ignored("a/x_s3_t4.tif"));
    }

    #[test]
    fn wrong_templates_say_what_to_correct() {
        for (written, words) in [
            ("", "empty"),
            ("{well}.tif", "{well} is not known"),
            ("{fov}_{fov}.tif", "twice"),
            ("s{fov.tif", "brace"),
            ("s}fov.tif", "brace"),
            ("{sample}{fov}.tif", "nothing separates {fov}"),
        ] {
            let error = Template::new(written).unwrap_err().to_string();
            assert!(error.contains(words), "{written}: {error}");
        }
    }

    #[test]
    fn every_preset_compiles() {
        for (preset, _) in PRESETS {
            naming(&[preset]);
        }
    }

    proptest! {
        #[test]
        fn names_round_trip(
            session in "[A-Za-z0-9-]{1,12}", sample in "[A-Z][A-Z0-9-]{0,8}", fov in "[0-9]{1,3}",
            channel in "[0-9]{1,3}", time_index in 0_i64..1_000_000, z_index in 0_i64..100,
        ) {
            let full = FrameName {
                session: Some(session), fov: Some(fov), time_index: Some(time_index),
                channel: Some(channel), z_index: Some(z_index), sample: Some(sample),
            };
            for template in [
                "{session}/{sample}_s{fov}_t{time}_c{channel}_z{z}.tif",
                "{session}/{sample}xy{fov}t{time}c{channel}z{z}.tif",
                "{session}/{sample}/img_channel{channel}_position{fov}_time{time}_z{z}.tif",
            ] {
                let template = Template::new(template).unwrap();
                let path = template.format(&full).unwrap();
                prop_assert_eq!(template.parse(&path).unwrap(), Some(full.clone()), "{}", path);
            }
        }

        #[test]
        fn no_name_and_no_template_panics(path in ".{0,40}", template in "[a-z{}*/]{0,20}") {
            if let Ok(template) = Template::new(&template) {
                let _name = template.parse(&path);
            }
        }
    }
}
