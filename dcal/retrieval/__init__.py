"""Ranking a gallery by a query, and what a ranking is worth: mAP, mINP and CMC by the Re-ID protocols."""

from dcal.retrieval.evaluate import evaluate, evaluate_features, evaluate_rows
from dcal.retrieval.metrics import Quality
from dcal.retrieval.protocol import STANDARD, Protocol
from dcal.retrieval.query_expansion import expand_queries
from dcal.retrieval.reranking import Reranking, rerank

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
