//! A transform in Rust on the public bindings: `rust.Append` appends a text to a text field of values with a schema, `rust.Upper`
//! is a predicate that matches topics in upper case, `rust.Examples` answers each row with the examples of wit/encoding.md that
//! it writes by itself (the host compares them with the page), `rust.Echo` hands its input back.

wit_bindgen::generate!({ path: "../../../wit", world: "transform-plugin" });

mod encoding;

use culvert::connect::host;
use culvert::connect::types::{ValueSlice, Error, ErrorKind, Encoding, Importance, Kind, SchemaNode, Response, Row, RowError, Rule, Schema, Setting, SettingKind, ConfigKey};
use exports::culvert::connect::plugin::{Component, ComponentKind, Description, Guest as PluginGuest, ValidateResult};
use exports::culvert::connect::transform::{ApplyResult, Guest as TransformGuest, Stage, TestResult};

struct Plugin;
export!(Plugin);

/// A panic ends in a trap without a message: the hook logs the message and the place before that.
fn log_panics() {
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| std::panic::set_hook(Box::new(|panic| host::log(host::Level::Error, &panic.to_string()))));
}

fn setting(name: &str, kind: SettingKind, default_value: Option<&str>, rules: Vec<Rule>) -> ConfigKey {
    ConfigKey {
        name: name.into(),
        kind,
        default_value: default_value.map(Into::into),
        importance: Importance::Medium,
        documentation: format!("The setting {name}."),
        rules,
    }
}

fn component(name: &str, kind: ComponentKind, settings: Vec<ConfigKey>) -> Component {
    Component { name: name.into(), kind, aliases: vec![], documentation: "A component in Rust.".into(), settings, prefixes: vec![] }
}

fn failure(kind: ErrorKind, message: String) -> Error {
    Error { kind, message, setting: None, code: None, detail: None }
}

impl PluginGuest for Plugin {
    fn describe() -> Description {
        log_panics();
        Description {
            name: "rust-transform".into(),
            version: "1.0.0".into(),
            documentation: "Größe: a plugin made with wit-bindgen.".into(),
            components: vec![
                component("rust.Append", ComponentKind::Transformation, vec![
                    setting("field", SettingKind::String, None, vec![Rule::Required, Rule::Group("Rust".into()), Rule::Order(1), Rule::Width(2)]),
                    setting("text", SettingKind::String, Some("!"), vec![]),
                ]),
                component("rust.Echo", ComponentKind::Transformation, vec![]),
                component("rust.Examples", ComponentKind::Transformation, vec![]),
                component("rust.Upper", ComponentKind::Predicate, vec![]),
            ],
        }
    }

    fn validate(component: String, settings: Vec<Setting>, _online: bool, _state: Vec<u8>, _answers: Vec<Response>) -> Result<ValidateResult, Error> {
        log_panics();
        let known = Self::describe();
        let Some(found) = known.components.into_iter().find(|c| c.name == component) else {
            return Err(failure(ErrorKind::Config, format!("unknown component {component}")));
        };
        let values = found.settings.into_iter().map(|key| {
            let value = settings.iter().find(|s| s.name == key.name).map(|s| s.value.clone()).or(key.default_value.clone());
            let errors = if value.is_none() { vec![format!("{} is missing", key.name)] } else { vec![] };
            config_value(key, value, errors)
        });
        Ok(ValidateResult::Done(values.collect()))
    }
}

fn config_value(key: ConfigKey, value: Option<String>, errors: Vec<String>) -> culvert::connect::types::ConfigValue {
    culvert::connect::types::ConfigValue { key, value, errors, recommended: vec![], visible: true }
}

/// The context: component, then settings, as lines.
fn context_of(stage: &Stage) -> Vec<u8> {
    let mut lines = vec![stage.component.clone()];
    for s in &stage.settings {
        lines.push(format!("{}={}", s.name, s.value));
    }
    lines.join("\n").into_bytes()
}

fn unchanged() -> ValueSlice {
    ValueSlice { encoding: Encoding::Unchanged, schema: 0, start: 0, size: 0 }
}

fn same(d: &ValueSlice) -> ValueSlice {
    ValueSlice { encoding: d.encoding, schema: d.schema, start: d.start, size: d.size }
}

impl TransformGuest for Plugin {
    fn prepare(chain: Vec<Stage>) -> Result<Vec<u8>, Error> {
        log_panics();
        match chain.as_slice() {
            [stage] => {
                host::log(host::Level::Info, &format!("prepared {}", stage.component));
                Ok(context_of(stage))
            }
            _ => Err(failure(ErrorKind::Unsupported, format!("expected one stage, found {}", chain.len()))),
        }
    }

