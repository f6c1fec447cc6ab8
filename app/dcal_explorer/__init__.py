"""The faces of DCAL Explorer: demo, dashboard and command line. They draw and word what `dcal` computes.

The folder app/ is a source root, as src/ is elsewhere: the package's one name is `dcal_explorer`.
"""

if __name__ != "dcal_explorer":
    raise ImportError(f"import dcal_explorer, not {__name__}: one module must not be loaded under two names")
