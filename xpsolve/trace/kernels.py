"""Kernels of a program for CuPy: CUDA C made from what they do, and the replay that starts them.

A kernel that several programs need is compiled once: CuPy keeps it by its source, also on disk.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xpsolve.arrays import Array
from xpsolve.trace import cuda
from xpsolve.trace.fuse import Kernel, Step, Term, place_in
from xpsolve.trace.program import Value

_LETTERS = {
    "bool": "B", "int32": "I", "int64": "L", "uint32": "U", "uint64": "Q",
    "float32": "F", "float64": "D", "complex64": "C", "complex128": "Z",
}  # fmt: skip
"""Dtypes of arguments: letters, so that the source is the same in both precisions where it can be."""


class Source(NamedTuple):
    """The text of a kernel.

    Parameters
    ----------
    in_params, out_params : str
        As CuPy has them.
    body : str
        The operation of an elementwise kernel; what becomes of the reduced numbers in a reduction.
    preamble : str
        What stands before it.
    sizes : tuple of int
        Arguments after the arrays: where results that are smaller than the loop are written.
    axes : tuple of int or None
        Those that a reduction takes away.
    """

    in_params: str
    out_params: str
    body: str
    preamble: str
    sizes: tuple[int, ...] = ()
    axes: tuple[int, ...] | None = None


def source_of(kernel: Kernel) -> Source:
    """The kernel in CUDA C."""
    return (_reducing if kernel.reductions else _elementwise)(_Text(kernel))


class _Text:
    """Names of the numbers of a kernel, and the statements that make them."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.names = {term: f"x{k}" for k, term in enumerate(kernel.arguments)}
        given = {cuda.dtype_of(v.dtype).name for v in (*kernel.reads(), *kernel.makes())}
        self.types = {
            name: _LETTERS[name] if name in given and name in _LETTERS else c for name, c in cuda.TYPES.items()
        }
        self.steps = {step.term: step for step in kernel.steps}
        self._numbers = itertools.count()

    def parameters(self, values: Sequence[Value], name: str, raw: Sequence[bool] = ()) -> list[str]:
        """Declarations of arrays, as CuPy has them."""
        found = []
        for k, value in enumerate(values):
            dtype = cuda.dtype_of(value.dtype).name
            found.append(f"{'raw ' if raw and raw[k] else ''}{_LETTERS.get(dtype, dtype)} {name}{k}")
        return found

    def statements(self, result: Term, known: set[Term]) -> str:
        """What computes a result, but for what is known; all of it is known afterwards."""
        lines: list[str] = []

        def visit(term: Term) -> None:
            if term in known or term not in self.steps:
                return
            step = self.steps[term]
            for x in step.operands:
                if x is not None:
                    visit(x)
            known.add(term)
            name = self.names[term] = f"v{next(self._numbers)}"
            kind = self.types[cuda.dtype_of(term.value.dtype).name]
            names = [None if x is None else self.names[x] for x in step.operands]
            if cuda.is_reduction(step.operation):
                lines.append(self._sum(step, name, kind))
            else:
                lines.append(f"const {kind} {name} = {cuda.expression(step.operation, names, self.types)};")

        visit(result)
        return " ".join(lines)

    def _sum(self, step: Step, name: str, kind: str) -> str:
        """Some numbers joined by one thread."""
        how = cuda.reduction(step.operation, self.types)
        joined = self.types[how.dtype.name]
        first, *others = (how.mapped.format(x=self.names[x]) for x in step.operands if x is not None)
        lines = [f"{joined} {name}s = {first};"]
        for other in others:
            text = how.joined.format(a=f"{name}s", b=f"{name}t")
            lines.append(f"{{ const {joined} {name}t = {other}; {name}s = {text}; }}")
        return " ".join([*lines, f"const {kind} {name} = {how.last.format(a=f'{name}s')};"])

    @property
    def helpers(self) -> str:
        """Functions that the statements call."""
        return cuda.HELPERS if any(step.operation.name in cuda.HELPED for step in self.kernel.steps) else ""


def _elementwise(text: _Text) -> Source:
    kernel, known = text.kernel, set[Term]()
    places = [place_in(kernel.shape, term.value.shape) for term in kernel.results]
    whole: list[str] = []
    part: list[str] = []
    sizes: list[int] = []
    for k, (term, place) in enumerate(zip(kernel.results, places, strict=True)):
        assert place is not None
        where, size = place
        if where == "all":
            whole.append(f"{text.statements(term, known)} z{k} = {text.names[term]};")
    for k, (term, place) in enumerate(zip(kernel.results, places, strict=True)):
        where, size = place  # type: ignore[misc]
        if where == "all":
            continue
        m = f"m{len(sizes)}"
        sizes.append(size)
        made = text.statements(term, set(known))  # inside of braces
        test, index = (f"i < {m}", "i") if where == "first" else (f"i % {m} == 0", f"i / {m}")
        part.append(f"if ({test}) {{ {made} z{k}[{index}] = {text.names[term]}; }}")
    inputs = [*text.parameters(kernel.reads(), "x"), *(f"int64 m{k}" for k in range(len(sizes)))]
    outputs = text.parameters(kernel.makes(), "z", [place != ("all", 1) for place in places])
    return Source(", ".join(inputs), ", ".join(outputs), "\n".join([*whole, *part]), text.helpers, tuple(sizes))


