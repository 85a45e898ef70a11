"""A Debian in a directory, to build packages in: for other architectures, and of other releases than this host's.

Nothing of it runs by itself, and it has no network. Programs in it have mounts, processes and a network namespace of their
own, so they change nothing of this host and end with the test.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import time

from .runner import Skip, check
from .vm_image import ROOT, sources

BUILD = os.path.join(ROOT, "build", "chroot")
MAX_AGE = 7 * 24 * 3600     # packages get security updates

LIBRARIES = ("libcmocka-dev", "libglib2.0-dev", "libnftables-dev", "libnl-3-dev", "libnl-route-3-dev", "libnm-dev")
# to build, to judge, what the package and its tests for autopkgtest need, and SELinux's policy
PROGRAMS = ("autopkgtest", "build-essential", "debhelper", "dbus-daemon", "lintian", "pkgconf", "python3",
            "policycoreutils", "selinux-policy-default", "selinux-utils",
            "dbus", "dnsmasq-base", "iproute2", "iputils-ping", "netbase", "network-manager", "network-manager-openvpn",
            "nftables", "openssl", "openvpn", "procps", "systemd-sysv", "tcpdump")

# The package follows the policy of the newest Debian, which an older one's lintian does not know.
OLDER_LINTIAN = "newer-standards-version"

# It becomes the root of its mount namespace, for nsenter(1) enters that and not a change root.
_VIEW = """
mount --bind "$1" "$1" && cd "$1" && shift &&
mount -t proc proc proc && mount -t sysfs -o ro sysfs sys && mount -t tmpfs tmpfs run && mount -t tmpfs tmpfs dev/shm &&
mount -t devpts -o newinstance,ptmxmode=0666 devpts dev/pts && mount --bind dev/pts/ptmx dev/ptmx &&
mkdir -p dev/net && { [ -e dev/net/tun ] || mknod dev/net/tun c 10 200; } && ip link set lo up &&
mkdir -p .outside && pivot_root . .outside && umount --lazy /.outside && rmdir /.outside || exit 125
exec "$@"
"""


class Chroot:
    """A Debian RELEASE with PACKAGES, made now unless a fresh one is there; FOREIGN are further architectures."""

    def __init__(self, release, foreign=(), packages=()):
        for program in ("mmdebstrap", "dpkg"):
            if not shutil.which(program):
                raise Skip(f"{program} is not installed")
        if os.geteuid() != 0:
            raise Skip("this needs root")
        self.root = os.path.join(BUILD, release)
        native = subprocess.run(["dpkg", "--print-architecture"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
        command = ["mmdebstrap", "--variant=apt", "--mode=root", "--format=directory", "--aptopt=APT::Install-Recommends false",
                   "--dpkgopt=force-unsafe-io", f"--architectures={','.join((native, *foreign))}",
                   f"--include={','.join((*LIBRARIES, *PROGRAMS, *packages))}", release]
        # Without updates: libraries of several architectures must have one version, which the updates get one by one.
        archive = "".join(line + "\n" for line in sources(release).splitlines() if line.split()[-2] == release)
        recipe = hashlib.sha256(repr((command, archive)).encode()).hexdigest()
        os.makedirs(BUILD, exist_ok=True)
        with open(f"{self.root}.lock", "w", encoding="ascii") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._is_fresh(recipe):
                self._make(command, archive)
                with open(f"{self.root}.stamp", "w", encoding="ascii") as file:
                    file.write(recipe)

    def _is_fresh(self, recipe):
        try:
            with open(f"{self.root}.stamp", encoding="ascii") as file:
                return file.read() == recipe and time.time() - os.stat(file.name).st_mtime < MAX_AGE
        except FileNotFoundError:
            return False

    def _make(self, command, archive):
        if os.path.exists(f"{self.root}.stamp"):
            os.unlink(f"{self.root}.stamp")
        shutil.rmtree(self.root, ignore_errors=True)
        with open(f"{self.root}.log", "wb") as log:
            result = subprocess.run([*command, self.root, "-"], input=archive.encode(), stdout=log, stderr=log, timeout=1800,
                                    env={**os.environ, "LC_ALL": "C.UTF-8"}, check=False)
        check(result.returncode == 0, f"making the {command[-1]} chroot fails; see {self.root}.log")

    def path(self, path):
        """PATH in it, as seen from outside."""
        return self.root + path

    def run(self, command, ok=True, timeout=1800, **environment):
        """Run a shell COMMAND in it; returns what it wrote."""
        result = subprocess.run(["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", _VIEW, "sh", self.root,
                                 "sh", "-ec", command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                text=True, errors="backslashreplace", timeout=timeout, check=False,
                                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8",
                                     "DEBIAN_FRONTEND": "noninteractive", **environment})
        check(not ok or result.returncode == 0, f"{command} fails with {result.returncode}: {result.stdout[-3000:]}")
        return result.stdout

    def lintian(self, changes):
        """What lintian says of the package there."""
        return self.run(f"lintian --allow-root --display-info --pedantic --suppress-tags {OLDER_LINTIAN} {changes}", ok=False)

    def unpack(self, archive, directory):
        """Unpack the tar ARCHIVE of this host into an empty DIRECTORY."""
        shutil.rmtree(self.path(directory), ignore_errors=True)
        os.makedirs(self.path(directory))
        subprocess.run(["tar", "-xJf", archive, "-C", self.path(directory), "--no-same-owner", "--strip-components=1"],
                       check=True, timeout=60)
