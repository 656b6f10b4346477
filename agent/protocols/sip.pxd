# The compiled form of sip.py.

cimport cython

from agent.protocol cimport Octets, Parser

cdef int LONGEST_HEAD, LONGEST_BODY, _NUMBER, _SEQUENCE, _PRODUCT
cdef bytes _BLANKS, _DIGITS, _LETTERS, _VISIBLE


cdef class Sip(Parser):
    cdef list _heads
    cdef list _skips
    cdef bint _known
    cdef set _accounts
    cdef set _media

    @cython.locals(begin=cython.longlong, cut=bint, data=bytes, end=cython.longlong)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    cpdef gap(self, int direction)
    @cython.locals(position=cython.longlong, end=cython.longlong, head=bytes, body=bytes, size=cython.longlong)
    cdef long long _messages(self, bytes data, bint cut, long long when) except -1
    @cython.locals(rest=bytes, start=bytes)
    cdef long long _stray(self, bytes data, Py_ssize_t position) except -1
    @cython.locals(fields=dict, status=bytes, lines=list, size=bytes, software=bytes, sequence=bytes, method=str)
    cdef long long _tell(self, object line, bytes head, bytes body, long long when) except? -2


@cython.locals(line=bytes, name=bytes)
cdef bytes _first(int kind, tuple names, list lines)
@cython.locals(end=Py_ssize_t, stop=Py_ssize_t)
cdef bytes _value(int kind, bytes line, Py_ssize_t at)
cdef Py_ssize_t _run(bytes line, Py_ssize_t at, bytes kind) except -1
