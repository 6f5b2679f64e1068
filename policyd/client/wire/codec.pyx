# cython: language_level=3, boundscheck=False, wraparound=False
"""The two messages of Act without protobuf: the requests and responses of most loops."""

from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize, PyBytes_GET_SIZE
from cpython.unicode cimport PyUnicode_AsUTF8AndSize, PyUnicode_DecodeUTF8
from libc.stdint cimport int64_t, uint8_t, uint64_t
from libc.string cimport memcpy

from policyd.client.wire.protobuf cimport bytes_of, number_of, span, varint, varint_size

import numpy

cdef object ARRAY = numpy.ndarray
cdef object FLOAT32 = numpy.dtype("<f4")
cdef object INT64 = numpy.dtype("<i8")

cdef enum:
    NAMES = 4096  # longest policy name and alias, in bytes
    NUMBERS = 96  # bytes of all other fields but the observations
    FIELDS = 20

# The tags of the fields of ActRequest and of ActResponse, with their wire types.
cdef enum:
    POLICY = 0x0A, VERSION = 0x10, ALIAS = 0x1A, OBSERVATIONS = 0x22, SEED = 0x28, FIRST_ROW = 0x30
    DETERMINISTIC = 0x38, RAW = 0x0A, PIN = 0x10, UNPIN = 0x18


cdef uint8_t* name(uint8_t* at, uint8_t tag, str value) except NULL:
    cdef Py_ssize_t size
    cdef const char* encoded = PyUnicode_AsUTF8AndSize(value, &size)
    if size > NAMES:
        raise OverflowError
    at[0] = tag
    at = varint(at + 1, size)
    memcpy(at, encoded, size)
    return at + size


def encode(observations, dict options):
    """See codec.pyi."""
    if type(observations) is not ARRAY or observations.dtype is not FLOAT32 or observations.ndim == 0:
        return None
    cdef bytes raw = observations.tobytes()
    cdef uint8_t[2 * NAMES + NUMBERS] head
    cdef uint8_t[NUMBERS] tail
    cdef uint8_t* at = head
    cdef uint8_t* end = tail
    cdef Py_ssize_t size = PyBytes_GET_SIZE(raw), known = 0
    cdef object value, missing = None
    try:
        value = options.get("policy", missing)
        if value is not missing:
            known += 1
            if type(value) is not str:
                return None
            if value:
                at = name(at, POLICY, value)
        value = options.get("version", missing)
        if value is not missing:
            known += 1
            if type(value) is not int:
                return None
            at[0] = VERSION
            at = varint(at + 1, <uint64_t><int64_t>value)
        value = options.get("alias", missing)
        if value is not missing:
            known += 1
            if type(value) is not str or "version" in options:
                return None
            at = name(at, ALIAS, value)
        value = options.get("seed", missing)
        if value is not missing:
            known += 1
            if type(value) is not int:
                return None
            end[0] = SEED
            end = varint(end + 1, <uint64_t>value)
        value = options.get("first_row", missing)
        if value is not missing:
            known += 1
            if type(value) is not int:
                return None
            if value:
                end[0] = FIRST_ROW
                end = varint(end + 1, <uint64_t>value)
        value = options.get("deterministic", missing)
        if value is not missing:
            known += 1
            if type(value) is not bool:
                return None
            if value:
                end[0], end[1] = DETERMINISTIC, 1
                end += 2
    except (OverflowError, UnicodeEncodeError):
        return None  # protobuf will say what is wrong
    if known != len(options):
        return None
    return whole(head, at - head, raw, size, tail, end - tail)


cdef bytes whole(uint8_t* head, Py_ssize_t head_size, bytes raw, Py_ssize_t size, uint8_t* tail,
                 Py_ssize_t tail_size):
    cdef Py_ssize_t inner = 1 + varint_size(size) + size if size else 0
    cdef Py_ssize_t total = head_size + 1 + varint_size(inner) + inner + tail_size
    cdef bytes made = PyBytes_FromStringAndSize(NULL, total)
    cdef uint8_t* at = <uint8_t*>PyBytes_AS_STRING(made)
    memcpy(at, head, head_size)
    at[head_size] = OBSERVATIONS
    at = varint(at + head_size + 1, inner)
    if size:
        at[0] = RAW
        at = varint(at + 1, size)
        memcpy(at, PyBytes_AS_STRING(raw), size)
        at += size
    memcpy(at, tail, tail_size)
    return made


cdef bint raw_of(span* array) noexcept:
    """Replaces an array's message by its raw bytes. False: it has another form."""
    cdef span raw
    if array.at == array.end:
        return True
    if array.at[0] != RAW:
        return False
    array.at += 1
    if not bytes_of(array, &raw) or array.at != array.end:
        return False
    array[0] = raw
    return True


cdef object NOTHING = ARRAY((1, 0), FLOAT32, b"")  # read-only, so that all responses can share it


