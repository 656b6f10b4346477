# The compiled form of hl7.py.

cimport cython

from agent.protocol cimport Octets, Parser

cdef int _START, _FRAMING, _KEPT, _KEPT_KINDS, _DESCRIBED_KEPT, _STRAYS
cdef dict _described


@cython.locals(position=Py_ssize_t, name=bytes)
cdef bytes answer_code(bytes kept, Py_ssize_t end)


@cython.locals(fields=dict)
cdef dict _describe_once(tuple key, int direction, bytes front, bytes kind, bytes version_, bytes answer)


cdef class _Side:
    cdef dict fields
    cdef bytes front
    cdef bytes kind
    cdef bytes version
    cdef bytes answer
    cdef bytes kept
    cdef long long size
    cdef bint cut
    cdef bint lost


cdef class Hl7(Parser):
    cdef tuple _sides
    cdef readonly dict _kinds
    cdef int _strays
    cdef long long _when

    @cython.locals(
        position=Py_ssize_t, captured=Py_ssize_t, stop=Py_ssize_t, side=_Side, other=_Side, kept=bytes,
        size=cython.longlong,
    )
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    @cython.locals(side=_Side)
    cpdef gap(self, int direction)
    @cython.locals(side=_Side, direction=int)
    cpdef list cut(self)
    cdef Py_ssize_t _start(self, _Side side, bytes payload, Py_ssize_t position) except -1
    cdef _stray(self, _Side side)
    cdef _keep(self, _Side side, bytes part, long long length)
    @cython.locals(side=_Side)
    cdef _close(self, int direction)
    @cython.locals(fields=dict)
    cdef bint _end(self, int direction, _Side side, bytes kept, long long size) except -1
    @cython.locals(
        begin=Py_ssize_t, end=Py_ssize_t, answer=bytes, byte=int, position=Py_ssize_t, stop=Py_ssize_t, front=bytes,
        kind=bytes, version_=bytes, fields=dict,
    )
    cdef dict _read(self, int direction, _Side side, bytes kept, bint cut)
    @cython.locals(key=tuple, fields=dict)
    cdef dict _describe(self, int direction, bytes front, bytes kind, bytes version_, bytes answer)
