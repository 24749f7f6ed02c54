//! What takes most of the encoder's time, as a device of ggml's.
//!
//! ggml's own products on the processor are made for one token at a time; in the encoder, with 1,500
//! columns, ours are several times as fast. ggml asks each device that a program adds which operations it
//! takes, and computes the others itself. The device is there for all of the process.
//!
//! Layouts: `ggml-backend-impl.h` of ggml 0.9.5, version 2 of its interface. Another ggml gets no device.

mod attention;
#[cfg(target_arch = "x86_64")]
mod eight_bits;
mod products;
mod rows;
mod tensors;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

use whisper_rs::whisper_rs_sys as sys;

/// The ggml whose layouts these are.
const KNOWN: &CStr = c"0.9.5";
const INTERFACE: c_int = 2;
const NAME: &CStr = c"heimdex";

/// Adds the device before the first model is loaded; not where another, such as Apple's, takes products.
pub(super) fn add() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the version is a string that lives as long as the process; devices are asked by numbers
        // below their count.
        let (known, taken) = unsafe {
            let version = CStr::from_ptr(sys::ggml_version());
            let kind = |i| sys::ggml_backend_dev_type(sys::ggml_backend_dev_get(i));
            let accelerator = sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_ACCEL;
            (version == KNOWN, (0..sys::ggml_backend_dev_count()).any(|i| kind(i) == accelerator))
        };
        if !known || taken {
            tracing::debug!(known, taken, "whisper.cpp keeps its own products");
            return;
        }
        let device = Box::into_raw(Box::new(Device {
            interface: DEVICE,
            registry: std::ptr::null_mut(),
            context: std::ptr::null_mut(),
        }));
        let registry = Box::into_raw(Box::new(Registry {
            version: INTERFACE,
            interface: REGISTRY,
            context: device.cast(),
        }));
        // SAFETY: both are never freed, and laid out as this ggml has them.
        unsafe {
            (*device).registry = registry;
            sys::ggml_backend_register(registry.cast());
        }
    });
}

type Function = Option<unsafe extern "C" fn()>;

#[repr(C)]
struct Registry {
    version: c_int,
    interface: RegistryInterface,
    /// The one device.
    context: *mut c_void,
}

#[repr(C)]
struct RegistryInterface {
    name: unsafe extern "C" fn(*mut Registry) -> *const c_char,
    device_count: unsafe extern "C" fn(*mut Registry) -> usize,
    device: unsafe extern "C" fn(*mut Registry, usize) -> *mut Device,
    function: unsafe extern "C" fn(*mut Registry, *const c_char) -> *mut c_void,
}

const REGISTRY: RegistryInterface = RegistryInterface { name: registry_name, device_count, device, function };

#[repr(C)]
struct Device {
    interface: DeviceInterface,
    registry: *mut Registry,
    context: *mut c_void,
}

#[repr(C)]
struct DeviceInterface {
    get_name: unsafe extern "C" fn(*mut Device) -> *const c_char,
    get_description: unsafe extern "C" fn(*mut Device) -> *const c_char,
    get_memory: unsafe extern "C" fn(*mut Device, *mut usize, *mut usize),
    get_type: unsafe extern "C" fn(*mut Device) -> sys::ggml_backend_dev_type,
    get_props: unsafe extern "C" fn(*mut Device, *mut sys::ggml_backend_dev_props),
    init_backend: unsafe extern "C" fn(*mut Device, *const c_char) -> *mut Backend,
    get_buffer_type: unsafe extern "C" fn(*mut Device) -> sys::ggml_backend_buffer_type_t,
    get_host_buffer_type: Function,
    buffer_from_host_ptr: Function,
    supports_op: unsafe extern "C" fn(*mut Device, *const sys::ggml_tensor) -> bool,
    supports_buft: unsafe extern "C" fn(*mut Device, sys::ggml_backend_buffer_type_t) -> bool,
    offload_op: Function,
    event_new: Function,
    event_free: Function,
    event_synchronize: Function,
}

