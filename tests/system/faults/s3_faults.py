"""An S3 that fails, hangs, loses its answers and stores what nobody sent (s3_proxy.py stands before a real one)."""

import contextlib
import time

import cluster as clusters
import s3_proxy

# For a request of the kind to come by.
REQUEST_PATIENCE = 8


def _break(scene, name, most, **which):
    """Up to `most` requests fail in one way; False when none of the kind came by."""
    count = scene.draw.randint(1, most)
    fault = s3_proxy.Fault(name, count=count, **which)
    scene.bucket.proxy.inject([fault])
    with contextlib.suppress(AssertionError):
        clusters.wait_for(lambda: fault.count == 0, name, timeout=REQUEST_PATIENCE)
    met = count - fault.count
    fault.count = 0  # what is left would meet a later fault's requests
    return met > 0


def s3_500(scene):
    return _break(scene, "500", 6)


def s3_503(scene):
    return _break(scene, "503", 6)


def s3_timeout(scene):
    return _break(scene, "timeout", 2, seconds=scene.seconds(.5, 1.5))


def s3_lost_answer(scene):
    """The object is there, whoever put it there does not know."""
    return _break(scene, "lost", 3, method="PUT")


def s3_cut_answer(scene):
    return _break(scene, "cut", 3, method="GET")


def s3_damaged_upload(scene):
    return _break(scene, "corrupt", 2, method="PUT")


def s3_away(scene):
    scene.bucket.proxy.down.set()
    time.sleep(scene.seconds(.5, 1.5))
    scene.bucket.proxy.down.clear()


def s3_damaged_object(scene):
    """A bit of a stored object changes."""
    objects = scene.bucket.list("store/objects/")
    if not objects:
        return False
    key = scene.draw.choice(objects)
    content = bytearray(scene.bucket.get(key))
    content[scene.draw.randrange(len(content))] ^= 1 << scene.draw.randrange(8)
    scene.bucket.put(key, bytes(content))
    return True


# What the job may fail with for these, and go on from when it is resumed.
CAUSES = {"s3_away": "UNAVAILABLE", "s3_500": "UNAVAILABLE", "s3_503": "UNAVAILABLE", "s3_timeout": "UNAVAILABLE",
          "s3_lost_answer": "UNAVAILABLE", "s3_cut_answer": "UNAVAILABLE", "s3_damaged_object": "DATA_LOSS"}
FAULTS = (s3_500, s3_503, s3_timeout, s3_lost_answer, s3_cut_answer, s3_damaged_upload, s3_away, s3_damaged_object)
