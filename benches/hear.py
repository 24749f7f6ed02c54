#!/usr/bin/env python3
"""Times Whisper beside openai-whisper and faster-whisper, on random weights of the real shapes.

    hear.py [--model base|small ...] [--rounds N] [--steps N] [--threads N] [--cache DIR]

Weights are made once and kept in the cache (default ~/.cache/heimdex-bench/hear), as 16-bit floats for openai-whisper,
in the formats of whisper.cpp (f16, q8_0, q5_1) and of CTranslate2 (int8). The program is target/release/hear_speed
(`cargo build --release -p heimdex-benches`), or the one that HEAR_SPEED names. The peers are taken from the Python
that runs this, or, with --install, from a virtual environment in the cache.

Each encodes 30 s of noise and decodes --steps tokens greedily, without an end: random weights would end anywhere.
Rounds are interleaved; the medians are printed.
"""
import argparse, json, os, statistics, struct, subprocess, sys, venv, wave
from pathlib import Path

SHAPES = {"tiny": (384, 6, 4), "base": (512, 8, 6), "small": (768, 12, 12), "medium": (1024, 16, 24)}
PACKAGES = ["openai-whisper==20250625", "faster-whisper==1.2.1", "transformers", "numpy"]
SUFFIXES = {"f16": 1, "q8_0": 8, "q5_1": 7}

# The peak of the process alone: what getrusage gives begins with that of the process it was forked from.
PEAK = """
def peak_mb():
    return int(open("/proc/self/status").read().split("VmHWM:")[1].split()[0]) / 1024
"""

OPENAI = PEAK + """
import sys, json, time, statistics, torch, whisper
from whisper.decoding import DecodingOptions, DecodingTask
folder, steps, count, threads, sound = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
torch.set_num_threads(threads)
model = whisper.load_model(folder + "/openai.pt", device="cpu")
audio = whisper.load_audio(sound)
encoder, all = [], []
task = DecodingTask(model, DecodingOptions(language="en", temperature=0, without_timestamps=True, fp16=False,
                    sample_len=steps, suppress_tokens=[50257]))
for _ in range(count + 1):
    t = time.perf_counter(); mel = whisper.pad_or_trim(whisper.log_mel_spectrogram(audio), 3000)[None]
    with torch.inference_mode(): model.embed_audio(mel)
    encoder.append(time.perf_counter() - t)
    t = time.perf_counter(); mel = whisper.pad_or_trim(whisper.log_mel_spectrogram(audio), 3000)[None]
    result = task.run(mel)[0]; all.append(time.perf_counter() - t)
    assert len(result.tokens) == steps, len(result.tokens)
print(json.dumps({"encoder": statistics.median(encoder[1:]), "seconds": statistics.median(all[1:]),
                  "peak_mb": peak_mb()}))
"""

FASTER = PEAK + """
# CTranslate2 halves max_length: one half is for the prompt.
import sys, json, time, statistics, numpy, ctranslate2
from faster_whisper.audio import decode_audio
from faster_whisper.feature_extractor import FeatureExtractor
folder, steps, count, threads, sound = sys.argv[1], *map(int, sys.argv[2:5]), sys.argv[5]
model = ctranslate2.models.Whisper(folder + "/ct2", device="cpu", compute_type="int8", intra_threads=threads, inter_threads=1)
extract = FeatureExtractor(feature_size=80)
audio = decode_audio(sound, sampling_rate=16000)
def features():
    return ctranslate2.StorageView.from_array(numpy.ascontiguousarray(extract(audio)[None, :, :3000].astype("float32")))
encoder, all = [], []
for _ in range(count + 1):
    t = time.perf_counter(); model.encode(features()); encoder.append(time.perf_counter() - t)
    t = time.perf_counter(); encoded = model.encode(features())
    result = model.generate(encoded, [[50258, 50259, 50359, 50363]], beam_size=1, max_length=2 * steps, suppress_tokens=[50257],
                            suppress_blank=False, return_scores=False)
    all.append(time.perf_counter() - t)
    assert len(result[0].sequences_ids[0]) == steps, len(result[0].sequences_ids[0])
print(json.dumps({"encoder": statistics.median(encoder[1:]), "seconds": statistics.median(all[1:]),
                  "peak_mb": peak_mb()}))
"""


