"""ONNX models that other programs exported, made into artifacts.

Needs the packages onnx and gymnasium.
"""
