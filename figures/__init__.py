"""One figure, one file: `draw(table, ...) -> Figure`; the parameter names say which tables of analyses/tables."""
