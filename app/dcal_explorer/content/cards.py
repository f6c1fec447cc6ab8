"""Images as cards, in HTML for both faces (styled by cards.css): a gallery to choose from, a ranking."""

from __future__ import annotations

import base64
import html
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from dcal import ImageError, draw, read_image
from dcal.gallery import Hit, Item, Ranking
from dcal_explorer.content import reid_captions
from dcal_explorer.content.galleries import GalleryWithMetadata
from dcal_explorer.content.numbers import similarity

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


def hits(gallery: GalleryWithMetadata, ranking: Ranking, clickable: bool = True) -> str:
    """A ranking, best first. Cards are numbered from 1 in the order shown."""
    cards = [_hit(gallery, ranking, number, hit) for number, hit in enumerate(ranking.hits, 1)]
    return row(cards, CARD_SIDE, "hits", clickable)


def _hit(gallery: GalleryWithMetadata, ranking: Ranking, number: int, hit: Hit) -> Card:
    verdict = reid_captions.verdict(gallery, ranking.known, hit)
    rank = "–" if hit.rank is None else str(hit.rank)
    facts = reid_captions.facts(gallery, hit.item)
    return Card(
        key=str(number),
        image=gallery.embedded.image_path(hit.item),
        alt_text=reid_captions.hit_alt_text(rank, facts, hit.similarity, verdict.text),
        kind=verdict.kind,
        mark=f"<b>{rank}</b> <span>{verdict.sign} {verdict.text}</span>",
        lines=(similarity(hit.similarity), *reversed(facts)),
    )


def thumbnails(gallery: GalleryWithMetadata, items: Iterable[Item], chosen: str | None = None) -> str:
    """Images to choose a query from, by their paths; the `chosen` one is marked."""
    cards = [
        Card(item.path, gallery.embedded.image_path(item), ", ".join(reid_captions.facts(gallery, item)))
        for item in items
    ]
    return row(cards, THUMBNAIL_SIDE, "thumbnails", True, chosen)


def views(gallery: GalleryWithMetadata, items: Iterable[Item], chosen: Item) -> str:
    """The images of one identity; the `chosen` one is marked."""
    cards = [
        Card(
            item.path,
            gallery.embedded.image_path(item),
            ", ".join(reid_captions.facts(gallery, item)),
            kind="chosen" if item == chosen else "",
            lines=reid_captions.facts(gallery, item)[-1:],
        )
        for item in items
    ]
    return row(cards, THUMBNAIL_SIDE, "thumbnails", False)


def drawn(images: Iterable[tuple[str, np.ndarray, tuple[str, ...]]], side: int) -> str:
    """Images that were drawn on, as figures: (text for those who cannot see it, pixels, lines below)."""
    listed = []
    for alt_text, pixels, lines in images:
        uri = f"data:image/webp;base64,{base64.b64encode(draw.webp(draw.tile(pixels, side))).decode()}"
        facts = "".join(f"<span>{html.escape(line)}</span>" for line in lines)
        image = f'<img src="{uri}" alt="{html.escape(alt_text)}">'
        listed.append(f'<li><figure>{image}<span class="facts">{facts}</span></figure></li>')
    return f'<ol class="cards hits">{"".join(listed)}</ol>'


def row(cards: Iterable[Card], side: int, kind: str, clickable: bool, chosen: str | None = None) -> str:
    """Cards in rows, as many as fit: buttons, or figures where nothing can be clicked."""
    listed = "".join(
        f'<li class="{card.kind}">{_card(card, side, clickable, card.key == chosen)}</li>' for card in cards
    )
    return f'<ol class="cards {kind}">{listed}</ol>'


def _card(card: Card, side: int, clickable: bool, chosen: bool) -> str:
    alt_text = html.escape(card.alt_text)
    lines = "".join(f"<span>{html.escape(line)}</span>" for line in card.lines)
    picture = _picture(card.image, side, "" if clickable else alt_text)  # a button's name is its label
    text = (f'<span class="mark">{card.mark}</span>' if card.mark else "") + picture
    text += f'<span class="facts">{lines}</span>' if lines else ""
    if not clickable:
        return f"<figure>{text}</figure>"
    pressed, key = str(chosen).lower(), html.escape(card.key)
    label = f'aria-label="{alt_text}" title="{alt_text}"'
    return f'<button type="button" data-card="{key}" aria-pressed="{pressed}" {label}>{text}</button>'


def _picture(path: Path, side: int, alt_text: str) -> str:
    """The image, or a sentence in its place where the file is missing or damaged."""
    try:
        return f'<img src="{data_uri(path, path.stat().st_mtime_ns, side)}" alt="{alt_text}">'
    except (OSError, ImageError):
        return '<span class="lost">This image cannot be read.</span>'


@lru_cache(KEPT)
def data_uri(path: Path, version: int, side: int) -> str:
    """An image file, its longer side scaled to `side` pixels, as a data address. `version`: of the file."""
    picture = draw.tile(np.asarray(read_image(path).image), side)
    return f"data:image/webp;base64,{base64.b64encode(draw.webp(picture)).decode()}"
