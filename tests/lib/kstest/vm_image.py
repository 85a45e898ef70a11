"""Makes the disk image of the virtual machine: a whole Debian, small and quick to boot.

The package manager's own configuration on this host says where packages come
from, so no registry is named here. Nothing is mounted and no loop device is
used: mmdebstrap fills a directory, mke2fs makes a file system of it. The initial
RAM disk is our own: Debian's takes longer to make than all the rest and seconds
of each boot. It loads the disk's driver and mounts it, no more.
"""

import fcntl
import hashlib
import lzma
import os
import shutil
import subprocess
import time
from dataclasses import dataclass

from .netns import CHOSEN_PORTS
from .runner import Skip

ROOT = os.path.realpath(os.path.join(os.path.dirname(__file__), "..", "..", ".."))
BUILD = os.path.join(ROOT, "build", "vm")
GUEST = os.path.join(ROOT, "tests", "vm", "guest")

PACKAGES = (
    "systemd-sysv", "udev", "dbus", "kmod", "procps", "netbase", "python3",
    "network-manager", "network-manager-openvpn", "openvpn", "wireguard-tools", "openssl",
    "linux-image-cloud-amd64", "iproute2", "nftables", "iptables", "iputils-ping", "dnsmasq-base", "tcpdump",
    "busybox-static",  # for the initial RAM disk
    # what the package under test depends on: it is installed in the guest, without a network
    "libnl-3-200", "libnl-route-3-200", "libnftables1", "libnm0", "libglib2.0-bin",
)
# for one test (test_names.py), masked for all others
ONLY_IN = {"bookworm": ("systemd-resolved",)}
# Further images, RELEASE-VARIANT: what they have besides the release's own.
VARIANTS = {
    # VPN plugins and their servers. PPP is in this kernel, and not in the cloud's.
    "bookworm-plugins": (
        "linux-image-amd64", "network-manager-strongswan", "strongswan", "network-manager-l2tp", "xl2tpd",
        "network-manager-pptp", "pptpd", "network-manager-sstp", "openvpn-dco-dkms", "linux-headers-amd64"),
    "trixie-plugins": ("linux-image-amd64", "network-manager-strongswan", "strongswan"),
    # other programs that touch rules, routes and nftables
    "bookworm-neighbours": (
        "firewalld", "ufw", "docker.io", "podman", "netavark", "aardvark-dns", "slirp4netns", "uidmap",
        "libvirt-daemon-system", "libvirt-clients"),
    # what a person's session has
    "bookworm-desktop": ("polkitd", "pkexec", "dbus-user-session", "libpam-systemd"),
    # a policy that is enforced
    "bookworm-selinux": ("selinux-policy-default", "policycoreutils"),
}
# The kernel's command line of a machine with this image, where it is not as with all others: SELinux's policy is loaded by
# systemd, and what it denies is told by way of audit, which journald reads.
KERNEL_WORDS = {"bookworm-selinux": "security=selinux audit=1"}
_NO_MODULES = "apparmor=0 audit=0"      # they only cost time
# Of these, the tests start what they need.
MASKED_IN_VARIANTS = (
    "strongswan-starter.service", "strongswan.service", "xl2tpd.service", "pptpd.service",
    "firewalld.service", "ufw.service", "docker.service", "docker.socket", "containerd.service",
    "podman.service", "podman.socket", "podman-restart.service", "podman-auto-update.timer", "libvirtd.service", "libvirtd.socket",
    "libvirtd-ro.socket", "libvirtd-admin.socket", "virtlogd.socket", "virtlockd.socket", "libvirt-guests.service")
# what of a variant's packages nothing here uses, and is large
UNUSED_IN_VARIANTS = tuple(f"/lib/modules/*/kernel/{name}/*" for name in (
    "drivers/gpu", "drivers/media", "drivers/infiniband", "drivers/net/wireless", "drivers/net/ethernet", "drivers/iio",
    "drivers/scsi", "drivers/staging", "drivers/hwmon", "drivers/input", "drivers/usb", "sound", "fs/xfs", "fs/btrfs")) + (
        "/usr/share/fonts/*", "/usr/share/help/*")
