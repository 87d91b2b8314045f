"""The page: one HTML file with everything in it, that asks no network for anything."""

from beacon_pipeline.findings.page.build import page_of, write_page

__all__ = ["page_of", "write_page"]
