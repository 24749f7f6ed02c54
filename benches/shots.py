#!/usr/bin/env python3
"""Times the shot pass beside plain decoding and PySceneDetect, interleaved, and prints medians.

    shots.py [--rounds N] [--cache DIR] [FILE ...]

Without FILE two H.264 clips of about 60 cuts are made with ffmpeg (1080p and 720p). Clips, and a virtual
environment with PySceneDetect 0.7.2, are kept in the cache (default ~/.cache/heimdex-bench). The program is
target/release/shot_pass (`cargo build --release -p heimdex-benches`), or the one that SHOT_PASS names.
"""
import argparse, json, os, random, statistics, subprocess, sys, time
from pathlib import Path

PYSCENEDETECT = """
import sys, time, json, cv2
cv2.setNumThreads(2)
from scenedetect import SceneManager, ContentDetector, open_video
t = time.perf_counter()
v = open_video(sys.argv[1]); m = SceneManager(); m.add_detector(ContentDetector()); n = m.detect_scenes(v)
print(json.dumps({"frames": n, "seconds": time.perf_counter() - t, "cuts": [c.frame_num for c in m.get_cut_list(show_warning=False)]}))
"""


def source(rng, w, h):
    """One shot: something that moves, in its own colours, with film grain."""
    kind = rng.randrange(3)
    if kind == 0:
        x, y = rng.choice([(-0.743643887, -0.131825904), (-0.170337, -1.06506), (0.42884, -0.231345), (-1.62917, -0.0203968)])
        src = f"mandelbrot=size={w // 4}x{h // 4}:rate=25:start_x={x}:start_y={y}:maxiter=200:start_scale={rng.uniform(0.05, 2):.4f},scale={w}:{h}"
    elif kind == 1:
        src = f"testsrc2=size={w}x{h}:rate=25,zoompan=z={rng.uniform(1, 2):.3f}:d=1:fps=25:x={rng.uniform(0, w / 3):.0f}+on*4:s={w}x{h}"
    else:
        src = f"gradients=size={w // 2}x{h // 2}:rate=25:seed={rng.randrange(1 << 30)}:speed=0.02:nb_colors=6,scale={w}:{h}"
    return f"{src},hue=h={rng.randrange(360)}:s={rng.uniform(0.4, 1.3):.2f}:b={rng.uniform(-1.5, 1.5):.2f},noise=alls=8:allf=t+u:all_seed={rng.randrange(1 << 20)},format=yuv420p"


def make_clip(path, w, h, shots=61):
    if path.exists():
        return
    print(f"making {path}", file=sys.stderr)
    rng = random.Random(w)
    part = path.with_suffix(".part.mp4")
    encoder = subprocess.Popen(
        ["ffmpeg", "-v", "error", "-y", "-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{w}x{h}", "-r", "25", "-i", "-", "-c:v", "libx264", "-preset", "medium", "-crf", "23", str(part)],
        stdin=subprocess.PIPE)
    for _ in range(shots):
        subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", source(rng, w, h), "-frames:v", str(rng.randrange(18, 48)), "-f", "rawvideo", "-"], stdout=encoder.stdin, check=True)
    encoder.stdin.close()
    if encoder.wait():
        sys.exit("encoding failed")
    part.rename(path)


def environment(cache):
    python = cache / "venv" / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(cache / "venv")], check=True)
        subprocess.run([python, "-m", "pip", "install", "-q", "scenedetect==0.7.2", "opencv-python-headless"], check=True)
    return python


def timed(command):
    """Wall and processor seconds, and what the command printed."""
    before = os.times()
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True)
    wall = time.perf_counter() - start
    after = os.times()
    if done.returncode:
        sys.exit(f"{command[0]} failed: {done.stderr}")
    cpu = after.children_user - before.children_user + after.children_system - before.children_system
    lines = done.stdout.strip().splitlines()
    report = json.loads(lines[-1]) if lines else {}
    # A program that times itself leaves out its own start (an interpreter's is long).
    return report.get("seconds", wall), cpu, report


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=7)
    arguments.add_argument("--cache", type=Path, default=Path.home() / ".cache" / "heimdex-bench")
    arguments.add_argument("files", nargs="*")
    options = arguments.parse_args()
    options.cache.mkdir(parents=True, exist_ok=True)
    python = environment(options.cache)
    files = options.files
    if not files:
        for w, h in [(1920, 1080), (1280, 720)]:
            path = options.cache / f"shots-{h}p.mp4"
            make_clip(path, w, h)
            files.append(str(path))
    target = os.environ.get("CARGO_TARGET_DIR", Path(__file__).resolve().parent.parent / "target")
    program = os.environ.get("SHOT_PASS", str(Path(target) / "release" / "shot_pass"))
    for file in files:
        ffmpeg = ["ffmpeg", "-nostdin", "-v", "quiet", "-threads", "2", "-i", file, "-an", "-sn", "-dn"]
        commands = {
            "ffmpeg decode": [*ffmpeg, "-f", "null", "-"],
            "ffmpeg decode again": [*ffmpeg, "-f", "null", "-"],
            "heimdex decode alone": [program, "--mode", "decode", file],
            "heimdex exact": [program, "--mode", "exact", file],
            "heimdex fast": [program, "--mode", "fast", file],
            "PySceneDetect": [str(python), "-c", PYSCENEDETECT, file],
            "ffmpeg bgr24": [*ffmpeg, "-pix_fmt", "bgr24", "-f", "null", "-"],
        }
        times = {name: [] for name in commands}
        cpus = {name: [] for name in commands}
        cuts, frames, busy = {}, 0, 0.0
        for _ in range(options.rounds):
            for name, command in commands.items():
                wall, cpu, report = timed(command)
                times[name].append(wall)
                cpus[name].append(cpu)
                if "cuts" in report:
                    cuts[name], frames = report["cuts"], report["frames"]
                    if name == "heimdex exact":
                        busy = report["score_ms_per_frame"]
        # A round's ratios share its load, so their medians are steadier than ratios of medians.
        raw = [(a + b) / 2 for a, b in zip(times["ffmpeg decode"], times["ffmpeg decode again"])]
        ratio = lambda name, other: statistics.median(a / b for a, b in zip(times[name], other))
        print(f"{file}: {frames} frames, {len(cuts['heimdex exact'])} cuts, {options.rounds} rounds")
        for name in commands:
            middle = statistics.median(times[name])
            print(f"  {name:<22} {middle:7.3f} s {frames / middle:8.1f} fps  x{ratio(name, raw):.3f} of decoding  cpu {statistics.median(cpus[name]):.2f} s  spread {min(times[name]):.2f}-{max(times[name]):.2f}")
        print(f"  exact is x{ratio('PySceneDetect', times['heimdex exact']):.2f} as fast as PySceneDetect; scoring took {busy:.3f} ms a frame on its thread")
        print(f"  cuts of exact and PySceneDetect {'equal' if cuts['heimdex exact'] == cuts['PySceneDetect'] else 'DIFFER'}, of fast and exact {'equal' if cuts['heimdex exact'] == cuts['heimdex fast'] else 'DIFFER'}")


if __name__ == "__main__":
    main()
