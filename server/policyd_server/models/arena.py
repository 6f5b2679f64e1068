"""The memory that ONNX Runtime computes in: one arena for all versions of a process.

Without it, each tensor comes from the heap, which splits a larger block to align it. The small rest
goes to a cache, where it separates the blocks around it, so free memory cannot be used again for
larger tensors. An arena for each version would keep the memory of its largest call.
"""

from __future__ import annotations

import threading

import onnxruntime as ort

_AS_REQUESTED = 1  # the arena grows by as much as a call needs
_UNUSED_BYTES = 4096  # of a block that is given to a smaller tensor as a whole

_lock = threading.Lock()  # versions are loaded in several threads
_shared = False


def use_arena(options: ort.SessionOptions) -> None:
    """Makes a session compute in the arena. Its weights stay in the heap."""
    _share()
    options.enable_cpu_mem_arena = False  # of its own
    options.add_session_config_entry("session.use_env_allocators", "1")
    options.add_session_config_entry("session.use_device_allocator_for_initializers", "1")


def emptying() -> ort.RunOptions:
    """Returns options for a call after which the arena gives back what nobody uses."""
    options = ort.RunOptions()
    options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
    return options


def _share() -> None:
    """Creates the arena, once."""
    global _shared  # noqa: PLW0603 -- ONNX Runtime has one for the process, too
    with _lock:
        if _shared:
            return
        place = ort.OrtMemoryInfo("Cpu", ort.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, ort.OrtMemType.DEFAULT)
        growth = {"arena_extend_strategy": _AS_REQUESTED, "max_dead_bytes_per_chunk": _UNUSED_BYTES}
        ort.create_and_register_allocator(place, ort.OrtArenaCfg(growth))
        _shared = True
