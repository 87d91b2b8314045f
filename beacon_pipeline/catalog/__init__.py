"""What may be asked: regions, models, questions and settings, read from YAML files."""

from beacon_pipeline.catalog.entries import (
    Catalog,
    Category,
    Model,
    ProviderName,
    Question,
    Region,
    Settings,
    Source,
    UnknownName,
)
from beacon_pipeline.catalog.load import DEFAULT, SHIPPED, CatalogError, load_catalog, shipped_names

__all__ = [
    "DEFAULT",
    "SHIPPED",
    "Catalog",
    "CatalogError",
    "Category",
    "Model",
    "ProviderName",
    "Question",
    "Region",
    "Settings",
    "Source",
    "UnknownName",
    "load_catalog",
    "shipped_names",
]
