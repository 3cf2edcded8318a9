"""The two towers. Everything here needs torch, numpy, pydantic and safetensors, nothing heavier."""
