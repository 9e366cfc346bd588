"""What the pages need beyond Sphinx and the theme: one module a subject, tied together here."""

from pathlib import Path

from sphinx.application import Sphinx

from . import (
    api,
    body,
    claims,
    colab,
    contents,
    editions,
    folds,
    images,
    landing,
    languages,
    mathjax,
    numbers,
    places,
    publishing,
    reading_map,
    search,
    storage,
    styles,
    ways,
)

TEMPLATES = Path(__file__).parents[1] / "templates"


def finish(app: Sphinx, exception: Exception | None) -> None:
    if exception is None and app.builder.format == "html":
        mathjax.copy_mathjax(app)
        landing.write_redirect(app)
        search.write_search_text(app)
        styles.lighten_styles(app)
        colab.write_copies(app)
        publishing.write_missing_page(app)
        publishing.write_marks(app)


def setup(app: Sphinx) -> dict[str, object]:
    app.config.mathjax_path = mathjax.MATHJAX_PATH
    app.config.templates_path.append(str(TEMPLATES))
    app.add_config_value("minattn_repository", "", "html", [str])
    app.add_directive("api-modules", api.ApiModules)
    app.add_directive("reading-map", reading_map.ReadingMap)
    app.add_directive("came-for", ways.CameFor)
    app.add_directive("gallery", ways.Gallery)
    app.add_role("minutes", ways.minutes_role)
    app.add_transform(numbers.NumberTitle)
    app.connect("autodoc-skip-member", api.skip_noise)
    # Before napoleon, which comes at 500.
    app.connect("autodoc-process-docstring", api.keep_colons, priority=400)
    app.connect("builder-inited", search.without_sphinx_s_index)
    app.connect("html-collect-pages", search.search_page)
    app.connect("env-get-outdated", landing.always_finish)
    app.connect("html-page-context", images.settle_images)
    app.connect("html-page-context", claims.show_measured_values)
    app.connect("html-page-context", places.link_formulas)
    app.connect("html-page-context", publishing.describe)
    app.connect("html-page-context", storage.stand_in)
    app.connect("html-page-context", body.mend_lists)
    app.connect("html-page-context", body.drop_plain_spans)
    app.connect("html-page-context", body.keep_ranges)
    app.connect("html-page-context", languages.mark_languages)
    app.connect("html-page-context", mathjax.settle_formulas)
    # The theme adds its buttons at 501.
    app.connect("html-page-context", colab.name_buttons, priority=600)
    app.connect("html-page-context", folds.offer_folds, priority=600)
    app.connect("html-page-context", contents.mark_this_page, priority=600)
    # Once MathJax has been added, and before the table of contents writes a redirect of its own.
    app.connect("html-page-context", mathjax.drop_unused_mathjax, priority=900)
    app.connect("html-page-context", search.drop_sphinx_s_marks, priority=900)
    app.connect("build-finished", finish, priority=400)
    # Once all files are there and as they stay; other extensions write some at 500.
    app.connect("build-finished", editions.write_versions, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
