"""What a process of its own has imported before it is forked (`own_process`): it takes seconds."""

from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig

__all__ = ["AutoModelForCausalLM", "AutoTokenizer", "GenerationConfig"]
