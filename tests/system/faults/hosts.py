"""Hosts made of network namespaces: the coordinator's, and workers' on a link of their own to it.

Needs root, iproute2 and nftables. A link is cut by dropping what arrives at one end or at both, so connections
hang as they do when a switch dies; nothing is refused.
"""

import contextlib
import itertools
import os
import subprocess

import cluster as clusters

_numbers = itertools.count()


def _ip(*words):
    subprocess.run(["ip", *words], check=True, capture_output=True, text=True)


class Namespace:
    """A host of its own, with nothing but loopback until it is linked."""

    def __init__(self, address=None):
        assert os.geteuid() == 0, "the fault tests make network namespaces and file systems: run them as root"
        self.name = f"caldera-{os.getpid()}-{next(_numbers)}"
        _ip("netns", "add", self.name)
        self._ip("link", "set", "lo", "up")
        if address is not None:
            self._ip("addr", "add", f"{address}/32", "dev", "lo")
        self.host = clusters.Host(address or clusters.LOCAL.address, ("ip", "netns", "exec", self.name))

    def _ip(self, *words):
        _ip("-n", self.name, *words)

    def attach(self, interface, address):
        self._ip("addr", "add", f"{address}/24", "dev", interface)
        self._ip("link", "set", interface, "up")

    def route_all(self, gateway):
        self._ip("route", "add", "default", "via", gateway)

    def nft(self, text):
        subprocess.run([*self.host.prefix, "nft", text], check=True, capture_output=True, text=True)

    def pids(self):
        done = subprocess.run(["ip", "netns", "pids", self.name], check=True, capture_output=True, text=True)
        return [int(pid) for pid in done.stdout.split()]

    def remove(self):
        _ip("netns", "del", self.name)


class Link:
    """A cable between two hosts, the `number`th of a test."""

    def __init__(self, near, far, number):
        self.number = number
        self.ends = {"near": (near, f"n{number}"), "far": (far, f"f{number}")}
        _ip("link", "add", f"n{number}", "netns", near.name, "type", "veth", "peer", "name", f"f{number}", "netns",
            far.name)
        near.attach(f"n{number}", f"10.99.{number}.1")
        far.attach(f"f{number}", f"10.99.{number}.2")
        self.subnet = f"10.99.{number}.0/24"
        self.near, self.far = f"10.99.{number}.1", f"10.99.{number}.2"

    @contextlib.contextmanager
    def cut(self, arriving_at=("near", "far")):
        """Drops what arrives at these ends."""
        table = f"cut{self.number}"
        for end in arriving_at:
            namespace, interface = self.ends[end]
            namespace.nft(f"add table inet {table}; "
                          f"add chain inet {table} arriving {{ type filter hook prerouting priority -300; }}; "
                          f'add rule inet {table} arriving iifname "{interface}" drop')
        try:
            yield
        finally:
            for end in arriving_at:
                self.ends[end][0].nft(f"delete table inet {table}")


class Network:
    """The coordinator's namespace and one for each worker."""

    COORDINATOR = "10.99.255.1"

    def __init__(self, workers):
        self.coordinator = Namespace(self.COORDINATOR)
        self.workers = {name: Namespace() for name in workers}
        self.links = {name: Link(self.coordinator, namespace, number)
                      for number, (name, namespace) in enumerate(self.workers.items())}
        for name, link in self.links.items():
            self.workers[name].route_all(link.near)

    def remove(self):
        for namespace in (self.coordinator, *self.workers.values()):
            namespace.remove()
