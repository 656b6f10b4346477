# The compiled form of flow.py's classes, for the meter and privacy to reach without a call. Times are signed: they are subtracted.

cimport cython


@cython.no_gc
cdef class Ends:
    cdef public unsigned long long number
    cdef public int kind
    cdef public int protocol
    cdef public unsigned long long source_hi
    cdef public unsigned long long source_lo
    cdef public unsigned long long destination_hi
    cdef public unsigned long long destination_lo
    cdef public int source_port
    cdef public int destination_port
    cdef public int vlan
    cdef public unsigned long long source_mac
    cdef public unsigned long long destination_mac
    cdef public tuple private


@cython.no_gc
cdef class FlowRecord:
    cdef public Ends ends
    cdef public str reason
    cdef public str protocol
    cdef public unsigned long long part
    cdef public long long begin
    cdef public long long start
    cdef public long long last
    cdef public long long first
    cdef public str state
    cdef public tuple source
    cdef public tuple destination
    cdef public unsigned long long requests
    cdef public unsigned long long replies
    cdef public unsigned long long gratuitous
