"""Import this first, and notebooks are there a second sooner: jsonschema, which checks them, reads a grammar of addresses at its import.

The grammar (rfc3987_syntax) checks the formats `iri` and `iri-reference`, and notebooks have none. Who wants it later can still import it.
"""

import sys

if "jsonschema" not in sys.modules and "rfc3987_syntax" not in sys.modules:
    sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]  # so that jsonschema goes on without it
    try:
        import jsonschema  # noqa: F401
    finally:
        del sys.modules["rfc3987_syntax"]