# what would only cost time at boot, or make noise on the wire
MASKED = (
    "systemd-networkd.service", "systemd-networkd.socket", "systemd-timesyncd.service",
    "NetworkManager-wait-online.service", "systemd-networkd-wait-online.service",
    "apt-daily.timer", "apt-daily-upgrade.timer", "dpkg-db-backup.timer", "e2scrub_all.timer",
    "e2scrub_reap.service", "fstrim.timer", "getty@.service", "serial-getty@.service",
    "systemd-firstboot.service", "systemd-update-utmp.service", "ModemManager.service", "systemd-binfmt.service",
    "dev-hugepages.mount", "dev-mqueue.mount", "sys-kernel-debug.mount", "sys-kernel-tracing.mount", "modprobe@.service",
    "wpa_supplicant.service", "openvpn.service", "systemd-pcrphase-sysinit.service", "systemd-resolved.service",
)
# where each file of GUEST goes, and its mode
FILES = {
    "agent.py": ("/usr/local/lib/ks-test/agent.py", 0o644),
    "kernel.py": ("/usr/local/lib/ks-test/kernel.py", 0o644),
    "life.py": ("/usr/local/lib/ks-test/life.py", 0o644),
    "probes.py": ("/usr/local/lib/ks-test/probes.py", 0o644),
    "prober.py": ("/usr/local/lib/ks-test/prober.py", 0o644),
    "server.sh": ("/usr/local/lib/ks-test/server.sh", 0o755),
    "ks-agent.service": ("/etc/systemd/system/ks-agent.service", 0o644),
    "ks-server.service": ("/etc/systemd/system/ks-server.service", 0o644),
    "ks-prober.service": ("/etc/systemd/system/ks-prober.service", 0o644),
    "NetworkManager.conf": ("/etc/NetworkManager/conf.d/50-ks-test.conf", 0o644),
    "lan.nmconnection": ("/etc/NetworkManager/system-connections/lan.nmconnection", 0o600),
    "lan2.nmconnection": ("/etc/NetworkManager/system-connections/lan2.nmconnection", 0o600),
}
ENABLED = ("ks-agent.service", "ks-server.service")  # the prober is enabled by the tests that want it
_SELINUX = "/etc/selinux/default"
DISK_SIZE = 3 << 30
BOOT_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")   # those of them that are no part of the kernel
MAX_AGE = 7 * 24 * 3600  # packages get security updates


@dataclass(frozen=True)
class Image:
    """A disk image and the kernel to boot it with. Never written to: machines have overlays."""

    release: str
    disk: str
    kernel: str
    initrd: str

    @property
    def kernel_words(self):
        """What its kernel is told of security modules and of audit."""
        return KERNEL_WORDS.get(self.release, _NO_MODULES)


def recipe(image):
    """What IMAGE was made by: when this changes, so does all that was made from it."""
    with open(os.path.join(os.path.dirname(image.disk), "stamp"), encoding="ascii") as file:
        return f"{file.read().strip()} {os.stat(file.name).st_mtime}"


