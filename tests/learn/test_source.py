"""Shortcuts seen in the text: by whatever name they come, and no others."""

import pytest
import torch

from oneblock.learn.child.watch import Shortcuts
from oneblock.learn.grading import seen_in_source
from oneblock.learn.source import neighbours, shortcuts

FOUND = {
    "import torch\ntorch.softmax(x, 0)": 2,
    "import torch as t\ny = t.nn.functional.softmax": 2,
    "import torch.nn.functional as G\ns = G.softmax\ns(x, 0)": 2,
    "from torch.nn import functional\nfunctional.softmax(x)": 2,
    "from torch import softmax as hidden": 1,
    "import torch\ngetattr(torch, 'softmax')(x, 0)": 2,
    "import importlib\nimportlib.import_module('torch').softmax(x, 0)": 2,
    "__import__('torch').softmax(x, 0)": 1,
    "import torch\nn = torch.nn\nclass A(n.Module):\n    def f(self): return n.MultiheadAttention(4, 2)": 4,
    "import torch\ntorch.nn.functional.scaled_dot_product_attention(q, k, v)": 2,
    "import oneblock": 1,
    "from oneblock.nn import attention": 1,
    "import importlib\nimportlib.import_module('oneblock.nn')": 2,
    "if True:\n    from transformers import GPT2Model": 2,
    "import torch\nif __name__ == '__main__':\n    pass\nelse:\n    torch.softmax(x, 0)": 5,
}
FINE = (
    "import torch\ntorch.exp(x)",
    "def softmax(x, dim): return x\nsoftmax(x, 0)",
    "from .softmax import softmax\nsoftmax(x, 0)",
    "import torch\nif __name__ == '__main__':\n    print(torch.softmax(x, 0))",
    "import torch\ntorch = 3\ntorch.softmax",
    "x.softmax_of_mine()",
    "'torch.softmax'  # torch.softmax",
    "def broken(:",
    "\0",
)


@pytest.mark.parametrize(("text", "line"), FOUND.items())
def test_a_shortcut_is_found_with_its_line(text, line):
    assert [entry["line"] for entry in shortcuts(text, ("softmax",))][:1] == [line]


@pytest.mark.parametrize("text", FINE)
def test_other_names_are_left_alone(text):
    assert shortcuts(text, ("softmax",)) == []


def test_overloads_of_operators_and_ways_round_the_watch():
    math = "torch.ops.aten._scaled_dot_product_attention_math"
    text = f"import torch\n{math}.default(q, k, v)\nwith torch._C.DisableTorchFunction():\n    pass"
    assert [entry["line"] for entry in shortcuts(text)] == [2, 3]
    with Shortcuts(("_scaled_dot_product_attention_math",), "") as seen:
        torch.ops.aten._scaled_dot_product_attention_math.default(*torch.ones(3, 1, 1, 2, 2))
    assert len(seen.seen) == 1


def test_whole_packages_may_be_forbidden(tmp_path):
    text = "import math\nfrom collections.abc import Callable\nimport numpy.linalg as n\nn.norm(x)"
    assert shortcuts(text) == [] and [entry["line"] for entry in shortcuts(text, (), ("numpy",))] == [3, 4]
    (tmp_path / "lists.py").write_text("import math\nfrom tensors import f")
    (tmp_path / "tensors.py").write_text("\nimport numpy\nimport torch\nf = torch.softmax")
    seen = seen_in_source(tmp_path / "lists.py", ("softmax",), ("numpy",))
    assert seen == [{"name": "numpy", "line": 2, "file": "tensors.py"}]


def test_files_beside_it_and_those_that_they_import(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    texts = {
        "a": "from .b import f\nimport torch",
        "b": "from mine.c import g",
        "c": "from . import d\nfrom .a import h",
        "d": "(",
        "e": "",
    }
    for name, text in texts.items():
        (folder / f"{name}.py").write_text(text)
    assert [path.stem for path in neighbours(folder / "a.py")] == ["b", "c", "d"]
