# The compiled form of rtp.py.

cimport cython

from agent.protocol cimport Parser

cdef int HEADER, FIRST_PORT, _HANDSHAKE
cdef bytes _COOKIE


cdef class Rtp(Parser):
    cdef list _last
    cdef list _runs
    cdef int _shown
    cdef bint _confirmed

    @cython.locals(last=cython.longlong, this=cython.longlong, runs=int)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2


@cython.locals(kind=int)
cdef bint _is_media(bytes payload) except -1
cdef bint _negotiates(bytes payload) except -1
@cython.locals(number=cython.longlong, position=int)
cdef long long _number(bytes payload, int begin, int end) except -1
