"""Pictures as cards, in HTML that both apps show (drawn by cards.css): a gallery to choose from, a ranking."""

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

CARD_SIDE, THUMBNAIL_SIDE = 256, 112  # pixels of a picture's longer side
KEPT = 2048  # encoded pictures; one takes about ten kilobytes

# On a click on a card: mark it as the one that is open, and tell the server its number.
CLICK = """element.addEventListener('click', event => {
  const card = event.target.closest('button[data-card]');
  if (!card) return;
  element.querySelectorAll('button[aria-pressed]').forEach(b => b.setAttribute('aria-pressed', b === card));
  trigger('click', {card: card.dataset.card});
});"""


@dataclass(frozen=True)
class Card:
    """A picture with its mark above and lines of text below. `said` is all of it for those who do not see it."""

    key: str
    picture: Path
    said: str
    kind: str = ""
    mark: str = ""
    lines: tuple[str, ...] = ()


def hits(catalogue: GalleryWithMetadata, ranking: Ranking, clickable: bool = True) -> str:
    """A ranking, best first. Cards are numbered from 1 in the order shown."""
    cards = [_hit(catalogue, ranking, number, hit) for number, hit in enumerate(ranking.hits, 1)]
    return row(cards, CARD_SIDE, "hits", clickable)


def _hit(catalogue: GalleryWithMetadata, ranking: Ranking, number: int, hit: Hit) -> Card:
    verdict = reid_captions.verdict(catalogue, ranking.known, hit)
    rank = "–" if hit.rank is None else str(hit.rank)
    who = reid_captions.who(catalogue, hit.item)
    return Card(
        key=str(number),
        picture=catalogue.gallery.image_path(hit.item),
        said=reid_captions.hit_said(rank, who, hit.similarity, verdict.text),
        kind=verdict.kind,
        mark=f"<b>{rank}</b> <span>{verdict.sign} {verdict.text}</span>",
        lines=(f"{hit.similarity:.3f}", *reversed(who)),
    )


def thumbnails(catalogue: GalleryWithMetadata, items: Iterable[Item], chosen: str | None = None) -> str:
    """Pictures to choose a query from, by their paths; the one `chosen` is marked."""
    cards = [
        Card(item.path, catalogue.gallery.image_path(item), ", ".join(reid_captions.who(catalogue, item)))
        for item in items
    ]
    return row(cards, THUMBNAIL_SIDE, "thumbnails", True, chosen)


def views(catalogue: GalleryWithMetadata, items: Iterable[Item], chosen: Item) -> str:
    """The pictures of one identity, to look at; the `chosen` one is marked."""
    cards = [
        Card(
            item.path,
            catalogue.gallery.image_path(item),
            ", ".join(reid_captions.who(catalogue, item)),
            kind="chosen" if item == chosen else "",
            lines=reid_captions.who(catalogue, item)[-1:],
        )
        for item in items
    ]
    return row(cards, THUMBNAIL_SIDE, "thumbnails", False)


def row(cards: Iterable[Card], side: int, kind: str, clickable: bool, chosen: str | None = None) -> str:
    """Cards in rows, as many as fit: buttons, or figures where nothing can be clicked."""
    listed = "".join(
        f'<li class="{card.kind}">{_card(card, side, clickable, card.key == chosen)}</li>' for card in cards
    )
    return f'<ol class="cards {kind}">{listed}</ol>'


def _card(card: Card, side: int, clickable: bool, chosen: bool) -> str:
    said = html.escape(card.said)
    lines = "".join(f"<span>{html.escape(line)}</span>" for line in card.lines)
    picture = _picture(card.picture, side, "" if clickable else said)  # a button is called by its label
    text = (f'<span class="mark">{card.mark}</span>' if card.mark else "") + picture
    text += f'<span class="facts">{lines}</span>' if lines else ""
    if not clickable:
        return f"<figure>{text}</figure>"
    pressed, key = str(chosen).lower(), html.escape(card.key)
    label = f'aria-label="{said}" title="{said}"'
    return f'<button type="button" data-card="{key}" aria-pressed="{pressed}" {label}>{text}</button>'


def _picture(path: Path, side: int, said: str) -> str:
    """The picture, or, where its file is gone or broken, a word in its place."""
    try:
        return f'<img src="{data_uri(path, path.stat().st_mtime_ns, side)}" alt="{said}">'
    except (OSError, ImageError):
        return '<span class="lost">This picture cannot be read.</span>'


@lru_cache(KEPT)
def data_uri(path: Path, version: int, side: int) -> str:
    """A picture file, its longer side `side` pixels long, as an address that holds it. `version`: of the file."""
    picture = draw.tile(np.asarray(read_image(path).image), side)
    return f"data:image/webp;base64,{base64.b64encode(draw.webp(picture)).decode()}"
