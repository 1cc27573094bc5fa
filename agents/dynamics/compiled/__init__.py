"""Whole steps of dynamics as compiled kernels: traced once, then as fast as a loop written by hand."""

from __future__ import annotations

from strategic_envs.agents.dynamics.compiled.step import COMPILERS, CompiledStep, compiled_step

__all__ = ["COMPILERS", "CompiledStep", "compiled_step"]
