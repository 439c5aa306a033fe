"""Decodes the native checkpoint with numpy, written from docs/formats/checkpoint.md alone."""

import itertools
import json
from statistics import NormalDist

import numpy as np
from safetensors import safe_open

FORMAT = "caldera.matrix.v1"
EMBEDDING_FORMAT = "caldera.embedding.v1"
LEVELS = np.array([8, 25, 42, 60, 80, 104, 132, 175], np.float32) / 64


def e8p_patterns():
    """The 256 x 8 magnitudes in lexicographic order."""
    patterns, norm12 = [], 0
    for p in itertools.product((0.5, 1.5, 2.5), repeat=8):
        norm = sum(x * x for x in p)
        if norm <= 10:
            patterns.append(p)
        elif sorted(p) == [0.5] * 3 + [1.5] * 5:
            if norm12 < 29:
                patterns.append(p)
            norm12 += 1
    assert len(patterns) == 256 and norm12 == 56
    return np.array(patterns)


def e8_ball():
    """The 256 x 8 words of the E8 ball."""
    words = np.zeros((256, 8))
    for code in range(128):
        signs = [(code >> i) & 1 for i in range(7)]
        signs.append(sum(signs) % 2)
        words[code] = 0.5 - np.array(signs)
    pairs = list(itertools.combinations(range(8), 2))
    for c in range(112):
        i, j = pairs[c // 4]
        words[128 + c, i] = -1 if c & 1 else 1
        words[128 + c, j] = -1 if c & 2 else 1
    for i in range(8):
        words[240 + i, i] = 2
    for i in range(7):
        words[248 + i, i] = -2
    return words


PATTERNS = e8p_patterns()
BALL = e8_ball()


def decode_e8p(codes):
    """Codes of any shape -> that shape + [8]."""
    codes = codes.astype(np.int64)
    pattern = PATTERNS[codes & 255]
    negative = np.zeros(pattern.shape, dtype=np.int64)
    for i in range(7):
        negative[..., i] = (codes >> (8 + i)) & 1
    parity = pattern.sum(-1).astype(np.int64) % 2
    negative[..., 7] = (negative.sum(-1) + parity) % 2
    shift = np.where((codes >> 15) & 1, 0.25, -0.25)
    return pattern * (1 - 2 * negative) + shift[..., None]


def decode_lattice(codes, bits):
    """[a, b] codes of `bits` bits per value -> [8 a, b] values: a codeword runs down 8 rows."""
    codes = codes.astype(np.int64)
    words = decode_e8p(codes & 0xFFFF)
    if bits == 3:
        words = words + BALL[codes >> 16] / 2.04
    elif bits == 4:
        words = words + decode_e8p(codes >> 16) / 3.70
    return words.transpose(0, 2, 1).reshape(8 * codes.shape[0], codes.shape[1])


MULTIPLIERS = {
    10: {2: 757, 3: 633, 4: 633},
    12: {2: 1137, 3: 2531, 4: 1585},
}


def trellis_values(state_bits, bits):
    """The value of each state: a permuted table of normal quantiles."""
    states = 1 << state_bits
    place = (MULTIPLIERS[state_bits][bits] * np.arange(states)) % states
    quantile = [NormalDist().inv_cdf((i + 0.5) / states) for i in range(states)]
    return np.array(quantile)[place]


def decode_trellis(codes, bits, state_bits):
    """[a, b] words of 8 symbols -> [8 a, b] values: a circle of symbols for each 64 rows."""
    symbols = np.stack([(codes >> (bits * i)) & ((1 << bits) - 1) for i in range(8)], axis=1)
    symbols = symbols.reshape(8 * codes.shape[0], codes.shape[1])
    states = np.zeros_like(symbols)
    for first in range(0, len(symbols), 64):
        circle = symbols[first : first + 64]
        for back in range(-(-state_bits // bits)):
            states[first : first + 64] |= np.roll(circle, back, axis=0) << (bits * back)
    return trellis_values(state_bits, bits)[states & ((1 << state_bits) - 1)]


def decode_signs(packed, count):
    bits = np.unpackbits(packed, bitorder="little")
    assert not bits[count:].any(), "bits beyond the last sign are set"
    return 1.0 - 2.0 * bits[:count]


def hadamard(order, block):
    """The block-diagonal orthonormal Sylvester-Hadamard matrix."""
    h = np.ones((1, 1))
    while len(h) < block:
        h = np.block([[h, h], [h, -h]])
    return np.kron(np.eye(order // block), h / np.sqrt(block))


class MatrixReader:
    """The tensors of one matrix `prefix` of an open safetensors file."""

    def __init__(self, file, prefix):
        self.file, self.prefix = file, prefix
        self.header = json.loads(file.metadata()[prefix])
        if self.header["format"] != FORMAT:
            raise ValueError(f"{prefix}: format {self.header['format']} is not {FORMAT}")

    def tensor(self, field):
        return self.file.get_tensor(f"{self.prefix}.{field}")

    def decode(self, codes, bits):
        """The values of codes [m8/8, columns] of one width."""
        codebook = self.header["codebook"]
        if codebook == "e8p":
            return decode_lattice(codes, bits)[: self.header["rows"]]
        kind, state_bits = codebook.split("-")
        if kind != "trellis":
            raise ValueError(f"{self.prefix}: codebook {codebook} is not known")
        return decode_trellis(codes, bits, int(state_bits))[: self.header["rows"]]

    def q(self):
        codes = self.tensor("q_codes").astype(np.int64)
        if "q_columns_3" in self.header:
            return self.mixed_q(codes)
        if self.header["q_bits"] == 3:
            codes |= self.tensor("q_codes_residual").astype(np.int64) << 16
        if self.header["codeword_axis"] == "columns":
            return decode_lattice(codes.T, self.header["q_bits"]).T[:, : self.header["columns"]]
        return self.decode(codes, self.header["q_bits"])

    def mixed_q(self, codes):
        packed = self.tensor("q_column_bits")
        n = self.header["columns"]
        widths = 2 + (np.repeat(packed, 4) >> (2 * (np.arange(4 * len(packed)) % 4)) & 3)[:n]
        assert [(widths == 3).sum(), (widths == 4).sum()] == [self.header[f"q_columns_{b}"] for b in (3, 4)]
        extra = self.tensor("q_codes_extra").astype(np.int64)
        place = 0
        for j, width in enumerate(widths):
            for byte in range(2, width):
                codes[:, j] |= extra[:, place] << (8 * byte)
                place += 1
        rms = {2: 1.03, 3: 0.98, 4: 0.90}
        out = np.empty((self.header["rows"], n))
        for width in (2, 3, 4):
            ratio = rms[2] / rms[width] if self.header["codebook"] == "e8p" else 1.0
            out[:, widths == width] = ratio * self.decode(codes[:, widths == width], width)
        return out

    def factor(self, name):
        codes = self.tensor(f"{name}_codes")
        if self.header[f"{name}_bits"] == 4:
            return decode_lattice(codes, 4)
        return codes.astype(np.float64)

    def low_rank(self):
        m, n, rank = self.header["rows"], self.header["columns"], self.header["rank"]
        if rank == 0:
            return np.zeros((m, n))
        left = self.factor("l")[:m, :rank] * self.tensor("l_scale").astype(np.float64)
        right = self.factor("r")[:rank] * self.tensor("r_scale").astype(np.float64)[:, None]
        return left @ right

    def weight(self):
        """The m x n matrix in the original basis, float64."""
        m, n = self.header["rows"], self.header["columns"]
        rotated = self.low_rank()
        if self.header["q_bits"] != 0:
            scale = np.repeat(self.tensor("q_scale").astype(np.float64), 64)[:m, None]
            rotated = rotated + scale * self.q()
        w = hadamard(m, self.header["output_block"]) @ rotated @ hadamard(n, self.header["input_block"])
        return decode_signs(self.tensor("sign_out"), m)[:, None] * w * decode_signs(self.tensor("sign_in"), n)


def matrices(file):
    """Names of the matrices of an open safetensors file."""
    metadata = file.metadata() or {}
    return sorted(key for key, value in metadata.items() if '"format":"caldera.matrix.' in value)


def read_nibbles(file, name, header):
    if header["format"] != EMBEDDING_FORMAT or header["bits"] != 4:
        raise ValueError(f"{name}: format {header['format']} with {header['bits']} bits is not known")
    rows, columns = header["rows"], header["columns"]
    packed = file.get_tensor(f"{name}.codes")
    scale = file.get_tensor(f"{name}.scale").astype(np.float32)
    column_scale = file.get_tensor(f"{name}.column_scale").astype(np.float32)
    assert packed.shape == (rows, -(-columns // 2)) and scale.shape == (rows, -(-columns // 32))
    assert column_scale.shape == (columns,)
    codes = np.stack([packed & 15, packed >> 4], axis=2).reshape(rows, -1)
    assert not codes[:, columns:].any(), "bits beyond the last column are set"
    codes = codes[:, :columns]
    levels = np.where(codes & 8, -LEVELS[codes & 7], LEVELS[codes & 7])
    return levels * np.repeat(scale, 32, axis=1)[:, :columns] * column_scale


def read_embeddings(path):
    """{name: rows x columns float32} of all tables with codes of one file."""
    tables = {}
    with safe_open(path, framework="numpy") as file:
        metadata = file.metadata() or {}
        for key in file.keys():
            if not key.endswith(".codes"):
                continue
            name = key.removesuffix(".codes")
            if name in metadata:
                tables[name] = read_nibbles(file, name, json.loads(metadata[name]))
            else:
                scale = file.get_tensor(f"{name}.scale").astype(np.float32)
                tables[name] = file.get_tensor(key).astype(np.float32) * scale[:, None]
    return tables


def read_weights(path):
    """{name: m x n float64} of all matrices of one file."""
    with safe_open(path, framework="numpy") as file:
        return {name: MatrixReader(file, name).weight() for name in matrices(file)}
