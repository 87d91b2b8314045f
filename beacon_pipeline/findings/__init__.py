"""What the answers say: frames, comparisons, the page, and the export. Nothing below imports pandas."""
