"""Completions and commits that arrive twice, late, out of order, or whose answer is lost (calls_proxy.py)."""

# For a worker to make a call that matters.
CALL_PATIENCE = 8


def _call(scene, fault, seconds=0.0):
    return scene.proxy.do(fault, seconds, CALL_PATIENCE + seconds) is not None


def duplicate_call(scene):
    return _call(scene, "duplicate")


def lose_answer(scene):
    return _call(scene, "lost_answer")


def delay_call_past_the_lease(scene):
    return _call(scene, "delay", scene.seconds(1.1, 2))


def replay_call_later(scene):
    return _call(scene, "replay", scene.seconds(.5, 2))


FAULTS = (duplicate_call, lose_answer, delay_call_past_the_lease, replay_call_later)