def quantize(values, kind):
    """Blocks of 32, as ggml's reference: q8_0 is a scale and 8 bits each, q5_1 a scale, a least value and 5 bits each."""
    import numpy as np

    blocks = values.astype(np.float32).reshape(-1, 32)
    if kind == "q8_0":
        scale = np.abs(blocks).max(1, keepdims=True) / 127
        inverse = np.divide(1, scale, where=scale > 0, out=np.zeros_like(scale))
        quants = np.round(blocks * inverse).astype(np.int8)
        return np.concatenate([scale.astype("<f2").view(np.uint8), quants.view(np.uint8)], 1).tobytes()
    low, high = blocks.min(1, keepdims=True), blocks.max(1, keepdims=True)
    scale = (high - low) / 31
    inverse = np.divide(1, scale, where=scale > 0, out=np.zeros_like(scale))
    quants = np.minimum(31, (blocks - low) * inverse + 0.5).astype(np.uint8)
    bits = (quants >> 4).astype(np.uint32) << np.arange(32, dtype=np.uint32)
    nibbles = (quants[:, :16] & 15) | ((quants[:, 16:] & 15) << 4)
    head = np.concatenate([scale, low], 1).astype("<f2").view(np.uint8)
    return np.concatenate([head, bits.sum(1, dtype=np.uint32)[:, None].astype("<u4").view(np.uint8), nibbles], 1).tobytes()


def write_ggml(path, dims, state, kind):
    import base64

    import numpy as np
    import whisper

    assets = Path(whisper.__file__).parent / "assets"
    with open(str(path) + ".part", "wb") as out:
        out.write(struct.pack("<I", 0x67676D6C))
        out.write(struct.pack("<11i", dims.n_vocab, dims.n_audio_ctx, dims.n_audio_state, dims.n_audio_head, dims.n_audio_layer,
                              dims.n_text_ctx, dims.n_text_state, dims.n_text_head, dims.n_text_layer, dims.n_mels,
                              {"f16": 1, "q8_0": 7, "q5_1": 9}[kind] + (0 if kind == "f16" else 2000)))
        filters = np.load(assets / "mel_filters.npz")["mel_80"].astype("<f4")
        out.write(struct.pack("<2i", *filters.shape) + filters.tobytes())
        ranks = [base64.b64decode(line.split()[0]) for line in (assets / "multilingual.tiktoken").read_text().splitlines()]
        out.write(struct.pack("<i", len(ranks)))
        for piece in ranks:
            out.write(struct.pack("<I", len(piece)) + piece)
        for name, tensor in state.items():
            tensor = tensor.float().numpy()
            if name.endswith(("conv1.bias", "conv2.bias")):
                tensor = tensor[:, None]
            small = tensor.ndim < 2 or name.endswith(("bias", "positional_embedding"))
            # whisper.cpp quantizes matrices only: convolutions stay in 16 bits.
            code = 0 if small else 1 if tensor.ndim == 3 or kind == "f16" else SUFFIXES[kind]
            out.write(struct.pack("<3i", tensor.ndim, len(name), code) + struct.pack(f"<{tensor.ndim}i", *tensor.shape[::-1]))
            out.write(name.encode())
            out.write(tensor.astype("<f4").tobytes() if code == 0 else tensor.astype("<f2").tobytes() if code == 1 else quantize(tensor, kind))
    os.replace(str(path) + ".part", path)


def make(name, cache):
    """The same random weights for all."""
    import torch
    from whisper.model import ModelDimensions, Whisper

    folder = cache / name
    if (folder / "done").exists():
        return folder
    print(f"making {folder}", file=sys.stderr)
    folder.mkdir(parents=True, exist_ok=True)
    state_size, heads, layers = SHAPES[name]
    dims = ModelDimensions(80, 1500, state_size, heads, layers, 51865, 448, state_size, heads, layers)
    torch.manual_seed(1)
    net = Whisper(dims)
    state = {k: v for k, v in net.state_dict().items() if k != "alignment_heads"}
    for key, value in state.items():
        if key.endswith("encoder.positional_embedding"):
            continue
        fresh = torch.randn(value.shape) * 0.02
        state[key] = (fresh + 1 if "ln" in key and key.endswith("weight") else fresh).half().float()
    torch.save({"dims": dims.__dict__, "model_state_dict": {k: v.half() for k, v in state.items()}}, folder / "openai.pt")
    for kind in SUFFIXES:
        write_ggml(folder / f"ggml-{name}-{kind}.bin", dims, state, kind)
    to_ctranslate(folder, dims, state)
    (folder / "done").touch()
    return folder


