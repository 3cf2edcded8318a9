"""Training of the two towers. Needs torch, numpy, pydantic and safetensors, nothing heavier."""
