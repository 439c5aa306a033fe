"""Drawn faults against real processes: every job ends with the bytes of an undisturbed run, each matrix committed
once; one that failed for a full disk or damaged bytes goes on from there when it is resumed. CALDERA_FAULTS
(tests/run.sh --faults N) is how many; a seed that failed is run again by CALDERA_FAULT_SEED."""

import collections
import os
import sys

import pytest

import cluster as clusters
import drawn_run
import scene as scenes

FAULTS = int(os.environ.get("CALDERA_FAULTS", 10))
FIRST_SEED = int(os.environ.get("CALDERA_FAULT_SEED", 1))
IN_ONE_RUN = 10


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


@pytest.mark.parametrize("seed", range(FIRST_SEED, FIRST_SEED + -(-FAULTS // IN_ONE_RUN)))
def test_drawn_faults_lose_nothing_and_commit_nothing_twice(job, undisturbed, tmp_path, seed, tally):
    model, flags = job
    count = min(IN_ONE_RUN, FAULTS - IN_ONE_RUN * (seed - FIRST_SEED))
    print(f"alone: CALDERA_BUILD={clusters.BIN.parent} CALDERA_FAULT_SEED={seed} CALDERA_FAULTS={count} "
          f"{sys.executable} -m pytest {__file__}")
    with scenes.Scene(tmp_path / "scene", seed) as scene:
        run = drawn_run.Run(scene, count)
        try:
            while run.left > 0:
                output = tmp_path / f"out-{tally['jobs']}"
                name = run.job(model, flags, output)
                drawn_run.check(scene, name, output, undisturbed)
                tally["jobs"] += 1
        finally:
            print(f"seed {seed}: {dict(run.done)}, resumed {dict(run.resumed)}")
            tally["faults"] += run.done
            tally["resumed"] += run.resumed
            if scene.proxied:
                tally["answers"].update((told["fault"], told["code"]) for told in scene.proxy.told)
