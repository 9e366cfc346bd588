"""The number of a chapter before its title: in the page, the sidebar, the links to the page before and after."""

from docutils import nodes
from sphinx.transforms import SphinxTransform

from book.tools.contents import number_of


class NumberTitle(SphinxTransform):
    """Number the title itself, before Sphinx collects it; the anchors of the headings are made by then."""

    default_priority = 500

    def apply(self, **kwargs: object) -> None:
        number = number_of(self.env.docname)
        title = self.document.next_node(nodes.title)
        if number is not None and title is not None:
            title[:0] = [
                nodes.inline("", f"{number}.", classes=["chapter-number"]),
                nodes.Text(" "),
            ]
