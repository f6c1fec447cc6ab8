"""Images as cards, in HTML for both faces (styled by cards.css): a gallery to choose from, a ranking."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from dcal import ImageError, draw, read_image
from dcal.gallery import Hit, Item, Ranking
from dcal.model.checkpoint import file_version
from dcal_explorer.content import reid_captions
from dcal_explorer.content.galleries import GalleryWithMetadata

CARD_SIDE, THUMBNAIL_SIDE = 256, 112  # pixels of an image's longer side
KEPT = 2048  # encoded images; one takes about ten kilobytes

# On a click on a card: mark it as the open one, and send its key to the server.
CLICK = """element.addEventListener('click', event => {
  const card = event.target.closest('button[data-card]');
  if (!card) return;
  element.querySelectorAll('button[aria-pressed]').forEach(b => b.setAttribute('aria-pressed', b === card));
  trigger('click', {card: card.dataset.card});
});"""


@dataclass(frozen=True)
class Card:
    """An image with its mark above and lines of text below. `alt_text` says all of it."""

    key: str
    image: Path
    alt_text: str
    kind: str = ""
    mark: str = ""
    lines: tuple[str, ...] = ()
    review: str = ""  # what a person said of it
    link: str = ""  # where a click leads


def hits(
    gallery: GalleryWithMetadata,
    ranking: Ranking,
    clickable: bool = True,
    reviews: Mapping[str, str] | None = None,
    chosen: int = 0,
    links: Sequence[str] = (),
) -> str:
    """A ranking, best first. Cards are numbered from 1 in the order shown; the `chosen` one is marked.

    `reviews`: {path: what a person said of it}. `links`: where a click on each leads, where nothing listens to clicks.
    """
    cards = [_hit(gallery, ranking, number, hit, (reviews or {})) for number, hit in enumerate(ranking.hits, 1)]
    cards = [replace(card, link=link) for card, link in zip(cards, links, strict=True)] if links else cards
    return row(cards, CARD_SIDE, "hits", clickable, str(chosen))


def _hit(gallery: GalleryWithMetadata, ranking: Ranking, number: int, hit: Hit, reviews: Mapping[str, str]) -> Card:
    verdict = reid_captions.verdict(gallery, ranking.known, hit)
    rank = "–" if hit.rank is None else str(hit.rank)
    review = reviews.get(hit.item.path, "")
    more = (f"best of {hit.images}",) if hit.images > 1 else ()
    return Card(
        key=str(number),
        image=gallery.embedded.image_path(hit.item),
        alt_text=reid_captions.hit_alt_text(gallery, hit, verdict.text, review),
        kind=verdict.kind,
        mark=f"<b>{rank}</b> <span>{verdict.sign} {verdict.text}</span>",
        lines=(reid_captions.chance(hit), *reversed(reid_captions.facts(gallery, hit.item)), *more),
        review=review,
    )


def thumbnails(gallery: GalleryWithMetadata, items: Iterable[Item], *chosen: str | None) -> str:
    """Images to choose a query from, by their paths; the `chosen` ones are marked."""
    cards = [
        Card(item.path, gallery.embedded.image_path(item), ", ".join(reid_captions.facts(gallery, item)))
        for item in items
    ]
    return row(cards, THUMBNAIL_SIDE, "thumbnails", True, *chosen)


def views(gallery: GalleryWithMetadata, items: Sequence[Item], chosen: Item | None, links: Sequence[str] = ()) -> str:
    """The images of one identity; the `chosen` one is marked. `links` as in `hits`."""
    cards = [
        Card(
            item.path,
            gallery.embedded.image_path(item),
            ", ".join(reid_captions.facts(gallery, item)),
            kind="chosen" if item == chosen else "",
            lines=reid_captions.facts(gallery, item)[-1:],
            link=link,
        )
        for item, link in zip(items, links or [""] * len(items), strict=True)
    ]
    return row(cards, THUMBNAIL_SIDE, "thumbnails", False)


def captioned(gallery: GalleryWithMetadata, items: Iterable[Item]) -> str:
    """Images of a gallery with what is known of them below."""
    listed = []
    for item in items:
        facts = reid_captions.facts(gallery, item)
        listed.append(Card(item.path, gallery.embedded.image_path(item), ", ".join(facts) or item.path, lines=facts))
    return row(listed, THUMBNAIL_SIDE, "thumbnails", False)


def drawn(images: Iterable[tuple[str, str, tuple[str, ...]]]) -> str:
    """Images that were drawn on, as figures: (text for those who cannot see it, `address`, lines below)."""
    listed = []
    for alt_text, uri, lines in images:
        facts = "".join(f"<span>{html.escape(line)}</span>" for line in lines)
        image = f'<img src="{uri}" alt="{html.escape(alt_text)}">'
        listed.append(f'<li><figure>{image}<span class="facts">{facts}</span></figure></li>')
    return f'<ol class="cards hits">{"".join(listed)}</ol>'


def row(cards: Iterable[Card], side: int, kind: str, clickable: bool, *chosen: str | None) -> str:
    """Cards in rows, as many as fit: buttons, or figures where nothing can be clicked."""
    listed = "".join(
        f'<li class="{card.kind}">{_card(card, side, clickable, card.key in chosen)}</li>' for card in cards
    )
    return f'<ol class="cards {kind}">{listed}</ol>'


def _card(card: Card, side: int, clickable: bool, chosen: bool) -> str:
    alt_text = html.escape(card.alt_text)
    lines = "".join(f"<span>{html.escape(line)}</span>" for line in card.lines)
    tile = _tile(card.image, side, "" if clickable else alt_text)  # a button's title says it
    text = (f'<span class="mark">{card.mark}</span>' if card.mark else "") + tile
    text += f'<span class="facts">{lines}</span>' if lines else ""
    text += f'<span class="review">reviewed: {html.escape(card.review)}</span>' if card.review else ""
    if not clickable:
        figure = f'<figure title="{alt_text}">{text}</figure>'
        return f'<a href="{html.escape(card.link)}" target="_self">{figure}</a>' if card.link else figure
    pressed, key = str(chosen).lower(), html.escape(card.key)
    named = bool(card.mark or lines)  # by its own text; the title then describes it
    label = f'title="{alt_text}"' + ("" if named else f' aria-label="{alt_text}"')
    return f'<button type="button" data-card="{key}" aria-pressed="{pressed}" {label}>{text}</button>'


def _tile(path: Path, side: int, alt_text: str) -> str:
    """The image, or a sentence in its place where the file is missing or damaged."""
    try:
        return f'<img src="{data_uri(path, file_version(path), side)}" alt="{alt_text}">'
    except (OSError, ImageError):
        return '<span class="lost">This image cannot be read.</span>'


@lru_cache(KEPT)
def data_uri(path: Path, version: str, side: int) -> str:
    """An image file, its longer side scaled to `side` pixels, as a data address. `version`: of the file."""
    return address(np.asarray(read_image(path).image), side)


def address(pixels: np.ndarray, side: int) -> str:
    """An image, its longer side scaled to `side` pixels, as a data address."""
    return f"data:image/webp;base64,{base64.b64encode(draw.webp(draw.tile(pixels, side))).decode()}"
