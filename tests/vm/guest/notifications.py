"""Runs in the guest, as a person: the notification service of the session, which writes down what it is asked.

Each call is a line of JSON on standard output: {"method": ..., "arguments": [...]}. It speaks through libsystemd, since the
machine has no other library for D-Bus that Python could use. What a person does with a notification is a call of its own:

    busctl --user call org.freedesktop.Notifications /org/freedesktop/Notifications org.example.Person Choose us 1 release
"""

import ctypes
import json
import os

NAME, PATH, PERSON = b"org.freedesktop.Notifications", b"/org/freedesktop/Notifications", b"org.example.Person"
FOR_EVER = ctypes.c_uint64(-1)

lib = ctypes.CDLL("libsystemd.so.0")
lib.sd_bus_message_get_member.restype = ctypes.c_char_p


def check(result):
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


def read(message, kind):
    """The next argument of MESSAGE: of the type s, u or i."""
    value = {"s": ctypes.c_char_p, "u": ctypes.c_uint32, "i": ctypes.c_int32}[kind]()
    check(lib.sd_bus_message_read_basic(message, ctypes.c_char(kind.encode()), ctypes.byref(value)))
    return value.value.decode() if kind == "s" else value.value


def read_list(message):
    """The next argument, an array of strings."""
    array = ctypes.POINTER(ctypes.c_char_p)()
    check(lib.sd_bus_message_read_strv(message, ctypes.byref(array)))
    texts = []
    while array and array[len(texts)] is not None:
        texts.append(array[len(texts)].decode())
    return texts


def read_urgency(message):
    """The hint of that name, and the end of the hints; None if it is not there."""
    found = None
    check(lib.sd_bus_message_enter_container(message, ctypes.c_char(b"a"), b"{sv}"))
    while check(lib.sd_bus_message_enter_container(message, ctypes.c_char(b"e"), b"sv")):
        if read(message, "s") == "urgency":
            value = ctypes.c_uint8()
            check(lib.sd_bus_message_enter_container(message, ctypes.c_char(b"v"), b"y"))
            check(lib.sd_bus_message_read_basic(message, ctypes.c_char(b"y"), ctypes.byref(value)))
            check(lib.sd_bus_message_exit_container(message))
            found = value.value
        else:
            check(lib.sd_bus_message_skip(message, b"v"))
        check(lib.sd_bus_message_exit_container(message))
    check(lib.sd_bus_message_exit_container(message))
    return found


class Service:
    def __init__(self):
        self.bus, self.last = ctypes.c_void_p(), 0
        check(lib.sd_bus_open_user(ctypes.byref(self.bus)))
        check(lib.sd_bus_request_name(self.bus, NAME, ctypes.c_uint64(0)))

    def emit(self, member, number, types, value):
        check(lib.sd_bus_emit_signal(self.bus, PATH, NAME, member, types, ctypes.c_uint32(number), value))

    def notify(self, message):
        app, replaces, icon, title, body = (read(message, kind) for kind in "susss")
        arguments = [app, replaces, icon, title, body, read_list(message), read_urgency(message), read(message, "i")]
        self.last = replaces or self.last + 1
        check(lib.sd_bus_reply_method_return(message, b"u", ctypes.c_uint32(self.last)))
        return arguments

    def answer(self, message):
        """Answer a call, and return what it asked for."""
        member = lib.sd_bus_message_get_member(message).decode()
        if member == "Notify":
            return member, self.notify(message)
        arguments = []
        if member == "GetCapabilities":
            check(lib.sd_bus_reply_method_return(message, b"as", 3, b"actions", b"body", b"body-markup"))
            return member, arguments
        if member == "Choose":
            arguments = [read(message, "u"), read(message, "s")]
            self.emit(b"ActionInvoked", arguments[0], b"us", arguments[1].encode())
        elif member in ("Close", "CloseNotification"):
            arguments = [read(message, "u")]
            self.emit(b"NotificationClosed", arguments[0], b"uu", ctypes.c_uint32(2 if member == "Close" else 3))
        check(lib.sd_bus_reply_method_return(message, None))
        return member, arguments

    def run(self):
        message = ctypes.c_void_p()
        while True:
            if not check(lib.sd_bus_process(self.bus, ctypes.byref(message))):
                check(lib.sd_bus_wait(self.bus, FOR_EVER))
            if message:
                if any(lib.sd_bus_message_is_method_call(message, interface, None) > 0 for interface in (NAME, PERSON)):
                    method, arguments = self.answer(message)
                    print(json.dumps({"method": method, "arguments": arguments}), flush=True)
                lib.sd_bus_message_unref(message)
                message = ctypes.c_void_p()


if __name__ == "__main__":
    Service().run()
