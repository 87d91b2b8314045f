"""The page: one HTML file with everything in it, that asks no network for anything."""

from beacon_pipeline.findings.page.build import page_of, write_page
from beacon_pipeline.findings.page.place import write_page_of

__all__ = ["page_of", "write_page", "write_page_of"]