def to_ctranslate(folder, dims, state):
    """By way of transformers' layout, which CTranslate2's own converter reads."""
    import ctranslate2
    from transformers import WhisperConfig, WhisperForConditionalGeneration

    config = WhisperConfig(vocab_size=dims.n_vocab, num_mel_bins=80, encoder_layers=dims.n_audio_layer, decoder_layers=dims.n_text_layer,
                           encoder_attention_heads=dims.n_audio_head, decoder_attention_heads=dims.n_text_head,
                           encoder_ffn_dim=4 * dims.n_audio_state, decoder_ffn_dim=4 * dims.n_text_state, d_model=dims.n_audio_state)
    renamed = {}
    for name, tensor in state.items():
        for old, new in [("blocks", "layers"), ("mlp.0", "fc1"), ("mlp.2", "fc2"), ("mlp_ln", "final_layer_norm"),
                         ("cross_attn_ln", "encoder_attn_layer_norm"), ("attn_ln", "self_attn_layer_norm"), ("ln_post", "layer_norm"),
                         (".query.", ".q_proj."), (".key.", ".k_proj."), (".value.", ".v_proj."), (".out.", ".out_proj."),
                         ("cross_attn.", "encoder_attn."), ("token_embedding", "embed_tokens")]:
            name = name.replace(old, new)
        name = name.replace("decoder.ln.", "decoder.layer_norm.").replace(".attn.", ".self_attn.")
        if name.endswith("positional_embedding"):
            name = name.replace("positional_embedding", "embed_positions.weight")
        renamed["model." + name] = tensor
    model = WhisperForConditionalGeneration(config)
    missing, unexpected = model.load_state_dict(renamed, strict=False)
    assert not unexpected and set(missing) <= {"proj_out.weight"}, (missing, unexpected)
    hub = folder / "hub"
    model.save_pretrained(hub)
    write_tokenizer(hub)
    converter = ctranslate2.converters.TransformersConverter(str(hub), load_as_float16=False)
    converter.convert(str(folder / "ct2"), quantization="int8", force=True)


def write_tokenizer(hub):
    """A tokenizer with the published number of tokens; their texts play no part."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    from whisper.tokenizer import get_tokenizer

    names = get_tokenizer(True, num_languages=99).encoding._special_tokens
    vocabulary = {f"t{i}": i for i in range(50257)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="t0"))
    tokenizer.add_special_tokens(sorted(names, key=names.get))
    end = "<|endoftext|>"
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="t0", eos_token=end, bos_token=end).save_pretrained(hub)


def sound(cache):
    path = cache / "noise.wav"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        seed, samples = 1, bytearray()
        for _ in range(30 * 16000):
            seed = (seed * 1103515245 + 12345) % 2**31
            samples += struct.pack("<h", (seed >> 16) % 8192 - 4096)
        with wave.open(str(path), "wb") as out:
            out.setnchannels(1), out.setsampwidth(2), out.setframerate(16000), out.writeframes(bytes(samples))
    return path


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, command))[:300]} failed:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def installed(cache):
    """The Python of an environment with the peers, made where it is not there."""
    python = cache / "venv" / "bin" / "python"
    if not python.exists():
        venv.create(cache / "venv", with_pip=True)
        subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
    return python


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--model", nargs="*", default=["base", "small"], choices=SHAPES)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--count", type=int, default=2)
    options.add_argument("--steps", type=int, default=100)
    options.add_argument("--threads", type=int, default=os.cpu_count())
    options.add_argument("--cache", type=Path, default=Path.home() / ".cache/heimdex-bench/hear")
    options.add_argument("--install", action="store_true")
    options = options.parse_args()
    if options.install and Path(sys.prefix) != options.cache / "venv":
        python = installed(options.cache)
        os.execv(python, [str(python), *(a for a in sys.argv if a != "--install")])
    program = os.environ.get("HEAR_SPEED", "target/release/hear_speed")
    wav = str(sound(options.cache))
    for name in options.model:
        folder = make(name, options.cache)
        steps, count, threads = (str(n) for n in (options.steps, options.count, options.threads))
        ours = lambda kind: [program, str(folder / f"ggml-{name}-{kind}.bin"), "--wav", wav, "--steps", steps, "--count", count,
                             "--threads", threads]
        peer = lambda script: [sys.executable, "-c", script, str(folder), steps, count, threads, wav]
        runs = {"openai-whisper f32": peer(OPENAI), "faster-whisper int8": peer(FASTER),
                "whisper.cpp q8_0": [*ours("q8_0"), "--plain"],
                **{f"heimdex {kind}": ours(kind) for kind in SUFFIXES}}
        results = {what: [] for what in runs}
        loads = []
        for _ in range(options.rounds):
            for what, command in runs.items():
                loads.append(os.getloadavg()[0])
                results[what].append(run(command))
        print(f"{name}, 30 s of sound, {steps} tokens, {threads} threads, {options.rounds} rounds, load {min(loads):.1f} to {max(loads):.1f}")
        of = lambda what, key: statistics.median(r[key] for r in results[what])
        for what in runs:
            encoder, seconds = of(what, "encoder"), of(what, "seconds")
            peak = max(r["peak_mb"] for r in results[what])
            print(f"  {what:<20} encoder {encoder:6.2f} s   all {seconds:6.2f} s   x{of('openai-whisper f32', 'seconds') / seconds:.2f} of openai-whisper"
                  f"   x{of('faster-whisper int8', 'seconds') / seconds:.2f} of faster-whisper   peak {peak:5.0f} MB", flush=True)


main()
