"""The same job gives the same bytes however its work is spread."""

import pytest

import checkpoints
from cluster import Cluster

# Wide enough that two ranks have row blocks to share in every matrix but the smallest.
SHAPE = dict(hidden_size=256, intermediate_size=768, num_hidden_layers=2, num_attention_heads=4,
             num_key_value_heads=2)
# Few iterations: what is shared out is the same in each.
JOB = ["--samples", 16, "--seq-len", 64, "--rank", 8, "--iterations", 3]
SPREADS = {
    "one plain thread": [dict()],
    "one rank under mpirun": [dict(ranks=1)],
    "two ranks": [dict(ranks=2)],
    "two threads": [dict(threads=2)],
    "two workers": [dict(worker_id="a"), dict(worker_id="b")],
    "streamed store": [dict(flags=["--store-access", "stream"])],
}


def publish(folder, model, calibration, workers=({},), flags=()):
    """The published folder of one job on a cluster with these workers."""
    cluster = Cluster(folder)
    try:
        cluster.start_coordinator()
        for worker in workers:
            cluster.start_worker(**worker)
        output = cluster.folder / "out"
        cluster.wait(cluster.submit(model, output, "--calibration", calibration, *JOB, *flags))
        return output
    finally:
        cluster.stop()


@pytest.fixture(scope="module")
def model(make_model):
    return make_model("llama31", **SHAPE)


# Probes are shared out by layers, and a matrix of 128 x 256 takes more than 2.1 bits.
TARGET = ["--target-bits", 2.9, "--rank", 0]


@pytest.fixture(scope="module")
def published(model, texts, tmp_path_factory):
    """published(spread) -> the folder of the job spread that way; each is run once."""
    done = {}

    def get(spread):
        if spread not in done:
            folder = tmp_path_factory.mktemp(spread.replace(" ", "-")) / "cluster"
            done[spread] = publish(folder, model, texts["calibration"], SPREADS[spread])
        return done[spread]

    return get


@pytest.mark.parametrize("spread", [name for name in SPREADS if name != "one plain thread"])
def test_every_file_but_the_run_record_is_identical(spread, published):
    reference = checkpoints.digests(published("one plain thread"))
    assert len(reference) >= 7
    assert checkpoints.digests(published(spread)) == reference


def test_two_ranks_share_the_work(published):
    tasks = [task for task in checkpoints.run_record(published("two ranks"))["tasks"]
             if task["rank_flops"]]
    shares = [sum(task["rank_flops"][rank] for task in tasks) for rank in range(2)]
    print(f"flops of the ranks: {shares[0]:.4g} and {shares[1]:.4g}")
    assert {len(task["rank_flops"]) for task in tasks} == {2}
    assert max(shares) <= 0.6 * sum(shares)


def test_another_seed_gives_other_bytes(published, model, texts, tmp_path):
    reference = checkpoints.digests(published("one plain thread"))
    other = publish(tmp_path / "cluster", model, texts["calibration"], flags=["--seed", 5])
    layer = "model-00002-of-00003.safetensors"
    digests = checkpoints.digests(other)
    assert digests.keys() == reference.keys() and digests[layer] != reference[layer]


@pytest.mark.parametrize("workers", [[dict(ranks=2)], [dict(worker_id="a"), dict(worker_id="b", threads=2)]],
                         ids=["two ranks", "two workers"])
def test_the_allotment_of_bits_is_identical(workers, model, texts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("target")
    alone = publish(folder / "one", model, texts["calibration"], flags=TARGET)
    together = publish(folder / "many", model, texts["calibration"], workers, TARGET)
    assert checkpoints.digests(together) == checkpoints.digests(alone)