    fn apply(context: Vec<u8>, schemas: Vec<Schema>, _topics: Vec<String>, rows: Vec<Row>, data: Vec<u8>) -> Result<ApplyResult, Error> {
        log_panics();
        let text = String::from_utf8(context).map_err(|e| failure(ErrorKind::Internal, e.to_string()))?;
        let mut lines = text.lines();
        let consumed = rows.len() as u32;
        match lines.next() {
            Some("rust.Echo") => Ok(ApplyResult { schemas: vec![], topics: vec![], rows, data, errors: vec![], consumed }),
            Some("rust.Examples") => Ok(examples(rows)),
            _ => {
                let get = |name: &str| lines.clone().find_map(|l| l.strip_prefix(name).and_then(|l| l.strip_prefix('=')));
                append(get("field").unwrap_or(""), get("text").unwrap_or("!"), schemas, rows, data)
            }
        }
    }

    fn test(_context: Vec<u8>, _schemas: Vec<Schema>, topics: Vec<String>, rows: Vec<Row>, _data: Vec<u8>) -> Result<TestResult, Error> {
        log_panics();
        let matches = rows.iter().map(|r| topics[r.topic as usize].chars().all(|c| !c.is_lowercase())).collect();
        Ok(TestResult { matches, errors: vec![] })
    }
}

/// Every row's value becomes one of the examples of the page, in the page's order; the header block is its own example.
fn examples(rows: Vec<Row>) -> ApplyResult {
    let (mut out, mut data) = (vec![], vec![]);
    let written = encoding::examples();
    for (i, row) in rows.iter().enumerate() {
        let start = data.len() as u32;
        data.extend_from_slice(&written[i % written.len()]);
        let value = ValueSlice { encoding: Encoding::WithSchema, schema: 0x8000_0000, start, size: data.len() as u32 - start };
        out.push(Row { row_index: i as u32, value, key: unchanged(), headers: unchanged(), ..*row });
    }
    // the examples travel as the content of a `bytes` value, so that the host can take any of them
    let consumed = rows.len() as u32;
    ApplyResult { schemas: vec![bytes_schema()], topics: vec![], rows: out, data, errors: vec![], consumed }
}

fn bytes_schema() -> Schema {
    Schema {
        id: 0x8000_0000,
        nodes: vec![SchemaNode {
            kind: Kind::Bytes, optional: false, name: None, version: None, doc: None, parameters: vec![], default_value: None,
            fields: vec![], key: 0, element: 0,
        }],
    }
}

thread_local! {
    /// Schemas that this instance was given: each comes once, before or with the first row that names it.
    static GIVEN: std::cell::RefCell<std::collections::HashMap<u32, Vec<SchemaNode>>> = Default::default();
}

fn append(field: &str, text: &str, schemas: Vec<Schema>, rows: Vec<Row>, data: Vec<u8>) -> Result<ApplyResult, Error> {
    GIVEN.with_borrow_mut(|given| given.extend(schemas.into_iter().map(|s| (s.id, s.nodes))));
    if text == "panic!" {
        panic!("asked to panic in a batch of {} rows", rows.len()); // shows how a panic gets into the host's log
    }
    let consumed = rows.len() as u32;
    let (mut out, mut bytes, mut errors) = (vec![], vec![], vec![]);
    for (i, row) in rows.iter().enumerate() {
        let mut value = ValueSlice { encoding: Encoding::Unchanged, schema: row.value.schema, start: 0, size: 0 };
        if row.value.encoding == Encoding::WithSchema {
            let from = &data[row.value.start as usize..(row.value.start + row.value.size) as usize];
            let start = bytes.len() as u32;
            match GIVEN.with_borrow(|given| encoding::append_text(&given[&row.value.schema], field, text, from, &mut bytes)) {
                Ok(true) => value = ValueSlice { start, size: bytes.len() as u32 - start, ..same(&row.value) },
                Ok(false) => bytes.truncate(start as usize),
                Err(message) => {
                    bytes.truncate(start as usize);
                    errors.push(RowError {
                        row_index: i as u32, stage: 0, error_class: "rust.Error".into(), error: failure(ErrorKind::Data, message), raw_start: 0, raw_size: 0,
                    });
                    continue;
                }
            }
        }
        out.push(Row { row_index: i as u32, value, key: ValueSlice { schema: row.key.schema, ..unchanged() }, headers: unchanged(), ..*row });
    }
    Ok(ApplyResult { schemas: vec![], topics: vec![], rows: out, data: bytes, errors, consumed })
}
