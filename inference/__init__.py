"""Ask a model: the contract, the transformers runtime, the providers, the Modal app."""
