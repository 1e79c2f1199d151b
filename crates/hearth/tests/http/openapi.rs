//! Compares answers with the schemas of the specification in `tests/openapi/`.
//!
//! Every answer of every test comes through [`check`]: a 200 must be what the OpenAPI description
//! says of its endpoint, a refusal an error object, a question for authentication one that clients
//! can answer. Files are read and schemas compiled when the first answer needs them.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use base64::{Engine as _, engine::general_purpose};
use jsonschema::{Draft, Validator};
use reqwest::Method;
use ruma::{EventId, MxcUri, RoomAliasId, RoomId, ServerName, UserId};
use serde_json::{Map, Value, json};

/// `module METHOD path` in each line; a module is a file of `tests/openapi/api/client-server`.
const ENDPOINTS: &str = include_str!("../endpoints.txt");
const ERROR: &str = "api/client-server/definitions/errors/error.yaml";
const RATE_LIMITED: &str = "api/client-server/definitions/errors/rate_limited.yaml";
const AUTHENTICATION: &str = "api/client-server/definitions/auth_response.yaml";

/// Where the specification's schema is not what the specification means: the endpoint, the place in its
/// answer, and why.
const WRONG: [(&str, &str, &str); 2] = [
    // `oneOf` a ClientEvent or any object, and a ClientEvent is an object.
    ("GET /_matrix/client/v3/rooms/{roomId}/state/{eventType}/{stateKey}", "", "oneOf"),
    // There is no answer for servers without TURN. Clients take `{}` for it, and choke on empty `uris`.
    ("GET /_matrix/client/v3/voip/turnServer", "", "required"),
];

/// Panics if an event is not what the specification says of its type. What it does not describe may be
/// anything.
#[track_caller]
pub fn check_event(event: &Value) {
    static SPEC: OnceLock<Spec> = OnceLock::new();
    let spec = SPEC.get_or_init(Spec::default);
    let file = format!("event-schemas/schema/{}.yaml", event["type"].as_str().unwrap_or_default());
    let described = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(&file).exists();
    let validator = described.then(|| spec.of_file(&file));
    if let Some(error) = validator.iter().flat_map(|validator| validator.iter_errors(event)).next() {
        let complaint =
            format!("{} at «{}» ({})", error.masked(), error.instance_path(), error.schema_path());
        panic!("v1.19 does not allow this event: {complaint}\n{event:#}");
    }
}

/// Panics if the answer to `method path` is not one that the specification allows.
#[track_caller]
pub fn check(method: &Method, path: &str, status: u16, body: &Value) {
    static SPEC: OnceLock<Spec> = OnceLock::new();
    let spec = SPEC.get_or_init(Spec::default);
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    // What is asked for by the name of a proposal is not described in the specification.
    if status == 200 && query.contains("org.matrix.msc") {
        return;
    }
    let path = path.replace("/client/r0/", "/client/v3/");
    if let Some(complaint) = spec.complaint(method, &path, status, body) {
        panic!("{method} {path} answers {status} with what v1.19 does not allow: {complaint}\n{body:#}");
    }
}

/// Panics if a push gateway is told what the specification does not allow.
#[track_caller]
pub fn check_notice(notice: &Value) {
    static SCHEMA: OnceLock<Arc<Validator>> = OnceLock::new();
    let validator = SCHEMA.get_or_init(|| {
        let (spec, file) = (Spec::default(), "api/push-gateway/push_notifier.yaml");
        let whole = spec.file(file);
        let schema = "/paths/~1notify/post/requestBody/content/application~1json/schema";
        compile(&spec, file, whole.pointer(schema).unwrap_or_else(|| panic!("{file} has no request")))
    });
    if let Some(error) = validator.iter_errors(notice).next() {
        let complaint = format!("{} at «{}»", error.masked(), error.instance_path());
        panic!("v1.19 does not allow this notification: {complaint}\n{notice:#}");
    }
}

/// What has been read of the specification.
#[derive(Default)]
struct Spec {
    files: Mutex<HashMap<String, Arc<Value>>>,
    validators: Mutex<HashMap<String, Option<Arc<Validator>>>>,
}

