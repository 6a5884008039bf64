"""Floor 2: linear operators.  Dense, sparse, sums, products, transposes; norm and adjoint test."""

from xpsolve.operators.base import Dense, LinearOperator
from xpsolve.operators.entry import aslinearoperator
from xpsolve.operators.norms import dot_test, eigenvalue_bound, operator_norm
from xpsolve.operators.sparse import Sparse

__all__ = ["Dense", "LinearOperator", "Sparse", "aslinearoperator", "dot_test", "eigenvalue_bound", "operator_norm"]
