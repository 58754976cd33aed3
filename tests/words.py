"""Tokenizers of each kind that the table of words serves, and texts that are hard to cut into words.

``tests/text/test_words.py`` and ``attack/words.py`` compare the ids of such texts with the library's.
"""

from __future__ import annotations

import dataclasses
import functools
import io
import json
import random
import tempfile
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from pellucid.model.load import load_spec
from pellucid.sources import local
from pellucid.text.tokenizer import Tokenizer as OurTokenizer
from tests import tiny

SPECIALS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
ADDED = [
    AddedToken("[MASK]", special=True, normalized=False),
    AddedToken("<l>", lstrip=True, normalized=False),
    AddedToken("<r>", rstrip=True, normalized=False),
    AddedToken("cat sat", single_word=True, normalized=False),
    AddedToken("<unk>", special=True, normalized=True),
    AddedToken("<N>", lstrip=True, rstrip=True, normalized=True),
]
_SENTENCES = (
    *(
        "The cat sat on the mat, and the dog didn't.",
        "query: where is the cat sleeping right now?",
        "a + b = c; x_1 [y]",
    ),
    *(
        "Él niño come piñas en el café Ångström.",
        "Привет, мир! Как дела?",
        "Ελληνικά γράμματα και λέξεις",
        "straße und Übung",
    ),
    *(
        "你好世界 今天天气 很好。",
        "日本語の テスト です",
        "한국어 문장 입니다",
        "مرحبا بالعالم",
        "שלום עולם",
        "नमस्ते दुनिया",
        "สวัสดี ชาวโลก",
    ),
    *("I'm sure they'll've 3.14159 × 10^-6 “quoted” – dash… 100%", "İstanbul ΣΑΣ σας ﬁne ＦＵＬＬ １２３ ½ ™ ①"),
)


_STRANGE_RULES = "0600\t0020\n06DD\t\n0301\t0020\n006E 0327\t0020\n0063 0327\t\n004D 0327\t004E\n0020 0301\t0062\n"
"""Spaces, or nothing, from a character that takes the next one with it, from an accent, and from letters with one; and
letters from another one and from a space with an accent."""


def _spaces(target: str = " ") -> Any:
    return normalizers.Replace(Regex(" {2,}"), target)


