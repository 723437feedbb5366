from oneblock import override, presets
from oneblock.inspect.facts import facts, folded, formula_lines
from oneblock.inspect.words import in_bytes, layer_words, nearly, number


def test_a_long_formula_is_folded_before_its_additions():
    long = "x = x + LayerNorm(Attention(LayerNorm(x))) + LayerNorm(FFN(LayerNorm(x)))"
    assert folded(long, 50) == [
        "x = x + LayerNorm(Attention(LayerNorm(x)))",
        "    + LayerNorm(FFN(LayerNorm(x)))",
    ]
    assert folded(long, 200) == [long]
    assert folded("x = Attention(x)", 3) == ["x = Attention(x)"]


def test_each_block_of_a_pattern_has_its_formula(plain):
    one = ["x = x + Attention(RMSNorm(x))", "x = x + FFN(RMSNorm(x))"]
    assert formula_lines(plain.model) == one
    two = override(plain, "blocks=2", "blocks.1.placement=post").model
    assert formula_lines(two) == [
        "block × 2 · layers 1, 3:", *one,
        "block × 2 · layers 2, 4:", "x = RMSNorm(x + Attention(x))", "x = RMSNorm(x + FFN(x))",
    ]  # fmt: skip


def test_the_tables_add_up():
    for config in (presets.gpt2(), override(presets.llama_nano(), "tied=false")):
        (_, rows), *_ = facts(config).tables
        figures = [int(row[1].replace(",", "")) for row in rows if row[1] != "–"]
        assert sum(figures[:-1]) == figures[-1] == facts(config).total
    head = {row[0]: row for row in facts(presets.gpt2()).tables[0][1]}["head"]
    assert head == ("head", "–", "tied")


def test_numbers_in_words():
    assert [nearly(n) for n in (999, 1234, 999_400, 999_600, 7_373_312, 1.5e9)] == [
        "999", "1.23 k", "999 k", "1000 k", "7.37 M", "1.5 G"
    ]  # fmt: skip
    assert [in_bytes(n) for n in (12, 4096, 1023 * 1024, 3_394_560, 37_748_736)] == [
        "12 bytes", "4 KiB", "1023 KiB", "3.24 MiB", "36 MiB"
    ]  # fmt: skip
    assert [layer_words(layers) for layers in ([3], [1, 2, 3], [1, 3, 4])] == [
        "layer 3",
        "layers 1–3",
        "layers 1, 3–4",
    ]
    assert [number(n) for n in (50257, 0.5, 10_000.0)] == ["50,257", "0.5", "10,000"]
