//! Compiles the contract in `proto/` without an outside compiler.
//!
//! Into `OUT_DIR` go: the messages, services and clients (`proto.rs`), the descriptors for reflection
//! (`descriptors.bin`), the closed list of error reasons (`reason.rs`) and what holds for each (`reasons.rs`), and
//! which method each request belongs to (`requests.rs`).

use std::collections::BTreeSet;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use protox::prost_reflect::{DescriptorPool, EnumValueDescriptor, FieldDescriptor, Kind, MessageDescriptor, Value};

const PACKAGE: &str = "lacuna.v1";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    println!("cargo::rerun-if-changed=build.rs");
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_imports(true).include_source_info(true).open_files(proto_files()?)?;
    let pool = compiler.descriptor_pool();
    fs::write(out.join("reason.rs"), reason(&pool)?)?;
    fs::write(out.join("reasons.rs"), reasons(&pool)?)?;
    fs::write(out.join("requests.rs"), requests(&pool)?)?;

    let mut files = compiler.file_descriptor_set();
    // Only the extension that describes error reasons refers to it, and that is read above.
    files.file.retain(|file| file.name() != "google/protobuf/descriptor.proto");
    let mut config = tonic_prost_build::Config::new();
    config.enable_type_names(); // by which the command line finds a message's descriptor
    tonic_prost_build::configure()
        .codec_path("crate::api::codec::Codec")
        .compile_well_known_types(true)
        .btree_map(".") // so that encoding a request twice gives the same bytes
        .bytes(".lacuna.v1.DocumentChunk.data")
        .skip_debug(redacted(&pool))
        .include_file("proto.rs")
        .compile_fds_with_config(files, config)?;

    // Reflection shows clients the options of our own, which only the compiler itself still has.
    compiler.include_source_info(false);
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    Ok(())
}

fn proto_files() -> Result<Vec<String>, Box<dyn Error>> {
    let mut files = Vec::new();
    for entry in fs::read_dir("proto/lacuna/v1")? {
        let name = entry?.file_name().into_string().map_err(|_| "a proto file's name is not UTF-8")?;
        if name.ends_with(".proto") {
            files.push(format!("lacuna/v1/{name}"));
        }
    }
    files.sort();
    Ok(files)
}

/// The messages that must not be printed: those with a field marked `debug_redact`, and those that hold such a one.
fn redacted(pool: &DescriptorPool) -> Vec<String> {
    let messages: Vec<MessageDescriptor> =
        pool.all_messages().filter(|message| message.parent_file().package_name() == PACKAGE).collect();
    let mut found: BTreeSet<String> = BTreeSet::new();
    loop {
        let before = found.len();
        for message in &messages {
            let holds_redacted = |field: FieldDescriptor| match field.kind() {
                Kind::Message(held) => found.contains(held.full_name()),
                _ => false,
            };
            if message.fields().any(|field| is_redacted(&field) || holds_redacted(field)) {
                found.insert(message.full_name().to_owned());
            }
        }
        if found.len() == before {
            return found.into_iter().map(|name| format!(".{name}")).collect();
        }
    }
}

fn is_redacted(field: &FieldDescriptor) -> bool {
    field.options().get_field_by_name("debug_redact").is_some_and(|value| value.as_bool() == Some(true))
}

/// The error reasons as the vault's own enum, for the tiers that see no message.
fn reason(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let reasons = pool.get_enum_by_name("lacuna.v1.ErrorReason").ok_or("ErrorReason is missing")?;
    let mut code = String::from("reasons! {\n");
    for value in reasons.values().filter(|value| value.number() != 0) {
        let name = value.name().strip_prefix("ERROR_REASON_").ok_or("a reason lacks its prefix")?;
        writeln!(code, "    {:?} {} = {};", comment(&value), camel(name), value.number())?;
    }
    code.push_str("}\n");
    Ok(code)
}

/// One arm per error reason: its gRPC code, whether to retry, what to do, and the comment that explains it.
fn reasons(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let reasons = pool.get_enum_by_name("lacuna.v1.ErrorReason").ok_or("ErrorReason is missing")?;
    let option = pool.get_extension_by_name("lacuna.v1.error").ok_or("the extension is missing")?;
    let mut all = String::new();
    let mut arms = String::new();
    for value in reasons.values() {
        let options = value.options();
        let name = value.name().strip_prefix("ERROR_REASON_").ok_or("a reason lacks its prefix")?;
        let reason = format!("ErrorReason::{}", camel(name));
        if value.number() == 0 {
            writeln!(arms, "    {reason} => Traits::NONE,")?;
            continue;
        }
        if !options.has_extension(&option) {
            return Err(format!("{name} states no traits").into());
        }
        let traits = options.get_extension(&option);
        let traits = traits.as_message().ok_or("the extension is no message")?;
        let field = |field: &str| traits.get_field_by_name(field).map(|value| value.into_owned());
        let (Some(Value::EnumNumber(code)), Some(Value::Bool(retryable)), Some(Value::String(what_to_do))) =
            (field("code"), field("retryable"), field("what_to_do"))
        else {
            return Err(format!("{name} states other traits than expected").into());
        };
        if code == 0 || what_to_do.is_empty() {
            return Err(format!("{name} states no code or nothing to do").into());
        }
        let about = comment(&value);
        writeln!(all, "    {reason},")?;
        writeln!(
            arms,
            "    {reason} => Traits {{ name: {name:?}, code: {code}, retryable: {retryable}, \
             what_to_do: {what_to_do:?}, about: {about:?} }},"
        )?;
    }
    Ok(format!(
        "/// Every reason but the unspecified one, by number.\npub const ALL: &[ErrorReason] = &[\n{all}];\n\n\
         /// What holds for every error of one reason, as the contract states it.\n\
         pub const fn traits(reason: ErrorReason) -> Traits {{\n    match reason {{\n{arms}    }}\n}}\n"
    ))
}

fn comment(value: &EnumValueDescriptor) -> String {
    let file = value.parent_enum().parent_file();
    let locations = file.file_descriptor_proto().source_code_info.iter().flat_map(|info| &info.location);
    let mut here = locations.filter(|location| location.path == value.path());
    let text = here.next().map(|location| location.leading_comments().trim().to_owned()).unwrap_or_default();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Ties each request message to its method, and finds the context in it.
fn requests(pool: &DescriptorPool) -> Result<String, Box<dyn Error>> {
    let mut code = String::new();
    for service in pool.services().filter(|service| service.parent_file().package_name() == PACKAGE) {
        for method in service.methods() {
            let input = method.input();
            let context = input.get_field_by_name("context").filter(|field| field.number() == 1);
            if context.is_none() || input.name() != format!("{}Request", method.name()) {
                return Err(format!("{} is not of the form that every request has", input.full_name()).into());
            }
            writeln!(
                code,
                "impl Asked for proto::{} {{\n    const ACTION: Action = Action::{};\n\
                 \n    fn context_mut(&mut self) -> &mut Option<proto::CallContext> {{\n        &mut self.context\n    }}\n}}",
                input.name(),
                method.name()
            )?;
        }
    }
    Ok(code)
}

fn camel(name: &str) -> String {
    let mut camel = String::new();
    for word in name.split('_') {
        camel.push_str(&word[..1]);
        camel.push_str(&word[1..].to_lowercase());
    }
    camel
}