cdef object rows(const span* raw, Py_ssize_t batch):
    """Returns float32 [batch, n]. None: the bytes cannot be split into rows."""
    cdef Py_ssize_t size = raw.end - raw.at, columns = size // (4 * batch)
    if size == 0 and batch == 1:
        return NOTHING
    if columns * 4 * batch != size:
        return None
    return ARRAY((batch, columns), FLOAT32, PyBytes_FromStringAndSize(<const char*>raw.at, size))


cdef object numbers(const span* raw):
    cdef Py_ssize_t size = raw.end - raw.at
    if size % 4:
        return None
    return ARRAY((size // 4,), FLOAT32, PyBytes_FromStringAndSize(<const char*>raw.at, size))


cdef object indices(const span* raw, Py_ssize_t batch):
    cdef Py_ssize_t size = raw.end - raw.at, count = size // 8, columns = count // batch
    cdef tuple shape
    if count * 8 != size or columns * batch != count:
        return None
    if count == batch:
        shape = (batch,)
    else:
        shape = (batch, columns)
    return ARRAY(shape, INT64, PyBytes_FromStringAndSize(<const char*>raw.at, size))


cdef str text(const span* found):
    return PyUnicode_DecodeUTF8(<const char*>found.at, found.end - found.at, NULL)


def decode(bytes response, Py_ssize_t batch):
    """See codec.pyi."""
    cdef span rest, array
    cdef span[FIELDS] found
    cdef uint64_t[FIELDS] counted
    cdef uint64_t tag, field
    cdef uint64_t seen = 0
    cdef int place
    rest.at = <const uint8_t*>PyBytes_AS_STRING(response)
    rest.end = rest.at + PyBytes_GET_SIZE(response)
    for place in range(FIELDS):
        counted[place] = 0
        found[place].at = found[place].end = rest.end
    while rest.at < rest.end:
        if not number_of(&rest, &tag):
            return None
        field = tag >> 3
        if field == 0 or field >= FIELDS or seen >> field & 1:
            return None
        seen |= <uint64_t>1 << field
        if field == 2 or field == 4 or field == 5:
            if tag & 7 != 0 or not number_of(&rest, &counted[field]):
                return None
        elif tag & 7 != 2 or (10 <= field < 16) or not bytes_of(&rest, &found[field]):
            return None
        elif field != 1 and field != 3 and not raw_of(&found[field]):
            return None
    if batch <= 0 or counted[4] != <uint64_t>batch:
        return None
    return fields(found, counted, seen, batch)


cdef dict fields(span* found, uint64_t* counted, uint64_t seen, Py_ssize_t batch):
    cdef bint has_values = seen >> 9 & 1, has_vectors = seen >> 16 & 1
    try:
        made = {
            "policy": text(&found[1]),
            "version": <int64_t>counted[2],
            "digest": text(&found[3]),
            "seed": counted[5],
            "actions": rows(&found[16], batch) if has_vectors else indices(&found[6], batch),
            "action_probs": rows(&found[7], batch),
            "log_probs": numbers(&found[8]),
            "values": numbers(&found[9]) if has_values else None,
            "action_mean": rows(&found[17], batch),
            "action_std": rows(&found[18], batch),
            "gaussian_samples": rows(&found[19], batch),
        }
    except UnicodeDecodeError:
        return None
    for field, value in made.items():
        if value is None and (field != "values" or has_values):
            return None
    return made


def encode_streamed(observations, dict options, pin, unpin):
    """See codec.pyi."""
    cdef bytes request
    cdef uint8_t[NUMBERS] head
    cdef uint8_t* at = head
    cdef Py_ssize_t size
    if type(pin) is not bool or type(unpin) is not bool:
        return None
    request = encode(observations, options)
    if request is None:
        return None
    size = PyBytes_GET_SIZE(request)
    at[0] = RAW  # the first field, which is of bytes
    at = varint(at + 1, size)
    made = PyBytes_FromStringAndSize(NULL, (at - head) + size + 2 * <int>pin + 2 * <int>unpin)
    cdef uint8_t* into = <uint8_t*>PyBytes_AS_STRING(made)
    memcpy(into, head, at - head)
    into += at - head
    memcpy(into, PyBytes_AS_STRING(request), size)
    into += size
    if pin:
        into[0], into[1] = PIN, 1
        into += 2
    if unpin:
        into[0], into[1] = UNPIN, 1
    return made


def decode_streamed(bytes response, Py_ssize_t batch):
    """See codec.pyi."""
    cdef span rest, inner
    cdef bint pinned = False
    rest.at = <const uint8_t*>PyBytes_AS_STRING(response)
    rest.end = rest.at + PyBytes_GET_SIZE(response)
    if rest.at == rest.end or rest.at[0] != RAW:
        return None
    rest.at += 1
    if not bytes_of(&rest, &inner):
        return None
    if rest.end - rest.at == 2 and rest.at[0] == PIN and rest.at[1] == 1:
        pinned = True
    elif rest.at != rest.end:
        return None
    fields = decode(PyBytes_FromStringAndSize(<const char*>inner.at, inner.end - inner.at), batch)
    return None if fields is None else (fields, pinned)