def ensure_image(release="bookworm"):
    """The image of RELEASE, or of RELEASE-VARIANT, built now unless a fresh one is there. Takes a minute or two to build."""
    for program in ("mmdebstrap", "mke2fs"):
        if not shutil.which(program):
            raise Skip(f"{program} is not installed")
    if os.geteuid() != 0:
        raise Skip("building the image needs root")
    directory = os.path.join(BUILD, release)
    os.makedirs(directory, exist_ok=True)
    image = Image(release, *(os.path.join(directory, name) for name in ("disk.raw", "vmlinuz", "initrd")))
    with open(os.path.join(directory, "lock"), "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two test programs may want it at the same time
        if not _is_fresh(directory, image):
            _build(directory, image)
    return image


def _packages(image):
    release = image.partition("-")[0]
    variant = VARIANTS.get(image, ())
    own_kernel = any(name.startswith("linux-image-") for name in variant)
    return tuple(name for name in PACKAGES if not (own_kernel and name.startswith("linux-image-"))) \
        + ONLY_IN.get(release, ()) + variant


def _masked(image):
    return MASKED + (MASKED_IN_VARIANTS if image in VARIANTS else ())


def _unused(image):
    return ("/usr/share/man/*", "/usr/share/doc/*", "/usr/share/locale/*") + (UNUSED_IN_VARIANTS if image in VARIANTS else ())


def _recipe(release):
    """A hash of all that decides what is in the image, but for the archive's contents."""
    digest = hashlib.sha256(repr((release, _packages(release), _masked(release), _unused(release), FILES, ENABLED, DISK_SIZE, BOOT_MODULES)).encode())
    for path in [__file__] + [os.path.join(GUEST, name) for name in sorted(FILES)]:
        with open(path, "rb") as file:
            digest.update(file.read())
    return digest.hexdigest()


def _is_fresh(directory, image):
    stamp = os.path.join(directory, "stamp")
    try:
        with open(stamp, encoding="ascii") as file:
            same = file.read().strip() == _recipe(image.release)
        young = time.time() - os.stat(stamp).st_mtime < MAX_AGE
        return same and young and all(map(os.path.exists, (image.disk, image.kernel, image.initrd)))
    except FileNotFoundError:
        return False


def _build(directory, image):
    stamp, root, log = (os.path.join(directory, name) for name in ("stamp", "root", "build.log"))
    for path in (stamp, image.disk):
        if os.path.exists(path):
            os.unlink(path)
    shutil.rmtree(root, ignore_errors=True)
    with open(log, "wb") as output:
        try:
            _bootstrap(image.release, root, output)
            _customise(image.release, root, output)
            _make_boot_files(root, image)
            if os.path.isdir(root + _SELINUX):
                _label(root, output)
            _make_disk(root, image.disk, output)
        except subprocess.SubprocessError as error:
            raise AssertionError(f"building the {image.release} image: {error}; see {log}") from error
        finally:
            shutil.rmtree(root, ignore_errors=True)
    with open(stamp, "w", encoding="ascii") as file:
        file.write(_recipe(image.release) + "\n")


def _bootstrap(image, root, output):
    release = image.partition("-")[0]
    command = ["mmdebstrap", "--variant=apt", "--mode=root", "--format=directory",
               "--include=" + ",".join(_packages(image)),
               "--aptopt=APT::Install-Recommends false",
               "--dpkgopt=force-unsafe-io",
               *(f"--dpkgopt=path-exclude={path}" for path in _unused(image)), release, root, "-"]
    # INITRD=No keeps the kernel's package from making an initial RAM disk
    subprocess.run(command, input=sources(release).encode(), stdout=output, stderr=output, check=True,
                   timeout=900, env={**os.environ, "INITRD": "No", "LC_ALL": "C.UTF-8"})


def _customise(image, root, output):
    for name, (path, mode) in FILES.items():
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        shutil.copyfile(os.path.join(GUEST, name), root + path)
        os.chmod(root + path, mode)
    for command in (["enable", *ENABLED], ["mask", *_masked(image)], ["set-default", "multi-user.target"]):
        subprocess.run(["chroot", root, "systemctl", *command], stdout=output, stderr=output, check=True, timeout=60)
    # The exclusions were for the image only: the package under test must be installed whole.
    _write(root + "/etc/dpkg/dpkg.cfg.d/99mmdebstrap", "force-unsafe-io\n")
    _write(root + "/etc/hostname", "client\n")
    _write(root + "/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n127.0.1.1 client\n")
    _write(root + "/etc/fstab", "")
    # a machine that has its id is not "booted for the first time", which costs seconds
    _write(root + "/etc/machine-id", "77" * 16 + "\n")
    # everybody may ping, as in other distributions: one more way out to try
    _write(root + "/etc/sysctl.d/50-ks-test.conf",
           f"net.ipv4.ping_group_range = 0 2147483647\nnet.ipv4.ip_local_reserved_ports = {CHOSEN_PORTS}\n")
    _write(root + "/etc/apt/sources.list", "")  # offline: asking would only wait for a timeout
    resolv_conf = root + "/etc/resolv.conf"     # NetworkManager writes it; the host's must not be in the image
    if os.path.lexists(resolv_conf):
        os.unlink(resolv_conf)
    # NetworkManager would leave names to systemd-resolved, which does not run, if it found its link or its resolvconf
    if os.path.exists(root + "/usr/lib/tmpfiles.d/systemd-resolve.conf"):
        os.symlink("/dev/null", root + "/etc/tmpfiles.d/systemd-resolve.conf")
    if os.path.lexists(root + "/usr/sbin/resolvconf"):
        os.unlink(root + "/usr/sbin/resolvconf")


def _label(root, output):
    """Enforce the policy, and give each file its label here: in the machine that would take minutes, and a second boot."""
    _write(root + "/etc/selinux/config", "SELINUX=enforcing\nSELINUXTYPE=default\n")
    for name in ENABLED:    # what the tests do is done as by a person, whose session is not confined
        os.makedirs(f"{root}/etc/systemd/system/{name}.d")
        _write(f"{root}/etc/systemd/system/{name}.d/selinux.conf",
               "[Service]\nSELinuxContext=unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023\n")
    # it reaches the files by way of /proc; mounted where nobody else sees it, and gone with this command
    subprocess.run(["unshare", "--mount", "sh", "-c", 'mount -t proc proc "$0/proc" && exec chroot "$0" "$@"', root,
                    "setfiles", "-F", f"{_SELINUX}/contexts/files/file_contexts", "/"],
                   stdout=output, stderr=output, check=True, timeout=300)


def _write(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _make_boot_files(root, image):
    boot = os.path.join(root, "boot")
    version = max(name for name in os.listdir(boot) if name.startswith("vmlinuz-")).partition("-")[2]
    shutil.copyfile(os.path.join(boot, "vmlinuz-" + version), image.kernel)
    with open(os.path.join(root, "usr/bin/busybox"), "rb") as file:
        busybox = file.read()
    modules = _modules(os.path.join(root, "usr/lib/modules", version))
    entries = [(name, 0o40755, b"") for name in ("bin", "dev", "root")]
    entries += [("bin/busybox", 0o100755, busybox), ("init", 0o100755, _init(modules).encode())]
    entries += [(name, 0o100644, data) for name, data in modules]
    with open(image.initrd, "wb") as file:
        file.write(_cpio(entries))


def _modules(directory):
    """(name, contents) of each module needed to reach the disk, in the order to load them."""
    with open(os.path.join(directory, "modules.dep"), encoding="ascii") as file:
        needs = dict(line.rstrip("\n").split(":", 1) for line in file)
    wanted = []
    for path, others in needs.items():
        if os.path.basename(path).partition(".")[0] in BOOT_MODULES:
            wanted += [path, *others.split()]   # modules.dep lists what to load last first
    modules = []
    for path in dict.fromkeys(reversed(wanted)):
        with open(os.path.join(directory, path), "rb") as file:
            data = file.read()
        data = lzma.decompress(data) if path.endswith(".xz") else data
        modules.append((os.path.basename(path).partition(".")[0], data))
    return modules


def _init(modules):
    """The script that is process 1 until the disk is mounted; there is one disk, so its name is known."""
    return "\n".join(["#!/bin/busybox sh", "/bin/busybox mount -t devtmpfs dev /dev",
                      *(f"/bin/busybox insmod /{name}" for name, _ in modules),
                      "until /bin/busybox mount -t ext4 -o noinit_itable /dev/vda /root; do",
                      "    /bin/busybox sleep 0.1", "done",
                      "/bin/busybox umount /dev",
                      "exec /bin/busybox switch_root /root /sbin/init", ""])


def _cpio(entries):
    """An archive as the kernel wants it ("newc") of (name, mode, contents)."""
    archive = bytearray()
    for number, (name, mode, data) in enumerate([*entries, ("TRAILER!!!", 0, b"")], 1):
        values = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name) + 1, 0)
        archive += b"070701" + b"".join(b"%08X" % value for value in values) + name.encode() + b"\0"
        archive += bytes(-len(archive) % 4) + data
        archive += bytes(-len(archive) % 4)
    return bytes(archive)


