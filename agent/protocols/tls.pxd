# The compiled form of tls.py.

cimport cython

from agent.protocol cimport Framer, Octets, Parser

cdef int CHANGE_CIPHER_SPEC, ALERT, HANDSHAKE, APPLICATION_DATA
cdef int CLIENT_HELLO, SERVER_HELLO
cdef int SERVER_NAME, SIGNATURE_ALGORITHMS, ALPN, SUPPORTED_VERSIONS
cdef int RECORD_HEADER, LARGEST_RECORD, PATIENCE
cdef dict _fingerprints, _server_fields


cdef class _Records(Framer):
    cdef bytes handshake
    cdef int heard

    cdef open(self, Py_ssize_t keep)
    @cython.locals(size=Py_ssize_t)
    cdef Py_ssize_t _measure(self, bytes header) except? -2


cdef class Tls(Parser):
    cdef list _sides
    cdef long long _seen

    @cython.locals(side=_Records, record=bytes, size=Py_ssize_t)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    @cython.locals(side=_Records)
    cpdef gap(self, int direction)
    cdef long long _finish(self) except? -2
    @cython.locals(kind=int)
    cdef bint _is_over(self, _Records side, bytes record, Py_ssize_t size, long long when) except -1
    @cython.locals(ours=_Records, theirs=_Records)
    cdef bint _has_heard(self, int kind) except -1
    @cython.locals(message=bytes, cut=bint, whole=Py_ssize_t, kind=int)
    cdef bint _handshake(self, _Records side, bytes record, Py_ssize_t size, long long when) except -1
    @cython.locals(version=str, alpn=bytes, fields=dict)
    cdef bint _server_hello(self, _Records side, bytes hello, long long when) except -1
    @cython.locals(level=int, description=int, fields=dict)
    cdef bint _alert(self, bytes record, long long when) except -1


@cython.locals(size=Py_ssize_t, after=bytes)
cdef bint _is_record(bytes payload) except -1


cdef class _Extensions:
    cdef bytes _hello
    cdef Py_ssize_t _position
    cdef Py_ssize_t _stop
    cdef int kind
    cdef Py_ssize_t start
    cdef Py_ssize_t end
    cdef bint whole

    cdef open(self, bytes hello, Py_ssize_t start)
    @cython.locals(hello=bytes, position=Py_ssize_t, kind=int, size=Py_ssize_t)
    cdef bint find(self) except -1


@cython.locals(
    fields=dict, ciphers=Py_ssize_t, compression=Py_ssize_t, version=int, kinds=list, alpn=bytes, signatures=bytes,
    extensions=_Extensions, kind=int, start=Py_ssize_t, end=Py_ssize_t, size=Py_ssize_t, name=bytes,
)
cdef dict _client_hello(bytes hello, bint whole)
@cython.locals(
    version=int, alpn=bytes, suite=Py_ssize_t, extensions=_Extensions, kind=int, start=Py_ssize_t, end=Py_ssize_t
)
cdef tuple _server_choice(bytes hello)
cdef int _code(bytes hello, Py_ssize_t at) except -1
@cython.locals(highest=int, code=int, position=Py_ssize_t)
cdef int _highest(bytes hello, Py_ssize_t start, Py_ssize_t end) except -1
@cython.locals(known=str)
cdef str _fingerprint(int version, bytes ciphers, list extensions, bytes signatures, bytes alpn)
