"""Shortcuts that can be seen in the text of a file: names that torch or another package would do the exercise with."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import Any

from oneblock.learn.process import FOREIGN

ALWAYS = (
    "MultiheadAttention", "scaled_dot_product_attention", "multi_head_attention_forward", "flex_attention",
    "_native_multi_head_attention", "_transformer_encoder_layer_fwd", "Transformer", "TransformerEncoder",
    "TransformerDecoder", "TransformerEncoderLayer", "TransformerDecoderLayer",
    "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_attention_math",
    "DisableTorchFunction",
)  # fmt: skip
"""Last names of what no exercise allows, of torch's own."""


def shortcuts(text: str, forbids: tuple[str, ...] = (), packages: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Forbidden names in a source text: (`name`, `line`), through aliases, `getattr` and `__import__`.

    forbids: last names of torch functions; packages: those of which nothing may be used.
    What stands under `if __name__ == "__main__":` is the learner's own trial and may use anything. A text that is no
    Python has none: running it will say so.
    """
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError):
        return []
    finder = _Finder(frozenset((*ALWAYS, *forbids)), (*FOREIGN, *packages))
    finder.visit(tree)
    return sorted(finder.found, key=lambda entry: entry["line"])


def neighbours(path: Path) -> list[Path]:
    """Files beside this one that it imports, and those that they import."""
    found: list[Path] = []
    todo = [path]
    while todo:
        new = [file for file in _imported(todo.pop()) if file != path and file not in found]
        found += new
        todo += new
    return sorted(found)


def _imported(path: Path) -> list[Path]:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError, OSError):
        return []
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            names |= {base, *(f"{base}.{alias.name}".strip(".") for alias in node.names)}
    stems = {name.removeprefix(f"{path.parent.name}.").partition(".")[0] for name in names}
    return [file for file in (path.parent / f"{stem}.py" for stem in sorted(stems) if stem) if file.is_file()]


class _Finder(ast.NodeVisitor):
    def __init__(self, forbidden: frozenset[str], packages: tuple[str, ...]) -> None:
        self.forbidden, self.packages = forbidden, packages
        self.known: dict[str, str] = {}
        self.found: list[dict[str, Any]] = []

    def visit_If(self, node: ast.If) -> None:
        if "__name__" not in {name.id for name in ast.walk(node.test) if isinstance(name, ast.Name)}:
            self.generic_visit(node)
        else:
            for entry in node.orelse:
                self.visit(entry)

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            root = alias.name.partition(".")[0]
            self.known[alias.asname or root] = alias.name if alias.asname else root
            self._judge(alias.name, node)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        if node.level:
            return
        for alias in node.names:
            full = f"{node.module}.{alias.name}"
            self.known[alias.asname or alias.name] = full
            self._judge(full, node)

    def visit_Assign(self, node: ast.Assign) -> None:
        full = self._full(node.value)
        for target in node.targets:
            if isinstance(target, ast.Name):
                # A name that is given something else is that from now on.
                self.known.pop(target.id, None)
                if full:
                    self.known[target.id] = full
        self.generic_visit(node)

    def visit_Attribute(self, node: ast.Attribute) -> None:
        full = self._full(node)
        if full:
            self._judge(full, node)
        else:
            self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        full = self._full(node)
        if full:
            self._judge(full, node)
        self.generic_visit(node)

    def _full(self, node: ast.expr) -> str:
        """The dotted name of what an expression stands for, as far as that can be read; "" where not."""
        if isinstance(node, ast.Name):
            return self.known.get(node.id, "")
        if isinstance(node, ast.Attribute):
            base = self._full(node.value)
            return f"{base}.{node.attr}" if base else ""
        if isinstance(node, ast.Call) and node.args:
            called = node.func.id if isinstance(node.func, ast.Name) else self._full(node.func)
            words = [arg.value for arg in node.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]
            if called == "getattr" and words:
                base = self._full(node.args[0])
                return f"{base}.{words[0]}" if base else ""
            if called in ("__import__", "importlib.import_module") and words:
                return words[0]
        return ""

    def _judge(self, full: str, node: ast.AST) -> None:
        root, parts = full.partition(".")[0], full.split(".")
        # The last but one too: an operator's overload is named behind it.
        if root in self.packages or (root == "torch" and not self.forbidden.isdisjoint(parts[-2:])):
            entry = {"name": full, "line": getattr(node, "lineno", 0)}
            if entry not in self.found:
                self.found.append(entry)
