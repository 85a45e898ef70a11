"""The sheet of cases (kstest/sheet.py) for OpenVPN with data channel offload."""

import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.realpath(__file__)), "..", "lib"))

# pylint: disable=wrong-import-position
from kstest import sheet
from kstest.runner import main
from kstest.sheet import Sheet
from kstest.vm_openvpn_offload import Offload
from kstest.vm_plugin import PluginStages

at = PluginStages("types_offload", [Offload])

# Without its server openvpn tries to connect for ever, as after a loss.
Sheet(lambda: Offload(at)).register(left_out=[*sheet.CONTROLS_OF_LOSSES, sheet.the_end_of_the_server_does_not_leak])

if __name__ == "__main__":
    main(at.set_up)
