"""Reviews: what is kept, by several processes at once, after a kill, and what is wrong is named."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dcal.errors import DCALError
from dcal.gallery import Hit, Item
from dcal.gallery.reviews import Reviews, query_name, review_of

HIT = Hit(3, Item("a/ü,1.jpg", "7", "2"), 0.5123456789, 1, "wrong")


def answer(reviews: Reviews, text: str, query: str = "q.jpg", hit: Hit = HIT) -> None:
    reviews.add(review_of(query, "5", hit, text, "reid-full"))


def test_the_last_answer_counts_and_one_can_be_taken_back(tmp_path: Path):
    reviews, other = Reviews(tmp_path / "gallery"), Hit(4, Item("b.jpg"), 0.25, 2)
    assert reviews.all() == () and not list(tmp_path.iterdir())
    answer(reviews, "same")
    answer(reviews, "new identity", hit=other)
    answer(reviews, "different")
    answer(reviews, "cannot tell", query=query_name(None, b"pixels"))
    assert reviews.of("q.jpg") == {"a/ü,1.jpg": "different", "b.jpg": "new identity"}
    assert [review.answer for review in Reviews(tmp_path / "gallery").all()][:2] == ["same", "new identity"]
    answer(reviews, "", hit=other)
    assert reviews.of("q.jpg") == {"a/ü,1.jpg": "different"} and len(reviews.all()) == 5
    rows = list(csv.DictReader(io.StringIO(reviews.csv())))
    assert [(row["image"], row["answer"], row["query_identity"], row["similarity"]) for row in rows] == [
        ("a/ü,1.jpg", "different", "5", "0.512346"),
        ("a/ü,1.jpg", "cannot tell", "5", "0.512346"),
    ]
    assert rows[1]["query"].startswith("upload-") and rows[0]["time"] <= rows[1]["time"]
    assert reviews.path == tmp_path / "gallery.reviews.jsonl"
    with pytest.raises(DCALError, match="'maybe': choose one of 'same', 'different'"):
        answer(reviews, "maybe")


def test_writers_at_the_same_time_lose_nothing(tmp_path: Path):
    hits = [Hit(i, Item(f"{i}.jpg"), 0.1, i) for i in range(60)]

    def write(hit: Hit) -> None:  # each opens the file for itself, as another process does
        answer(Reviews(tmp_path / "gallery"), "same", hit=hit)

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(write, hits))
    assert Reviews(tmp_path / "gallery").of("q.jpg") == {hit.item.path: "same" for hit in hits}


def test_a_line_half_written_by_a_killed_process_is_dropped(tmp_path: Path):
    reviews = Reviews(tmp_path / "gallery")
    answer(reviews, "same")
    whole = reviews.path.read_bytes()
    reviews.path.write_bytes(whole + whole[:40])
    assert [review.answer for review in reviews.all()] == ["same"]
    answer(reviews, "different")
    assert [review.answer for review in reviews.all()] == ["same", "different"]
    reviews.path.write_bytes(whole + b"{}\n")
    with pytest.raises(DCALError, match="line 2 is no review"):
        reviews.all()


def test_where_nothing_can_be_written_it_is_said(tmp_path: Path):
    (tmp_path / "gallery.reviews.jsonl").mkdir()
    with pytest.raises(DCALError, match=r"gallery.reviews.jsonl cannot be written \(Is a directory\)"):
        answer(Reviews(tmp_path / "gallery"), "same")
