"""Renders the API reference at /docs from openapi.yaml and asyncapi.yaml: one page of HTML without scripts.

    PYTHONPATH=tools python -m api_reference

No ready renderer takes both contracts. The smallest pair, Redoc 2.5 for OpenAPI and the AsyncAPI React
component 3.2 for AsyncAPI 3, is 3.6 MB of scripts (840 KB compressed) for two pages, which need scripts
and inline styles in the browser; this page is 260 KB (28 KB compressed), and its content security
policy lets nothing run and nothing load. Only the rendered page ships.
"""