const DEVICE: DeviceInterface = DeviceInterface {
    get_name: device_name,
    get_description: device_name,
    get_memory: memory,
    get_type: kind,
    get_props: properties,
    init_backend: open,
    get_buffer_type: buffer_type,
    get_host_buffer_type: None,
    buffer_from_host_ptr: None,
    supports_op: takes,
    supports_buft: reaches,
    offload_op: None,
    event_new: None,
    event_free: None,
    event_synchronize: None,
};

/// What a state of whisper.cpp computes with.
#[repr(C)]
struct Backend {
    guid: *const [u8; 16],
    interface: BackendInterface,
    device: *mut Device,
    /// Owns the number of threads.
    context: *mut AtomicUsize,
}

#[repr(C)]
struct BackendInterface {
    get_name: unsafe extern "C" fn(*mut Backend) -> *const c_char,
    free: unsafe extern "C" fn(*mut Backend),
    set_tensor_async: Function,
    get_tensor_async: Function,
    cpy_tensor_async: Function,
    synchronize: Function,
    graph_plan_create: Function,
    graph_plan_free: Function,
    graph_plan_update: Function,
    graph_plan_compute: Function,
    graph_compute: unsafe extern "C" fn(*mut Backend, *mut sys::ggml_cgraph) -> sys::ggml_status,
    event_record: Function,
    event_wait: Function,
    graph_optimize: Function,
}

const BACKEND: BackendInterface = BackendInterface {
    get_name: backend_name,
    free: close,
    set_tensor_async: None,
    get_tensor_async: None,
    cpy_tensor_async: None,
    synchronize: None,
    graph_plan_create: None,
    graph_plan_free: None,
    graph_plan_update: None,
    graph_plan_compute: None,
    graph_compute: compute,
    event_record: None,
    event_wait: None,
    graph_optimize: None,
};

static GUID: [u8; 16] = *b"heimdex-products";

unsafe extern "C" fn registry_name(_: *mut Registry) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "C" fn device_count(_: *mut Registry) -> usize {
    1
}

unsafe extern "C" fn device(registry: *mut Registry, _: usize) -> *mut Device {
    // SAFETY: `add` put the device there.
    unsafe { (*registry).context.cast() }
}

unsafe extern "C" fn function(_: *mut Registry, name: *const c_char) -> *mut c_void {
    // SAFETY: ggml asks by a string.
    if unsafe { CStr::from_ptr(name) } != c"ggml_backend_set_n_threads" {
        return std::ptr::null_mut();
    }
    set_threads as unsafe extern "C" fn(*mut Backend, c_int) as *mut c_void
}

unsafe extern "C" fn device_name(_: *mut Device) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "C" fn memory(_: *mut Device, free: *mut usize, total: *mut usize) {
    // SAFETY: ggml gives places for both.
    unsafe { (*free, *total) = (0, 0) };
}

unsafe extern "C" fn kind(_: *mut Device) -> sys::ggml_backend_dev_type {
    sys::ggml_backend_dev_type_GGML_BACKEND_DEVICE_TYPE_ACCEL
}

unsafe extern "C" fn properties(device: *mut Device, properties: *mut sys::ggml_backend_dev_props) {
    // SAFETY: ggml gives a place for them.
    unsafe {
        *properties = sys::ggml_backend_dev_props {
            name: NAME.as_ptr(),
            description: NAME.as_ptr(),
            memory_free: 0,
            memory_total: 0,
            type_: kind(device),
            device_id: std::ptr::null(),
            caps: sys::ggml_backend_dev_caps {
                async_: false,
                host_buffer: false,
                buffer_from_host_ptr: false,
                events: false,
            },
        };
    }
}

