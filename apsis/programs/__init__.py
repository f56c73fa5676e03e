"""Programs: what a run carries out. Each type is a module; `registry` finds it by its name."""
