"""Ranking a gallery by a query, and what a ranking is worth: mAP, mINP and CMC by the Re-ID protocols."""

from dcal.retrieval.expansion import expand_queries
from dcal.retrieval.measure import evaluate, evaluate_features, evaluate_rows
from dcal.retrieval.protocol import STANDARD, Protocol
from dcal.retrieval.quality import Quality
from dcal.retrieval.reciprocal import Reranking, rerank

__all__ = [
    "STANDARD",
    "Protocol",
    "Quality",
    "Reranking",
    "evaluate",
    "evaluate_features",
    "evaluate_rows",
    "expand_queries",
    "rerank",
]