unsafe extern "C" fn open(device: *mut Device, _: *const c_char) -> *mut Backend {
    let context = Box::into_raw(Box::new(AtomicUsize::new(1)));
    Box::into_raw(Box::new(Backend { guid: &raw const GUID, interface: BACKEND, device, context }))
}

unsafe extern "C" fn close(backend: *mut Backend) {
    // SAFETY: both come from `open`, and ggml closes once.
    unsafe {
        drop(Box::from_raw((*backend).context));
        drop(Box::from_raw(backend));
    }
}

unsafe extern "C" fn set_threads(backend: *mut Backend, threads: c_int) {
    // SAFETY: a backend of `open`'s that is not closed.
    unsafe { (*(*backend).context).store(threads.max(1) as usize, Ordering::Relaxed) };
}

unsafe extern "C" fn backend_name(_: *mut Backend) -> *const c_char {
    NAME.as_ptr()
}

unsafe extern "C" fn buffer_type(_: *mut Device) -> sys::ggml_backend_buffer_type_t {
    // SAFETY: a function of nothing.
    unsafe { sys::ggml_backend_cpu_buffer_type() }
}

/// What lies in the processor's memory is reached.
unsafe extern "C" fn reaches(_: *mut Device, buffers: sys::ggml_backend_buffer_type_t) -> bool {
    // SAFETY: ggml asks about a type of its own.
    unsafe { sys::ggml_backend_buft_is_host(buffers) }
}

unsafe extern "C" fn takes(_: *mut Device, operation: *const sys::ggml_tensor) -> bool {
    // SAFETY: ggml asks about a tensor.
    unsafe { is_view(&*operation) || products::fits(&*operation) || rows::fits(&*operation) }
}

/// Other views of the same data: nothing is computed.
fn is_view(operation: &sys::ggml_tensor) -> bool {
    [
        sys::ggml_op_GGML_OP_NONE,
        sys::ggml_op_GGML_OP_RESHAPE,
        sys::ggml_op_GGML_OP_VIEW,
        sys::ggml_op_GGML_OP_PERMUTE,
        sys::ggml_op_GGML_OP_TRANSPOSE,
    ]
    .contains(&operation.op)
}

unsafe extern "C" fn compute(backend: *mut Backend, graph: *mut sys::ggml_cgraph) -> sys::ggml_status {
    // SAFETY: the graph holds only operations that `takes` took, and their data is in memory.
    unsafe {
        let threads = (*(*backend).context).load(Ordering::Relaxed);
        let nodes = (0..sys::ggml_graph_n_nodes(graph)).map(|i| &*sys::ggml_graph_node(graph, i));
        let operations: Vec<_> = nodes.filter(|node| !is_view(node)).collect();
        let mut rest = operations.as_slice();
        while let [first, after @ ..] = rest {
            if let [scores, weights, sums, after @ ..] = rest
                && attention::fits(scores, weights, sums)
            {
                attention::attend(scores, weights, sums, threads);
                rest = after;
                continue;
            }
            if rows::fits(first) {
                rows::compute(first, threads);
            } else {
                products::multiply(first, threads);
            }
            rest = after;
        }
    }
    sys::ggml_status_GGML_STATUS_SUCCESS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another version of ggml needs its layouts read again before it gets the device.
    #[test]
    #[cfg_attr(target_vendor = "apple", ignore = "Apple's own device takes products")]
    fn the_device_is_added() {
        add();
        // SAFETY: asked by a string; what is found lives as long as the process.
        unsafe {
            assert_eq!(CStr::from_ptr(sys::ggml_version()), KNOWN);
            assert!(!sys::ggml_backend_reg_by_name(NAME.as_ptr()).is_null());
            let device = sys::ggml_backend_dev_by_name(NAME.as_ptr());
            assert!(!device.is_null());
            let backend = sys::ggml_backend_dev_init(device, std::ptr::null());
            assert_eq!(CStr::from_ptr(sys::ggml_backend_name(backend)), NAME);
            sys::ggml_backend_free(backend);
        }
    }
}
