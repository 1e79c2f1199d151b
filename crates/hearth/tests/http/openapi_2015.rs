//! Compares answers under the paths of 2015 with the schemas of that time in `tests/openapi-2015/`.
//!
//! Every answer of every test comes through [`check`]. What is an event is compared with the schema of its
//! type as well. [`same_shape`] compares an answer with an example of the documents.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use jsonschema::Validator;
use reqwest::Method;
use serde_json::{Value, json};

use crate::openapi::words_in_common;

/// The documents, without those that a homeserver asks by.
const DOCUMENTS: [&str; 26] = [
    "v1/content-repo",
    "v1/create_room",
    "v1/directory",
    "v1/guest_events",
    "v1/inviting",
    "v1/joining",
    "v1/leaving",
    "v1/list_public_rooms",
    "v1/login",
    "v1/message_pagination",
    "v1/presence",
    "v1/profile",
    "v1/pusher",
    "v1/pushrules",
    "v1/room_send",
    "v1/room_state",
    "v1/rooms",
    "v1/search",
    "v1/sync",
    "v1/third_party_membership",
    "v1/typing",
    "v1/voip",
    "v2_alpha/filter",
    "v2_alpha/receipts",
    "v2_alpha/registration",
    "v2_alpha/sync",
];

/// Where an answer may differ from the document: the endpoint, the keyword, and why.
const FORGIVEN: [(&str, &str); 2] = [
    // There is no answer for servers without TURN.
    ("GET /_matrix/client/api/v1/turnServer", "required"),
    // Names and topics «may be null», says the document, and that they are text.
    ("GET /_matrix/client/api/v1/publicRooms", "type"),
];

/// One endpoint of a document.
struct Operation {
    method: Method,
    template: String,
    schema: Option<Validator>,
    example: Option<Value>,
}

/// Everything that the documents say.
struct Spec {
    operations: Vec<Operation>,
    events: BTreeMap<String, Validator>,
}

fn spec() -> &'static Spec {
    static SPEC: OnceLock<Arc<Spec>> = OnceLock::new();
    SPEC.get_or_init(|| Arc::new(Spec::read()))
}

fn place(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/openapi-2015").join(file)
}