@functools.cache
def charsmap(rule: str) -> bytes:
    """A charsmap, as SentencePiece makes it: "nmt_nfkc" is that of XLM-RoBERTa and T5; "strange" has rules of ours."""
    from sentencepiece import SentencePieceTrainer

    written = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder:
        rules = Path(folder) / "rules.tsv"
        rules.write_text(_STRANGE_RULES)
        SentencePieceTrainer.train(
            sentence_iterator=iter(["the cat sat on the mat"] * 20),
            model_writer=written,
            vocab_size=20,
            hard_vocab_limit=False,
            minloglevel=2,
            **{"normalization_rule_tsv": str(rules)} if rule == "strange" else {"normalization_rule_name": rule},
        )
    model = dict(_fields(written.getvalue()))  # Its field 3 is the normalizer, whose field 2 is the charsmap.
    return dict(_fields(model[3]))[2]


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a protobuf message that are messages, texts or bytes."""
    place = 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            byte = message[place]
            place += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while place < len(message):
        key = varint()
        if key & 7 == 2:
            size = varint()
            yield key >> 3, message[place : place + size]
            place += size
        elif key & 7 == 5:
            place += 4
        else:
            assert key & 7 == 0
            varint()


def _bert(lowers_first: bool = False, **flags: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.WordPiece(unk_token="[UNK]", max_input_chars_per_word=20))
    tokenizer.normalizer = normalizers.BertNormalizer(**flags)
    if lowers_first:
        tokenizer.normalizer = normalizers.Sequence([normalizers.Lowercase(), tokenizer.normalizer])
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    return _train(tokenizer, trainers.WordPieceTrainer(vocab_size=600, special_tokens=SPECIALS, show_progress=False))


def _unigram(steps: Sequence[Any], *cutters: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.normalizer = normalizers.Sequence(list(steps)) if steps else None
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(list(cutters))
    trainer = trainers.UnigramTrainer(vocab_size=400, special_tokens=SPECIALS, unk_token="[UNK]", show_progress=False)
    return _train(tokenizer, trainer)


def _bpe(steps: Sequence[Any], cutter: Any, **options: Any) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="[UNK]", **options))
    tokenizer.normalizer = normalizers.Sequence(list(steps)) if steps else None
    tokenizer.pre_tokenizer = cutter
    is_metaspace = isinstance(cutter, pre_tokenizers.Metaspace)
    alphabet = [] if is_metaspace else pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=SPECIALS, initial_alphabet=alphabet, show_progress=False
    )
    return _train(tokenizer, trainer)


def _train(tokenizer: Tokenizer, trainer: Any) -> Tokenizer:
    tokenizer.train_from_iterator(_SENTENCES * 3, trainer)
    return tokenizer


def _precompiled(rule: str) -> Any:
    return normalizers.Precompiled(charsmap(rule))


def split_bytes(digits: str, behavior: str = "isolated", invert: bool = False, **byte_level: bool) -> Any:
    """Cut as GPT-4 does, and then into bytes."""
    words = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+"
    others = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    split = pre_tokenizers.Split(Regex(f"{words}|{digits}|{others}"), behavior, invert)
    options = {"add_prefix_space": False, "use_regex": False} | byte_level
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(**options)])


_split = pre_tokenizers.WhitespaceSplit
_metaspace = pre_tokenizers.Metaspace
_DEBERTA = [normalizers.Replace(Regex(r"\s{2,}|[\n\r\t]"), " "), normalizers.NFC(), normalizers.Strip(left=False)]
_ALBERT = [normalizers.Replace("``", '"'), normalizers.Replace("''", '"'), normalizers.NFKD()]
_ALBERT += [normalizers.StripAccents(), normalizers.Lowercase()]
KINDS: dict[str, Callable[[], Tokenizer]] = {
    "BERT": _bert,
    "BERT, cased": lambda: _bert(lowercase=False, strip_accents=False),
    "BERT, cased, made lower-case": lambda: _bert(True, lowercase=False),
    "BERT, stripped and cased": lambda: _bert(lowercase=False, strip_accents=True),
    "BERT, nothing cleaned": lambda: _bert(clean_text=False, handle_chinese_chars=False),
    "XLM-RoBERTa": lambda: _unigram([_precompiled("nmt_nfkc")], _split(), _metaspace()),
    "XLM-RoBERTa, one space": lambda: _unigram([_precompiled("nmt_nfkc"), _spaces()], _metaspace()),
    "XLM-RoBERTa, all spaces": lambda: _unigram([_precompiled("nmt_nfkc")], _metaspace()),
    "spaces before letters are made": lambda: _unigram([_spaces(), _precompiled("nmt_nfkc_cf")], _metaspace()),
    "strange characters": lambda: _unigram([_precompiled("strange"), _spaces()], _metaspace()),
    "strange characters, all spaces": lambda: _unigram([_precompiled("strange")], _metaspace()),
    "T5": lambda: _unigram([_precompiled("nmt_nfkc"), normalizers.Strip(left=False), _spaces("▁")], _metaspace()),
    "ALBERT": lambda: _unigram([*_ALBERT, _precompiled("nmt_nfkc")], _split(), _metaspace()),
    "ALBERT, no first space": lambda: _unigram(_ALBERT, _split(), _metaspace(prepend_scheme="never")),
    "DeBERTa": lambda: _unigram(_DEBERTA, _metaspace()),
    "DeBERTa, first space": lambda: _unigram(_DEBERTA, _metaspace(prepend_scheme="first")),
    "no normalizer": lambda: _unigram([], _metaspace(prepend_scheme="never")),
    "BPE": lambda: _bpe([normalizers.NFKC()], _metaspace(), fuse_unk=True),
    "RoBERTa": lambda: _bpe([], pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "RoBERTa, first space": lambda: _bpe([], pre_tokenizers.ByteLevel(add_prefix_space=True)),
    "ModernBERT": lambda: _bpe([normalizers.NFC()], pre_tokenizers.ByteLevel(add_prefix_space=False)),
    "Qwen": lambda: _bpe([normalizers.NFC()], split_bytes(r"\p{N}")),
    "Qwen, decomposed": lambda: _bpe([normalizers.NFKD()], split_bytes(r"\p{N}")),
    "Llama 3": lambda: _bpe([], split_bytes(r"\p{N}{1,3}"), ignore_merges=True),
}
"""Tokenizers, by name."""


def write_tokenizer(folder: Path, backend: Tokenizer, added: Sequence[AddedToken] = ADDED) -> OurTokenizer:
    """Write a model with this tokenizer, and load the tokenizer. The model itself has too few vectors to be used."""
    backend.add_tokens(list(added))
    ids = [(token, backend.token_to_id(token)) for token in ("[CLS]", "[SEP]")]
    backend.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, ids)
    tiny.write_model(folder, "bert")
    (folder / "tokenizer.json").write_text(backend.to_str(), encoding="utf-8")
    tiny.edit_json(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    return load(folder)


def load(folder: Path, *, threads: int = 1, **changes: Any) -> OurTokenizer:
    """Load the tokenizer of such a model, with changes to its spec."""
    files = local.find(str(folder))
    assert files is not None
    spec = load_spec(files)
    embedding = dataclasses.replace(spec.encoder.embedding, vocab_size=100_000)
    encoder = dataclasses.replace(spec.encoder, embedding=embedding)
    return OurTokenizer(files, dataclasses.replace(spec.tokenizer, **changes), encoder, threads)


def compare(tokenizer: OurTokenizer, texts: Sequence[str]) -> None:
    """Check that texts have the ids that the library gives: when they are new, when they are learned, and then."""
    backend: Any = tokenizer._library._backend
    assert tokenizer._words is not None
    expected = [encoding.ids for encoding in backend.encode_batch_fast(list(texts), add_special_tokens=False)]
    for _ in range(3):
        for text, ids, right in zip(texts, tokenizer.tokenize_plain(texts), expected, strict=True):
            assert ids.tolist() == right, f"the ids of {text!a} are wrong"


# fmt: off
FRAGMENTS = (
    *("the", "cat", "The", "CAT", "zebra", "a", "7", "1234", "don't", "Él", "É", "ß", "İ", "ı", "K", "ſ", "Σ", "ς"),
    *("ñ", "n\u0303", "слово", "Слово", "й", "и\u0306", "λέξη", "مرحبا", "م\u064e", "שלום", "ש\u05b8\u05c1"),
    *("中文", "中", "文字", "かな", "が", "か\u3099", "한국", "한", "ᄀ", "ᅡ", "ᆨ", "नमस\u094dत\u0947", "क\u094dष"),
    *("ก\u0e47", "ำ", "ﬁ", "ﷺ", "Ａ", "１", "½", "①", "™", "¨", "´", "‗", "…", "“", "”", "–", "—", "•", "·", "。"),
    *("،", " ", " ", " ", "  ", "   ", "\n", "\n\n", "\t", "\r", "\r\n", " \n", "\n ", " \t ", "\v", "\f", "\x1c"),
    *("\x85", "\xa0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u3000", "\u200b", "\u200c", "\u200d"),
    *("\u2060", "\ufeff", "\xad", "\x00", "\x01", "\x07", "\x7f", "�", "\ufffe", "\ue000", "\u0378", "\u0301"),
    *("\u0327", "\u0338", "\u20e3", "\ufe0f", "\u0600a", "x \u06dda", "n\u0327", "c\u0327", "n\u0327 \u0600b"),
    *("\u0600c \u0301", "<M\u0327>", " \u0301", " n\u0327x", "ac\u0327", "\u0600", "\u06dd", "ൎ", "ำ", "\u0903"),
    *("\u034f", "\u061c", "\u180e", "▁", "▁▁", "Ġ", "Ċ", "##ing", "##", "_", ".", ",", "!", "?", "'", "\"", "''"),
    *("``", "`", "-", "--", "(", ")", "[", "]", "<", ">", "/", "\\", "#", "@", "$", "%", "^", "&", "*", "😀"),
    *("👍🏽", "👨\u200d👩\u200d👧", "🇩🇪", "🇩", "1\ufe0f\u20e3", "❤\ufe0f", "©"),
    *("🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "𝒳", "𠀀", "豈", "㐀", "䶵", "䶿", "龥"),
    *("鿿", "𞤀", "\U000e0001", "[MASK]", "[mask]", "[MASK", "MASK]", "[CLS]", "[SEP]", "[UNK]", "<l>", "<r>"),
    *("cat sat", "cat  sat", "<unk>", "<UNK>", "<Unk>", "<n>", "<N>", "<\x00n>", "<n", "n>", "＜n>", "<ｎ>"),
    *("≮unk>", "<\u0338n>", "<n\u0301>", "﹤unk﹥", "<\nunk>", "< unk>", "<unk\u200d>", "x" * 19, "x" * 20),
    *("x" * 21, "ab" * 60, "é" * 50, "a-b_c", "http://x.y/z?q=1", "x@y.org", "C++", "f(x)", "3.14", "1,000"),
)
# fmt: on


def random_text(rng: random.Random) -> str:
    """A text of fragments and of any characters, with and without spaces between them."""
    pieces = []
    separator = rng.choice(("", "", " ", " ", "\n", "  "))
    for _ in range(rng.choice((0, 1, 1, 2, 3, 4, 5, 6, 8, 12, 20))):
        kind = rng.random()
        if kind < 0.75:
            piece = rng.choice(FRAGMENTS)
        elif kind < 0.85:
            piece = "".join(chr(rng.randrange(0x20, 0x7F)) for _ in range(rng.randrange(1, 6)))
        elif kind < 0.95:
            piece = _character(rng, 0x3100)
        else:
            piece = _character(rng, 0x110000)
        pieces.append(piece)
        if rng.random() < 0.6:
            pieces.append(separator)
    return "".join(pieces)


def _character(rng: random.Random, end: int) -> str:
    code = rng.randrange(end)
    return chr(code) if not 0xD800 <= code < 0xE000 else "x"


def character_texts(step: int = 1) -> Iterator[str]:
    """Each character of Unicode, alone and among others; some codes that have none; and accents after letters."""
    characters = [chr(code) for code in range(0, 0x110000, step) if not 0xD800 <= code < 0xE000]
    assigned = [c for c in characters if ord(c) % 16 == 0 or unicodedata.category(c) not in ("Cn", "Co")]
    for c in assigned:
        yield from (c, f"a{c}b", f"the {c} cat", f"a{c} b", f"a {c}b", f"cat {c}{c}")
    marks = [c for c in assigned if unicodedata.category(c)[0] == "M"]
    for mark in marks:
        yield from (f"{base}{mark} x{mark} {mark}y" for base in "aé< 中й.")


EMOJI_BASES = [
    chr(code) for first, last in ((0x231A, 0x23FF), (0x2600, 0x27BF), (0x1F300, 0x1FAFF)) for code in range(first, last)
]


def emoji_texts() -> Iterator[str]:
    """Emoji alone and in sequences: skin tones, joiners, flags, keycaps, tags."""
    tones = [chr(code) for code in range(0x1F3FB, 0x1F400)]
    for n, base in enumerate(EMOJI_BASES):
        other = EMOJI_BASES[n * 7 % len(EMOJI_BASES)]
        for emoji in (base, f"{base}\ufe0f", f"{base}{tones[n % 5]}", f"{base}\u200d{other}", f"{base}{other}\u20e3"):
            yield from (emoji, f"cat {emoji} sat", f"cat{emoji}", f"{emoji} cat {emoji}{emoji} the")
    letters = [chr(code) for code in range(0x1F1E6, 0x1F200)]
    yield from (f"a {x}{y} b {x} {y}" for x in letters for y in letters)
    yield from (f"press {key}\ufe0f\u20e3 or {key}\u20e3 now" for key in "0123456789#*")


def library_texts() -> Iterator[str]:
    """The sources of the standard library, in pieces of some lines, and each of their lines."""
    folder = Path(json.__file__).parents[1]
    for path in sorted(folder.glob("**/*.py")):
        if "site-packages" in path.parts:
            continue
        lines = path.read_bytes().decode("utf-8", "replace").splitlines(keepends=True)
        yield from (line for line in lines if line.strip())
        yield from ("".join(lines[start : start + 40]) for start in range(0, len(lines), 40))
