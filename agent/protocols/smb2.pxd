# The compiled form of smb2.py.

cimport cython

from agent.protocol cimport Framer, Octets, Parser

cdef int NETBIOS_HEADER, HEADER, KEEP, MOST_COMPOUNDED, MOST_PENDING, MOST_SHARES
cdef int RESPONSE, ASYNC, RELATED
cdef int NEGOTIATE, SESSION_SETUP, TREE_CONNECT, CREATE, READ, WRITE, SET_INFO
cdef unsigned int PENDING, MORE_PROCESSING


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


cdef long long _number(bytes body, Py_ssize_t at) except -1
