# The compiled form of dicom.py; its readers stay generators.

cimport cython

from agent.protocol cimport Octets, Parser

cdef int A_ASSOCIATE_RQ, A_ASSOCIATE_AC, A_ASSOCIATE_RJ, P_DATA_TF, A_RELEASE_RQ, A_RELEASE_RP, A_ABORT
cdef int _MAX_ASSOCIATE, _MAX_DATA, _KEPT_ITEM, _KEPT_COMMAND, _KEPT_SYNTAXES, _STRAYS
cdef long long _NO_PDU


cpdef str text(bytes value)
cpdef str uid(bytes value)
cdef bint starts(bytes payload) except -1


cdef class Association:
    cdef public str calling
    cdef public str called
    cdef public list told


cdef class Negotiation:
    cdef public int contexts
    cdef public dict syntaxes
    cdef public str implementation_uid
    cdef public str implementation_version

    cpdef take(self, int kind, bytes body)
    @cython.locals(position=Py_ssize_t, kind=int, length=int, value=bytes)
    cdef _subitems(self, bytes body)


cdef class _Direction:
    cdef Association _association
    cdef bytes _held
    cdef bint _lost
    cdef bint _proven
    cdef object _reader
    cdef int _strays
    cdef long long _want

    cdef _begin(self)
    cdef lose(self, int strays=*)
    cdef long long feed(self, bytes payload, long long length) except -1
    @cython.locals(captured=Py_ssize_t, position=cython.longlong, part=bytes)
    cdef long long _serve(self, bytes payload, long long length) except -1


cdef class Dicom(Parser):
    cdef Association _association
    cdef tuple _directions

    @cython.locals(side=_Direction, skip=cython.longlong, told=list, fields=dict)
    cpdef long long data(self, int direction, bytes payload, long long length, long long when) except? -2
    @cython.locals(side=_Direction)
    cpdef gap(self, int direction)
