"""Compile the package's CUDA kernels with NVIDIA's own compiler, which needs no GPU.

    CUPY_ON_CPU_RECORD=kernels.jsonl python -m pytest tests -k emulated     # the tests write down what they ran
    python tests/helpers/check_nvrtc.py kernels.jsonl 80 90 100             # beside a real CuPy and NVRTC

The text is what CuPy would compile, with its headers and options, for each combination of argument dtypes that the
tests used and the same in float32.  Something is wrong if a kernel does not compile, if one for float32 holds an
instruction in float64, which most GPUs run at a small part of the speed, or if there is a kernel in the package's
source that no test has run.  Before them kernels that are broken, slow, or not run are tried, which must be caught.
Returns 1 where something is not as it should be.
"""

from __future__ import annotations

import ast
import ctypes
import importlib.util
import json
import os
import re
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

for part in ("cuda_nvrtc", "cuda_runtime", "cu13"):  # folders of NVIDIA's wheels
    found = importlib.util.find_spec(f"nvidia.{part}") if importlib.util.find_spec("nvidia") else None
    folder = Path(*found.submodule_search_locations) if found else Path("nowhere")
    for library in folder.glob("lib/libnvrtc.so*"):
        ctypes.CDLL(str(library), ctypes.RTLD_GLOBAL)
    if (folder / "include").exists() and part != "cuda_nvrtc":
        os.environ.setdefault("CUDA_PATH", str(folder))

import cupy  # noqa: E402
import numpy as np  # noqa: E402
from cupy._core import _carray, _kernel, _reduction, _scalar  # noqa: E402
from cupy.cuda import compiler  # noqa: E402
from cupy_backends.cuda.libs import nvrtc  # noqa: E402

PACKAGE = Path(__file__).resolve().parents[2] / "xpsolve"
NDARRAY, INDEXER, SCALAR = 1, 2, 3  # of CuPy's enumeration in _kernel.pxd
BLOCK = 512  # threads, CuPy's own choice for reductions
DOUBLE = re.compile(r"^\s*(?:@!?%\w+\s+)?([a-z]\w*(?:\.\w+)*\.f64(?:\.\w+)*)\s", re.MULTILINE)  # no .reg and no .param
TRIGONOMETRIC = re.compile(r"\b(sin|cos|tan)\(")
REDUCING = {
    "cvt.rn.f64.s64",
    "mul.f64",
    "cvt.rn.ftz.f32.f64",
}  # how CUDA reduces large arguments of these, in float32 too
KERNELS = {"ElementwiseKernel", "ReductionKernel", "RawKernel", "RawModule"}


def _map(operation, name="kernel"):
    definition = {"in_params": "T x", "out_params": "T z", "operation": operation, "name": name}
    vector = ["d", 1, True]
    return {"kind": "ElementwiseKernel", "site": "", "definition": definition, "arguments": [vector, vector]}


def _sum(mapped):
    definition = {"in_params": "T x", "out_params": "T z", "map_expr": mapped, "reduce_expr": "a + b",
                  "post_map_expr": "z = a", "identity": "0", "name": "kernel"}  # fmt: skip
    return {"kind": "ReductionKernel", "site": "", "definition": definition,
            "arguments": [["d", 2, True], ["d", 1, True]]}  # fmt: skip


TRIED = {
    "compiles": (_map("z = x * T(0.1)"), _sum("x * T(0.1)")),
    "does not compile": (_map("z = x +"), _sum("x +"), _map("z = undeclared(x)")),
    "holds float64 instructions": (_map("z = x * 0.1"), _sum("x * 0.1"), _map("z = x > 0.1 ? x : T(0)")),
}

# remembered for each device by CuPy, and there is none
compiler._get_arch_for_options_for_nvrtc = compiler._get_arch_for_options_for_nvrtc.__wrapped__


def captured(make, *args, **kwargs):
    """Source and options as CuPy hands them to its compiler."""
    caught = []

    def stop(source, options=(), *_, **__):
        caught.append((source, options))
        raise InterruptedError

    compiler._compile_module_with_cache, kept = stop, compiler._compile_module_with_cache
    try:
        make.__wrapped__(*args, **kwargs)
    except InterruptedError:
        return caught[0]
    finally:
        compiler._compile_module_with_cache = kept


def source_of(kernel):
    """The CUDA source of a recorded kernel."""
    definition, kinds = dict(kernel["definition"]), kernel["arguments"]
    definition["options"] = tuple(definition.get("options", ()))
    made = getattr(cupy, kernel["kind"])(**definition)
    dtypes = [np.dtype(kind[0]) if isinstance(kind, list) else None for kind in kinds]
    # an elementwise kernel of the same parameters knows which dtype each letter stands for
    typed = cupy.ElementwiseKernel(definition["in_params"], definition["out_params"], "", "typed")
    in_types, out_types, types = typed._decide_params_type(tuple(dtypes[: made.nin]), tuple(dtypes[made.nin :]))
    ndims = [kind[1] for kind in kinds if isinstance(kind, list)]
    reduces = kernel["kind"] == "ReductionKernel"
    taken, left = max(ndims[: len(ndims) - made.nout], default=0), max(ndims[-made.nout :])
    if not reduces:
        taken = left = max(taken, left)

    def info(place, kind, given, resolved):
        if given is None:
            return _kernel._ArgInfo(SCALAR, _scalar.CScalar, np.dtype(resolved), 0, True, True)
        # broadcast to all axes, contiguous where it was
        ndim = taken if place < made.nin else left
        return _kernel._ArgInfo(NDARRAY, cupy.ndarray, given, ndim, kind[2] and kind[1] == ndim, True)

    indexers = [_kernel._ArgInfo(INDEXER, _carray.Indexer, None, ndim, True, True) for ndim in (taken, left)]
    infos = [info(*x) for x in zip(range(len(kinds)), kinds, dtypes, (*in_types, *out_types), strict=True)]
    if not reduces:
        infos = (*infos, indexers[0])
        return captured(_kernel._get_elementwise_kernel, infos, types, made.params, made.operation, made.name,
                        made.preamble, **made.kwargs)  # fmt: skip
    stride = _kernel._ArgInfo(SCALAR, _scalar.CScalar, np.dtype("int32"), 0, True, True)
    types = _kernel._TypeMap((*types._pairs, ("IndexT", "int32")))
    return captured(_reduction._ReductionKernel_get_cached_function, made.nin, made.nout, made._params,
                    (*infos, *indexers, stride), types, made.name, BLOCK, made.reduce_type, made.identity,
                    made.map_expr, made.reduce_expr, made.post_map_expr, made.preamble, made.options)  # fmt: skip


