"""A matplotlib figure that shows itself in a notebook, whether or not pyplot was ever imported there."""

import io

from matplotlib.figure import Figure


class Picture(Figure):
    """As Figure; `savefig` keeps it."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.savefig(buffer, format="png")
        return buffer.getvalue()
