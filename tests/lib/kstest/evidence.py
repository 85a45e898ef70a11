"""What a failed test leaves behind for debugging: the state of the machine, and whether something has crashed."""

import re

# a shell script, for a machine in which the kill switch may or may not be installed
STATE = """
for command in 'nm-killswitch status' 'ip rule' 'ip -6 rule' 'ip route show table all' 'ip -6 route show table all' \\
    'ip address' 'nft list ruleset' 'nmcli general' 'nmcli device' 'nmcli connection show' \\
    'nmcli -f all connection show --active' 'cat /etc/resolv.conf' 'ps axf'; do
    echo "== $command"
    timeout 10 $command 2>&1
    echo
done
"""
UNITS = """
systemctl --no-pager --failed
systemctl --no-pager --lines=0 status 'nm-killswitch*'
"""

# The tests themselves send SIGKILL and SIGTERM.
_CRASH = re.compile(r"killswitch.*(segfault|general protection|traps?: |dumped core|core-dump|code=dumped"
                    r"|status=\d+/(SEGV|ABRT|BUS|ILL|FPE|SYS|TRAP)|signal (4|5|6|7|8|11|31)\b)"
                    r"|AddressSanitizer|runtime error: |Kernel panic|\bBUG: |\bOops: ")


def crashes(text):
    """The part of a log's TEXT that shows a crash, ours or the kernel's, for runner.on_failure(); None without one."""
    lines = [line.strip() for line in text.splitlines() if _CRASH.search(line)]
    return f"crashed: {'; '.join(lines[:3])}" if lines else None
