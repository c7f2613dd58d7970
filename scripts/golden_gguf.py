"""Random blocks of every GGUF tensor type and the values the gguf package reads from them, for scripts/goldens.py."""
import numpy as np
from gguf import GGML_QUANT_SIZES, GGMLQuantizationType, quants

# Where a block holds its float16 scales, in bytes from its start; everything else in a block may be any bits.
SCALES = {
    "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
}
COUNT = 3
FLOATS = 32  # values of a float type


def blocks():
    """For each type the bytes of some blocks, in hexadecimal, and their float32 values in order."""
    rng = np.random.default_rng(0)
    out = {}
    for name in [*SCALES, "F16", "BF16"]:
        raw = floats(rng, name) if name not in SCALES else quantized(rng, name)
        values = quants.dequantize(raw, GGMLQuantizationType[name]).astype(np.float32).flatten()
        assert np.isfinite(values).all()
        out[name] = {"bytes": raw.tobytes().hex(), "values": [float(str(v)) for v in values]}  # the shortest digits of a float32
    return out


def quantized(rng, name):
    _, size = GGML_QUANT_SIZES[GGMLQuantizationType[name]]
    raw = rng.integers(0, 256, (COUNT, size), dtype=np.uint8)
    for at in SCALES[name]:
        scale = (rng.uniform(0.001, 0.1, COUNT) * rng.choice([-1, 1], COUNT)).astype("<f2")
        raw[:, at : at + 2] = scale.view(np.uint8).reshape(COUNT, 2)
    return raw


def floats(rng, name):
    values = rng.standard_normal((1, FLOATS), dtype=np.float32)
    return quants.quantize(values, GGMLQuantizationType[name]).view(np.uint8)