fn read(file: &str) -> Value {
    let text = fs::read_to_string(place(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
    serde_saphyr::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// Panics if the answer to `method path` is not one that the documents of 2015 allow.
#[track_caller]
pub fn check(method: &Method, path: &str, status: u16, body: &Value) {
    let path = path.split('?').next().unwrap_or_default();
    let is_v1 = path.starts_with("/_matrix/client/api/v1/");
    if status != 200 || !(is_v1 || path.starts_with("/_matrix/client/v2_alpha/")) {
        return;
    }
    let mut complaints: Vec<String> = Vec::new();
    if let Some(operation) = spec().operation(method, path) {
        let name = format!("{method} {path}");
        // Presence comes with the events of rooms, but from no room.
        let is_presence =
            |place: &str| body.pointer(place).is_some_and(|event| event["type"] == "m.presence");
        let forgiven =
            |keyword: &str, place: &str| FORGIVEN.contains(&(name.as_str(), keyword)) || is_presence(place);
        if let Some(schema) = &operation.schema {
            let errors = schema.iter_errors(body);
            let errors =
                errors.filter(|error| !forgiven(error.kind().keyword(), error.instance_path().as_str()));
            complaints.extend(errors.map(|error| format!("{error} at «{}»", error.instance_path())));
        }
    }
    if is_v1 {
        spec().complain_of_events(body, &mut complaints);
    }
    assert!(
        complaints.is_empty(),
        "{method} {path} answers with what 2015 does not allow: {complaints:#?}\n{body:#}"
    );
}

/// The example of an answer to an endpoint, as the document writes its path.
pub fn example(method: &str, template: &str) -> Value {
    let mut operations = spec().operations.iter();
    let found = operations.find(|operation| {
        operation.method == method && operation.template.ends_with(template) && operation.example.is_some()
    });
    found
        .and_then(|found| found.example.clone())
        .unwrap_or_else(|| panic!("no example of {method} {template}"))
}

/// The example of an event of a type, or of a message (`m.room.message#m.text`).
pub fn event_examples() -> Vec<(String, Value)> {
    let mut examples = Vec::new();
    for entry in fs::read_dir(place("event-schemas/examples")).expect("a folder of examples") {
        let name = entry.expect("an example").file_name().to_string_lossy().into_owned();
        let mut example = read(&format!("event-schemas/examples/{name}"));
        // One of them names its sender as v2_alpha does.
        if let Some(sender) = example.as_object_mut().and_then(|event| event.remove("sender")) {
            example["user_id"] = sender;
        }
        examples.push((name, example));
    }
    examples.sort_by(|one, other| one.0.cmp(&other.0));
    examples
}

/// Complains where `answer` lacks what `example` has, or has it in another form. Of a list each element of
/// the example must be like one of the answer's. `optional` keys may be missing.
pub fn same_shape(example: &Value, answer: &Value, optional: &[&str]) -> Result<(), String> {
    match (example, answer) {
        // Null stands for text that is not there.
        (Value::Null, Value::Null | Value::String(_)) => Ok(()),
        (Value::Object(example), Value::Object(answer)) => {
            for (key, wanted) in example {
                // Ids are keys of some objects.
                let is_id = key.starts_with(['!', '$', '@']);
                let found = if is_id { answer.values().next() } else { answer.get(key) };
                match found {
                    Some(found) => {
                        same_shape(wanted, found, optional).map_err(|why| format!("{key}: {why}"))?
                    }
                    None if optional.contains(&&**key) || wanted.is_null() => {}
                    None => return Err(format!("{key} is missing in {:?}", answer.keys())),
                }
            }
            Ok(())
        }
        (Value::Array(example), Value::Array(answer)) => example.iter().try_for_each(|wanted| {
            let of_type = |found: &&Value| found["type"] == wanted["type"];
            let mut last = Err(format!("nothing is like {wanted}"));
            for found in answer.iter().filter(of_type) {
                last = same_shape(wanted, found, optional);
                if last.is_ok() {
                    break;
                }
            }
            last
        }),
        (Value::String(_), Value::String(_))
        | (Value::Number(_), Value::Number(_))
        | (Value::Bool(_), Value::Bool(_)) => Ok(()),
        _ => Err(format!("{answer} is not like {example}")),
    }
}

impl Spec {
    fn read() -> Self {
        let mut operations = Vec::new();
        for document in DOCUMENTS {
            let whole = read(&format!("{document}.yaml"));
            let folder = document.split('/').next().unwrap_or_default();
            let base = whole["basePath"].as_str().expect("a basePath");
            // One file has a prefix that the text knows nothing of.
            let base = base.replace("/client/api/v2_alpha", "/client/v2_alpha");
            for (path, item) in whole["paths"].as_object().expect("paths") {
                // A space at the end tells apart two descriptions of one endpoint.
                let path = path.trim_end();
                for (method, operation) in item.as_object().expect("operations") {
                    let response = &operation["responses"]["200"];
                    let example = response["examples"]["application/json"].as_str();
                    let example = example.map(|text| {
                        serde_json::from_str(text)
                            .unwrap_or_else(|error| panic!("{document} {path}: {error}"))
                    });
                    let schema = response.get("schema").filter(|schema| schema["type"] != "file");
                    operations.push(Operation {
                        method: method.to_uppercase().parse().expect("a method"),
                        template: format!("{base}{path}"),
                        schema: schema.map(|schema| compile(&inline(schema, folder))),
                        example,
                    });
                }
            }
        }
        let mut events = BTreeMap::new();
        for entry in fs::read_dir(place("event-schemas/schema")).expect("a folder of schemas") {
            let name = entry.expect("a schema").file_name().to_string_lossy().into_owned();
            if name != "core-event-schema" {
                let file = format!("event-schemas/schema/{name}");
                events.insert(name, compile(&inline(&read(&file), "event-schemas/schema")));
            }
        }
        Spec { operations, events }
    }

    /// The endpoint with the most words in common with a path.
    fn operation(&self, method: &Method, path: &str) -> Option<&Operation> {
        let candidates = self.operations.iter().filter(|operation| operation.method == *method);
        let with_words = candidates.filter_map(|operation| {
            let template = operation.template.as_str();
            let shorter = template.strip_suffix("/{stateKey}").unwrap_or(template);
            // The scope may have two parts.
            let longer = template.replace("{scope}", "{scope}/{tag}");
            let words = words_in_common(template, path)
                .or_else(|| words_in_common(shorter, path))
                .or_else(|| words_in_common(&longer, path))?;
            Some((words, operation))
        });
        with_words.max_by_key(|(words, _)| *words).map(|(_, operation)| operation)
    }

    /// Looks for events in an answer of v1 and compares each with the schema of its type.
    fn complain_of_events(&self, value: &Value, complaints: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.complain_of_events(item, complaints)),
            Value::Object(members) => {
                let is_event = ["type", "content", "room_id"].iter().all(|key| members.contains_key(*key));
                if is_event || members.get("type").is_some_and(|name| name == "m.presence") {
                    self.complain_of_event(value, complaints);
                }
                members.values().for_each(|value| self.complain_of_events(value, complaints));
            }
            _ => {}
        }
    }

    fn complain_of_event(&self, event: &Value, complaints: &mut Vec<String>) {
        for wrong in ["sender", "unsigned"] {
            if event.get(wrong).is_some() {
                complaints.push(format!("{wrong} is in an event of v1: {event}"));
            }
        }
        let name = event["type"].as_str().unwrap_or_default();
        let newer = event["content"]["room_version"]
            .as_str()
            .is_some_and(|version| !["6", "7", "8", "9", "10"].contains(&version));
        // What clients send as content is their own business.
        if event.get("redacted_because").is_some() || newer || event["content"] == json!({}) {
            return;
        }
        let mut event = event.clone();
        if name == "m.presence" {
            // The schema asks for an id, which presence never had.
            event["event_id"] = json!("$none");
        }
        let of_message = format!("{name}#{}", event["content"]["msgtype"].as_str().unwrap_or_default());
        for schema in [name, &of_message].into_iter().filter_map(|name| self.events.get(name)) {
            let errors = schema.iter_errors(&event);
            complaints
                .extend(errors.map(|error| format!("{error} at «{}» of {event}", error.instance_path())));
        }
    }
}

fn compile(schema: &Value) -> Validator {
    jsonschema::options().build(schema).unwrap_or_else(|error| panic!("{error}: {schema:#}"))
}

/// The schema with everything in it that it refers to, and without what is no JSON Schema.
fn inline(schema: &Value, folder: &str) -> Value {
    match schema {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let (folder, name) = refer(folder, reference);
                return inline(&read(&format!("{folder}/{name}")), &folder);
            }
            let kept = members.iter().filter(|(key, _)| !["example", "examples"].contains(&&***key));
            let mut inlined: Value = kept
                .map(|(key, value)| (key.clone(), inline(value, folder)))
                .collect::<serde_json::Map<_, _>>()
                .into();
            // Two slips of the pen in the document of /sync.
            if inlined["type"] == "string." {
                inlined["type"] = json!("string");
            }
            if inlined["additionalProperties"].get("joined").is_some() {
                inlined["additionalProperties"] = json!({ "properties": inlined["additionalProperties"] });
            }
            inlined
        }
        Value::Array(items) => items.iter().map(|item| inline(item, folder)).collect(),
        _ => schema.clone(),
    }
}