def _make_disk(root, disk, output):
    temporary = disk + ".new"
    with open(temporary, "wb") as file:
        file.truncate(DISK_SIZE)
    subprocess.run(["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-L", "root", "-d", root, temporary],
                   stdout=output, stderr=output, check=True, timeout=300)
    os.rename(temporary, disk)


# Where packages come from

def sources(release):
    """A sources.list for RELEASE: this host's entries for its own release, with the release replaced."""
    own = _host_release()
    lines = []
    for options, uri, suite, components in _host_entries():
        base, dash, pocket = suite.partition("-")
        if base == own and pocket in ("", "updates", "security"):
            lines.append(f"deb {options} {uri} {release}{dash}{pocket} {components}")
    if not lines:
        raise Skip(f"apt's configuration on this host names no archive of {own}, so {release} cannot be had")
    return "\n".join(dict.fromkeys(lines)) + "\n"


def _host_release():
    with open("/etc/os-release", encoding="utf-8") as file:
        for line in file:
            if line.startswith("VERSION_CODENAME="):
                return line.partition("=")[2].strip().strip('"')
    raise Skip("this host's release has no code name: not a Debian")


def _host_entries():
    """(options, URI, suite, components) of each binary archive in this host's apt configuration."""
    directory = "/etc/apt/sources.list.d"
    names = sorted(os.listdir(directory)) if os.path.isdir(directory) else []
    paths = ["/etc/apt/sources.list"] + [os.path.join(directory, name) for name in names]
    for path in paths:
        if not os.path.exists(path):
            continue
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if path.endswith(".sources"):
            yield from _parse_deb822(text)
        elif path.endswith(".list"):
            yield from _parse_one_line(text)


def _parse_one_line(text):
    for line in text.splitlines():
        line = line.partition("#")[0].strip()
        if not line.startswith("deb "):
            continue
        rest, options = line[4:].strip(), ""
        if rest.startswith("["):
            options, _, rest = rest.partition("]")
            options += "]"
        uri, suite, *components = rest.split()
        yield options, uri, suite, " ".join(components)


def _parse_deb822(text):
    text = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    for stanza in text.split("\n\n"):
        fields = {}
        for line in stanza.splitlines():
            key, colon, value = line.partition(":")
            if colon and not line[0].isspace():
                fields[key.strip().lower()] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        key = fields.get("signed-by", "")
        options = f"[signed-by={key}]" if key.startswith("/") else ""
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield options, uri, suite, fields.get("components", "")
