"""Drawn faults against real processes: every job ends with the bytes of an undisturbed run, each matrix committed
once; one that failed for a full disk or damaged bytes goes on from there when it is resumed. CALDERA_FAULTS
(tests/run.sh --faults N) is how many; a seed that failed is run again by CALDERA_FAULT_SEED."""

import collections
import contextlib
import os
import sys

import pytest

import bucket as buckets
import cluster as clusters
import drawn_run
import scene as scenes

FAULTS = int(os.environ.get("CALDERA_FAULTS", 10))
FIRST_SEED = int(os.environ.get("CALDERA_FAULT_SEED", 1))
# At most ten in a run. Few faults still go to two: one with files and one with S3.
RUNS = max(1 if "CALDERA_FAULT_SEED" in os.environ else min(2, FAULTS), -(-FAULTS // 10))


@pytest.fixture(scope="module")
def tally(request):
    """Counts over all runs, printed at the end whether or not the tests pass."""
    counts = {"faults": collections.Counter(), "resumed": collections.Counter(), "answers": collections.Counter(),
              "jobs": 0}
    yield counts
    with request.config.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        faults = counts["faults"]
        print(f"\n{sum(faults.values())} faults over {counts['jobs']} jobs, "
              f"{sum(counts['resumed'].values())} of them resumed after {dict(counts['resumed'])}:")
        for kind, count in sorted(faults.items()):
            print(f"  {count:4} {kind}")
        print("what calls that were sent twice, late or again got:")
        for (fault, answer), count in sorted(counts["answers"].items()):
            print(f"  {count:4} {fault}: {answer}")


@pytest.fixture
def scene(request, tmp_path, seed):
    bucket = None
    with contextlib.ExitStack() as undo:
        if scenes.kind_of(seed) == "s3":
            bucket = buckets.Bucket(request.getfixturevalue("s3"), f"faults-{seed}")
            undo.callback(bucket.stop)
        yield undo.enter_context(scenes.Scene(tmp_path / "scene", seed, bucket))


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + RUNS))
def test_drawn_faults_lose_nothing_and_commit_nothing_twice(job, undisturbed, scene, seed, tally):
    model, flags = job
    before = seed - FIRST_SEED
    count = FAULTS * (before + 1) // RUNS - FAULTS * before // RUNS
    print(f"alone: CALDERA_BUILD={clusters.BIN.parent} CALDERA_FAULT_SEED={seed} CALDERA_FAULTS={count} "
          f"{sys.executable} -m pytest {__file__}")
    run = drawn_run.Run(scene, count)
    try:
        while run.left > 0:
            output = scene.folder / f"out-{tally['jobs']}"
            name = run.job(model, flags, output)
            drawn_run.check(scene, name, output, undisturbed)
            tally["jobs"] += 1
    finally:
        print(f"seed {seed}: {dict(run.done)}, resumed {dict(run.resumed)}")
        tally["faults"] += run.done
        tally["resumed"] += run.resumed
        if scene.proxy:
            tally["answers"].update((told["fault"], told["code"]) for told in scene.proxy.told)
