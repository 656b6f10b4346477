# The compiled form of http.py.

cimport cython

from agent.protocol cimport Octets, Parser

cdef int _KEPT_HEAD, _KEPT_LINES, _KEPT_VALUE, _KEPT_KINDS, _WAITING, _STRAYS
cdef int _HEAD, _CHUNK, _TRAILER


cdef class Head:
    cdef str method
    cdef tuple interaction
    cdef int status
    cdef long long length
    cdef bint chunked
    cdef str media
    cdef bint fhir
    cdef str authorization
    cdef str client
    cdef bint told


cdef bint starts(bytes payload) except -1
@cython.locals(
    line=bytes, size=Py_ssize_t, length=Py_ssize_t, colon=Py_ssize_t, letter=int, left=Py_ssize_t
)
cdef Py_ssize_t read_head(Head head, list lines) except -1
cdef _start_line(Head head, bytes line, bint whole)
cdef _field(Head head, bytes name, bytes value)


cdef class _Side:
    cdef bytes held
    cdef bint lost
    cdef bint proven
    cdef int state
    cdef int strays

    cdef lose(self, int strays=*)
    cdef bint is_found(self, bytes payload) except -1


cdef class Http(Parser):
    cdef dict __dict__
    cdef tuple _sides
    cdef readonly list _waiting
    cdef int _client
    cdef bint _unanswered
    cdef bint _done
    cdef long long _when
    cdef readonly dict _kinds

    @cython.locals(position=cython.longlong, captured=Py_ssize_t, side=_Side)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    @cython.locals(side=_Side)
    cpdef gap(self, int direction)
    @cython.locals(request=Head)
    cpdef list cut(self)
    @cython.locals(data=bytes, lines=list, cut=bint, head=Head, end=Py_ssize_t)
    cdef long long _head(self, int direction, _Side side, bytes payload, long long position, long long length) except? -2
    cdef _lose(self, _Side side)
    @cython.locals(other=_Side, client=int)
    cdef long long _take(self, int direction, _Side side, Head head, bint whole) except -1
    @cython.locals(request=Head, method=str)
    cdef long long _answer(self, _Side side, Head head, bint whole) except -1
    @cython.locals(request=Head, waiting=list)
    cdef _tell_unanswered(self)
    @cython.locals(found=tuple, fhir=bint, media=str, status=int, size=cython.longlong)
    cdef _tell(self, Head request, Head response)
    @cython.locals(fields=dict)
    cdef _note(self, str dataset, tuple key, dict sums)


cdef dict _describe(tuple key)
cdef long long _body(_Side side, Head head) except -1
@cython.locals(end=Py_ssize_t, line=bytes, digits=bytes, size=cython.longlong)
cdef long long _walk_chunk(_Side side, bytes payload, long long position) except -1
