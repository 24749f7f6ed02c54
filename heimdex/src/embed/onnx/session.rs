//! A session: one file, opened with the caller's options, its inputs and outputs matched by name.

use std::collections::HashMap;

use half::f16;
use ort::environment::Environment;
use ort::ep;
use ort::session::Session;
use ort::value::{DynTensor, Outlet, Tensor, TensorElementType};

use super::file::Export;
use super::library;
use crate::embed::{ModelOptions, Provider};
use crate::{Error, Result};

/// Why a tower gave nothing.
pub(super) type Failed = String;

/// A graph that takes and gives tensors of known names.
pub(super) struct Graph {
    session: Session,
    inputs: HashMap<String, Taken>,
    output: String,
}

/// What an input is declared as.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    kind: TensorElementType,
    /// -1 where any size is taken.
    pub(super) shape: Vec<i64>,
}

/// Values for an input.
pub(super) enum Values<'a> {
    Floats(&'a [f32]),
    Integers(&'a [i64]),
}

impl Graph {
    /// Opens a file that must take `needed`, may take `known`, and gives one of `outputs`, the first of
    /// them that it has. `one_shape` says that every run is of one shape.
    pub(super) fn open(
        environment: &Environment,
        model: &str,
        file: &Export,
        options: &ModelOptions,
        (needed, known): (&str, &[&str]),
        outputs: &[&str],
        one_shape: bool,
    ) -> Result<Self> {
        let failed = |e: ort::Error| Error::model(model, format!("{}: {e}", file.name));
        let providers = providers(model, options, one_shape)?;
        let session = session(environment, file, options, providers, one_shape).map_err(failed)?;
        let name = |outlet: &Outlet| outlet.name().to_owned();
        let (has_inputs, has_outputs): (Vec<String>, Vec<String>) =
            (session.inputs().iter().map(name).collect(), session.outputs().iter().map(name).collect());
        let wrong = |what: String| {
            let has = format!("it takes {} and gives {}", has_inputs.join(", "), has_outputs.join(", "));
            Error::model(model, format!("{} {what}; {has}", file.name))
        };
        if !has_inputs.iter().any(|name| name == needed) {
            return Err(wrong(format!("has no input `{needed}`")));
        }
        if let Some(other) = has_inputs.iter().find(|name| *name != needed && !known.contains(&name.as_str()))
        {
            return Err(wrong(format!("needs an input `{other}` that is not known here")));
        }
        let output = outputs
            .iter()
            .find(|name| has_outputs.iter().any(|has| has == *name))
            .ok_or_else(|| wrong(format!("has no output {}", outputs.join(" or "))))?;
        let mut inputs = HashMap::new();
        for input in session.inputs() {
            let kind = input.dtype().tensor_type().unwrap_or(TensorElementType::Undefined);
            let shape = input.dtype().tensor_shape().map(|shape| shape.to_vec()).unwrap_or_default();
            inputs.insert(input.name().to_owned(), Taken { kind, shape });
        }
        Ok(Self { inputs, output: (*output).to_owned(), session })
    }

    pub(super) fn takes(&self, name: &str) -> Option<&Taken> {
        self.inputs.get(name)
    }

    /// What the output's shape is declared as; -1 where any size may come.
    pub(super) fn gives(&self) -> Vec<i64> {
        let output = self.session.outputs().iter().find(|output| output.name() == self.output);
        output
            .and_then(|output| output.dtype().tensor_shape())
            .map(|shape| shape.to_vec())
            .unwrap_or_default()
    }

    /// The output as 32-bit floats. What the graph does not take is left out.
    pub(super) fn run(
        &mut self,
        inputs: &[(&str, Values<'_>)],
        shape: &[usize],
    ) -> std::result::Result<(Vec<usize>, Vec<f32>), Failed> {
        let mut tensors = Vec::new();
        for (name, values) in inputs {
            if let Some(taken) = self.inputs.get(*name) {
                let tensor = tensor(values, taken.kind, shape)
                    .map_err(|e| e.to_string())?
                    .ok_or_else(|| format!("input `{name}` is of {}, which is not known here", taken.kind))?;
                tensors.push((*name, tensor));
            }
        }
        let outputs = self.session.run(tensors).map_err(|e| e.to_string())?;
        let output = outputs.get(&self.output).ok_or_else(|| format!("no output `{}` came", self.output))?;
        let kind = output.dtype().tensor_type();
        let (shape, values) = match kind {
            Some(TensorElementType::Float32) => {
                output.try_extract_tensor::<f32>().map(|(shape, values)| (shape, values.to_vec()))
            }
            Some(TensorElementType::Float16) => output
                .try_extract_tensor::<f16>()
                .map(|(shape, values)| (shape, values.iter().map(|v| v.to_f32()).collect())),
            _ => return Err(format!("output `{}` holds no floats", self.output)),
        }
        .map_err(|e| e.to_string())?;
        Ok((shape.iter().map(|n| usize::try_from(*n).unwrap_or_default()).collect(), values))
    }
}

/// Values in the type that an input is of; `None` where it is another.
fn tensor(values: &Values<'_>, kind: TensorElementType, shape: &[usize]) -> ort::Result<Option<DynTensor>> {
    Ok(Some(match (values, kind) {
        (Values::Floats(v), TensorElementType::Float32) => Tensor::from_array((shape, v.to_vec()))?.upcast(),
        (Values::Floats(v), TensorElementType::Float16) => {
            let half: Vec<f16> = v.iter().map(|v| f16::from_f32(*v)).collect();
            Tensor::from_array((shape, half))?.upcast()
        }
        (Values::Integers(v), TensorElementType::Int64) => Tensor::from_array((shape, v.to_vec()))?.upcast(),
        (Values::Integers(v), TensorElementType::Int32) => {
            let short: Vec<i32> = v.iter().map(|v| *v as i32).collect();
            Tensor::from_array((shape, short))?.upcast()
        }
        _ => return Ok(None),
    }))
}

fn threads(options: &ModelOptions) -> usize {
    match options.threads {
        0 => std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        threads => threads,
    }
}

/// What is computed on, as the library calls it: the one that was asked for, or an error.
fn providers(
    model: &str,
    options: &ModelOptions,
    one_shape: bool,
) -> Result<Vec<ep::ExecutionProviderDispatch>> {
    let chosen = match options.provider {
        Provider::Cpu => None,
        Provider::OpenVino => Some(ep::OpenVINO::default().with_num_threads(threads(options)).build()),
        Provider::Cuda => Some(ep::CUDA::default().build()),
        Provider::CoreMl => Some(ep::CoreML::default().build()),
    };
    // An arena keeps what the largest run needed. Runs of one shape all need the same, and are faster with
    // one; texts are of any length, and give back what they took.
    let processor = ep::CPU::default().with_arena_allocator(one_shape).build();
    let Some(chosen) = chosen else { return Ok(vec![processor]) };
    let there = library::providers();
    if there.iter().any(|name| name == chosen.name()) {
        return Ok(vec![chosen.error_on_failure(), processor]);
    }
    let message = format!(
        "provider {} is not in the ONNX Runtime that is loaded, which has {}; take a build that has it, or \
         provider `cpu`",
        chosen.name(),
        there.join(", ")
    );
    Err(Error::model(model, message))
}

fn session(
    environment: &Environment,
    file: &Export,
    options: &ModelOptions,
    providers: Vec<ep::ExecutionProviderDispatch>,
    one_shape: bool,
) -> ort::Result<Session> {
    Session::builder(environment)?
        .with_execution_providers(providers)?
        .with_intra_threads(threads(options))?
        .with_inter_threads(1)?
        // Threads are quick to go on inside a batch, and leave the cores to the decoder after it.
        .with_intra_op_spinning(true)?
        .with_config_entry("session.force_spinning_stop", "1")?
        // Patterns are kept for every shape that was seen.
        .with_memory_pattern(one_shape)?
        .commit_from_file(&file.path)
}
