"""What the tests of figures share."""


def drawn(figure):
    """Drawing is where a wrong layout or label fails."""
    figure.canvas.draw()
    return figure


def texts(ax):
    """Labels of the rows."""
    return [label.get_text() for label in ax.get_yticklabels()]
