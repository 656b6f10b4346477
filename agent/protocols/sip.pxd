# The compiled form of sip.py.

cimport cython

from agent.protocol cimport Octets, Parser

cdef int LONGEST_HEAD


cdef class Sip(Parser):
    cdef list _heads
    cdef list _skips
    cdef bint _known

    @cython.locals(begin=cython.longlong, cut=bint, data=bytes, end=cython.longlong)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    cpdef gap(self, int direction)
    @cython.locals(position=cython.longlong, end=cython.longlong, head=bytes, size=cython.longlong)
    cdef long long _messages(self, bytes data, bint cut, long long when) except -1
    @cython.locals(rest=bytes, start=bytes)
    cdef long long _stray(self, bytes data, Py_ssize_t position) except -1
    @cython.locals(fields=dict, status=bytes, lines=list, size=bytes, software=bytes, sequence=bytes, method=str)
    cdef long long _tell(self, object line, bytes head, long long when) except? -2


@cython.locals(line=bytes, name=bytes)
cdef bytes _first(tuple names, object wanted, list lines)
