"""The same job gives the same bytes however its work is spread."""

import pytest

import checkpoints

# Wide enough that two ranks have row blocks to share in every matrix but the smallest.
SHAPE = dict(hidden_size=256, intermediate_size=768, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2)
JOB = ["--samples", 16, "--seq-len", 64, "--rank", 16, "--factor-bits", 4]
SPREADS = {
    "one rank under mpirun": [dict(ranks=1)],
    "two ranks": [dict(ranks=2)],
    "two threads": [dict(threads=2)],
    "two workers": [dict(worker_id="a"), dict(worker_id="b")],
    "streamed store": [dict(flags=["--store-access", "stream"])],
    "streamed store, two ranks": [dict(ranks=2, flags=["--store-access", "stream"])],
}


def run(start_cluster, model, calibration, workers):
    """The published folder of one job on a new cluster with these workers."""
    cluster = start_cluster()
    output = cluster.folder / "out"
    for worker in workers:
        cluster.start_worker(**worker)
    cluster.wait(cluster.submit(model, output, "--calibration", calibration, *JOB))
    cluster.stop()
    return output


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("llama31", **SHAPE)


@pytest.fixture(scope="module")
def reference(model, texts, tmp_path_factory):
    """Digests of the job done by one plain single-threaded worker."""
    from cluster import Cluster

    cluster = Cluster(tmp_path_factory.mktemp("reference") / "cluster")

    def start():
        cluster.start_coordinator()
        return cluster

    try:
        return checkpoints.digests(run(start, model, texts["calibration"], [{}]))
    finally:
        cluster.stop()


@pytest.mark.parametrize("spread", SPREADS)
def test_every_file_but_the_run_record_is_identical(spread, model, reference, texts, start_cluster):
    output = run(start_cluster, model, texts["calibration"], SPREADS[spread])
    assert checkpoints.digests(output) == reference
    assert len(reference) >= 7


def test_two_ranks_share_the_work(model, texts, start_cluster):
    output = run(start_cluster, model, texts["calibration"], [dict(ranks=2)])
    tasks = [task for task in checkpoints.run_record(output)["tasks"] if task["rank_flops"]]
    shares = [sum(task["rank_flops"][rank] for task in tasks) for rank in range(2)]
    print(f"flops of the ranks: {shares[0]:.4g} and {shares[1]:.4g}")
    assert {len(task["rank_flops"]) for task in tasks} == {2}
    assert max(shares) <= 0.6 * sum(shares)


def test_another_seed_gives_other_bytes(model, reference, texts, start_cluster):
    cluster = start_cluster()
    output = cluster.folder / "out"
    cluster.start_worker()
    cluster.wait(cluster.submit(model, output, "--calibration", texts["calibration"], *JOB,
                                "--seed", 5))
    digests = checkpoints.digests(output)
    assert digests.keys() == reference.keys()
    assert digests["model-00002-of-00003.safetensors"] != reference["model-00002-of-00003.safetensors"]
