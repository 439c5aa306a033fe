"""Disks that are full for a while, and bytes that change on them."""

import time

import damage
import process_faults

# For a worker to stage something while it is looked at.
STAGING_PATIENCE = 8


def fill_store(scene):
    with scene.store_disk.full():
        time.sleep(scene.seconds(.5, 1.5))


def fill_state(scene):
    with scene.state_disk.full():
        time.sleep(scene.seconds(.5, 1.5))


def damage_staged_object(scene):
    pids = [scene.cluster.coordinator.pid, *process_faults.leaders(scene)]
    return damage.flip_staged(scene.cluster.store / "staging", pids, scene.draw, STAGING_PATIENCE)


def damage_committed_object(scene):
    return damage.flip_object(scene.cluster.store, scene.draw)


FAULTS = (fill_store, fill_state, damage_staged_object, damage_committed_object)
# What the job may fail with for these, and go on from when it is resumed.
CAUSES = {"fill_store": "RESOURCE_EXHAUSTED", "fill_state": "RESOURCE_EXHAUSTED",
          "damage_staged_object": "DATA_LOSS", "damage_committed_object": "DATA_LOSS"}
