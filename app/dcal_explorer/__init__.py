"""The faces of DCAL Explorer. They draw and word what `dcal` computes, and compute nothing themselves."""
