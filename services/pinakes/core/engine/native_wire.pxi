# SPDX-License-Identifier: Apache-2.0
# Of native.pyx: reading the wire form of documents; numbers, pieces and fields, and what a document has of them.


cdef inline bint varint(Bytes* at, Bytes end, uint64_t* number) noexcept:
    """Read a number; False where there is none."""
    cdef int shift = 0
    number[0] = 0
    while at[0] < end and shift < 64:
        number[0] |= <uint64_t>(at[0][0] & 0x7F) << shift
        shift += 7
        at[0] += 1
        if not (at[0] - 1)[0] & 0x80:
            return True
    return False


cdef inline bint piece(Bytes* at, Bytes end, Slice* found) noexcept:
    """Read what has a length before it."""
    cdef uint64_t size
    if not varint(at, end, &size) or size > <uint64_t>(end - at[0]):
        return False
    found.at = at[0]
    found.size = <Py_ssize_t>size
    at[0] += size
    return True


cdef inline Py_ssize_t characters(Slice text) noexcept:
    """Count characters: all bytes but those that go on with one."""
    cdef Py_ssize_t i, count = 0
    for i in range(text.size):
        count += (text.at[i] & 0xC0) != 0x80
    return count


cdef inline uint64_t below(uint64_t eight, uint64_t least) noexcept:
    """Return other than 0 if one of eight bytes is less than a number up to 128."""
    return (eight - 0x0101010101010101ULL * least) & ~eight & 0x8080808080808080ULL


cdef Py_ssize_t plain_run(Bytes at, Py_ssize_t size) noexcept:
    """Return how many bytes from here on stand for themselves in a JSON string."""
    cdef Py_ssize_t i = 0
    cdef uint64_t eight
    while i + 8 <= size:
        memcpy(&eight, at + i, 8)
        if below(eight, 0x20) | below(eight ^ 0x2222222222222222ULL, 1) | below(eight ^ 0x5C5C5C5C5C5C5C5CULL, 1):
            break
        i += 8
    while i < size and at[i] >= 0x20 and at[i] != 0x22 and at[i] != 0x5C:
        i += 1
    return i


cdef inline bint ascii(Slice text) noexcept:
    cdef Py_ssize_t i
    for i in range(text.size):
        if text.at[i] & 0x80:
            return False
    return True


cdef struct Document:
    Slice title, body, language, attributes, source_uri, name, etag
    Slice tags[MOST_TEXTS]
    Slice readers[MOST_TEXTS]
    int tag_count, reader_count
    bint has_attributes, expires
    int64_t expire_ms


cdef bint read_time(Slice given, int64_t* milliseconds) noexcept:
    """Read a timestamp between 1970 and 9999; False for others."""
    cdef Bytes at = given.at
    cdef Bytes end = at + given.size
    cdef uint64_t tag, number
    cdef uint64_t seconds = 0, nanos = 0
    while at < end:
        if not varint(&at, end, &tag) or not varint(&at, end, &number):
            return False
        if tag == 8:
            seconds = number
        elif tag == 16:
            nanos = number
        else:
            return False
    if seconds >= 253402300800 or nanos >= 1000000000:
        return False
    milliseconds[0] = <int64_t>(seconds * 1000 + nanos // 1000000)
    return True


cdef bint read_document(Bytes at, Bytes end, Document* found) noexcept:
    """Find a document's fields; False if it has too many texts, an unusual time, or a field that isn't known."""
    cdef uint64_t tag
    cdef Slice part
    found.title.size = found.body.size = found.language.size = found.attributes.size = found.source_uri.size = 0
    found.name.size = found.etag.size = 0
    found.tag_count = found.reader_count = 0
    found.has_attributes = found.expires = False
    while at < end:
        if not varint(&at, end, &tag) or tag & 7 != LENGTH or not piece(&at, end, &part):
            return False
        tag >>= 3
        if tag == 1:
            found.name = part
        elif tag == 2:
            found.title = part
        elif tag == 3:
            found.body = part
        elif tag == 4:
            if found.tag_count == MOST_TEXTS:
                return False
            found.tags[found.tag_count] = part
            found.tag_count += 1
        elif tag == 5:
            found.language = part
        elif tag == 6:
            if found.has_attributes:
                return False  # two that are to be merged
            found.attributes = part
            found.has_attributes = True
        elif tag == 7:
            if found.reader_count == MOST_TEXTS:
                return False
            found.readers[found.reader_count] = part
            found.reader_count += 1
        elif tag == 8:
            found.source_uri = part
        elif tag == 11:
            if found.expires or not read_time(part, &found.expire_ms):
                return False
            found.expires = True
        elif tag == 12:
            found.etag = part
        elif tag != 9 and tag != 10 and tag != 13:  # those the caller can't set
            return False
    return True


cdef int read_values(Slice given, Value* values) noexcept:
    """Read attributes, in the order of their keys; -1 if there are too many, or others than texts, numbers and flags."""
    cdef Bytes at = given.at
    cdef Bytes end = at + given.size
    cdef Bytes inner, inner_end
    cdef uint64_t tag, number
    cdef Slice entry, message
    cdef Value value
    cdef int count = 0, place
    cdef bint keyed, valued
    while at < end:
        if count == MOST_ATTRIBUTES or not varint(&at, end, &tag) or tag != 10 or not piece(&at, end, &entry):
            return -1
        inner, inner_end = entry.at, entry.at + entry.size
        keyed = valued = False
        value.key.size = 0
        while inner < inner_end:
            if not varint(&inner, inner_end, &tag):
                return -1
            if tag == 10 and not keyed:
                if not piece(&inner, inner_end, &value.key):
                    return -1
                keyed = True
            elif tag == 18 and not valued:
                if not piece(&inner, inner_end, &message) or not read_value(message, &value):
                    return -1
                valued = True
            else:
                return -1
        if not keyed or not valued or memchr(value.key.at, 0x1F, value.key.size) != NULL:
            return -1
        place = count
        while place > 0 and before(value.key, values[place - 1].key):
            values[place] = values[place - 1]
            place -= 1
        if place > 0 and not before(values[place - 1].key, value.key):
            return -1  # of two values of a key the last counts
        values[place] = value
        count += 1
    return count


cdef inline bint before(Slice one, Slice other) noexcept:
    cdef int order = memcmp(one.at, other.at, min(one.size, other.size))
    return order < 0 or (order == 0 and one.size < other.size)


cdef bint read_value(Slice given, Value* value) noexcept:
    cdef Bytes at = given.at
    cdef Bytes end = at + given.size
    cdef uint64_t tag, number
    if not varint(&at, end, &tag):
        return False
    if tag == 26:
        value.kind = STRING
        return piece(&at, end, &value.text) and at == end
    if tag == 17:
        if end - at != 8:
            return False
        value.kind = NUMBER
        memcpy(&value.number, at, 8)
        return fabs(value.number) <= EXACT  # not of one that isn't finite
    if tag == 32:
        value.kind = BOOL
        if not varint(&at, end, &number) or at != end:
            return False
        value.flag = number != 0
        return True
    return False
