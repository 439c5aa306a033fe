"""Links between a worker and the coordinator that are cut, in both directions or in one, and heal."""

import time


def _cut(scene, arriving_at, least, most):
    with scene.network.links[scene.some_worker()].cut(arriving_at):
        time.sleep(scene.seconds(least, most))


def cut_shorter_than_the_lease(scene):
    _cut(scene, ("near", "far"), .2, .8)


def cut_longer_than_the_lease(scene):
    _cut(scene, ("near", "far"), 1.2, 2.5)


def cut_requests(scene):
    """The coordinator hears nothing of a worker that hears it."""
    _cut(scene, ("near",), .5, 2)


def cut_answers(scene):
    """What a worker asks is done, and it never learns of it."""
    _cut(scene, ("far",), .5, 2)


def cut_everyone(scene):
    with scene.network.links["plain"].cut(), scene.network.links["mpi"].cut():
        time.sleep(scene.seconds(.5, 2))


FAULTS = (cut_shorter_than_the_lease, cut_longer_than_the_lease, cut_requests, cut_answers, cut_everyone)
