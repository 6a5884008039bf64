"""Compile the package's CUDA kernels with NVIDIA's own compiler, which needs no GPU.

    CUPY_ON_CPU_RECORD=kernels.jsonl python -m pytest tests -k emulated     # the tests write down what they ran
    python tests/helpers/check_nvrtc.py kernels.jsonl 80 90                 # beside a real CuPy and NVRTC

The text is what CuPy would compile, with its headers and options, for each combination of argument dtypes that the
tests used and the same in float32.  A kernel fails if it does not compile, or if one for float32 holds arithmetic in
float64, which most GPUs do at a small part of the speed.  Before them a kernel that is wrong and one that is slow are
tried, which must be caught.  Returns 1 where something is not as it should be.
"""

from __future__ import annotations

import ctypes
import importlib.util
import json
import os
import re
import sys
from collections import Counter
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

NDARRAY, INDEXER, SCALAR = 1, 2, 3  # of CuPy's enumeration in _kernel.pxd
DOUBLE = re.compile(r"\b(?:add|sub|mul|fma|div|rcp|sqrt|neg|abs|min|max|setp|cvt)\.[a-z.]*f64")
MUST_FAIL = {
    "does not compile": ["T x", "T z", "z = x +", "broken", "", [["d", 1, True], ["d", 1, True]]],
    "holds float64 arithmetic": ["T x", "T z", "z = x * 0.1", "doubled", "", [["d", 1, True], ["d", 1, True]]],
}

# remembered for each device by CuPy, and there is none
compiler._get_arch_for_options_for_nvrtc = compiler._get_arch_for_options_for_nvrtc.__wrapped__


def captured(make, *args):
    """Source and options as CuPy hands them to its compiler."""
    caught = []

    def stop(source, options=(), *_, **__):
        caught.append((source, options))
        raise InterruptedError

    compiler._compile_module_with_cache, kept = stop, compiler._compile_module_with_cache
    try:
        make.__wrapped__(*args)
    except InterruptedError:
        return caught[0]
    finally:
        compiler._compile_module_with_cache = kept


def source_of(line, as_float32):
    """The CUDA source of a recorded kernel, with its arguments as they were or in float32."""
    in_params, out_params, operation, name, preamble, kinds = line
    reduction = isinstance(operation, list)
    if reduction:
        *parts, identity, reduce_type = operation
        kernel = cupy.ReductionKernel(
            in_params, out_params, *parts, identity, name, reduce_type=reduce_type, preamble=preamble
        )
    else:
        kernel = cupy.ElementwiseKernel(in_params, out_params, operation, name, preamble=preamble)
    dtypes = []
    for kind in kinds:
        char = kind[0] if isinstance(kind, list) else None
        dtypes.append(char and np.dtype("f" if as_float32 and char == "d" else char))
    given = tuple(dtypes[: len(kernel.in_params)])
    in_types, out_types, type_map = _kernel._decide_params_type(kernel.in_params, kernel.out_params, given, ())
    infos = []
    ndim = max(kind[1] for kind in kinds if isinstance(kind, list))
    for kind, given, resolved in zip(kinds, dtypes, (*in_types, *out_types), strict=True):
        if given is None:
            infos.append(_kernel._ArgInfo(SCALAR, _scalar.CScalar, np.dtype(resolved), 0, True, True))
        else:  # broadcast to all axes, contiguous where it was
            axes = kind[1] if reduction and kind is kinds[-1] else ndim
            contiguous = kind[2] and kind[1] == axes
            infos.append(_kernel._ArgInfo(NDARRAY, cupy.ndarray, given, axes, contiguous, True))
    infos.append(_kernel._ArgInfo(INDEXER, _carray.Indexer, None, ndim, True, True))
    if not reduction:
        make = _kernel._get_elementwise_kernel
        return captured(make, tuple(infos), type_map, kernel.params, operation, name, preamble)
    infos.append(_kernel._ArgInfo(INDEXER, _carray.Indexer, None, kinds[-1][1], True, True))
    infos.append(_kernel._ArgInfo(SCALAR, _scalar.CScalar, np.dtype("i"), 0, True, True))
    indexed = _kernel._TypeMap((*type_map._pairs, ("IndexT", "int32")))
    return captured(
        _reduction._ReductionKernel_get_cached_function, kernel.nin, kernel.nout, kernel._params, tuple(infos), indexed,
        name, 512, reduce_type, identity, *parts, preamble, (),
    )  # fmt: skip


def ptx_of(source, options, arch):
    """The assembly for compute capability `arch`."""
    program = nvrtc.createProgram(source, "kernel.cu", (), ())
    try:
        nvrtc.compileProgram(program, (*options, "-ftz=true", f"--gpu-architecture=compute_{arch}"))
        return nvrtc.getPTX(program)
    except nvrtc.NVRTCError as error:
        raise RuntimeError(nvrtc.getProgramLog(program)) from error
    finally:
        nvrtc.destroyProgram(program)


def verdict(line, dtype, arch):
    """ "compiles", or what is wrong."""
    try:
        source, options = source_of(line, dtype == "float32")
        ptx = ptx_of(source, options, arch)
    except Exception as error:
        return f"does not compile: {type(error).__name__}: {str(error)[:1500]}"
    ptx = ptx.decode() if isinstance(ptx, bytes) else ptx
    if dtype == "float32" and (doubles := DOUBLE.findall(ptx)):
        return f"holds float64 arithmetic: {', '.join(sorted(set(doubles)))}"
    return "compiles"


def main(path, archs):
    """Print the table, and what is wrong in full."""
    failed = 0
    for what, line in MUST_FAIL.items():
        caught = verdict(line, "float32", archs[0]).startswith(what)
        failed += not caught
        print(f"a kernel that {what}: {'caught' if caught else 'NOT CAUGHT'}")
    table = Counter()
    for text in Path(path).read_text().splitlines():
        line = json.loads(text)
        for dtype in ("float64", "float32"):
            for arch in archs:
                found = verdict(line, dtype, arch)
                table[line[3], dtype, f"sm_{arch}", found.partition(":")[0]] += 1
                if found != "compiles":
                    failed += 1
                    print(f"{line[3]} {dtype} sm_{arch}: {found}")
    print(f"CuPy {cupy.__version__}, NVRTC {'.'.join(map(str, nvrtc.getVersion()))}")
    for key, count in sorted(table.items()):
        print(*key, f"({count} kinds of arguments)")
    return int(failed > 0 or not table)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:] or ["80", "90"]))
