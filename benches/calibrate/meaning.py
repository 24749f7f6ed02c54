"""Measures the floor of the `meaning` channel: which cosine tells an answer from no answer.

    python -m venv env && env/bin/pip install numpy tokenizers safetensors
    env/bin/python meaning.py MODEL_FOLDER      # all-MiniLM-L6-v2

Prints, for each floor, how many queries with an answer keep it and how many without an answer stay
empty, for passages of one sentence and of three.
"""

import json
import math
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file
from tokenizers import Tokenizer

PASSAGES_AND_QUERIES = [
    ("A photo of a cat sleeping on a red sofa.", "cat on a couch"),
    ("Two people are talking at the beach during sunset.", "conversation by the sea in the evening"),
    ("The host opens the box and shows the new product to the camera.", "unboxing a product"),
    ("A woman in a blue jacket walks through the crowded market.", "busy bazaar"),
    ("Find the moment where the speaker laughs and points at the screen.", "speaker laughing"),
    ("He said that the price is lower than last week, but only for today!", "discount today"),
    ("The camera pans slowly from the window to the kitchen table.", "camera movement in a kitchen"),
    ("Show me every scene with a dog running in the snow.", "puppy in winter"),
    ("Is this the final version? she asked, looking at the laptop.", "is it finished"),
    ("Aerial view of a city at night with long lines of traffic.", "cars in town after dark from above"),
    ("A close-up of hands cutting fresh vegetables on a wooden board.", "chopping food"),
    ("They don't know when the train will arrive at the station.", "delayed train"),
    ("The chef adds salt, pepper, and a little olive oil to the pan.", "seasoning a dish"),
    ("An interview in a bright studio with plants behind the guest.", "talk show guest"),
    ("A child plays the piano while her grandmother listens quietly.", "girl making music for grandma"),
    ("The team celebrates after winning the match in the last minute.", "late victory"),
    ("Please turn on the lights before you start recording the video.", "lighting for filming"),
    ("The lecture explains how neural networks learn from many examples.", "deep learning class"),
    ("A yellow taxi stops in front of the hotel and the driver waves.", "cab"),
    ("In this clip the presenter compares three phones side by side.", "smartphone comparison"),
    ("I can't hear the music because the crowd is cheering so loudly.", "noisy audience at a concert"),
    ("A slow motion shot of rain falling on green leaves.", "wet plants"),
    ("The meeting starts at 9:30 and ends before noon on Monday.", "morning appointment schedule"),
    ("She reads the first page of the book and then closes it.", "woman reading"),
    ("The old man repairs a bicycle outside his small workshop.", "fixing a bike"),
    ("Astronaut in an orange suit smiling in front of the flag.", "portrait of a space traveller"),
    ("Subscribe to the channel and leave a comment below the video.", "asking viewers to follow"),
    ("A drone follows the river between the mountains in autumn.", "flying over a valley"),
    ("We tested the app for thirty days and here is what happened.", "software review"),
    ("The red car overtakes the white truck on the highway at 120 km/h.", "passing a lorry"),
    ("People dance in the street while a band plays on the stage.", "street festival"),
    ("The doctor explains the results of the test to the patient.", "medical diagnosis"),
    ("Nobody noticed the small bird sitting on top of the microphone.", "animal on a mic"),
    ("This is the best way to make coffee at home without a machine.", "brewing espresso by hand"),
    ("The goalkeeper jumps to the left and catches the ball.", "football save"),
    ("An empty classroom with chairs, a whiteboard, and a projector.", "school room"),
    ("The actor forgets his line and everybody on the set starts laughing.", "bloopers"),
    ("Waves crash against the rocks under a dark and cloudy sky.", "stormy ocean"),
    ("A man wearing glasses types quickly on a black keyboard.", "programmer at work"),
    ("The fireworks begin exactly at midnight above the bridge.", "new year's eve"),
]
WITHOUT_ANSWER = [
    "volcano eruption", "how to file a tax return", "quantum entanglement", "baby elephant",
    "reset my password", "wedding dress shopping", "stock market crash", "submarine",
    "medieval castle siege", "knitting a sweater", "bank robbery", "dinosaur fossils", "surgery on a knee",
    "chess opening theory", "vaccine side effects", "building a garden shed", "helicopter rescue",
    "history of the roman empire", "mortgage interest rates", "penguins in antarctica", "yoga for back pain",
    "nuclear power plant", "christmas tree", "shark attack", "learning to swim", "court trial verdict",
    "desert camels", "dentist", "earthquake damage", "black hole", "wine tasting in france",
    "presidential election debate", "horse racing", "solar panels on a roof", "kubernetes deployment",
    "poker tournament", "beekeeping", "tornado warning", "supreme court", "how to tie a tie",
]


