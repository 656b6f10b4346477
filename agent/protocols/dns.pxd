# The compiled form of dns.py.

cimport cython

from agent.protocol cimport Framer, Octets, Parser

cdef int HEADER, LONGEST_NAME, _QUESTIONS_KEPT
cdef dict _questions


cdef class Dns(Parser):
    cdef dict _guesses
    cdef dict _streams
    cdef bint _known

    @cython.locals(framer=Framer, streamed=bint, message=bytes, size=cython.longlong)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    cpdef gap(self, int direction)
    cdef int _pass_over(self) except -1
    @cython.locals(fields=dict, answers=int)
    cdef _tell(self, bytes message, Py_ssize_t at, long long size, long long when)


cdef class _Messages(Framer):
    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _measure(self, bytes header) except? -2


cdef bint _is_stream(bytes payload) except -1
@cython.locals(questions=int)
cdef bint _is_message(bytes payload, Py_ssize_t at) except -1
@cython.locals(end=Py_ssize_t)
cdef bint _is_plain(bytes payload, Py_ssize_t at) except -1
@cython.locals(flags=int, low=int, end=Py_ssize_t)
cdef bint _is_common(bytes payload, Py_ssize_t at) except -1
@cython.locals(position=Py_ssize_t, captured=Py_ssize_t, size=int)
cdef Py_ssize_t _name_end(bytes payload, Py_ssize_t at) except -1
@cython.locals(end=Py_ssize_t, wire=bytes, fields=dict, kind=int)
cdef dict _question(bytes message, Py_ssize_t at)
@cython.locals(labels=list, longest=int, position=Py_ssize_t, size=int, name=bytes, fields=dict)
cdef dict _measure(bytes wire)
@cython.locals(counts=bytearray, uneven=double, byte=cython.uchar)
cdef int _entropy(bytes name) except -1