def ptx_of(source, options, arch):
    """The assembly for compute capability `arch`."""
    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*options, "-ftz=true", f"--gpu-architecture=compute_{arch}"))
        ptx = nvrtc.getPTX(program)
        return ptx.decode() if isinstance(ptx, bytes) else ptx
    except nvrtc.NVRTCError as error:
        raise RuntimeError(nvrtc.getProgramLog(program)) from error
    finally:
        nvrtc.destroyProgram(program)


def verdict(kernel, arch):
    """ "compiles", or what is wrong."""
    try:
        source, options = source_of(kernel)
        ptx = ptx_of(source, options, arch)
    except Exception as error:
        return f"does not compile: {type(error).__name__}: {str(error)[:1500]}"
    doubles = set(DOUBLE.findall(ptx)) - (REDUCING if TRIGONOMETRIC.search(str(kernel["definition"])) else set())
    if precision(kernel) == "float32" and doubles:
        return f"holds float64 instructions: {', '.join(sorted(doubles))}"
    return "compiles"


def precision(kernel):
    """The lower one where there are two, which is a mistake of the higher one unless the kernel says that it has both.

    It does by dtypes among its parameters, letters of their own for each, or a variable that is a double.
    """
    definition, kinds = kernel["definition"], kernel["arguments"]
    parameters = f"{definition['in_params']}, {definition['out_params']}"
    each = zip(parameters.split(", "), kinds, strict=False)
    letters = {(parameter.split()[-2], kind[0]) for parameter, kind in each if isinstance(kind, list)}
    text = f"{parameters} {definition.get('operation', '')} {definition.get('preamble', '')}"
    dtypes = {dtype for _, dtype in letters}
    apart = len({letter for letter, dtype in letters if dtype in "fd"}) > 1
    named = apart or re.search(r"\bfloat(32|64)\b", parameters)
    if "f" in dtypes and ("D" in dtypes or re.search(r"\bdouble\b", text) or ("d" in dtypes and named)):
        return "mixed"
    return "float32" if "f" in dtypes else "float64"


def in_float32(kernel):
    """The same kernel with float32 for float64."""
    kinds = [["f" if k[0] == "d" else k[0], *k[1:]] if isinstance(k, list) else k for k in kernel["arguments"]]
    return {**kernel, "arguments": kinds}


def not_run(folder, kernels):
    """Lines below `folder` that define a kernel which is not among `kernels`."""
    sites = [kernel["site"].rsplit(":", 1) for kernel in kernels]
    run = {(str(Path(file).resolve()), line) for file, line in sites}
    missing = []
    for path in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) in KERNELS:
                lines = range(node.lineno, node.end_lineno + 1)
                if not any((str(path), str(line)) in run for line in lines):
                    missing.append(f"{path}:{node.lineno}")
    return missing


def main(path, archs):
    """Print the table, and what is wrong in full."""
    failed = 0
    for what, kernels in TRIED.items():
        seen = [verdict(in_float32(kernel), arch) for kernel in kernels for arch in archs]
        right = all(found.startswith(what) for found in seen)
        failed += not right
        print(f"kernels of which each {what}: {'found out' if right else f'NOT FOUND OUT, but: {seen}'}")
    recorded = [json.loads(line) for line in sorted(set(Path(path).read_text().splitlines()))]
    missing = not_run(PACKAGE, recorded)
    if len(not_run(PACKAGE, [])) <= len(missing):
        failed += 1
        print("kernels that no test runs: NOT FOUND OUT, or there is no kernel at all")
    for line in missing:
        failed += 1
        print(f"{line}: no test ran this kernel on the emulated CuPy")
    variants = {json.dumps(k, sort_keys=True): k for one in recorded for k in (one, in_float32(one))}
    table = Counter()
    pairs = [(kernel, arch) for kernel in variants.values() for arch in archs]
    with ProcessPoolExecutor() as pool:
        verdicts = pool.map(verdict, *zip(*pairs, strict=True), chunksize=16)
        for (kernel, arch), found in zip(pairs, verdicts, strict=True):
            name, dtype = kernel["definition"]["name"], precision(kernel)
            table[name, dtype, f"sm_{arch}", found.partition(":")[0]] += 1
            if found != "compiles":
                failed += 1
                print(f"{name} {kernel['arguments']} sm_{arch}: {found}")
    print(f"CuPy {cupy.__version__}, NVRTC {'.'.join(map(str, nvrtc.getVersion()))}")
    for key, count in sorted(table.items()):
        print(*key, f"({count} kinds of arguments)")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:] or ["80", "90", "100"]))
