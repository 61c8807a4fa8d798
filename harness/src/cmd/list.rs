//! `harness list`: the backends and what they can do.

use clap::Args;
use serde_json::json;

use super::failure::{Failure, OK};
use super::options::Format;
use super::output::print;
use crate::analysis::measurement::or_not_applicable;
use crate::record::about::About;
use crate::record::name::join;
use crate::registry::Registry;
use crate::run::describe::{Described, Named};
use crate::run::external::Catalog;

#[derive(Args)]
pub(super) struct Options {
    /// Format of the list
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
}

const COLUMNS: [&str; 16] = [
    "backend",
    "variant",
    "default",
    "summary",
    "concurrent_operations",
    "pcs_update",
    "forward_secrecy",
    "signed",
    "ordering",
    "deterministic",
    "public_randomness",
    "threads",
    "counted",
    "adapts",
    "caveats",
    "growth",
];

pub(super) fn run(options: &Options, registry: &Registry) -> Result<u8, Failure> {
    let mut backends = Described::of(registry)?.backends;
    let catalog = Catalog::load(registry, &[])?;
    backends.extend(catalog.external.iter().flat_map(|it| it.built()).cloned());
    let mut text = Vec::new();
    match options.format {
        Format::Human => {
            for named in &backends {
                text.extend(described(&backends, named).into_bytes());
            }
            for external in catalog.unusable() {
                let (name, state) = (&external.declared.name, external.state.words());
                let implementation = &external.declared.implementation;
                text.extend(format!("{name}\n  {implementation}: {state}; see `backends`\n").into_bytes());
            }
        }
        Format::Json => {
            for named in &backends {
                text.extend(format!("{}\n", line(&backends, named)).into_bytes());
            }
        }
        Format::Csv => {
            let mut writer = csv::Writer::from_writer(&mut text);
            writer.write_record(COLUMNS)?;
            for named in &backends {
                let mut fields = fields(&backends, named);
                fields[1] = or_not_applicable(&fields[1]).to_owned();
                writer.write_record(fields)?;
            }
            writer.flush()?;
        }
    }
    print(&text)?;
    Ok(OK)
}

/// A backend for a terminal.
fn described(backends: &[Named], named: &Named) -> String {
    let Named { backend, variant, about } = named;
    let name = join(backend, variant);
    let alone = if is_default(backends, named) && name != *backend {
        format!(" (the default variant of `{backend}`)")
    } else {
        String::new()
    };
    let mut text = format!("{name}{alone}\n  {}\n", about.summary);
    let fields = COLUMNS.iter().zip(fields(backends, named)).skip(4);
    for (name, value) in fields.filter(|(_, value)| !value.is_empty()) {
        text += &format!("  {}: {value}\n", name.replace('_', " "));
    }
    text
}

/// A backend as a line of JSON.
fn line(backends: &[Named], named: &Named) -> serde_json::Value {
    let Named { backend, variant, about } = named;
    let mut line = json!({ "backend": backend, "variant": variant, "default": is_default(backends, named) });
    if let (Some(line), Ok(serde_json::Value::Object(about))) = (line.as_object_mut(), serde_json::to_value(about)) {
        line.extend(about);
    }
    line
}

/// Whether a backend is the one that its name means without a variant: the first one.
fn is_default(backends: &[Named], named: &Named) -> bool {
    backends.iter().find(|it| it.backend == named.backend).is_some_and(|first| first.variant == named.variant)
}

/// The fields of a backend, in the order of [`COLUMNS`].
fn fields(backends: &[Named], named: &Named) -> [String; COLUMNS.len()] {
    let Named { backend, variant, about } = named;
    let About { summary, adapts, caveats, signed, ordering, public_randomness, .. } = about;
    [
        backend.clone(),
        variant.clone(),
        is_default(backends, named).to_string(),
        summary.clone(),
        about.concurrent_operations.to_string(),
        about.pcs_update.to_string(),
        about.forward_secrecy.to_string(),
        signed.clone(),
        ordering.clone(),
        about.deterministic.to_string(),
        public_randomness.join(" "),
        about.threads.to_string(),
        about.counted.clone(),
        adapts.clone().unwrap_or_default(),
        caveats.join("; "),
        about.growth.join("; "),
    ]
}
