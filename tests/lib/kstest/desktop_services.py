"""Stand-ins for the services that notifications use; each call is printed as a line of JSON.

usage: desktop_services.py notifications [CAPABILITY...]   on the session bus
       desktop_services.py system                          on the system bus: NetworkManager and systemd
       desktop_services.py refusing                        the same, but they allow nothing

A line is {"method": ..., "arguments": [...], "interactive": ...}; the last says whether polkit may ask the person.
"""

import json
import sys

from gi.repository import Gio, GLib

_PERSON = """<interface name='org.example.Person'>
<method name='Choose'><arg type='u' direction='in'/><arg type='s' direction='in'/></method>
<method name='Close'><arg type='u' direction='in'/></method></interface>"""
_NOTIFICATIONS = """<interface name='org.freedesktop.Notifications'>
<method name='GetCapabilities'><arg type='as' direction='out'/></method>
<method name='Notify'><arg type='s' direction='in'/><arg type='u' direction='in'/><arg type='s' direction='in'/>
<arg type='s' direction='in'/><arg type='s' direction='in'/><arg type='as' direction='in'/><arg type='a{sv}' direction='in'/>
<arg type='i' direction='in'/><arg type='u' direction='out'/></method>
<method name='CloseNotification'><arg type='u' direction='in'/></method></interface>"""
_SETTINGS = """<interface name='org.freedesktop.NetworkManager.Settings'>
<method name='GetConnectionByUuid'><arg type='s' direction='in'/><arg type='o' direction='out'/></method></interface>"""
_NETWORKMANAGER = """<interface name='org.freedesktop.NetworkManager'><method name='ActivateConnection'>
<arg type='o' direction='in'/><arg type='o' direction='in'/><arg type='o' direction='in'/><arg type='o' direction='out'/>
</method></interface>"""
_SYSTEMD = """<interface name='org.freedesktop.systemd1.Manager'><method name='StartUnit'><arg type='s' direction='in'/>
<arg type='s' direction='in'/><arg type='o' direction='out'/></method></interface>"""
_PATH = "/org/freedesktop/Notifications"


class Service:
    """Objects on a bus; ANSWER(method, arguments) returns the reply's GVariant, or None."""

    def __init__(self, bus, answer):
        self.bus = bus
        self._answer = answer

    def add(self, path, *interfaces):
        for interface in Gio.DBusNodeInfo.new_for_xml(f"<node>{''.join(interfaces)}</node>").interfaces:
            self.bus.register_object(path, interface, self._call, None, None)

    def own(self, name):
        Gio.bus_own_name_on_connection(self.bus, name, Gio.BusNameOwnerFlags.NONE, None, None)

    def _call(self, _bus, _sender, _path, _interface, method, arguments, invocation):
        interactive = bool(invocation.get_message().get_flags() & Gio.DBusMessageFlags.ALLOW_INTERACTIVE_AUTHORIZATION)
        print(json.dumps({"method": method, "arguments": list(arguments.unpack()), "interactive": interactive}), flush=True)
        try:
            invocation.return_value(self._answer(method, arguments.unpack()))
        except PermissionError as error:
            invocation.return_dbus_error("org.freedesktop.DBus.Error.AccessDenied", str(error))


def _notifications(capabilities):
    bus = Gio.bus_get_sync(Gio.BusType.SESSION)
    last = [0]

    def emit(name, arguments):
        bus.emit_signal(None, _PATH, "org.freedesktop.Notifications", name, arguments)

    def answer(method, arguments):
        if method == "GetCapabilities":
            return GLib.Variant("(as)", (capabilities,))
        if method == "Notify":
            last[0] = arguments[1] or last[0] + 1
            return GLib.Variant("(u)", (last[0],))
        if method == "Choose":
            emit("ActionInvoked", GLib.Variant("(us)", arguments))
        elif method in ("Close", "CloseNotification"):
            emit("NotificationClosed", GLib.Variant("(uu)", (arguments[0], 2 if method == "Close" else 3)))
        return None

    service = Service(bus, answer)
    service.add(_PATH, _NOTIFICATIONS, _PERSON)
    service.own("org.freedesktop.Notifications")


def _system(allows):
    def answer(method, _arguments):
        if method == "GetConnectionByUuid":
            return GLib.Variant("(o)", ("/org/freedesktop/NetworkManager/Settings/7",))
        if not allows:
            raise PermissionError("Not authorized.")
        return GLib.Variant("(o)", ("/accepted",))

    service = Service(Gio.bus_get_sync(Gio.BusType.SYSTEM), answer)
    service.add("/org/freedesktop/NetworkManager", _NETWORKMANAGER)
    service.add("/org/freedesktop/NetworkManager/Settings", _SETTINGS)
    service.add("/org/freedesktop/systemd1", _SYSTEMD)
    for name in ("org.freedesktop.NetworkManager", "org.freedesktop.systemd1"):
        service.own(name)


def main(arguments):
    if arguments[0] == "notifications":
        _notifications(arguments[1:])
    else:
        _system(arguments[0] == "system")
    GLib.MainLoop().run()


if __name__ == "__main__":
    main(sys.argv[1:])
