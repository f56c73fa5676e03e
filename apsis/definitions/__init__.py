"""How a definition (plain data from YAML or JSON) is read: fields, forms, and what is found wrong with them."""

from apsis.definitions.finding import Finding, Findings, Path, path_text

__all__ = ["Finding", "Findings", "Path", "path_text"]