impl Spec {
    fn complaint(&self, method: &Method, path: &str, status: u16, body: &Value) -> Option<String> {
        let endpoint = endpoint(method, path);
        let validator = match status {
            0..=399 => endpoint.and_then(|(module, path)| self.of_answer(module, method, path, status))?,
            401 if body.get("flows").is_some() => self.of_file(AUTHENTICATION),
            429 => self.of_file(RATE_LIMITED),
            // What is no part of the client-server API has errors of its own.
            _ if !path.starts_with("/_matrix/") => return None,
            _ => self.of_file(ERROR),
        };
        let endpoint = endpoint.map(|(_, path)| format!("{method} {path}")).unwrap_or_default();
        let forgiven = |place: &str, keyword: &str| WRONG.contains(&(endpoint.as_str(), place, keyword));
        let mut complaints = validator
            .iter_errors(body)
            .filter(|error| !forgiven(error.instance_path().as_str(), error.kind().keyword()));
        complaints.next().map(|error| {
            let what = error.masked();
            format!("{what} at «{}» ({})", error.instance_path(), error.schema_path())
        })
    }

    /// The schema of a whole file.
    fn of_file(&self, file: &str) -> Arc<Validator> {
        let mut validators = lock(&self.validators);
        let compiled = validators.entry(file.to_owned());
        let compiled = compiled.or_insert_with(|| Some(compile(self, file, &self.file(file))));
        compiled.clone().unwrap_or_else(|| panic!("{file} is a schema"))
    }

    /// The schema of an answer; none if nothing is said of the status.
    fn of_answer(
        &self,
        module: &str,
        method: &Method,
        template: &str,
        status: u16,
    ) -> Option<Arc<Validator>> {
        let mut validators = lock(&self.validators);
        let compiled = validators.entry(format!("{method} {template} {status}"));
        compiled
            .or_insert_with(|| {
                let file = format!("api/client-server/{module}.yaml");
                let whole = self.file(&file);
                let schema = answer_schema(&whole, method, template, status)?;
                Some(compile(self, &file, schema))
            })
            .clone()
    }

    fn file(&self, file: &str) -> Arc<Value> {
        let mut files = lock(&self.files);
        let read = files.entry(file.to_owned()).or_insert_with(|| {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi").join(file);
            let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{file}: {error}"));
            Arc::new(serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}")))
        });
        read.clone()
    }
}

/// One test that fails, while it reads, need not fail the others.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The module and the path of the endpoint that a path leads to: the one with the most words in common.
fn endpoint(method: &Method, path: &str) -> Option<(&'static str, &'static str)> {
    let lines = ENDPOINTS.lines().filter_map(|line| {
        let (module, endpoint) = line.split_once(' ')?;
        let template = endpoint.strip_prefix(method.as_str())?.strip_prefix(' ')?;
        // An empty state key may be left out, together with the slash before it.
        let shorter = template.strip_suffix("/{stateKey}").unwrap_or(template);
        let words = words_in_common(template, path).or(words_in_common(shorter, path))?;
        Some((words, module, template))
    });
    lines.max_by_key(|(words, ..)| *words).map(|(_, module, template)| (module, template))
}

/// How many parts of a path are those of the template; none if they do not fit together.
pub fn words_in_common(template: &str, path: &str) -> Option<usize> {
    let (mut parts, mut words) = (path.split('/'), 0);
    for wanted in template.split('/') {
        let part = parts.next()?;
        match wanted.starts_with('{') {
            true => {}
            false if wanted == part => words += 1,
            false => return None,
        }
    }
    parts.next().is_none().then_some(words)
}

/// The schema of an answer in an OpenAPI file.
fn answer_schema<'a>(whole: &'a Value, method: &Method, template: &str, status: u16) -> Option<&'a Value> {
    let base = whole.pointer("/servers/0/variables/basePath/default")?.as_str()?;
    let path = template.strip_prefix(base).unwrap_or_else(|| panic!("{template} is not under {base}"));
    // A space at the end of a path tells apart two descriptions of one endpoint.
    let (_, item) = whole["paths"].as_object()?.iter().find(|(key, _)| key.trim_end() == path)?;
    let response = item[method.as_str().to_lowercase()]["responses"].get(status.to_string())?;
    let response = match response["$ref"].as_str() {
        Some(inside) => whole.pointer(inside.trim_start_matches('#'))?,
        None => response,
    };
    response.pointer("/content/application~1json/schema")
}

