# The compiled form of protocol.py's classes, for the meter to call and the parsers to extend as C.

cimport cython


cdef class Octets:
    @staticmethod
    @cython.locals(first=cython.p_const_char, size=Py_ssize_t)
    cdef bytes part(bytes data, Py_ssize_t start, Py_ssize_t end)
    @staticmethod
    @cython.locals(first=cython.p_const_uchar)
    cdef Py_ssize_t nth(bytes data, int byte, int count, Py_ssize_t start, Py_ssize_t end) except -1


@cython.no_gc  # no cycle can pass through it: it holds a standard's values
cdef class Fact:
    cdef public str dataset
    cdef public long long when
    cdef public dict fields
    cdef public dict sums
    cdef public long long count
    cdef public Fact repeats

cdef class Parser:
    cdef public list fresh
    cdef public long long overflow
    cdef list _firsts
    cdef dict _tally
    cdef _begin(self)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    cpdef gap(self, int direction)
    @cython.locals(first=Fact, repeats=Fact)
    cpdef note(self, str dataset, long long when, dict fields, dict sums=*)
    @cython.locals(first=Fact, repeats=Fact)
    cpdef note_size(self, str dataset, long long when, dict fields, long long size)
    @cython.locals(first=Fact, firsts=list)
    cpdef list cut(self)
    @cython.locals(first=Fact, firsts=list)
    cdef Fact _told_before(self, str dataset, dict fields)
    @cython.locals(first=Fact, firsts=list)
    cdef _add(self, str dataset, long long when, dict fields, dict sums)

cdef int _FEW

cdef tuple _key(str dataset, dict fields)

cdef class Recogniser:
    cdef dict _asked
    @cython.locals(asked=list)
    cpdef Parser identify(self, str transport, bytes payload, object source_port, object destination_port)

@cython.locals(fact=Fact)
cdef Fact _fact(str dataset, long long when, dict fields, dict sums, long long count)

cdef class Framer:
    cdef Py_ssize_t _header
    cdef Py_ssize_t _keep
    cdef object _size_of
    cdef bytes _buffer
    cdef Py_ssize_t _total
    cdef bint _lost
    cdef public long long skip
    cdef public bint foreign
    cdef _open(self, Py_ssize_t header, Py_ssize_t keep)
    cpdef reset(self)
    @cython.locals(messages=list, position=Py_ssize_t, captured=Py_ssize_t, begin=Py_ssize_t, part=bytes, held=Py_ssize_t, beyond=cython.longlong)
    cpdef list feed(self, bytes payload, long long length)
    @cython.locals(held=Py_ssize_t, want=Py_ssize_t)
    cdef Py_ssize_t _gather(self, bytes payload, Py_ssize_t begin, Py_ssize_t position) except -1
    @cython.locals(size=Py_ssize_t)
    cdef bint _read_header(self) except -1
    cdef Py_ssize_t _measure(self, bytes header) except? -2
    cdef Py_ssize_t _none(self, str why) except? -2
