"""Proofs about best responses: interval arithmetic, utilities recorded from torch, and global searches with bounds.

Reading order: `intervals` and `elementary` (numbers), `jets` (derivatives), `operations` (what is known of torch),
`graph` (a utility recorded and enclosed), `objective` (its mean over the others' play), `cells`, `piyavskii` and
`branch_and_bound` (the searches), `response` (a best response). Asked for by `best_response(..., certify=1e-6)`.
"""