def embedder(folder):
    """all-MiniLM-L6-v2 in float32: BERT, mean over the tokens, length 1."""
    weights = load_file(folder / "model.safetensors")
    weights = {k.removeprefix("bert."): v.astype(np.float32) for k, v in weights.items()}
    config = json.loads((folder / "config.json").read_text())
    heads, eps = config["num_attention_heads"], config["layer_norm_eps"]
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.enable_truncation(256)

    def linear(x, name):
        return x @ weights[name + ".weight"].T + weights[name + ".bias"]

    def norm(x, name):
        x = x - x.mean(-1, keepdims=True)
        x = x / np.sqrt((x * x).mean(-1, keepdims=True) + eps)
        return x * weights[name + ".weight"] + weights[name + ".bias"]

    def embed(text):
        ids = tokenizer.encode(text).ids
        e = "embeddings."
        x = weights[e + "word_embeddings.weight"][ids] + weights[e + "position_embeddings.weight"][: len(ids)]
        x = norm(x + weights[e + "token_type_embeddings.weight"][0], e + "LayerNorm")
        for n in range(config["num_hidden_layers"]):
            layer = f"encoder.layer.{n}."
            q, k, v = (
                linear(x, f"{layer}attention.self.{m}").reshape(len(ids), heads, -1).transpose(1, 0, 2)
                for m in ("query", "key", "value")
            )
            a = q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[-1])
            a = np.exp(a - a.max(-1, keepdims=True))
            a = (a / a.sum(-1, keepdims=True)) @ v
            a = linear(a.transpose(1, 0, 2).reshape(len(ids), -1), layer + "attention.output.dense")
            x = norm(x + a, layer + "attention.output.LayerNorm")
            h = linear(x, layer + "intermediate.dense")
            h = 0.5 * h * (1 + np.vectorize(math.erf)(h / math.sqrt(2)))
            x = norm(x + linear(h.astype(np.float32), layer + "output.dense"), layer + "output.LayerNorm")
        mean = x.mean(0)
        return mean / np.linalg.norm(mean)

    return embed


def main():
    embed = embedder(Path(sys.argv[1]))
    if len(sys.argv) > 2:  # a golden with `texts` and `cosine`: is this the model?
        golden = json.loads(Path(sys.argv[2]).read_text())
        vectors = np.stack([embed(t["text"]) for t in golden["texts"]])
        print("largest difference to the golden:", np.abs(vectors @ vectors.T - golden["cosine"]).max())
    sentences = [p for p, _ in PASSAGES_AND_QUERIES]
    answered = np.stack([embed(q) for _, q in PASSAGES_AND_QUERIES])
    unanswered = np.stack([embed(q) for q in WITHOUT_ANSWER])
    for size in (1, 3):
        groups = [" ".join(sentences[i : i + size]) for i in range(0, len(sentences), size)]
        passages = np.stack([embed(g) for g in groups])
        cosine = answered @ passages.T
        right = cosine[np.arange(len(sentences)), np.arange(len(sentences)) // size]
        best = (unanswered @ passages.T).max(1)
        print(f"\npassages of {size}: {len(groups)}; recall@5 without floor "
              f"{(cosine > right[:, None]).sum(1).__lt__(5).mean():.2f}")
        print("floor  answers kept  empty without answer  wrong hits per query without answer")
        for floor in np.arange(0.15, 0.50, 0.025):
            extra = (unanswered @ passages.T >= floor).sum(1).mean()
            print(f"{floor:.3f}  {(right >= floor).mean():.2f}          {(best < floor).mean():.2f}"
                  f"                  {extra:.2f}")


main()
