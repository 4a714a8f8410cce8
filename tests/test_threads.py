"""BLAS and pools of threads."""

from simtool.threads import array_threads


def blas_threads() -> list[int]:
    from threadpoolctl import threadpool_info

    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def test_blas_has_one_thread_inside_a_pool_and_its_own_afterwards():
    import numpy  # noqa: F401 (its BLAS)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(3, "blas"):
        with array_threads(2) as pool:
            assert set(pool.submit(blas_threads).result()) == {1}
        with array_threads(2, blas_threads=None) as pool:
            assert set(pool.submit(blas_threads).result()) == {3}
        assert set(blas_threads()) == {3}