/// The folder and the name of the file that `reference` means in a file of `folder`.
fn refer(folder: &str, reference: &str) -> (String, String) {
    let events = "event-schemas/schema".to_owned();
    match reference.split_once('/') {
        Some(("v1-event-schema", name)) => (events, name.to_owned()),
        Some(("core-event-schema", name)) => (events, format!("core-event-schema/{name}")),
        Some(("definitions", name)) if !folder.ends_with("definitions") => {
            (format!("{folder}/definitions"), name.to_owned())
        }
        Some((_, name)) => (folder.to_owned(), name.to_owned()),
        None => (folder.to_owned(), reference.to_owned()),
    }
}

#[test]
fn every_example_of_2015_is_what_its_schema_says() {
    let mut complaints = Vec::new();
    let mut compared = 0;
    for operation in &spec().operations {
        if let (Some(schema), Some(example)) = (&operation.schema, &operation.example) {
            compared += 1;
            let errors = schema.iter_errors(example);
            complaints.extend(errors.map(|error| format!("{}: {error}", operation.template)));
        }
    }
    for (name, example) in event_examples() {
        compared += 1;
        spec().complain_of_event(&example, &mut complaints);
        assert!(spec().events.contains_key(&name), "{name} has a schema");
    }
    assert!(complaints.is_empty(), "{complaints:#?}");
    assert!(compared > 60, "only {compared} examples were found");
}

#[test]
fn a_wrong_answer_of_2015_is_found() {
    let event =
        json!({ "type": "m.room.name", "content": { "name": 1 }, "room_id": "!a:b", "state_key": "" });
    let mut complaints = Vec::new();
    spec().complain_of_events(&json!({ "chunk": [event] }), &mut complaints);
    assert_eq!(complaints.len(), 1, "{complaints:?}");
    let operation =
        spec().operation(&Method::GET, "/_matrix/client/api/v1/rooms/!a/initialSync").expect("it is known");
    let schema = operation.schema.as_ref().expect("a schema");
    assert!(!schema.is_valid(&json!({ "membership": "join" })), "room_id is missing");
    let sync = spec().operation(&Method::GET, "/_matrix/client/v2_alpha/sync").expect("it is known");
    let schema = sync.schema.as_ref().expect("a schema");
    assert!(!schema.is_valid(&json!({ "rooms": { "default": { "joined": {} } } })));
    assert!(!schema.is_valid(&json!({ "rooms": { "default": { "joined": [1] } } })));
    let example = json!({ "a": [{ "type": "x", "n": 1 }], "b": null });
    assert!(same_shape(&example, &json!({ "a": [{ "type": "y" }, { "type": "x", "n": 2 }] }), &[]).is_ok());
    assert!(same_shape(&example, &json!({ "a": [{ "type": "x", "n": "2" }] }), &[]).is_err());
    assert!(same_shape(&example, &json!({ "b": "c" }), &[]).is_err());
}
