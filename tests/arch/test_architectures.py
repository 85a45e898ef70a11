#!/usr/bin/env python3
"""Other architectures: the Debian package cross-built, and the unit and codec tests run.

i386 has other word sizes; arm64 is common; s390x stores numbers the other way round, which shows in netlink messages and
in addresses. A PC's kernel runs the programs for i386 itself, so that they talk to it as they would on such a machine. QEMU's
user mode runs the others. It hands netlink through for some of the kernel's messages only, not for routing rules: of the
codecs they run what needs no kernel.
"""

import functools
import glob
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest.chroot import LIBRARIES, ROOT, Chroot
from kstest.runner import check, equal, main, test

# Debian's name: (the compiler's prefix, the emulator if any, what file(1) says of a program)
ARCHITECTURES = {
    "i386": ("i686-linux-gnu", "", r"ELF 32-bit LSB .* Intel 80386"),
    "arm64": ("aarch64-linux-gnu", "qemu-aarch64", r"ELF 64-bit LSB .* ARM aarch64"),
    "s390x": ("s390x-linux-gnu", "qemu-s390x", r"ELF 64-bit MSB .* IBM S/390"),
}
CODECS = ("test-ks-route-message", "test-ks-rule-message")
# the codec tests that need no kernel
WITHOUT_KERNEL = ("message_of_a_rule_comes_back_as_that_rule", "message_of_a_rule_has_numbers_of_the_kernels_sizes",
                  "malformed_message_is_refused_and_leaves_the_rule_alone", "message_of_a_route_comes_back_as_that_route",
                  "message_with_a_wrong_length_inside_is_refused")
# random pairs of states: hours, if not a few only
ORDER_PAIRS = "3"


@functools.cache
def _chroot():
    packages = ["file", "qemu-user"]
    for architecture, (compiler, _, _) in ARCHITECTURES.items():
        packages += [f"gcc-{compiler}".replace("_", "-"), f"libc6-dev:{architecture}", f"libgcc-12-dev:{architecture}"]
        packages += [f"{library}:{architecture}" for library in LIBRARIES]
    return Chroot("bookworm", tuple(ARCHITECTURES), packages)


@functools.cache
def _tar_ball():
    """(the tar ball of the tree, its version)."""
    with open(os.path.join(ROOT, "NEWS.md"), encoding="utf-8") as file:
        version = file.readline().split()[-1]
    out = tempfile.mkdtemp(prefix="ks-arch-", dir=os.path.join(ROOT, "build"))
    subprocess.run(["packaging/dist", version], cwd=ROOT, env={**os.environ, "DIST_DIR": out}, check=True, timeout=60,
                   stdout=subprocess.DEVNULL)
    kept = os.path.join(ROOT, "build", "chroot", f"nm-killswitch-{version}.tar.xz")
    os.replace(glob.glob(os.path.join(out, "*.tar.xz"))[0], kept)
    os.rmdir(out)
    return kept, version


def _package(architecture):
    """The package is cross-built, has what the one of this host has, and lintian has nothing to say."""
    chroot, source = _chroot(), f"/build/{architecture}/nm-killswitch"
    archive, version = _tar_ball()
    chroot.unpack(archive, source)
    chroot.run(f"cp {archive_name(chroot, archive)} /build/{architecture}/nm-killswitch_{version}.orig.tar.xz; cd {source};"
               f" cp -r packaging/deb/debian .; dpkg-buildpackage -us -uc -b -a{architecture} -Pcross,nocheck",
               DEB_BUILD_OPTIONS="nocheck noautodbgsym")
    deb, = glob.glob(chroot.path(f"/build/{architecture}/*_{architecture}.deb"))
    changes, = glob.glob(chroot.path(f"/build/{architecture}/*_{architecture}.changes"))
    equal(chroot.lintian(changes.removeprefix(chroot.root)), "", "lintian's tags")
    contents = subprocess.run(["dpkg-deb", "-c", deb], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    check("/no-wait.d/10-killswitch" in contents and "/nm-killswitch-generator" in contents, contents)
    depends = subprocess.run(["dpkg-deb", "-f", deb, "Depends"], check=True, stdout=subprocess.PIPE, text=True, timeout=60).stdout
    for name in ("libnm0", "libnftables1", "libnl-route-3-200"):
        check(name in depends, f"{name} is not among {depends}")


def archive_name(chroot, archive):
    """ARCHIVE, copied to where the chroot sees it."""
    subprocess.run(["cp", archive, chroot.path("/build/source.tar.xz")], check=True, timeout=60)
    return "/build/source.tar.xz"


def _tests(architecture):
    """The unit and codec tests pass, run by the emulator."""
    chroot, source = _chroot(), f"/build/{architecture}/tests"
    compiler, emulator, kind = ARCHITECTURES[architecture]
    chroot.unpack(_tar_ball()[0], source)
    built = f"build/{architecture}"
    tools = f"CC={compiler}-gcc AR={compiler}-ar PKG_CONFIG={compiler}-pkg-config BUILD={built} WERROR=1"
    chroot.run(f"cd {source}; make -s -j{os.cpu_count()} {tools} all tests")
    said = chroot.run(f"file -L {source}/{built}/nm-killswitch")
    check(re.search(kind, said), f"not a program for {architecture}: {said}")
    programs = " ".join([f"$(ls -d {built}/tests/unit/test-* | grep -v '\\.[do]$')", *(f"{built}/tests/kernel/{name}" for name in CODECS)])
    emulated = {"TEST_WRAPPER": emulator, "KS_EMULATED": "1"} if emulator else {}
    output = chroot.run(f"cd {source}; tests/run-cmocka {programs}", ok=False, KS_ORDER_PAIRS=ORDER_PAIRS, **emulated)
    with open(chroot.path(f"/build/{architecture}/tests.log"), "w", encoding="utf-8") as file:
        file.write(output)
    closing = re.search(r"(\d+) passed, (\d+) failed, (\d+) skipped\n$", output)
    failed = [line.strip() for line in output.splitlines() if "failed, " in line and " 0 failed" not in line]
    check(closing and closing[2] == "0", f"{failed}; see {file.name}")
    print(f"        {architecture}: {closing[0].strip()}")
    check(int(closing[1]) > 300, f"only {closing[1]} tests")
    # what was left out is what the emulator cannot do, and the rest was run
    skipped = set(re.findall(r"^\[ *SKIPPED *\] ([a-z]\w+)", output, re.MULTILINE))
    check(not skipped or emulator, f"skipped on the host's own kernel: {skipped}")
    equal(skipped & set(WITHOUT_KERNEL), set(), "codec tests left out")
    equal(set(WITHOUT_KERNEL) - set(re.findall(r"^\[ *OK *\] (\w+)", output, re.MULTILINE)), set(), "codec tests that did not run")


@test
def a_package_for_32_bit_pcs_is_built():
    _package("i386")


@test
def a_package_for_arm_is_built():
    _package("arm64")


@test
def a_package_for_a_big_endian_machine_is_built():
    _package("s390x")


@test
def numbers_of_32_bit_machines_are_coded_correctly():
    _tests("i386")


@test
def unit_and_codec_tests_pass_on_arm():
    _tests("arm64")


@test
def numbers_of_big_endian_machines_are_coded_correctly():
    _tests("s390x")


if __name__ == "__main__":
    main()
