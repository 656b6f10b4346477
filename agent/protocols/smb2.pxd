# The compiled form of smb2.py.

cimport cython

from agent.protocol cimport Framer, Octets, Parser

cdef int NETBIOS_HEADER, HEADER, KEEP, MOST_COMPOUNDED, MOST_PENDING, MOST_SHARES, MOST_CONTEXTS
cdef int RESPONSE, ASYNC, RELATED, BIND
cdef int NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, READ, WRITE, IOCTL, SET_INFO
cdef unsigned int PENDING, MORE_PROCESSING, FSCTL_PIPE_TRANSCEIVE


cdef class Smb2(Parser):
    cdef tuple _framers
    cdef readonly dict _pending
    cdef readonly dict _shares
    cdef bytes _sealed

    @cython.locals(framer=Framer, messages=list, message=bytes, kind=bytes)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    @cython.locals(framer=Framer)
    cpdef gap(self, int direction)


cdef class _Messages(Framer):
    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _measure(self, bytes header) except? -2


cdef dict _filled(dict fields)
cdef long long _number(bytes body, Py_ssize_t at) except -1
