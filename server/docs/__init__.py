"""The API reference at /docs: rendered ahead from the contracts, served as it lies here.

`python -m cosyserve.server.docs` renders it anew after a change of openapi.yaml or asyncapi.yaml.
"""

from ..page.reference import add_docs

__all__ = ["add_docs"]