fn compile(spec: &Spec, file: &str, schema: &Value) -> Arc<Validator> {
    let mut bundle = Bundle { spec, places: Vec::new(), schemas: Map::new() };
    let mut schema = bundle.copy(file, schema);
    schema["$defs"] = Value::Object(bundle.schemas);
    let options = jsonschema::options()
        .with_draft(Draft::Draft202012)
        .should_validate_formats(true)
        .with_format("mx-user-id", |text: &str| UserId::parse(text).is_ok())
        .with_format("mx-event-id", |text: &str| EventId::parse(text).is_ok())
        .with_format("mx-room-id", |text: &str| RoomId::parse(text).is_ok())
        .with_format("mx-room-alias", |text: &str| RoomAliasId::parse(text).is_ok())
        .with_format("mx-server-name", |text: &str| ServerName::parse(text).is_ok())
        .with_format("mx-mxc-uri", |text: &str| <&MxcUri>::from(text).validate().is_ok())
        .with_format("mx-unpadded-base64", |text: &str| general_purpose::STANDARD_NO_PAD.decode(text).is_ok())
        .with_format("mx-urlsafe-unpadded-base64", |text: &str| {
            general_purpose::URL_SAFE_NO_PAD.decode(text).is_ok()
        });
    Arc::new(options.build(&schema).unwrap_or_else(|error| panic!("{file}: {error}")))
}

/// A schema together with all that it refers to in other files.
struct Bundle<'a> {
    spec: &'a Spec,
    /// `file#pointer` of each schema in `schemas`, whose name is its place here.
    places: Vec<String>,
    schemas: Map<String, Value>,
}

impl Bundle<'_> {
    /// The schema, with references that lead to `$defs` of the bundle, and without examples.
    fn copy(&mut self, file: &str, schema: &Value) -> Value {
        match schema {
            Value::Object(keys) => {
                let said = keys
                    .iter()
                    .filter(|(key, _)| !["example", "examples", "$schema"].contains(&key.as_str()));
                said.map(|(key, value)| match value.as_str() {
                    Some(reference) if key == "$ref" => (key.clone(), self.refer(file, reference)),
                    _ => (key.clone(), self.copy(file, value)),
                })
                .collect()
            }
            Value::Array(items) => items.iter().map(|item| self.copy(file, item)).collect(),
            _ => schema.clone(),
        }
    }

    fn refer(&mut self, file: &str, reference: &str) -> Value {
        let (path, pointer) = reference.split_once('#').unwrap_or((reference, ""));
        let target = if path.is_empty() { file.to_owned() } else { beside(file, path) };
        let place = format!("{target}#{pointer}");
        let known = self.places.iter().position(|known| *known == place);
        let name = known.unwrap_or_else(|| {
            self.places.push(place);
            let name = self.places.len() - 1;
            let whole = self.spec.file(&target);
            let schema =
                whole.pointer(pointer).unwrap_or_else(|| panic!("{file}: {reference} leads nowhere"));
            let schema = self.copy(&target, schema);
            self.schemas.insert(name.to_string(), schema);
            name
        });
        json!(format!("#/$defs/{name}"))
    }
}

/// The path that `relative` means in `file`.
fn beside(file: &str, relative: &str) -> String {
    let mut path = PathBuf::from(file);
    path.pop();
    for part in relative.split('/') {
        match part {
            ".." => drop(path.pop()),
            "." => {}
            part => path.push(part),
        }
    }
    path.to_string_lossy().into_owned()
}

#[test]
fn every_answer_of_the_specification_has_a_schema_that_can_be_read() {
    let spec = Spec::default();
    for line in ENDPOINTS.lines() {
        let mut words = line.splitn(3, ' ').skip(1);
        let (method, template) = (words.next().expect("a method"), words.next().expect("a path"));
        let method: Method = method.parse().expect("a method");
        let (module, found) = endpoint(&method, template).expect("it is listed");
        assert_eq!(found, template);
        spec.of_answer(module, &method, template, 200);
    }
    let answers = lock(&spec.validators).values().flatten().count();
    assert!(answers > 140, "only {answers} schemas were found");
}

#[test]
fn a_wrong_answer_is_found() {
    let complaint = |path: &str, status, body| Spec::default().complaint(&Method::GET, path, status, &body);
    let joined = "/_matrix/client/v3/joined_rooms";
    assert_eq!(complaint(joined, 200, json!({ "joined_rooms": ["!a:hearth.test"] })), None);
    assert!(complaint(joined, 200, json!({})).is_some_and(|why| why.contains("joined_rooms")));
    assert!(complaint(joined, 200, json!({ "joined_rooms": ["a"] })).is_some());
    assert!(complaint(joined, 404, json!({ "error": "What?" })).is_some_and(|why| why.contains("errcode")));
    let event = json!({ "type": "m", "content": {}, "sender": "@a:b", "event_id": "$a", "room_id": "!a:b" });
    let path = "/_matrix/client/v3/rooms/!a/event/%24a";
    assert!(complaint(path, 200, event).is_some_and(|why| why.contains("origin_server_ts")));
}
