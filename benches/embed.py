#!/usr/bin/env python3
"""Times the models of the presets beside transformers, on random weights of their real shapes.

    embed.py [--model siglip2-base|siglip-so400m|bge-m3 ...] [--rounds N] [--cache DIR] [--threads N]

Weights are made once and kept in the cache (default ~/.cache/heimdex-bench/models; some gigabytes). The program
is target/release/embed_speed (`cargo build --release -p heimdex-benches`), or the one that EMBED_SPEED names;
PyTorch and transformers are taken from the Python that runs this. Rounds are interleaved; the medians are printed.
The peers get tensors; Heimdex gets pictures of the model's size, and texts, and turns them into tensors itself.
"""
import argparse, json, os, statistics, subprocess, sys
from pathlib import Path

FIXTURES = Path(__file__).resolve().parent.parent / "heimdex" / "tests" / "fixtures"

DUAL = {
    "siglip2-base": dict(
        text=dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, vocab_size=256000, projection_size=768),
        vision=dict(hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, image_size=256, patch_size=16),
        tokenizer="tiny-siglip2", resample=2),
    "siglip-so400m": dict(
        text=dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, vocab_size=32000, projection_size=1152),
        vision=dict(hidden_size=1152, intermediate_size=4304, num_hidden_layers=27, num_attention_heads=16, image_size=384, patch_size=14),
        tokenizer="tiny-siglip2", resample=3),
}
BERT = {
    "bge-m3": dict(hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, vocab_size=250002,
                   max_position_embeddings=8194, type_vocab_size=1, pad_token_id=1, layer_norm_eps=1e-5),
}

# About as long as what is said in a scene.
TEXT = ("and then we put the pasta into the boiling water, with a little salt, and wait for ten minutes "
        "while the tomatoes, the garlic and the oil become a sauce in the other pan")

# The peak of the process alone: what getrusage gives begins with that of the process it was forked from.
PEAK = """
def peak_mb():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
"""

PEER = PEAK + """
import sys, json, time, statistics, torch
from transformers import AutoConfig, SiglipModel, XLMRobertaModel
folder, kind, dtype, count, batch = sys.argv[1], sys.argv[2], getattr(torch, sys.argv[3]), int(sys.argv[4]), int(sys.argv[5])
torch.set_num_threads(int(sys.argv[6]))
times = []
with torch.inference_mode():
    if kind == "dual":
        model = SiglipModel.from_pretrained(folder, dtype=dtype).eval()
        size = model.config.vision_config.image_size
        x = torch.randn(batch, 3, size, size, dtype=dtype)
        run = lambda: model.get_image_features(pixel_values=x)
    else:
        model = XLMRobertaModel.from_pretrained(folder, dtype=dtype, add_pooling_layer=False).eval()
        ids = torch.randint(5, 100, (batch, int(sys.argv[7])))
        run = lambda: model(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[:, 0]
    for _ in range(count + 1):
        t = time.perf_counter(); run(); times.append((time.perf_counter() - t) / batch)
print(json.dumps({"seconds": statistics.median(times[1:]), "peak_mb": peak_mb()}))
"""


def random_weights(model, folder):
    """Writes tensors of the model's names and shapes, one at a time drawn, without building it."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(1)
    tensors = {}
    for name, value in model.state_dict().items():
        if name.endswith("position_ids"):
            continue
        fresh = torch.randn(value.shape) * 0.02
        tensors[name] = fresh + 1 if "norm" in name.lower() and name.endswith("weight") else fresh
    save_file(tensors, folder / "model.safetensors.part", metadata={"format": "pt"})
    os.replace(folder / "model.safetensors.part", folder / "model.safetensors")


def make(name, cache):
    import torch
    from transformers import SiglipConfig, SiglipModel, XLMRobertaConfig, XLMRobertaModel

    folder = cache / name
    if (folder / "model.safetensors").exists():
        return folder
    print(f"making {folder}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    if name in DUAL:
        shape = DUAL[name]
        config = SiglipConfig(text_config=shape["text"], vision_config=shape["vision"])
        with torch.device("meta"):
            model = SiglipModel(config)
        side = shape["vision"]["image_size"]
        (folder / "preprocessor_config.json").write_text(json.dumps({
            "do_resize": True, "do_rescale": True, "do_normalize": True, "image_mean": [0.5] * 3, "image_std": [0.5] * 3,
            "resample": shape["resample"], "rescale_factor": 1 / 255, "size": {"height": side, "width": side}}))
        tokenizer = FIXTURES / shape["tokenizer"] / "tokenizer.json"
    else:
        config = XLMRobertaConfig(**BERT[name])
        with torch.device("meta"):
            model = XLMRobertaModel(config, add_pooling_layer=False)
        (folder / "1_Pooling").mkdir(exist_ok=True)
        (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
        tokenizer = FIXTURES / "tiny-bert" / "tokenizer.json"
    config.save_pretrained(folder)
    (folder / "tokenizer.json").write_bytes(tokenizer.read_bytes())
    random_weights(model, folder)
    return folder


def export(folder, kind):
    """Writes what looks at pictures, or reads texts, as onnx-community does, in 32 and 8 bits."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import SiglipModel, XLMRobertaModel

    path = folder / "onnx" / ("vision_model.onnx" if kind == "dual" else "model.onnx")
    small = path.with_name(path.stem + "_int8.onnx")
    if small.exists():
        return path
    print(f"exporting {path}", file=sys.stderr)
    path.parent.mkdir(exist_ok=True)

    class Tower(torch.nn.Module):
        def __init__(self, tower, inputs, outputs):
            super().__init__()
            self.tower, self.inputs, self.outputs = tower, inputs, outputs

        def forward(self, *x):
            output = self.tower(**dict(zip(self.inputs, x)))
            return tuple(output[name] for name in self.outputs)

    tokens, pooled = lambda n: torch.ones(1, n, dtype=torch.int64), ["last_hidden_state", "pooler_output"]
    if kind == "dual":
        model = SiglipModel.from_pretrained(folder, attn_implementation="sdpa", dtype=torch.float32).eval()
        size = model.config.vision_config.image_size
        towers = [(path, model.vision_model, {"pixel_values": torch.zeros(1, 3, size, size)}, pooled, {}),
                  (path.with_name("text_model.onnx"), model.text_model, {"input_ids": tokens(64)}, pooled, {})]
    else:
        model = XLMRobertaModel.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, add_pooling_layer=False).eval()
        towers = [(path, model, {"input_ids": tokens(16), "attention_mask": tokens(16)}, pooled[:1], {1: "sequence_length"})]
    for file, tower, inputs, outputs, axes in towers:
        torch.onnx.export(
            Tower(tower, list(inputs), outputs).eval(), tuple(inputs.values()), str(file), dynamo=False, opset_version=17,
            input_names=list(inputs), output_names=outputs,
            dynamic_axes={n: {0: "batch_size", **(axes if n != "pooler_output" else {})} for n in [*inputs, *outputs]})
    del model, towers
    gather(path)
    quantize_dynamic(str(path), str(small), weight_type=QuantType.QInt8)
    return path