def _reducing(text: _Text) -> Source:
    kernel, known = text.kernel, set[Term]()
    joined = [cuda.reduction(operation, text.types) for operation in kernel.reductions]
    kinds = [text.types[r.dtype.name] for r in joined]
    count = range(len(joined))
    made = " ".join(text.statements(term, known) for term in kernel.results)
    terms = ", ".join(r.mapped.format(x=text.names[term]) for r, term in zip(joined, kernel.results, strict=True))
    dtypes = [text.types[cuda.dtype_of(v.dtype).name] for v in kernel.reads()]
    taken = ", ".join(f"{kind} x{k}" for k, kind in enumerate(dtypes))
    preamble = f"""{text.helpers}
struct xpsolve_terms {{
    {" ".join(f"{kind} r{k};" for k, kind in enumerate(kinds))}
    __device__ xpsolve_terms() : {", ".join(f"r{k}({r.identity})" for k, r in enumerate(joined))} {{}}
    __device__ xpsolve_terms({", ".join(f"{kind} s{k}" for k, kind in enumerate(kinds))}) : {
        ", ".join(f"r{k}(s{k})" for k in count)
    } {{}}
}};
__device__ inline xpsolve_terms xpsolve_mapped({taken}) {{ {made} return xpsolve_terms({terms}); }}
__device__ inline xpsolve_terms xpsolve_joined(const xpsolve_terms& a, const xpsolve_terms& b) {{
    return xpsolve_terms({", ".join(f"{r.joined.format(a=f'a.r{k}', b=f'b.r{k}')}" for k, r in enumerate(joined))});
}}
"""
    last = ", ".join(f"z{k} = {r.last.format(a=f'a.r{k}')}" for k, r in enumerate(joined))
    names = ", ".join(text.parameters(kernel.reads(), "x"))
    outputs = ", ".join(text.parameters(kernel.makes(), "z"))
    return Source(names, outputs, last, preamble, axes=cuda.axes_of(kernel.reductions[0]))


@functools.lru_cache(maxsize=1024)
def compiled(source: Source) -> Any:
    """CuPy's kernel of a source."""
    import cupy

    if source.axes is None:
        return cupy.ElementwiseKernel(
            source.in_params, source.out_params, source.body, "xpsolve_fused", preamble=source.preamble
        )
    mapped = ", ".join(parameter.split()[-1] for parameter in source.in_params.split(", "))
    return cupy.ReductionKernel(
        source.in_params,
        source.out_params,
        f"xpsolve_mapped({mapped})",
        "xpsolve_joined(a, b)",
        source.body,
        "xpsolve_terms()",
        "xpsolve_fused_sum",
        reduce_type="xpsolve_terms",
        preamble=source.preamble,
    )


def starter(kernel: Kernel) -> Callable[..., tuple[Array, ...]]:
    """A function that starts the kernel on its arguments and returns what it makes."""
    import cupy

    source = source_of(kernel)
    start = compiled(source)
    views = [_view(term, len(kernel.shape)) for term in kernel.arguments]
    outputs = [(value.shape, cuda.dtype_of(value.dtype)) for value in kernel.makes()]
    views = _reaching(kernel, views)

    def arguments(arrays: Sequence[Array]) -> list[Array]:
        return [x if view is None else view(x) for x, view in zip(arrays, views, strict=True)]

    def shaped(made: list[Array]) -> tuple[Array, ...]:
        return tuple([x if x.shape == shape else x.reshape(shape) for x, (shape, _) in zip(made, outputs, strict=True)])

    if source.axes is None:
        whole = [place_in(kernel.shape, shape) == ("all", 1) for shape, _ in outputs]
        inside = [kernel.shape if full else shape for full, (shape, _) in zip(whole, outputs, strict=True)]

        def run(*arrays: Array) -> tuple[Array, ...]:
            made = [cupy.empty(shape, dtype) for shape, (_, dtype) in zip(inside, outputs, strict=True)]
            start(*arguments(arrays), *source.sizes, *made)
            return shaped(made)

        return run

    kept = tuple(n for axis, n in enumerate(kernel.shape) if axis not in source.axes)

    def reduce(*arrays: Array) -> tuple[Array, ...]:
        made = [cupy.empty(kept, dtype) for _, dtype in outputs]
        start(*arguments(arrays), *made, axis=source.axes)
        return shaped(made)

    return reduce


def _view(term: Term, ndim: int) -> Callable[[Array], Array] | None:
    """What brings the axes of an array to their places in the loop; None where they are there."""
    places = term.places
    more = ndim - len(places)
    if all(p is None or p == more + k >= 0 for k, p in enumerate(places)) and more >= 0:
        return None
    there = [p for p in places if p is not None and p >= 0]
    index = tuple(0 if p is None else -1 - p if p < 0 else slice(None) for p in places)
    order = tuple(sorted(range(len(there)), key=there.__getitem__))
    spread = tuple(slice(None) if axis in there else None for axis in range(min(there, default=ndim), ndim))

    def view(x: Array) -> Array:
        return x[index].transpose(order)[spread] if order else x[index]

    return view


def _reaching(kernel: Kernel, views: list[Any]) -> list[Any]:
    """`views`, the first of which makes an array as large as the loop of a reduction, where none is."""
    import cupy

    shapes = []
    for term in kernel.arguments:
        shape = [1] * len(kernel.shape)
        for axis in term.places:
            if axis is not None and axis >= 0:
                shape[axis] = kernel.shape[axis]
        shapes.append(tuple(shape))
    if not kernel.reductions or np.broadcast_shapes(*shapes) == kernel.shape:
        return views
    first = views[0]
    return [lambda x: cupy.broadcast_to(x if first is None else first(x), kernel.shape), *views[1:]]