def gather(path):
    """Puts weights that do not fit a file of ONNX, each in a file of its own after an export, into one."""
    import onnx

    parts = {entry.value for tensor in onnx.load(path, load_external_data=False).graph.initializer
             for entry in tensor.external_data if entry.key == "location"}
    if parts:
        whole = onnx.load(path)
        for part in parts:
            path.with_name(part).unlink()
        onnx.save_model(whole, path, save_as_external_data=True, location=path.name + "_data")


ORT = PEAK + """
import sys, json, time, statistics, numpy, onnxruntime
options = onnxruntime.SessionOptions(); options.intra_op_num_threads = int(sys.argv[4])
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
size = int(sys.argv[5]); batch = int(sys.argv[3]); times = []
if session.get_inputs()[0].name == "pixel_values":
    inputs = {"pixel_values": numpy.random.randn(batch, 3, size, size).astype("float32")}
else:
    inputs = {"input_ids": numpy.random.randint(5, 100, (batch, size)), "attention_mask": numpy.ones((batch, size), "int64")}
for _ in range(int(sys.argv[2]) + 1):
    t = time.perf_counter(); session.run(None, inputs); times.append((time.perf_counter() - t) / batch)
print(json.dumps({"seconds": statistics.median(times[1:]), "peak_mb": peak_mb()}))
"""


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--model", nargs="*", default=[*DUAL, *BERT])
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--count", type=int, default=5)
    options.add_argument("--batch", type=int, default=1)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache/heimdex-bench/models")
    options.add_argument("--onnx", action="store_true", help="ONNX Runtime too; ORT_DYLIB_PATH names its library")
    options.add_argument("--openvino", action="store_true", help="with --onnx, where its library has OpenVINO")
    options = options.parse_args()
    program = os.environ.get("EMBED_SPEED", "target/release/embed_speed")
    for name in options.model:
        folder = make(name, options.cache)
        kind = "dual" if name in DUAL else "bert"
        ours = [program, str(folder), "--count", str(options.count), "--batch", str(options.batch)]
        tokens = 0
        if kind == "dual":
            ours += ["--size", str(DUAL[name]["vision"]["image_size"])]
        else:
            from tokenizers import Tokenizer

            tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            tokenizer.no_truncation()
            tokenizer.no_padding()
            tokens = len(tokenizer.encode(TEXT).ids)
            ours += ["--text", TEXT]
        peer = lambda dtype: [sys.executable, "-c", PEER, str(folder), kind, dtype, str(options.count),
                              str(options.batch), str(options.threads), str(tokens)]
        runs = {"PyTorch f32": peer("float32"), "PyTorch bf16": peer("bfloat16"), "heimdex candle f32": ours}
        if options.onnx:
            path = export(folder, kind)
            size = str(DUAL[name]["vision"]["image_size"] if kind == "dual" else tokens)
            ort = lambda file: [sys.executable, "-c", ORT, str(file), str(options.count), str(options.batch),
                                str(options.threads), size]
            runs["ONNX Runtime f32"] = ort(path)
            runs["ONNX Runtime int8"] = ort(path.with_name(path.stem + "_int8.onnx"))
            runs["heimdex onnx f32"] = [*ours, "--onnx", "f32"]
            runs["heimdex onnx int8"] = [*ours, "--onnx", "int8"]
            if options.openvino:
                runs["heimdex openvino f32"] = [*ours, "--onnx", "f32", "--openvino"]
        results = {what: [] for what in runs}
        for _ in range(options.rounds):
            for what, command in runs.items():
                results[what].append(run(command))
        of = f", texts of {tokens} tokens" if tokens else ""
        print(f"{name}{of}, batches of {options.batch}, {options.threads} threads, {options.rounds} rounds")
        base = statistics.median(r["seconds"] for r in results["PyTorch f32"])
        for what, found in results.items():
            seconds = statistics.median(r["seconds"] for r in found)
            peak = max(r["peak_mb"] for r in found)
            print(f"  {what:<20} {seconds * 1000:8.1f} ms an item   x{base / seconds:.2f} of PyTorch f32   peak {peak:6.0f} MB"
                  + "".join(f"   cosine {c:.4f}" for c in {r.get("cosine_to_f32") for r in found} - {None}), flush=True)


main()
